//! The tool `acquire`: a lock for the session, or for longer. Any doubt is a failure.

use std::sync::Arc;
use std::time::Duration;

use tenure::{ErrorKind, Guard, Key, Locks, Mutex, Renewal};

use crate::duration::show;

use super::answer::{Failure, Held};
use super::arguments::{self, Acquire};
use super::label::Names;
use super::server::Call;
use super::session::{self, Entry, Grip, Session};

/// The ttl where a call names none.
const TTL: Duration = Duration::from_secs(600);

const BUSY: &str = "You do not hold it: do not touch what it protects. Wait for it with the tool \
                    wait, acquire it with a \"wait\", or do other work first.";
const UNKNOWN: &str = "You do not hold it: do not touch what it protects. Try again later, or tell \
                       the user.";

/// Acquires a lock.
pub(super) async fn acquire(
    session: &Arc<Session>,
    call: &Call,
    asked: Acquire,
) -> Result<Held, Failure> {
    let key = arguments::key(&asked.key)?;
    let locks = session.locks().await?;
    let ttl = asked.ttl.map_or_else(|| session::longest(&locks, TTL), |ttl| ttl.0);
    let names = Names {
        client: call.client.as_deref(),
        name: asked.name.as_deref().or(session.name()),
        purpose: asked.purpose.as_deref(),
        stays: asked.keep_after_session == Some(true),
    };
    let label = names.label();
    let mutex = locks.mutex(&key).with_ttl(ttl).with_renewal(Renewal::Off);
    let mutex = mutex.with_label(label.as_str());
    let wait = asked.wait.map_or(Duration::ZERO, |wait| wait.0);
    let guard = granted(session, &locks, &key, &mutex, wait).await?;
    let fence = guard.fence().get();
    // A grant from the queue is short until it is confirmed.
    if guard.remaining() < ttl / 2 {
        let confirmed = guard.extend_to(session::longest(&locks, ttl)).await;
        confirmed.map_err(|e| Failure::of(&e).next(UNKNOWN))?;
    }
    let mut held = session.held(&key, fence, &label, session::safely(guard.remaining(), ttl));
    let grip = if asked.keep_after_session == Some(true) {
        // The ticket carries the ttl.
        let ticket = guard.hand_over(session::longest(&locks, ttl)).await;
        let ticket = ticket.map_err(|e| Failure::of(&e).next(UNKNOWN))?;
        held.ticket = Some(ticket.to_string());
        Grip::Ticket(ticket)
    } else {
        Grip::Guard(guard)
    };
    held.next = next_for(&held);
    session.enter(&locks, key, Entry { grip, fence, label, ttl, call: Some(call.id.clone()) });
    Ok(held)
}

/// The advice for a lock that is held.
pub(super) fn next_for(held: &Held) -> String {
    let key = &held.key;
    let mut text = format!(
        "Do the work that {key:?} protects, renew it before {} if that takes longer, and release \
         it as soon as it is done.",
        held.until
    );
    text += if held.ticket.is_some() {
        " It stays when this session ends: note the ticket."
    } else {
        " The end of this session gives it back."
    };
    text
}

/// The guard. Everything else is a failure, and names the holder where it is known.
async fn granted(
    session: &Session,
    locks: &Locks,
    key: &Key,
    mutex: &Mutex,
    wait: Duration,
) -> Result<Guard, Failure> {
    let asked = if wait.is_zero() {
        mutex.try_acquire().await
    } else {
        mutex.clone().with_wait(wait).acquire().await.map(Some)
    };
    let busy = match asked {
        Ok(Some(guard)) => return Ok(guard),
        Ok(None) => Failure::new("busy", format!("{:?} is busy", key.as_str())),
        Err(e) if e.kind() == ErrorKind::Busy => {
            let waited = show(wait);
            Failure::new("busy", format!("{:?} was busy for {waited}", key.as_str()))
        }
        Err(e) if e.kind() == ErrorKind::Invalid => return Err(Failure::of(&e)),
        Err(e) => {
            // A store that answers says why it grants nothing.
            let seen = session.look_soon(locks, key).await;
            return Err(Failure::of(&e).seeing(seen).next(UNKNOWN));
        }
    };
    let seen = session.look(locks, key).await;
    let is_ours = seen.iter().flat_map(|seen| &seen.holders).any(|h| h.is_this_session);
    if is_ours {
        let next = "This session holds it already. If that was you, go on, and renew it for more \
                    time. Another agent of this session has to wait for it.";
        return Err(Failure { you_hold_it: true, ..busy }.seeing(seen).next(next));
    }
    Err(busy.seeing(seen).next(BUSY))
}
