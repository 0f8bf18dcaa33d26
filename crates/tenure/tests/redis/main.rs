//! The promises over a server and a wire that fail, on real servers of the tests' own. The proxy
//! breaks the wire at the call that it is told to; nothing here fails by chance.

#![allow(clippy::disallowed_methods, reason = "tests measure time and limit it")]
#![allow(clippy::print_stdout, reason = "tests say what they measured")]

mod ack;
mod cluster;
mod damaged;
mod failover;
mod fences;
mod forgetting;
mod given_up;
mod groups;
mod guarded_writes;
mod interop;
mod layout;
mod life;
mod listing;
mod lone;
mod lost_replies;
mod names;
mod outage;
mod plain_value;
mod pressure;
mod pushes;
mod refused;
mod restart;
mod rights;
mod runs;
mod same_value;
mod secrets;
mod sentinel;
mod silence;
mod steps;
mod subscriber;
mod traces;
mod verdicts;
mod ways;
mod world;
