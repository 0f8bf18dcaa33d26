//! The servers of a store: one, one that Sentinels name, or the nodes of a cluster. It answers
//! which of them is asked for a key, now.

mod any_node;
mod cluster;
mod course;
mod sentinel;
mod settle;
pub(super) mod slot_map;
mod switches;

use std::sync::Arc;

use tokio::sync::watch;

use crate::protocol::{Reply, Request};
use crate::runtime::Runtime;
use crate::store::{Links, StoreError};
use crate::types::Key;

use super::RedisOptions;
use super::client::{Command, Place, Server, Value};
use super::node::{Node, Settings};
use super::slots::Slot;
use super::url::StoreUrl;
use cluster::Cluster;
pub(super) use sentinel::{Address, Directory, Sentinel};

/// The servers of a store.
pub(super) enum Topology {
    One {
        node: Arc<Node>,
        settings: Arc<Settings>,
        /// The Sentinels that name it, if any do.
        sentinels: Option<Arc<Directory>>,
    },
    Cluster(Arc<Cluster>),
}

impl Topology {
    /// The servers that a URL names. Nothing is connected yet.
    pub(super) fn new(
        url: &StoreUrl,
        options: &RedisOptions,
        runtime: &Arc<dyn Runtime>,
    ) -> Result<Self, StoreError> {
        let settings = Arc::new(Settings::new(url, options, runtime));
        let (server, sentinels) = match &url.server.place {
            Place::Cluster { hosts } => {
                return Ok(Self::Cluster(Cluster::new(&url.server, hosts, settings, runtime)?));
            }
            Place::Sentinels(sentinels) => {
                let (server, directory) =
                    sentinel::behind_sentinels(&url.server, sentinels, runtime)?;
                (server, Some(directory))
            }
            Place::Host { .. } | Place::Socket(_) => {
                (Server::of_url(&url.server, Arc::clone(runtime))?, None)
            }
        };
        let node = Arc::new(Node::new(server, &settings, watch::Sender::default()));
        Ok(Self::One { node, settings, sentinels })
    }

    pub(super) fn settings(&self) -> &Settings {
        match self {
            Self::One { settings, .. } => settings,
            Self::Cluster(cluster) => cluster.settings(),
        }
    }

    /// Asks whether they are there.
    pub(super) async fn open(&self) -> Result<(), StoreError> {
        match self {
            Self::One { node, .. } => node.open().await?,
            Self::Cluster(cluster) => cluster.open().await?,
        }
        Ok(())
    }

    /// The number of the server that has a key, as far as is known.
    pub(super) fn part_of(&self, key: &Key) -> u32 {
        match self {
            Self::One { .. } => 0,
            Self::Cluster(cluster) => cluster.part_of(key),
        }
    }

    /// Carries out steps, wherever their keys are.
    pub(super) async fn send(&self, steps: Vec<Request>) -> Result<Vec<Reply>, StoreError> {
        match self {
            Self::One { node, .. } => node.send(steps).await?.of_one_call(),
            Self::Cluster(cluster) => cluster.send(steps).await,
        }
    }

    /// The servers that together have all keys.
    pub(super) async fn masters(&self) -> Result<Vec<Arc<Node>>, StoreError> {
        match self {
            Self::One { node, .. } => Ok(vec![Arc::clone(node)]),
            Self::Cluster(cluster) => cluster.masters().await,
        }
    }

    /// The same as they are now, each with one of its slots in a cluster.
    pub(super) async fn masters_now(&self) -> Result<Vec<(Arc<Node>, Option<Slot>)>, StoreError> {
        match self {
            Self::One { node, .. } => Ok(vec![(Arc::clone(node), None)]),
            Self::Cluster(cluster) => cluster.masters_now().await,
        }
    }

    /// Runs the script for data beside the lock of `key`, once.
    pub(super) async fn eval_data(
        &self,
        key: &Key,
        pack: impl Fn([&str; 2]) -> Command,
    ) -> Result<Value, StoreError> {
        match self {
            Self::One { node, settings, .. } => {
                Ok(node.link.eval_data(&settings.data_script, pack).await?)
            }
            Self::Cluster(cluster) => cluster.eval_data(key, pack).await,
        }
    }

    /// The server for messages.
    pub(super) fn for_messages(&self) -> &Arc<Server> {
        match self {
            Self::One { node, .. } => &node.server,
            Self::Cluster(cluster) => cluster.any(),
        }
    }

    /// The counts of the connections to all of them.
    pub(super) fn links(&self) -> watch::Receiver<Links> {
        match self {
            Self::One { node, .. } => node.link.links(),
            Self::Cluster(cluster) => cluster.links(),
        }
    }
}
