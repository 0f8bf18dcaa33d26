//! Redis and Valkey: one server, reached by a URL.

mod failure;
mod gate;
mod link;
mod login;
mod push;
mod server;
mod server_error;
mod stream;
#[cfg(feature = "tls")]
mod tls;
mod url;

#[cfg(test)]
mod tests;
