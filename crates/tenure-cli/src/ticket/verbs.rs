//! `tenure renew`, `extend`, `release` and `check`: each is one step, which leaves the ticket as it
//! is.

use std::time::Duration;

use tenure::protocol::Inspection;
use tenure::store::Access;
use tenure::{ErrorKind, Locks, Released, Ticket};

use crate::args::{CheckArgs, ExtendArgs, ReleaseArgs, RenewArgs};
use crate::exit::{Exit, Refusal};
use crate::hindrance::{self, Hindrance};
use crate::inspect::{Early, failed, print, tell_of_missing, with_store, with_view};

use super::grant::longest;
use super::{state, text};

/// The time of a ticket that does not name its own: version 1 of the text.
const TTL: Duration = Duration::from_secs(30 * 60);

/// How a state is printed.
#[derive(Debug, Clone, Copy)]
enum Form {
    Quiet,
    Text,
    Json,
}

impl Form {
    fn of(quiet: bool, json: bool) -> Self {
        match (quiet, json) {
            (true, _) => Self::Quiet,
            (_, true) => Self::Json,
            _ => Self::Text,
        }
    }
}

/// `tenure renew TICKET`.
pub(crate) fn renew(args: &RenewArgs) -> Result<Exit, Refusal> {
    let ticket = text::ticket(&args.of, "renew")?;
    with_store(&args.of.store, async |locks, _, now| {
        let own = || ticket.keep().unwrap_or(TTL).min(longest(locks));
        let ttl = args.ttl.unwrap_or_else(own);
        let done = locks.renew_ticket(&ticket, ttl).await;
        shown(locks, &ticket, done, Form::of(args.of.quiet, args.json), now).await
    })
}

/// `tenure extend TICKET --by DUR|--to DUR`.
pub(crate) fn extend(args: &ExtendArgs) -> Result<Exit, Refusal> {
    let ticket = text::ticket(&args.of, "extend")?;
    with_store(&args.of.store, async |locks, _, now| {
        let done = match (args.by, args.to) {
            (Some(more), _) => locks.extend_ticket(&ticket, more).await,
            (None, to) => locks.renew_ticket(&ticket, to.unwrap_or_default()).await,
        };
        shown(locks, &ticket, done, Form::of(args.of.quiet, args.json), now).await
    })
}

/// `tenure release TICKET`.
pub(crate) fn release(args: &ReleaseArgs) -> Result<Exit, Refusal> {
    let ticket = text::ticket(&args.of, "release")?;
    let form = Form::of(args.of.quiet, args.json);
    with_store(&args.of.store, async |locks, _, now| {
        match locks.release_ticket(&ticket).await.map_err(failed)? {
            Released::Released => released(locks, &ticket, form, now).await,
            _ => {
                let seen = locks.mutex(ticket.key()).inspect().await.map_err(failed)?;
                if matches!(form, Form::Json) && hindrance::unknown(&seen).is_none() {
                    let hindrance = Hindrance::of(&seen, now());
                    let store = locks.store_name();
                    print(&state::json(&ticket, &seen, &store, hindrance.as_ref()))?;
                }
                Err(not_held(locks, &ticket, &seen, now()))
            }
        }
    })
}

/// Tells of a lease that was released. A store that does not say who has the key now is no failure.
async fn released(
    locks: &Locks,
    ticket: &Ticket,
    form: Form,
    now: &dyn Fn() -> u64,
) -> Result<(), Early> {
    match form {
        Form::Quiet => Ok(()),
        Form::Text => print(&format!("{}: released", ticket.key())),
        Form::Json => {
            let seen = locks.mutex(ticket.key()).inspect().await.ok();
            let hindrance = seen.as_ref().and_then(|seen| Hindrance::of(seen, now()));
            let store = locks.store_name();
            print(&state::released(ticket, seen.as_ref(), &store, hindrance.as_ref()))
        }
    }
}

/// `tenure check TICKET`.
pub(crate) fn check(args: &CheckArgs) -> Result<Exit, Refusal> {
    let ticket = text::ticket(&args.of, "check")?;
    with_view(&args.of.store, Access::Looks, async |locks, store, now| {
        tell_of_missing(store);
        look(locks, &ticket, Form::of(args.of.quiet, args.json), now).await
    })
}

/// Shows the state of the lease after it was prolonged. It was not if it holds nothing any more.
async fn shown(
    locks: &Locks,
    ticket: &Ticket,
    done: tenure::Result<()>,
    form: Form,
    now: &dyn Fn() -> u64,
) -> Result<(), Early> {
    match done {
        Err(e) if e.kind() == ErrorKind::Lost => {
            // The store is asked who has it now; if it does not say, the reason is known still.
            if let Ok(seen) = locks.mutex(ticket.key()).inspect().await {
                show(locks, ticket, &seen, form, now())?;
            }
            Err(lost(e.to_string()))
        }
        Err(e) => Err(failed(e)),
        Ok(()) => look(locks, ticket, form, now).await,
    }
}

/// Shows the state of the lease. One that is over is a failure.
async fn look(
    locks: &Locks,
    ticket: &Ticket,
    form: Form,
    now: &dyn Fn() -> u64,
) -> Result<(), Early> {
    let seen = locks.mutex(ticket.key()).inspect().await.map_err(failed)?;
    show(locks, ticket, &seen, form, now())
}

fn show(
    locks: &Locks,
    ticket: &Ticket,
    seen: &Inspection,
    form: Form,
    now: u64,
) -> Result<(), Early> {
    let held = ticket.holder_in(seen);
    let unknown = hindrance::unknown(seen).filter(|_| held.is_none());
    unknown.map_or(Ok(()), Err)?;
    let hindrance = Hindrance::of(seen, now);
    let hindrance = hindrance.as_ref();
    match (form, held) {
        (Form::Json, _) => print(&state::json(ticket, seen, &locks.store_name(), hindrance))?,
        (Form::Text, Some(held)) => {
            let more = hindrance.map(|hindrance| format!("\n  {}", hindrance.text));
            print(&(state::held(ticket, held, now) + &more.unwrap_or_default()))?;
        }
        _ => {}
    }
    match held {
        Some(_) => Ok(()),
        None => Err(not_held(locks, ticket, seen, now)),
    }
}

/// The ticket holds nothing, as far as the store knows.
fn not_held(locks: &Locks, ticket: &Ticket, seen: &Inspection, now: u64) -> Early {
    let over = || lost(state::over(ticket, seen, &locks.store_name(), now));
    hindrance::unknown(seen).unwrap_or_else(over)
}

fn lost(message: String) -> Early {
    Early::Refusal(Refusal { exit: Exit::LOST, message })
}
