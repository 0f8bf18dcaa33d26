//! The inbox: one subscription of this process at a server, on a connection of its own, so that
//! no answer of another command stands before a push. It mends itself, and says after each
//! mending that pushes may have been missed.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot};

use crate::observe::report;
use crate::store::{Inbox, Push};

use super::client::{Cause, Failure, OnPush, Server, Subscription, Value};

/// Reads the pushes out of the bytes that a script published.
pub(super) type Decode = fn(&[u8]) -> Option<Vec<Push>>;

/// The beginning of the names of inbox channels. An ACL must allow `&tenure:inbox:*`.
pub(super) const CHANNELS: &str = "tenure:inbox:";
/// The name of the connection at the server.
const NAME: &str = "tenure-inbox";
/// The pause before the next try with a server that takes the connection and refuses the
/// subscription.
const REFUSED_PAUSE: Duration = Duration::from_secs(5);

/// Opens an inbox; `None`, with one warning, where the server does not let us subscribe.
pub(super) async fn open(server: &Arc<Server>, decode: Decode) -> Result<Option<Inbox>, Failure> {
    let mut random = [0; 16];
    server.runtime.random(&mut random);
    let address = format!("{CHANNELS}{:032x}", u128::from_le_bytes(random));
    let address: Arc<str> = address.into();
    let (sender, pushes) = mpsc::unbounded_channel();
    let missed = Arc::new(Notify::new());
    let subscriber = Subscriber {
        server: Arc::clone(server),
        address: Arc::clone(&address),
        decode,
        pushes: sender,
        missed: Arc::clone(&missed),
    };
    let (opened, verdict) = oneshot::channel();
    server.runtime.spawn(Box::pin(subscriber.run(opened)));
    let verdict = verdict.await.unwrap_or_else(|_| {
        let text = "the task of the inbox ended".to_owned();
        Err(Failure::unsent(Cause::GivenUp { text }))
    });
    match verdict {
        Ok(()) => Ok(Some(Inbox { address, pushes, missed })),
        Err(failure) if failure.is_forbidden() || failure.is_unknown_command() => {
            let say = |store: &Arc<str>, failure: &Failure| {
                tracing::warn!(
                    %store, %failure,
                    "no subscription for wake-ups: waiters look at intervals instead"
                );
            };
            report!(server.runtime, say, &server.name, &failure);
            Ok(None)
        }
        Err(failure) => Err(failure),
    }
}

struct Subscriber {
    server: Arc<Server>,
    address: Arc<str>,
    decode: Decode,
    pushes: mpsc::UnboundedSender<Push>,
    missed: Arc<Notify>,
}

impl Subscriber {
    /// Subscribes again and again until nobody listens. The first time decides whether there is
    /// an inbox at all.
    async fn run(self, opened: oneshot::Sender<Result<(), Failure>>) {
        let first = async { self.subscribe(self.connect().await?).await };
        let mut subscription = match first.await {
            Ok(subscription) => {
                if opened.send(Ok(())).is_err() {
                    return;
                }
                subscription
            }
            Err(failure) => {
                let _ = opened.send(Err(failure));
                return;
            }
        };
        loop {
            let listened = tokio::select! {
                biased;
                () = self.pushes.closed() => return,
                ended = subscription.listen(&self.server) => ended,
            };
            let say = |store: &Arc<str>, failure: &Failure| {
                tracing::debug!(%store, %failure, "inbox cut off");
            };
            report!(self.server.runtime, say, &self.server.name, &listened);
            drop(subscription);
            subscription = tokio::select! {
                biased;
                () = self.pushes.closed() => return,
                subscription = self.subscribe_again() => subscription,
            };
            // Subscribed first: what is found by looking now cannot be missed any more.
            self.missed.notify_one();
        }
    }

    async fn subscribe_again(&self) -> Subscription {
        let mut warned = false;
        loop {
            // A server that cannot be reached is left alone by the dial backoff.
            let Ok(connected) = self.connect().await else { continue };
            match self.subscribe(connected).await {
                Ok(subscription) => return subscription,
                Err(failure) => {
                    if !std::mem::replace(&mut warned, true) {
                        let say = |store: &Arc<str>, failure: &Failure| {
                            tracing::warn!(%store, %failure, "no wake-ups for now");
                        };
                        report!(self.server.runtime, say, &self.server.name, &failure);
                    }
                    let runtime = &self.server.runtime;
                    runtime.sleep_until(runtime.now() + REFUSED_PAUSE).await;
                }
            }
        }
    }

    async fn connect(&self) -> Result<Subscription, Failure> {
        Subscription::connect(&self.server, NAME, self.on_push()).await
    }

    async fn subscribe(&self, connected: Subscription) -> Result<Subscription, Failure> {
        connected.subscribe(&self.server, &self.address).await?;
        Ok(connected)
    }

    /// Hands pushes on as the connection reads them, without a hop to a task.
    fn on_push(&self) -> OnPush {
        let (decode, pushes) = (self.decode, self.pushes.clone());
        Arc::new(move |items| {
            let [Value::BulkString(kind), _, Value::BulkString(payload)] = items else { return };
            if kind == b"message"
                && let Some(told) = decode(payload)
            {
                for push in told {
                    // Nobody listens any more: the task ends by itself.
                    let _ = pushes.send(push);
                }
            }
        })
    }
}
