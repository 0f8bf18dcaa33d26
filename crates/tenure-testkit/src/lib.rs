//! Tools for tests of Tenure: real servers for each test, and a proxy that breaks the wire between
//! them and a client on purpose. It is never published, and knows nothing of locks.
//!
//! - [`Server`]: a real Redis or Valkey on its own port, in its own directory, gone at the latest
//!   when the test's process is. [`Certificates`] for TLS.
//! - [`Cluster`]: servers that form a cluster, with slots that move and failovers.
//! - [`Sentinels`]: a primary with replicas, and Sentinels that watch them.
//! - [`Proxy`]: stands between a client and a server, counts calls, and strikes at the one it is
//!   told to.
//! - [`Network`]: a network of the test's own, with hosts that are cut off and joined again.
//! - [`Running`]: a child that ends with its value.
//! - [`Client`]: a small client of the wire, for what tests assert.
//! - [`clean`]: for programs under a test, which begin as from a person's shell.
//! - [`alone`]: for a test that needs a process to itself. [`role!`]: for a part of a test that
//!   needs one.
//! - [`as_from_a_shell`]: for commands that call cargo.
//! - [`wait_until`]: waits for a condition, with a limit. [`lateness`]: how late this machine is.
//!
//! ```
//! use tenure_testkit::{Client, Fate, Flavour, Proxy, Reply, Server, Which};
//!
//! for flavour in Flavour::ALL {
//!     let server = Server::of(flavour).start();
//!     let proxy = Proxy::to(server.address());
//!     let fault = proxy.on(Which::nth_named(2, "INCR"), Fate::CutAfter);
//!
//!     let mut client = Client::connect(proxy.address())?;
//!     assert_eq!(client.call(&["INCR", "n"])?, Reply::Int(1));
//!     assert!(client.call(&["INCR", "n"]).is_err());
//!
//!     assert_eq!(fault.reply(), Reply::Int(2)); // what the client never heard
//!     assert_eq!(server.command(&["DBSIZE"]), Reply::Int(1)); // behind the proxy's back
//! }
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! Everything blocks and runs on threads of its own, so that it serves tests of any kind. A
//! failure of the kit itself is a panic that says what was expected of whom.

#![allow(clippy::disallowed_methods, reason = "real servers, real time")]

mod alone;
mod cargo;
mod certificates;
mod clean;
mod client;
mod cluster;
mod condition;
mod flavour;
mod lateness;
mod network;
mod port;
mod process;
mod proxy;
mod reply;
mod running;
mod sentinels;
mod server;

pub use alone::{alone, this_program};
pub use cargo::as_from_a_shell;
pub use certificates::Certificates;
pub use clean::{clean, clean_environment, clean_signals};
pub use client::Client;
pub use cluster::{Cluster, ClusterOptions, Failover, Node, SLOTS, SlotMove, slot_of};
pub use condition::{LIMIT, wait_until};
pub use flavour::{Flavour, redis_cli, redis_py};
pub use lateness::lateness;
pub use network::{Host, Network, in_own_network};
pub use port::Port;
pub use process::{Process, is_running};
pub use proxy::{Call, Direction, Fate, Fault, Flow, Proxy, Pushes, Which};
pub use reply::{NotResp, Reply, call};
pub use running::Running;
pub use sentinels::{Sentinel, Sentinels, SentinelsOptions};
pub use server::{ClientCertificates, Server, ServerOptions};
