//! A connection that listens to one channel. It ends with its value, and mends nothing.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::runtime::{Moment, answer_by};

use super::connection::drive_until_cut;
use super::failure::{Cause, Failure};
use super::pipeline::{OnPush, Pipeline};
use super::resp::{Command, Value};
use super::server::{Connected, Server, Use};

/// The interval at which the server is asked whether it is still there: a subscriber hears nothing
/// otherwise.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// A connection for a subscription; it ends with this.
pub(crate) struct Subscription {
    pipe: Pipeline,
    opened: Moment,
    cut: CancellationToken,
    /// Told when the connection has ended.
    ended: CancellationToken,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.cut.cancel();
    }
}

impl Subscription {
    /// One more connection to the server, which listens to nothing yet.
    pub(crate) async fn connect(
        server: &Server,
        name: &str,
        on_push: OnPush,
    ) -> Result<Self, Failure> {
        let Connected { pipe, driver, cut, .. } =
            server.connect(name, Use::Pushes(on_push), &()).await?;
        let ended = CancellationToken::new();
        let opened = server.runtime.now();
        let subscription = Self { pipe, opened, cut: cut.clone(), ended: ended.clone() };
        let ends = ended.drop_guard();
        server.runtime.spawn(Box::pin(async move {
            drive_until_cut(driver, &cut).await;
            drop(ends);
        }));
        Ok(subscription)
    }

    /// Listens to a channel from now on.
    pub(crate) async fn subscribe(&self, server: &Server, channel: &str) -> Result<(), Failure> {
        self.ask(server, &Command::of(&["SUBSCRIBE", channel])).await.map(drop)
    }

    /// Sends a command over it and waits for the answer.
    pub(crate) async fn ask(&self, server: &Server, command: &Command) -> Result<Value, Failure> {
        let (runtime, limit) = (&*server.runtime, server.limits.call);
        match answer_by(runtime, runtime.now() + limit, self.pipe.send(command)).await {
            Some(Ok(Value::Error(error))) => {
                let failure = Failure::answered(&command.name(), &error).of_our_own();
                Err(failure.without(&server.login.secrets))
            }
            Some(Ok(value)) => Ok(value),
            Some(Err(failure)) => Err(failure.of_our_own()),
            None => Err(Failure::unsent(Cause::Silent { limit })),
        }
    }

    /// Until the connection is gone, which the server's backoff is told. One that is silent because
    /// nothing happens is told from one that is cut off by asking now and then.
    pub(crate) async fn listen(&self, server: &Server) -> Failure {
        let ended = self.end(server).await;
        server.dial_backoff.fell(server.runtime.now().since(self.opened), ended.clone());
        ended
    }

    async fn end(&self, server: &Server) -> Failure {
        let (runtime, limit) = (&*server.runtime, server.limits.call);
        loop {
            tokio::select! {
                biased;
                () = self.ended.cancelled() => {
                    let text = "it was closed".to_owned();
                    return Failure::unsent(Cause::GivenUp { text });
                }
                () = runtime.sleep_until(runtime.now() + ASK_EVERY) => {}
            }
            let ping = Command::of(&["PING"]);
            let asked = answer_by(runtime, runtime.now() + limit, self.pipe.send(&ping)).await;
            if !matches!(asked, Some(Ok(_))) {
                return Failure::unsent(Cause::Silent { limit });
            }
        }
    }
}
