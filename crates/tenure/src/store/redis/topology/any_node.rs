//! A way to whichever node of a cluster is there: each has the messages of all.

use std::sync::Weak;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::runtime::{Moment, Runtime};

use super::super::client::{Cause, Dial, Dialling, Failure};
use super::cluster::Cluster;

#[derive(Debug)]
pub(super) struct AnyNode {
    pub(super) cluster: Weak<Cluster>,
    pub(super) is_tls: bool,
    /// Which node is dialled first: one that takes connections and does not answer is not dialled
    /// for ever.
    pub(super) turn: AtomicUsize,
}

impl Dial for AnyNode {
    fn dial<'a>(&'a self, runtime: &'a dyn Runtime, until: Moment) -> Dialling<'a> {
        Box::pin(async move {
            let gone = || Failure::unsent(Cause::StillConnecting { last: None });
            let cluster = self.cluster.upgrade().ok_or_else(gone)?;
            let nodes = cluster.informants(self.turn.load(Ordering::Relaxed));
            let mut last = None;
            for (index, address) in nodes.iter().enumerate() {
                let Ok(node) = cluster.node(address) else { continue };
                // One that swallows packets must leave time for the next one.
                let share = until.since(runtime.now())
                    / u32::try_from(nodes.len() - index).unwrap_or(u32::MAX);
                match node.server.dial.dial(runtime, runtime.now() + share).await {
                    Ok(stream) => return Ok(stream),
                    Err(failure) => last = Some(failure),
                }
            }
            Err(last.unwrap_or_else(gone))
        })
    }

    fn is_tls(&self) -> bool {
        self.is_tls
    }

    fn misled(&self) {
        self.turn.fetch_add(1, Ordering::Relaxed);
    }
}
