//! Two commands in one piece: the server carries out both before anything else of this connection,
//! and each has an answer of its own.

use std::sync::Arc;
use std::time::Duration;

use super::{Asking, Cause, Command, Connection, End, Failure, Greet, Live, Value, Way, answer_by};

/// The answers to a command and to the one behind it.
pub(crate) type Answers = [Result<Value, Failure>; 2];

impl<G: Greet> Connection<G> {
    /// Sends two commands, once, and waits for both answers: for the second one `longer` than the
    /// limit of a call.
    pub(crate) async fn send_pair(
        &self,
        way: Way,
        live: &Arc<Live<G::Session>>,
        commands: [&Command; 2],
        longer: Duration,
    ) -> Answers {
        let line = &self.line;
        let runtime = &*line.server.runtime;
        let (sent, limit) = (runtime.now(), line.server.limits.call);
        let silent = |limit| Failure::unknown(Cause::Silent { limit });
        let mut asking = Asking { line, live, sent, end: End::Dropped };
        let before = (way == Way::Asking).then(|| Command::of(&["ASKING"]));
        let [first, second] = match live.pipe.send_pair(before.as_ref(), commands) {
            Ok(coming) => coming,
            Err(failure) => {
                asking.end = End::Answered;
                return commands.map(|command| line.judge(live, command, Err(failure.clone())));
            }
        };
        let Some(first) = answer_by(runtime, sent + limit, first).await else {
            asking.end = End::TimedOut;
            return [Err(silent(limit)), Err(silent(limit))];
        };
        let first = line.judge(live, commands[0], first);
        let limit = limit + longer;
        let Some(second) = answer_by(runtime, sent + limit, second).await else {
            asking.end = End::TimedOut;
            return [first, Err(silent(limit))];
        };
        asking.end = End::Answered;
        [first, line.judge(live, commands[1], second)]
    }

    /// Gives a connection up; the next call makes a new one.
    pub(crate) fn give_up(&self, live: &Arc<Live<G::Session>>, failure: &Failure) {
        self.line.retire(live, failure);
    }
}
