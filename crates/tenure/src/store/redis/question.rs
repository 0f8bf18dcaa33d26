//! One command on a connection of its own, which ends with the answer: a question that neither
//! holds up the links of the locks nor opens one. It is asked once.

use crate::runtime::Moment;

use super::client::{Cause, Command, Failure, Greet, Server, Talk, Value};

/// The name of such a connection at the server (`CLIENT LIST`).
const NAME: &str = "tenure-question";

/// The answer of a server, within its time limit for a connection.
pub(super) async fn answer(server: &Server, words: &[&str]) -> Result<Value, Failure> {
    let server = server.apart();
    let question = Question(Command::of(words));
    match server.connect_now(NAME, &question, server.limits.connect).await {
        Some(connected) => Ok(connected?.session),
        None => Err(Failure::unsent(Cause::StillConnecting { last: None })),
    }
}

#[derive(Debug)]
struct Question(Command);

impl Greet for Question {
    /// The answer.
    type Session = Value;

    async fn greet(&self, talk: &mut Talk<'_>, _: Option<&Value>) -> Result<Value, Failure> {
        talk.ask(&self.0).await
    }

    fn ended(&self, _: &Value, _: Moment) {}
}
