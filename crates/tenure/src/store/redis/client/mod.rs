//! A client of Redis and Valkey: what a URL says, a connection that mends itself, RESP3, and
//! errors that people understand. It never retries a request.

mod connection;
mod dial;
mod dial_backoff;
mod failure;
mod login;
mod pipeline;
mod resp;
mod secrets;
mod server;
mod server_error;
#[cfg(feature = "tls")]
mod tls;
mod url;

pub(super) use connection::{Connection, Late, Script, drive_until_cut};
pub(super) use dial::within;
pub(super) use failure::{Cause, Failure};
pub(super) use pipeline::{OnPush, Pipeline};
pub(super) use resp::{Command, Value, digits};
pub(super) use server::Server;
pub(super) use url::RedisUrl;

#[cfg(test)]
pub(super) mod tests;
