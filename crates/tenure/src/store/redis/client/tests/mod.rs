//! The link against real servers: what it does when they stop, die, refuse, or are none.

#![allow(clippy::disallowed_methods, reason = "real servers, real time")]

mod connection;
mod direct;
pub(in crate::store::redis) mod fake;
mod faults;
mod network;
mod outage;
mod pipeline;
#[cfg(feature = "tls")]
mod tls;

use std::sync::{Arc, Mutex};

use tenure_testkit::Server as RealServer;
use tokio::sync::watch;

use crate::runtime::{self, Moment, Runtime};

use super::connection::{Connection, Way};
use super::dial::{Dial, Dialling};
use super::failure::Failure;
use super::resp::{Command, Value};
use super::script::Script;
use super::server::Server;
use super::url::ServerUrl;

/// A link that asks for nothing on its own account.
type Link = Connection<()>;

static ECHO: Script = Script::new("echo", "return {KEYS[1], ARGV[1]}");

/// The name of these tests' links at the server.
const NAME: &str = "tenure-test";

/// The server that a URL names, on the machine's clock. Where the URL has no limits, a busy machine
/// reaches none.
pub(crate) fn server(url: &str) -> Arc<Server> {
    let (url, _) = ServerUrl::parse(&unhurried(url), &[]).expect("a good URL");
    Server::of_url(&url, runtime::machine().expect("threads")).expect("a server")
}

/// A link that nobody follows.
fn link_to(server: &Arc<Server>) -> Link {
    Connection::new(server, NAME, (), watch::Sender::default())
}

/// A link with parameters that suit a test.
fn link(real: &RealServer, parameters: &str) -> Link {
    link_to(&server(&format!("{}?{parameters}", real.url())))
}

/// The URL with limits that no busy machine reaches, where it has none.
fn unhurried(url: &str) -> String {
    let mut url = url.to_owned();
    for limit in ["connect_timeout", "call_timeout"] {
        if !url.contains(&format!("{limit}=")) {
            url.push_str(match url.split_once('?') {
                None => "?",
                Some((_, "")) => "",
                Some(_) => "&",
            });
            url.push_str(&format!("{limit}=60s"));
        }
    }
    url
}

/// Runs a script on it.
async fn run(link: &Link, script: &Script, keys: &[&str], args: &[&str]) -> Result<Value, Failure> {
    let count = keys.len().to_string();
    let pack =
        |(): &(), head: [&str; 2]| Command::of(&[&head, &[&*count][..], keys, args].concat());
    Ok(link.eval(Way::Shared, script, pack).await?.0)
}

async fn ping(link: &Link) -> Result<Value, Failure> {
    link.command(&Command::of(&["PING"])).await
}

/// How many connections to it this side holds open, whatever the server does.
pub(crate) fn established(real: &RealServer) -> usize {
    let sockets = std::fs::read_to_string("/proc/self/net/tcp").expect("a list of sockets");
    // Remote address and state, as the kernel writes them.
    let remote = format!("0100007F:{:04X} 01 ", real.port());
    sockets.lines().filter(|line| line.contains(&remote)).count()
}

/// Counts who dials.
#[derive(Debug)]
struct Counted {
    dial: Arc<dyn Dial>,
    times: Arc<Mutex<Vec<Moment>>>,
}

impl Dial for Counted {
    fn dial<'a>(&'a self, runtime: &'a dyn Runtime, until: Moment) -> Dialling<'a> {
        self.times.lock().unwrap().push(runtime.now());
        self.dial.dial(runtime, until)
    }

    fn is_tls(&self) -> bool {
        self.dial.is_tls()
    }
}

/// A server whose dials are counted.
fn counted(url: &str) -> (Arc<Server>, Arc<Mutex<Vec<Moment>>>) {
    let server = Arc::into_inner(server(url)).expect("nobody else has it");
    let times = Arc::new(Mutex::default());
    let dial = Arc::new(Counted { dial: server.dial, times: Arc::clone(&times) });
    let server = Server::new(server.name, dial, server.login, server.limits, server.runtime);
    (server, times)
}
