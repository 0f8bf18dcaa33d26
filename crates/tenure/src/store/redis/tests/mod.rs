//! The store against a real server, part by part.

#![allow(clippy::disallowed_methods, reason = "real servers, real time")]

mod batch;
mod fragments;
mod inbox;
mod repeated;
mod steps;
