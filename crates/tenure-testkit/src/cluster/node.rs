//! One server of a cluster.

use std::io;
use std::ops::Deref;

use crate::client::Client;
use crate::reply::Reply;
use crate::server::{Server, ServerOptions};

use super::view::View;

/// A server that is a node of a cluster, master or replica. It is killed, stopped and started
/// again as any [`Server`]; its id and its view of the cluster survive that.
#[derive(Debug)]
pub struct Node {
    server: Server,
    id: String,
}

impl Node {
    #[track_caller]
    pub(super) fn start(options: ServerOptions) -> Self {
        let server = options.start();
        let id = server.command(&["CLUSTER", "MYID"]).text().expect("an id");
        Self { server, id }
    }

    /// Its id: 40 hexadecimal digits.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether it takes itself for a master. False while it does not run.
    #[must_use]
    pub fn is_master(&self) -> bool {
        self.looked().is_some_and(|look| look.view.own().is("master"))
    }

    /// Runs a command that answers OK.
    #[track_caller]
    pub(super) fn ok(&self, words: &[&str]) {
        let reply = self.command(words);
        let simple = matches!(&reply, Reply::Simple(text) if text == "OK");
        assert!(simple, "{words:?} at port {}: {reply}", self.port());
    }

    /// Its view now. None while it does not run.
    pub(super) fn looked(&self) -> Option<Look> {
        if !self.runs() {
            return None;
        }
        // It may be killed or stopped by another thread meanwhile.
        self.admin().and_then(|mut client| Look::by(&mut client)).ok()
    }
}

impl Deref for Node {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

/// Answers of one node at one time.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) view: View,
    cluster: String,
    replication: String,
}

impl Look {
    fn by(client: &mut Client) -> io::Result<Self> {
        let mut ask =
            |words: &[&str]| Ok::<_, io::Error>(client.call(words)?.text().unwrap_or_default());
        Ok(Self {
            view: View::parse(&ask(&["CLUSTER", "NODES"])?),
            cluster: ask(&["CLUSTER", "INFO"])?,
            replication: ask(&["INFO", "replication"])?,
        })
    }

    /// Whether it serves what it owns.
    pub(super) fn is_serving(&self) -> bool {
        self.cluster.lines().any(|line| line == "cluster_state:ok")
    }

    /// Whether it, as a replica, is linked to its master.
    pub(super) fn is_linked(&self) -> bool {
        self.replication.lines().any(|line| line == "master_link_status:up")
    }

    /// How many replicas it, as a master, sends its writes to.
    pub(super) fn replicas_online(&self) -> usize {
        self.replication.lines().filter(|line| line.contains(",state=online,")).count()
    }
}
