//! `tenure wait KEY`: until nobody holds it. It takes nothing, so the key may be held again by the
//! time that the next command runs.

use std::time::Duration;

use tenure::protocol::{Inspection, State};
use tenure::runtime::{Moment, Runtime};
use tenure::store::Access;
use tenure::{Error, Locks};

use crate::args::UntilFreeArgs;
use crate::duration::show;
use crate::exit::{Exit, Refusal};
use crate::hindrance::{self, is_unsure};
use crate::inspect::{Early, failed, with_view};
use crate::keys::Keys;
use crate::output::{Level, Output};
use crate::plan::key_of;
use crate::progress::Progress;
use crate::ticket::state::holder;
use crate::wait::Subject;
use crate::{label, told, warnings};

/// Time between two looks.
const INTERVAL: Duration = Duration::from_millis(250);

pub(crate) fn wait(args: &UntilFreeArgs) -> Result<Exit, Refusal> {
    let keys = Keys::one(key_of(&args.key)?);
    let output = Output(if args.quiet { Level::Quiet } else { Level::Normal });
    let label = label::of_process(std::process::id());
    with_view(&args.store, Access::Looks, async |locks, store, now| {
        warnings::tell(output);
        let runtime = tenure::runtime::machine().map_err(defect)?;
        let until = args.timeout.map_or(Moment::NEVER, |limit| runtime.now() + limit);
        let store = store.option();
        let subject = Subject { keys: &keys, label: &label, store, is_candidacy: false };
        let progress = Progress::new(output);
        let last = tokio::select! {
            biased;
            last = looking(locks, &keys, until, &*runtime) => last?,
            () = progress.tell(locks, subject, &*runtime) => unreachable!("it tells without end"),
        };
        drop(progress);
        match last {
            Ok(seen) if is_free(&seen) => Ok(()),
            Ok(seen) if stays(&seen) => {
                let message = told::no_lock(keys.first(), &seen);
                Err(Early::Refusal(Refusal { exit: Exit::MISMATCH, message }))
            }
            Ok(seen) => Err(busy(&keys, &seen, args.timeout.unwrap_or_default(), now())),
            Err(e) => Err(failed(e)),
        }
    })
}

/// Looks until the key is free, or the time is over, or there is nothing to wait for. A store that
/// is away at the first look is an error; later it is waited for.
async fn looking(
    locks: &Locks,
    keys: &Keys,
    until: Moment,
    runtime: &dyn Runtime,
) -> Result<Result<Inspection, Error>, Early> {
    let mutex = locks.mutex(keys.first());
    let first = mutex.inspect().await.map_err(failed)?;
    if let Some(refusal) = hindrance::unknown(&first).filter(|_| first.replica_of.is_some()) {
        return Err(refusal);
    }
    let mut last = Ok(first);
    let is_decided = |seen: &Inspection| is_free(seen) || stays(seen);
    while !last.as_ref().is_ok_and(is_decided) && runtime.now() < until {
        runtime.sleep_until(until.min(runtime.now() + INTERVAL)).await;
        last = mutex.inspect().await;
    }
    Ok(last)
}

/// A store that may not know of a lease does not know whether the key is free.
fn is_free(seen: &Inspection) -> bool {
    seen.state == State::Free && !is_unsure(seen)
}

/// A value of somebody else that does not end by itself.
fn stays(seen: &Inspection) -> bool {
    let ends_not = seen.foreign.as_ref().is_some_and(|foreign| foreign.remaining.is_none());
    matches!(seen.state, State::Foreign(_)) && ends_not
}

fn busy(keys: &Keys, seen: &Inspection, limit: Duration, now: u64) -> Early {
    let (exit, why) = match (seen.holders.first(), &seen.state, &seen.guarded) {
        (Some(first), _, _) => (Exit::BUSY, holder(first, now)),
        (None, State::Foreign(what), _) => (Exit::BUSY, what.to_string()),
        (None, _, Some(guarded)) => (Exit::UNAVAILABLE, guarded.told(now)),
        _ if is_unsure(seen) => (Exit::UNAVAILABLE, told::SPLIT.into()),
        _ => (Exit::BUSY, "it is changing hands".into()),
    };
    let is = if exit == Exit::BUSY { "is busy" } else { "is not known to be free" };
    let message = format!("{keys} {is}: waited {}; {why}", show(limit));
    Early::Refusal(Refusal { exit, message })
}

#[allow(clippy::needless_pass_by_value, reason = "it is what map_err gives")]
fn defect(error: std::io::Error) -> Early {
    Early::Refusal(Refusal { exit: Exit::INTERNAL, message: error.to_string() })
}
