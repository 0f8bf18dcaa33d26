//! A script call with WAIT right behind it, so that its answer is known to enough replicas. It
//! undoes nothing.

use std::sync::Arc;
use std::time::Duration;

use super::super::client::{Cause, Command, Failure, Live, Script, Value, Way, other_server};
use super::super::greeter::Session;
use super::super::marker::nonsense;
use super::{Answer, Link};

impl Link {
    /// Runs the script as [`eval`](Link::eval) does, and waits for the replicas to have what it
    /// wrote. The connection leads to the server of the shared one.
    pub(in super::super) async fn eval_acknowledged(
        &self,
        (shared, within): (&Self, Duration),
        way: Way,
        script: &Script,
        pack: impl Fn(&Session, [&str; 2]) -> Command,
    ) -> Result<Answer, Failure> {
        let live = self.live_beside(shared).await?;
        let command = pack(live.session(), ["EVALSHA", script.sha1()]);
        match self.run_acknowledged(live, way, &command, within).await {
            Err(failure) if failure.is_no_script() => {
                let live = self.live_beside(shared).await?;
                let command = pack(live.session(), ["EVAL", &script.source]);
                self.run_acknowledged(live, way, &command, within).await
            }
            answer => answer,
        }
    }

    async fn run_acknowledged(
        &self,
        live: Arc<Live<Session>>,
        way: Way,
        command: &Command,
        within: Duration,
    ) -> Result<Answer, Failure> {
        let wanted = live.session().replicas;
        let mut wait = Command::with_capacity(3, 32);
        wait.word(b"WAIT");
        wait.number(wanted.into());
        wait.number(u64::try_from(within.as_millis()).unwrap_or(u64::MAX));
        let [value, waited] = self.connection.send_pair(way, &live, [command, &wait], within).await;
        let failure = match waited {
            Ok(Value::Int(count)) => {
                let acknowledged = u32::try_from(count).unwrap_or_default();
                let cause = Cause::Unacknowledged { acknowledged, wanted, within };
                (acknowledged < wanted).then(|| Failure::unknown(cause))
            }
            Ok(_) => Some(nonsense("WAIT")),
            Err(failure) if failure.is_unknown_command() => Some(Failure::unknown(Cause::NoWait)),
            Err(failure) => Some(failure),
        };
        Ok(Answer { value: value?, live, failure })
    }

    /// The present connection, or the next one, to the server to which the shared one leads. During
    /// a failover one of them may lead to another.
    async fn live_beside(&self, shared: &Self) -> Result<Arc<Live<Session>>, Failure> {
        for _ in 0..2 {
            let first = shared.connection.live().await?;
            let live = self.connection.live().await?;
            if live.session().run_id == first.session().run_id {
                return Ok(live);
            }
            self.connection.give_up(&live, &other_server());
        }
        Err(other_server())
    }
}
