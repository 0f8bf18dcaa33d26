//! The library as a program sees it: its URLs, its default store, its attribute, its durations, its
//! runtimes, its kit for tests, and the documentation of its functions.
//!
//! A program has one default store. Only `decorator` sets that of this process; every case of
//! `default_store` is a process of its own.

#![allow(clippy::disallowed_methods, reason = "tests spawn, and limit their time")]

mod connect;
mod databases;
mod decorator;
mod default_store;
mod documentation;
mod durations;
mod fencing;
mod runtimes;
mod testing;
