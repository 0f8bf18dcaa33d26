//! The tools `who`, `list` and `wait`: they look, and hold nothing.

use std::time::Duration;

use tenure::Key;
use tenure::protocol::Inspection;

use super::answer::{Failure, Listed, Looked, Seen, Waited};
use super::arguments::{self, List, Wait, Who};
use super::session::Session;
use crate::duration::show;
use crate::hindrance::Hindrance;

/// The number of keys in one answer.
const PAGE: usize = 50;
/// The limit of a wait that names none.
const LIMIT: Duration = Duration::from_secs(30);

/// Time between two looks of a wait.
const INTERVAL: Duration = Duration::from_millis(250);

const BLIND: &str = "It is not known who holds it. Do not touch what it protects.";

const UNSURE: &str = "It may be held all the same. Do not touch what it protects until you have \
                      acquired it.";

/// The holders of a key.
pub(super) async fn who(session: &Session, asked: Who) -> Result<Looked, Failure> {
    let key = arguments::key(&asked.key)?;
    let locks = session.locks().await?;
    let seen = locks.mutex(&key).inspect().await.map_err(|e| Failure::of(&e).next(BLIND))?;
    let seen = Seen::of(&key, &seen, session.wall(), |fence| session.has(&key, fence));
    let next = match (seen.is_free(), seen.holders.iter().any(|holder| holder.is_this_session)) {
        (true, _) => "Acquire it before you touch what it protects.",
        _ if seen.may_be_held => UNSURE,
        (_, true) => "You hold it, if you acquired it in this session.",
        _ => "Do not touch what it protects; wait for it, or do other work.",
    };
    Ok(Looked { seen, store: session.store(&locks), next: next.into() })
}

/// The keys in use.
pub(super) async fn list(session: &Session, asked: List) -> Result<Listed, Failure> {
    let after = asked.after.as_deref().map(arguments::key).transpose()?;
    let prefix = asked.prefix.unwrap_or_default();
    let locks = session.locks().await?;
    let page = locks.list(&prefix, after.as_ref(), PAGE).await;
    let page = page.map_err(|e| Failure::of(&e).next(BLIND))?;
    let more_after = page.last().filter(|_| page.len() == PAGE).map(|(key, _)| key.to_string());
    let now = session.wall();
    let hindrance = Hindrance::of_store(&locks, &prefix, now).await;
    let hindrance = hindrance.map_err(|e| Failure::of(&e).next(BLIND))?;
    let view = |(key, mut seen): (Key, Inspection)| {
        // It is told once, for all keys.
        (seen.guarded, seen.replica_of) = (None, None);
        Seen::of(&key, &seen, now, |fence| session.has(&key, fence))
    };
    let keys = page.into_iter().map(view).collect();
    Ok(Listed { keys, more_after, store: session.store(&locks), hindrance })
}

/// Waits until a key is free.
pub(super) async fn wait(session: &Session, asked: Wait) -> Result<Waited, Failure> {
    let key = arguments::key(&asked.key)?;
    let locks = session.locks().await?;
    let limit = asked.limit.map_or(LIMIT, |limit| limit.0);
    let runtime = session.runtime();
    let (began, mutex) = (runtime.now(), locks.mutex(&key));
    loop {
        let seen = mutex.inspect().await.map_err(|e| Failure::of(&e).next(BLIND))?;
        let now = runtime.now();
        let seen = Seen::of(&key, &seen, session.wall(), |fence| session.has(&key, fence));
        if seen.is_free() || now >= began + limit {
            return Ok(answer(seen, now.since(began)));
        }
        runtime.sleep_until((began + limit).min(now + INTERVAL)).await;
    }
}

fn answer(seen: Seen, waited: Duration) -> Waited {
    let next = if seen.is_free() {
        "You do not hold it yet: acquire it. Another may be faster; acquire with a \"wait\" keeps \
         a place in line."
    } else if seen.may_be_held {
        UNSURE
    } else {
        "Do not touch what it protects; wait again, or do other work."
    };
    Waited { is_free: seen.is_free(), waited_for: show(waited), seen, next: next.into() }
}
