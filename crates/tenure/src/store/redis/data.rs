//! Commands on data in the server of the locks, carried out in one step with a look at the lease.
//! It never sends them twice.

use crate::store::{Answer, DataReply, DataServer};
use crate::types::{DataCommand, DataValue, Key, Owner};

use super::client::{Command, Value};
use super::words::Words;
use super::{Redis, defect};

impl DataServer for Redis {
    fn write<'a>(
        &'a self,
        key: &'a Key,
        owner: &'a Owner,
        commands: &'a [DataCommand],
    ) -> Answer<'a, DataReply> {
        Box::pin(async move {
            let shared = self.shared.here()?;
            let settings = shared.topology.settings();
            let names = settings.template.names(key);
            let mut words = Words::default();
            names.lock(&mut words).record(&mut words).buried(&mut words);
            words.text(owner.value()).attempt(owner).end();
            let pack = |head: [&str; 2]| packed(head, &words, commands);
            let answer = shared.topology.eval_data(key, pack).await?;
            decode(answer)
                .ok_or_else(|| defect("a script for data was answered with something else".into()))
        })
    }
}

/// The command, from its first two words on. Three of the other words are keys.
fn packed(head: [&str; 2], words: &Words, commands: &[DataCommand]) -> Command {
    let counts = commands.iter().map(|command| command.words().len() + 1);
    let mut packed = Command::with_capacity(8 + counts.sum::<usize>(), 1_024);
    head.iter().for_each(|word| packed.word(word.as_bytes()));
    packed.number(3);
    words.iter().for_each(|word| packed.word(word));
    for command in commands {
        packed.number(command.words().len() as u64);
        command.words().iter().for_each(|word| packed.word(word));
    }
    packed
}

fn decode(answer: Value) -> Option<DataReply> {
    let Value::Array(parts) = answer else { return None };
    let mut parts = parts.into_iter();
    let Value::BulkString(outcome) = parts.next()? else { return None };
    match (&*outcome, parts.next(), parts.next()) {
        (b"gone", None, None) => Some(DataReply::Gone),
        (b"done", Some(Value::Array(answers)), None) => {
            Some(DataReply::Done(answers.into_iter().map(value).collect()))
        }
        (b"failed", Some(Value::Int(done)), Some(Value::BulkString(why))) => {
            let message = String::from_utf8_lossy(&why).into_owned();
            Some(DataReply::Failed { done: usize::try_from(done).ok()?, message })
        }
        _ => None,
    }
}

fn value(answer: Value) -> DataValue {
    match answer {
        Value::Nil => DataValue::Nil,
        Value::Int(number) => DataValue::Int(number),
        Value::SimpleString(text) | Value::Error(text) => DataValue::Bytes(text.into_bytes()),
        Value::BulkString(bytes) => DataValue::Bytes(bytes),
        Value::Array(values) | Value::Map(values) | Value::Push(values) => {
            DataValue::List(values.into_iter().map(value).collect())
        }
    }
}
