//! `tenure permits KEY N`: an administrator changes a semaphore's number of permits while they are
//! in use. It takes no permit from anybody.

use tenure::protocol::Inspection;
use tenure::{Claim, Key};

use crate::args::PermitsArgs;
use crate::exit::{Exit, Refusal};
use crate::hindrance::{self, Hindrance};
use crate::inspect::{Early, failed, print, with_store};
use crate::plan::key_of;
use crate::view::KeyView;

pub(crate) fn change(args: &PermitsArgs) -> Result<Exit, Refusal> {
    let key = key_of(&args.key)?;
    with_store(&args.store, async |locks, _, now| {
        let seen = locks.mutex(key.as_str()).inspect().await.map_err(failed)?;
        refuse_readers(&key, &seen)?;
        if seen.limit.is_none() {
            hindrance::forgotten(&key, &seen, now()).map_or(Ok(()), Err)?;
        }
        let semaphore = locks.semaphore(key.as_str(), args.permits);
        let was = semaphore.set_permits(args.permits).await.map_err(failed)?;
        let text = if args.json {
            let seen = semaphore.inspect().await.map_err(failed)?;
            KeyView::of(&key, &seen, Hindrance::of(&seen, now()).as_ref()).json()
        } else {
            told(&key, was, args.permits)
        };
        print(&text)
    })
}

/// A read-write lock counts its readers as a semaphore does its permits, with a number of its own.
fn refuse_readers(key: &Key, seen: &Inspection) -> Result<(), Early> {
    if seen.limit != Some(Claim::MAX) {
        return Ok(());
    }
    let message = format!("{key}: it is in use as a read-write lock, which has no permits");
    Err(Early::Refusal(Refusal { exit: Exit::MISMATCH, message }))
}

fn told(key: &Key, was: Option<u32>, permits: u32) -> String {
    match was {
        Some(was) if was == permits => format!("{key}: {permits} permits, as before"),
        Some(was) => format!("{key}: {permits} permits, {was} before"),
        None => format!(
            "{key}: nothing to change, since no permit is held or waited for; the next \
             tenure run --permits says the number"
        ),
    }
}
