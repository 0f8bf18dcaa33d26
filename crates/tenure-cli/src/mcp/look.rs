//! The tools `who`, `list` and `wait`: they look, and hold nothing.

use std::time::Duration;

use tenure::Key;
use tenure::protocol::State;

use super::answer::{Failure, Listed, Looked, Seen, Waited};
use super::arguments::{self, List, Wait, Who};
use super::session::Session;
use crate::duration::show;

/// The number of keys in one answer.
const PAGE: usize = 50;
/// The limit of a wait that names none.
const LIMIT: Duration = Duration::from_secs(30);

const BLIND: &str = "It is not known who holds it. Do not touch what it protects.";

/// The holders of a key.
pub(super) async fn who(session: &Session, asked: Who) -> Result<Looked, Failure> {
    let key = arguments::key(&asked.key)?;
    let locks = session.locks().await?;
    let seen = locks.mutex(&key).inspect().await.map_err(|e| Failure::of(&e).next(BLIND))?;
    let seen = Seen::of(&key, &seen, session.wall(), |fence| session.has(&key, fence));
    let next = match (seen.is_free(), seen.holders.iter().any(|holder| holder.is_this_session)) {
        (true, _) => "Acquire it before you touch what it protects.",
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
    let view = |(key, seen)| Seen::of(key, seen, now, |fence| session.has(key, fence));
    let keys = page.iter().map(|(key, seen)| view((key, seen))).collect();
    Ok(Listed { keys, more_after, store: session.store(&locks) })
}

/// Waits until a key is free.
pub(super) async fn wait(session: &Session, asked: Wait) -> Result<Waited, Failure> {
    let key = arguments::key(&asked.key)?;
    let locks = session.locks().await?;
    let limit = asked.limit.map_or(LIMIT, |limit| limit.0);
    let began = session.runtime().now();
    let mut watch = locks.watch(&key);
    let free = async {
        loop {
            match watch.next().await {
                Some(Ok(seen)) if seen.state != State::Free => {}
                Some(Err(e)) => return Err(e),
                _ => return Ok(()),
            }
        }
    };
    let waited = tokio::select! {
        biased;
        free = free => free,
        () = session.runtime().sleep_until(began + limit) => Ok(()),
    };
    let seen = match waited {
        Ok(()) => locks.mutex(&key).inspect().await,
        Err(e) => Err(e),
    };
    let seen = seen.map_err(|e| Failure::of(&e).next(BLIND))?;
    Ok(answer(session, &key, &seen, session.runtime().now().since(began)))
}

fn answer(
    session: &Session,
    key: &Key,
    seen: &tenure::protocol::Inspection,
    waited: Duration,
) -> Waited {
    let seen = Seen::of(key, seen, session.wall(), |fence| session.has(key, fence));
    let next = if seen.is_free() {
        "You do not hold it yet: acquire it. Another may be faster; acquire with a \"wait\" keeps \
         a place in line."
    } else {
        "Do not touch what it protects; wait again, or do other work."
    };
    Waited { is_free: seen.is_free(), waited_for: show(waited), seen, next: next.into() }
}
