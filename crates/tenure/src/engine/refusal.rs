//! What a claim that came to nothing tells its caller. It decides nothing.

use std::time::Duration;

use crate::protocol::{Blocker, Guarded, Reply};
use crate::runtime::Moment;
use crate::types::{Error, ErrorKind, Key, Operation};

use super::core::Engine;
use super::waiter::Silence;
use crate::observe;

/// Who waited in vain learns who is in the way.
pub(super) fn busy(
    engine: &Engine,
    key: &Key,
    seen: Option<(Blocker, Moment)>,
    started: Moment,
) -> Error {
    let now = engine.now();
    let waited = round(now.since(started));
    if let Some((Blocker { guarded: Some(guarded), report, .. }, seen)) = &seen {
        let passed = now.since(*seen);
        let guarded = Guarded {
            known_for: guarded.known_for + passed,
            left: guarded.left.saturating_sub(passed),
        };
        return self::guarded(engine, key, guarded, report.as_deref());
    }
    observe::busy(&engine.name, key, waited);
    let message = match seen {
        Some((blocker, seen)) => {
            let report = blocker.report.as_ref().map(|nodes| format!(" ({nodes})"));
            // Since when another library holds it no store knows.
            let is_dated = !blocker.held_for.is_zero();
            let held_for = is_dated.then(|| round(blocker.held_for + now.since(seen)));
            format!(
                "waited {waited:?}; it is held by {}{}{}",
                blocker.label,
                held_for.map(|span| format!(" for {span:?}")).unwrap_or_default(),
                report.unwrap_or_default(),
            )
        }
        None => format!("waited {waited:?}; others hold it or stand in front"),
    };
    engine.error(Operation::Acquire, key, ErrorKind::Busy)(message)
}

/// After so long without an answer to a waiter with this interval of heartbeats, nobody knows who
/// holds the key.
fn silence_limit(heartbeat: Duration) -> Duration {
    heartbeat * 2 + Duration::from_secs(1)
}

/// The limit of a wait is over. `None` if the silence is too short to say that the key is not
/// known to be busy.
pub(super) fn silent(
    engine: &Engine,
    key: &Key,
    silence: &Silence,
    heartbeat: Duration,
    seen: &Option<(Blocker, Moment)>,
) -> Option<Error> {
    let span = engine.now().since(silence.since);
    if span <= silence_limit(heartbeat) {
        return None;
    }
    let before = seen.as_ref().map(|(blocker, _)| blocker.label.to_string());
    let message = format!(
        "the store has not answered for {:?}{}; {}",
        round(span),
        before.map(|label| format!("; before that it was held by {label}")).unwrap_or_default(),
        silence.failure.as_deref().unwrap_or("is it up, and reachable from here?"),
    );
    let error = engine.error(Operation::Acquire, key, ErrorKind::Unavailable);
    Some(error(message).with_may_hold(true))
}

/// Nobody holds it, as far as the store knows, and it grants nothing new for now.
pub(super) fn guarded(engine: &Engine, key: &Key, guarded: Guarded, report: Option<&str>) -> Error {
    let told = guarded.told(engine.runtime.wall_micros());
    let report = report.map(|nodes| format!(" ({nodes})")).unwrap_or_default();
    let message = format!("{told}{report}; try again then, or wait without a limit");
    engine.error(Operation::Acquire, key, ErrorKind::Unavailable)(message)
}

/// What a reply means that is neither a grant nor a place in line.
pub(super) fn of(engine: &Engine, key: &Key, reply: Reply) -> Error {
    let error = |kind, message: String| engine.error(Operation::Acquire, key, kind)(message);
    match reply {
        Reply::Mismatch(what) => error(ErrorKind::Mismatch, what.into()),
        Reply::Refused(why) | Reply::Full(why) => error(ErrorKind::Refused, why.into()),
        Reply::SelfHeld => error(
            ErrorKind::Invalid,
            "a holder with the same fixed owner value has it, and waiting for it would be \
             waiting for oneself; try without waiting, or use another owner value"
                .into(),
        ),
        Reply::Gone => error(
            ErrorKind::Lost,
            "there is nothing to adopt: the ticket was used before, or its time is over".into(),
        ),
        Reply::Withdrawn => error(
            ErrorKind::Unavailable,
            "this attempt was withdrawn or forced out before it was answered; try again".into(),
        ),
        other => error(ErrorKind::Internal, format!("the store answered {other:?} to an acquire")),
    }
}

fn round(span: Duration) -> Duration {
    Duration::from_millis(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}
