//! Commands on data in the server of a lease, under that lease. It sends them once.

use std::sync::Arc;

use crate::process::{Forked, of_process};
use crate::runtime::answer_by;
use crate::store::{DataReply, StoreError};
use crate::types::{DataCommand, DataValue, Error, ErrorKind, LostReason, Operation, Result};

use super::Engine;
use super::lease::LeaseState;

/// The most commands, and the most words of one. A script has room for more words.
const COMMANDS_MAX: usize = 1_000;
const WORDS_MAX: usize = 4_000;

/// Carries out the commands if the lease is held when the server comes to them.
pub(crate) async fn write(
    engine: &Arc<Engine>,
    lease: &LeaseState,
    commands: &[DataCommand],
) -> Result<Vec<DataValue>> {
    let failing = engine.failing(Operation::Write, &lease.key);
    let invalid = |message: String| failing.with(ErrorKind::Invalid, message);
    let Some(server) = engine.store.data() else {
        return Err(invalid(format!(
            "guarded writes need data in the Redis or Valkey server of the lock, and this store \
             is {}; let the resource check the fence instead (see tenure::fencing)",
            engine.name
        )));
    };
    check(commands).map_err(invalid)?;
    let until = engine.now() + engine.options.store_timeout;
    let writing = of_process(server.write(&lease.key, &lease.owner, commands));
    let answer = match answer_by(&*engine.runtime, until, writing).await {
        Some(Ok(answer)) => answer,
        Some(Err(Forked)) => return Err(failing.by_fork()),
        None => Err(super::timed_out()),
    };
    match answer.map_err(|failure| unknown(engine, lease, failure))? {
        DataReply::Done(values) => Ok(values),
        DataReply::Gone => {
            lease.lose(LostReason::Gone);
            let reason = lease.verdict(engine.now()).err().unwrap_or(LostReason::Gone);
            let message = format!("nothing was written: the lock is lost: {reason}");
            Err(failing.with(ErrorKind::Lost, message))
        }
        DataReply::Failed { done, message } => {
            let count = commands.len();
            let message = format!(
                "command {} of {count} was refused by the server, and the {done} before it were \
                 carried out: {message}",
                done + 1
            );
            Err(failing.with(ErrorKind::Refused, message))
        }
    }
}

fn check(commands: &[DataCommand]) -> Result<(), String> {
    match commands.len() {
        0 => return Err("there is no command to carry out".into()),
        1..=COMMANDS_MAX => {}
        many => return Err(format!("{many} commands are above the limit of {COMMANDS_MAX}")),
    }
    for command in commands {
        match command.words().len() {
            0 => return Err("a command has no name".into()),
            1..=WORDS_MAX => {}
            many => {
                return Err(format!("a command of {many} words is above the limit of {WORDS_MAX}"));
            }
        }
    }
    Ok(())
}

/// The commands may have been carried out.
fn unknown(engine: &Engine, lease: &LeaseState, mut failure: StoreError) -> Error {
    engine.tell_of(&failure);
    if failure.may_have_run {
        failure.message += "; the commands may have been carried out, or may still be, but only \
                            under this lease";
    }
    engine.failing(Operation::Write, &lease.key).by_store(failure)
}
