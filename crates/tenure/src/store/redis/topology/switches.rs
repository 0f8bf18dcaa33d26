//! Listens to one Sentinel at a time for switches: when the server has moved, its connections are
//! retired at once, and the next call finds the new one.

use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::observe::report;

use super::super::client::{Failure, OnPush, Server, Subscription, Value};
use super::sentinel::{Address, Directory, Lookup};

/// The channel on which a Sentinel tells that a server was replaced by another one.
const CHANNEL: &str = "+switch-master";
/// The name of the connection at the Sentinel.
const NAME: &str = "tenure-switches";
/// The pause before the next Sentinel after one that takes the connection and refuses the
/// subscription.
const REFUSED_PAUSE: Duration = Duration::from_secs(5);

pub(super) struct Watcher {
    directory: Arc<Directory>,
    server: Weak<Server>,
}

impl Watcher {
    pub(super) fn new(directory: Arc<Directory>, server: &Arc<Server>) -> Self {
        Self { directory, server: Arc::downgrade(server) }
    }

    /// Listens for ever: to the next Sentinel when a subscription has ended. The backoff of each
    /// Sentinel limits the attempts.
    pub(super) async fn run(self) {
        let mut warned = false;
        for index in (0..self.directory.sentinels.len()).cycle() {
            let sentinel = &*self.directory.sentinels[index].server;
            let connected = Subscription::connect(sentinel, NAME, self.on_push(index)).await;
            let Ok(subscription) = connected else { continue };
            if let Err(failure) = self.begin(sentinel, &subscription).await {
                if !std::mem::replace(&mut warned, true) {
                    let say = |store: &Arc<str>, failure: &Failure| {
                        tracing::warn!(
                            %store, %failure,
                            "not told of failovers: they are noticed when a connection ends"
                        );
                    };
                    report!(sentinel.runtime, say, &sentinel.name, &failure);
                }
                drop(subscription);
                let runtime = &sentinel.runtime;
                runtime.sleep_until(runtime.now() + REFUSED_PAUSE).await;
                continue;
            }
            let ended = subscription.listen(sentinel).await;
            let say = |store: &Arc<str>, failure: &Failure| {
                tracing::debug!(%store, %failure, "no longer told of failovers by it");
            };
            report!(sentinel.runtime, say, &sentinel.name, &ended);
        }
    }

    /// Subscribes, and then looks whether there was a switch before.
    async fn begin(&self, sentinel: &Server, subscription: &Subscription) -> Result<(), Failure> {
        subscription.subscribe(sentinel, CHANNEL).await?;
        let lookup = Lookup::command(&self.directory.service);
        let answer = subscription.ask(sentinel, &lookup).await?;
        if let Some(address) = Address::in_answer(&answer)
            && self.directory.moved_to(&address)
        {
            retire(&self.server);
        }
        Ok(())
    }

    /// Acts on a message as the connection reads it, without a hop to a task.
    fn on_push(&self, index: usize) -> OnPush {
        let (directory, server) = (Arc::clone(&self.directory), Weak::clone(&self.server));
        Arc::new(move |items| {
            let [Value::BulkString(kind), _, Value::BulkString(message)] = items else { return };
            if kind == b"message"
                && let Some(address) = Address::in_message(message, &directory.service)
                && directory.moved_to(&address)
            {
                directory.ask_first(index);
                retire(&server);
            }
        })
    }
}

fn retire(server: &Weak<Server>) {
    if let Some(server) = server.upgrade() {
        let say = |store: &Arc<str>| tracing::debug!(%store, "the primary has moved");
        report!(server.runtime, say, &server.name);
        server.moved();
    }
}
