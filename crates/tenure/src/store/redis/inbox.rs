//! The inbox: one subscription of this process at a server, on a connection of its own, so that
//! no answer of another command stands before a push. It mends itself, and says after each
//! mending that pushes may have been missed.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::observe::report;
use crate::runtime::{Moment, timeout};
use crate::store::{Inbox, Push};

use super::client::{
    Cause, Command, Connected, Failure, OnPush, Pipeline, Server, Use, Value, drive_until_cut,
};

/// Reads the pushes out of the bytes that a script published.
pub(super) type Decode = fn(&[u8]) -> Option<Vec<Push>>;

/// The beginning of the names of inbox channels. An ACL must allow `&tenure:inbox:*`.
pub(super) const CHANNELS: &str = "tenure:inbox:";
/// The name of the connection at the server.
const NAME: &str = "tenure-inbox";
/// The interval at which the server is asked whether it is still there: a subscriber hears nothing
/// otherwise.
const ASK_EVERY: Duration = Duration::from_secs(5);
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
        Err(Failure::unsent(Cause::Cut { text }))
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

/// A connection for a subscription; it ends with this.
struct Subscribed {
    pipe: Pipeline,
    opened: Moment,
    cut: CancellationToken,
    /// Told when the connection has ended.
    ended: CancellationToken,
}

impl Drop for Subscribed {
    fn drop(&mut self) {
        self.cut.cancel();
    }
}

impl Subscriber {
    /// Subscribes again and again until nobody listens. The first time decides whether there is
    /// an inbox at all.
    async fn run(self, opened: oneshot::Sender<Result<(), Failure>>) {
        let first = async { self.subscribe(self.connect().await?).await };
        let mut subscribed = match first.await {
            Ok(subscribed) => {
                if opened.send(Ok(())).is_err() {
                    return;
                }
                subscribed
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
                ended = self.listen(&subscribed) => ended,
            };
            let say = |store: &Arc<str>, failure: &Failure| {
                tracing::debug!(%store, %failure, "inbox cut off");
            };
            report!(self.server.runtime, say, &self.server.name, &listened);
            let lived = self.server.runtime.now().since(subscribed.opened);
            self.server.dial_backoff.fell(lived, listened);
            drop(subscribed);
            subscribed = tokio::select! {
                biased;
                () = self.pushes.closed() => return,
                subscribed = self.subscribe_again() => subscribed,
            };
            // Subscribed first: what is found by looking now cannot be missed any more.
            self.missed.notify_one();
        }
    }

    async fn subscribe_again(&self) -> Subscribed {
        let mut warned = false;
        loop {
            // A server that cannot be reached is left alone by the dial backoff.
            let Ok(connected) = self.connect().await else { continue };
            match self.subscribe(connected).await {
                Ok(subscribed) => return subscribed,
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

    async fn connect(&self) -> Result<Subscribed, Failure> {
        let runtime = &self.server.runtime;
        let Connected { pipe, driver, .. } =
            self.server.connect(NAME, Use::Pushes(self.on_push()), &()).await?;
        let (cut, ended) = (CancellationToken::new(), CancellationToken::new());
        let connected =
            Subscribed { pipe, opened: runtime.now(), cut: cut.clone(), ended: ended.clone() };
        let ends = ended.drop_guard();
        runtime.spawn(Box::pin(async move {
            drive_until_cut(driver, &cut).await;
            drop(ends);
        }));
        Ok(connected)
    }

    async fn subscribe(&self, connected: Subscribed) -> Result<Subscribed, Failure> {
        let runtime = &*self.server.runtime;
        let limit = self.server.limits.call;
        let subscribe = Command::of(&["SUBSCRIBE", &self.address]);
        match timeout(runtime, runtime.now() + limit, connected.pipe.send(&subscribe)).await {
            Some(Ok(Value::Error(error))) => {
                let failure = Failure::answered("SUBSCRIBE", &error).of_our_own();
                Err(failure.without(&self.server.login.secrets))
            }
            Some(Ok(_)) => Ok(connected),
            Some(Err(failure)) => Err(failure.of_our_own()),
            None => Err(Failure::unsent(Cause::Silent { limit })),
        }
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

    /// Until the subscription is gone. A connection that is silent because nothing happens is
    /// told from one that is cut off by asking now and then.
    async fn listen(&self, subscribed: &Subscribed) -> Failure {
        let runtime = &*self.server.runtime;
        let limit = self.server.limits.call;
        loop {
            tokio::select! {
                biased;
                () = subscribed.ended.cancelled() => {
                    let text = "connection closed".to_owned();
                    return Failure::unsent(Cause::Cut { text });
                }
                () = runtime.sleep_until(runtime.now() + ASK_EVERY) => {}
            }
            let ping = Command::of(&["PING"]);
            let asked = timeout(runtime, runtime.now() + limit, subscribed.pipe.send(&ping)).await;
            if !matches!(asked, Some(Ok(_))) {
                return Failure::unsent(Cause::Silent { limit });
            }
        }
    }
}
