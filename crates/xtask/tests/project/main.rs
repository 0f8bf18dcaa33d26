//! The rules of the project that a program can check: its words, layers, files, links, documents
//! and dependencies. It never judges behaviour.

mod book;
mod circles;
mod comments;
mod dependencies;
mod documents;
mod files;
mod layers;
mod links;
mod observability;
mod operations;
mod program;
mod promtool;
mod runbook;
mod spans;
mod translations;
