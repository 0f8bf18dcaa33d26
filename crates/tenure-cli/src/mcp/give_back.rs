//! The tools `renew` and `release`, by key for a lock of this session, or by the ticket of an
//! earlier one. They touch no lock of another holder.

use std::sync::Arc;
use std::time::Duration;

use rmcp::model::RequestId;
use tenure::{Error, ErrorKind, Guard, Key, Locks, Ticket};

use super::acquire::next_for;
use super::answer::{Failure, Held, Released};
use super::arguments::{self, Release, Renew};
use super::session::{self, Entry, Grip, Session};

/// The ttl of a renewal by a ticket that names none: version 1 of the text.
const TTL: Duration = Duration::from_secs(600);

const STOP: &str = "You do not hold it: stop the work that it protects, look at what others may \
                    have changed meanwhile, and acquire it again if you still need it.";
const RELEASED: &str = "Do not touch what it protects any more; acquire it again for that.";

/// The lock that a call means.
enum Which {
    Key(Key),
    Ticket(Ticket),
}

impl Which {
    fn of(key: Option<&str>, ticket: Option<&str>) -> Result<Self, Failure> {
        match (key, ticket) {
            (Some(key), None) => arguments::key(key).map(Self::Key),
            (None, Some(ticket)) => ticket
                .trim()
                .parse()
                .map(Self::Ticket)
                .map_err(|e| Failure::invalid(format!("{e}. Nothing was touched"))),
            (Some(_), Some(_)) => Err(Failure::invalid("give the key or the ticket, not both")),
            (None, None) => Err(Failure::invalid(
                "give the key of a lock of this session, or the ticket of an earlier one",
            )),
        }
    }
}

/// Prolongs a lock.
pub(super) async fn renew(session: &Arc<Session>, asked: Renew) -> Result<Held, Failure> {
    let which = Which::of(asked.key.as_deref(), asked.ticket.as_deref())?;
    let locks = session.locks().await?;
    let ttl = asked.ttl.map(|ttl| ttl.0);
    let key = match which {
        Which::Ticket(ticket) => return renew_ticket(session, &locks, &ticket, ttl).await,
        Which::Key(key) => key,
    };
    if let Some(ticket) = session.ticket(&key) {
        return renew_ticket(session, &locks, &ticket, ttl).await;
    }
    let Some((lease, own_ttl, label)) = session.lease(&key) else {
        return Err(not_held(session, &locks, &key).await);
    };
    let ttl = ttl.unwrap_or_else(|| session::longest(&locks, own_ttl));
    if let Err(e) = lease.extend_to(ttl).await {
        return Err(not_renewed(session, &locks, &key, (&lease, own_ttl), &e).await);
    }
    let held =
        session.held(&key, lease.fence().get(), &label, session::safely(lease.remaining(), ttl));
    Ok(renewed(held))
}

fn renewed(held: Held) -> Held {
    Held { next: next_for(&held), is_renewed: true, ..held }
}

/// The failure of a renewal. A store that does not answer leaves the lease as it is.
async fn not_renewed(
    session: &Session,
    locks: &Locks,
    key: &Key,
    (lease, ttl): (&tenure::Lease, Duration),
    error: &Error,
) -> Failure {
    let failure = Failure::of(error);
    if !lease.held() {
        return failure.seeing(session.look(locks, key).await).next(STOP);
    }
    let until = session.clock_in(session::safely(lease.remaining(), ttl));
    let next = format!("It was not prolonged: you hold it until {until}. Try again before that.");
    Failure { you_hold_it: true, ..failure }.next(next)
}

/// Prolongs a lock by its ticket.
async fn renew_ticket(
    session: &Session,
    locks: &Locks,
    ticket: &Ticket,
    ttl: Option<Duration>,
) -> Result<Held, Failure> {
    let key = ticket.key();
    let own_ttl = session.ttl(key).or(ticket.keep()).unwrap_or(TTL);
    let ttl = ttl.unwrap_or_else(|| session::longest(locks, own_ttl));
    if let Err(e) = locks.renew_ticket(ticket, ttl).await {
        return Err(of_ticket(session, locks, ticket, &e).await);
    }
    match locks.check_ticket(ticket).await {
        Ok(Some(holder)) => {
            let fence = holder.fence.get();
            // The holder's own clock may be slower by so much.
            let left = holder.remaining.saturating_sub(holder.remaining / 100);
            let mut held = session.held(key, fence, &holder.label, left);
            held.ticket = Some(ticket.to_string());
            Ok(renewed(held))
        }
        Ok(None) => Err(lost_ticket(session, locks, ticket).await),
        Err(e) => Err(of_ticket(session, locks, ticket, &e).await),
    }
}

/// The failure of a step by a ticket.
async fn of_ticket(session: &Session, locks: &Locks, ticket: &Ticket, error: &Error) -> Failure {
    match error.kind() {
        ErrorKind::Lost => lost_ticket(session, locks, ticket).await,
        ErrorKind::Invalid => Failure::of(error),
        _ => {
            let next = "It is not known whether the ticket still holds the lock: try again.";
            Failure::of(error).next(next)
        }
    }
}

/// The failure for a ticket that holds nothing any more.
async fn lost_ticket(session: &Session, locks: &Locks, ticket: &Ticket) -> Failure {
    session.forget(ticket);
    let message = "the ticket holds nothing any more: it was released, or its time is over";
    let seen = session.look(locks, ticket.key()).await;
    Failure::new("lost", message).seeing(seen).next(STOP)
}

/// Gives a lock back.
pub(super) async fn release(session: &Arc<Session>, asked: Release) -> Result<Released, Failure> {
    let which = Which::of(asked.key.as_deref(), asked.ticket.as_deref())?;
    let locks = session.locks().await?;
    let key = match which {
        Which::Ticket(ticket) => return release_ticket(session, &locks, &ticket).await,
        Which::Key(key) => key,
    };
    if let Some(ticket) = session.ticket(&key) {
        return release_ticket(session, &locks, &ticket).await;
    }
    match session.take(&key) {
        Some(Entry { grip: Grip::Guard(guard), .. }) => give(session, &locks, guard).await,
        _ => Err(not_held(session, &locks, &key).await),
    }
}

async fn release_ticket(
    session: &Arc<Session>,
    locks: &Locks,
    ticket: &Ticket,
) -> Result<Released, Failure> {
    // It is taken out first: its watch must not take the release for a loss.
    let known = session.forget(ticket);
    match locks.release_ticket(ticket).await {
        Ok(tenure::Released::Released) => Ok(released(ticket.key())),
        Ok(_) => Err(lost_ticket(session, locks, ticket).await),
        Err(e) => {
            if let Some(entry) = known {
                session.enter(locks, ticket.key().clone(), entry);
            }
            Err(of_ticket(session, locks, ticket, &e).await)
        }
    }
}

fn released(key: &Key) -> Released {
    Released { key: key.to_string(), released: true, next: RELEASED.into() }
}

async fn give(session: &Session, locks: &Locks, guard: Guard) -> Result<Released, Failure> {
    let (key, until) = (guard.key().clone(), session.clock_in(guard.remaining()));
    match guard.release().await {
        Ok(tenure::Released::Released) => Ok(released(&key)),
        Ok(_) => {
            let message = format!("{:?} had been lost before it was released", key.as_str());
            let seen = session.look(locks, &key).await;
            Err(Failure::new("lost", message).seeing(seen).next(STOP))
        }
        Err(e) => {
            let next = format!(
                "You do not hold it any more. It is being given back in the background; if the \
                 store cannot be reached, it is free at {until} at the latest."
            );
            Err(Failure::of(&e).next(next))
        }
    }
}

/// Gives back the lock of an acquire that its client has cancelled: nobody knows of it.
pub(super) async fn cancelled(session: &Arc<Session>, call: &RequestId) {
    let Some((key, entry)) = session.take_of(call) else { return };
    session.lost(&key, &entry, "the client cancelled the call that acquired it".into());
    match entry.grip {
        Grip::Guard(guard) => drop(guard),
        Grip::Ticket(ticket) => {
            // If this fails, the lock ends with its ttl.
            if let Ok(locks) = session.locks().await {
                let _ends_by_itself = release_ticket(session, &locks, &ticket).await;
            }
        }
    }
}

/// The failure for a key that this session does not hold.
async fn not_held(session: &Session, locks: &Locks, key: &Key) -> Failure {
    let seen = session.look(locks, key).await;
    match session.last_loss(key) {
        Some(loss) => Failure::new("lost", loss.text()).seeing(seen).next(STOP),
        None => {
            let message = format!("this session does not hold {:?}", key.as_str());
            Failure::new("not_held", message).seeing(seen).next(
                "Nothing was touched. A lock of an earlier session needs its ticket; a lock of \
                 another holder is theirs.",
            )
        }
    }
}
