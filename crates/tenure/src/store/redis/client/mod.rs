//! A client of Redis and Valkey: what a URL says, a connection that mends itself, RESP3, and
//! errors that people understand. It never sends a request twice, and knows neither locks nor the
//! scripts for them.

mod connection;
mod dial;
mod dial_backoff;
mod direct;
mod failure;
mod login;
#[cfg(feature = "tls")]
mod named_file;
mod parameters;
mod pipeline;
mod place;
mod redirect;
mod resp;
mod script;
mod secrets;
mod sentinel_fault;
mod server;
mod server_error;
mod standing;
mod subscription;
#[cfg(feature = "tls")]
mod tls;
mod transport;
mod uri;
mod url;

pub(super) use connection::{Connection, Live, Way};
pub(super) use dial::{Dial, Dialling};
pub(super) use failure::{Cause, Failure};
pub(super) use login::{Greet, Talk, Wanted};
pub(super) use pipeline::{OnPush, Readiness};
pub(super) use place::{Place, Sentinels};
pub(super) use redirect::{Address, Redirect};
pub(super) use resp::{Command, Value, digits};
pub(super) use script::Script;
pub(super) use sentinel_fault::SentinelFault;
pub(super) use server::{Server, Use, other_server};
pub(super) use server_error::OTHER_KEY_ADVICE;
pub(super) use subscription::Subscription;
pub(super) use transport::Transport;
pub(super) use url::ServerUrl;

#[cfg(test)]
pub(super) mod tests;
