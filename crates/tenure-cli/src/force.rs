//! `tenure force-release KEY`: a person takes a key from its holders. The holders that were shown
//! lose it, and nobody who came later.

use std::io::{self, BufRead, IsTerminal, Write};
use std::time::Duration;

use tenure::protocol::{HolderView, Inspection, State};
use tenure::store::Access;
use tenure::{Fence, Key, Locks};

use crate::args::ForceArgs;
use crate::exit::{Exit, Refusal};
use crate::hindrance;
use crate::inspect::{Early, failed, opened_for, print};
use crate::output::{Level, Output};
use crate::plan::key_of;
use crate::printable;
use crate::shell::quoted;
use crate::store;
use crate::ticket::state::holder;
use crate::told;

pub(crate) fn release(args: &ForceArgs) -> Result<Exit, Refusal> {
    let key = key_of(&args.key)?;
    let asks = io::stdin().is_terminal() && io::stderr().is_terminal();
    if !args.yes && !asks {
        let (store, word) = (store::typed(&args.store), quoted(key.as_str()));
        return Err(Refusal::usage(format!(
            "there is no terminal to ask on, so nothing was done: see who holds it (tenure \
             status{store} {word}), and say that you mean that holder (tenure \
             force-release{store} --yes --fence N {word})"
        )));
    }
    let timeout = args.store.store_timeout;
    // A look makes no file, and knows a replica, which may not know of the holder.
    let mut answer = Exit::SUCCESS;
    let done = opened_for(&args.store, Access::Looks, async |opened, store, runtime| {
        let now = || runtime.wall_micros();
        let view = opened.as_ref().map_err(|error| failed(error.clone()))?;
        let seen = view.mutex(key.as_str()).inspect().await.map_err(failed)?;
        if let Some(refusal) = hindrance::unknown(&seen) {
            return Err(refusal);
        }
        if let State::Foreign(_) = &seen.state {
            return Err(refused(Exit::MISMATCH, told::no_lock(&key, &seen)));
        }
        let limit = args.fence.map(Fence::new);
        let Some(up_to) = target(&key, &seen, limit, now())? else {
            hindrance::forgotten(&key, &seen, now()).map_or(Ok(()), Err)?;
            return print(&format!("{key}: nobody holds it; there is nothing to release"));
        };
        if args.yes {
            for holder in meant(&seen, up_to) {
                let whose = format!("{key}: {}", self::holder(holder, now()));
                Output(Level::Normal).notice(whose);
            }
        } else if !confirmed(&key, &seen, up_to, now()).map_err(unasked)? {
            answer = Exit::LEFT;
            return print(&format!("{key}: left as it is, since the answer was no"));
        }
        let locks = store.open_for(Access::Locks, timeout, runtime).await.map_err(failed)?;
        let done = force(&locks, &key, up_to, now()).await;
        // Nothing is held here.
        let _ = locks.close(Duration::ZERO).await;
        done
    });
    // A reader that went away does not make it done.
    done.map(|_| answer)
}

/// The fence up to which holders lose the key; `None` if nobody holds it.
fn target(
    key: &Key,
    seen: &Inspection,
    limit: Option<Fence>,
    now: u64,
) -> Result<Option<Fence>, Early> {
    let fences = seen.holders.iter().map(|holder| holder.fence);
    let meant = fences.filter(|fence| limit.is_none_or(|limit| *fence <= limit)).max();
    match (meant, seen.holders.first(), limit) {
        (None, Some(later), Some(limit)) => Err(refused(
            Exit::BUSY,
            format!(
                "{:?} was taken since, and nothing was done: {}. It came after fence {limit}",
                key.as_str(),
                holder(later, now)
            ),
        )),
        _ => Ok(meant),
    }
}

/// Shows those who would lose the key, and asks on the terminal.
fn confirmed(key: &Key, seen: &Inspection, up_to: Fence, now: u64) -> io::Result<bool> {
    let mut question = String::new();
    for holder in meant(seen, up_to) {
        question += &format!("{key}: {}\n", self::holder(holder, now));
    }
    question += "Whatever it protects may still be at work: a holder learns of the loss at its \
                 next renewal.\nTake the key away? [y/N] ";
    crate::output::drain();
    io::stderr().write_all(printable::lines(&question).as_bytes())?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn meant(seen: &Inspection, up_to: Fence) -> impl Iterator<Item = &HolderView> {
    seen.holders.iter().filter(move |holder| holder.fence <= up_to)
}

async fn force(locks: &Locks, key: &Key, up_to: Fence, now: u64) -> Result<(), Early> {
    let mutex = locks.mutex(key.as_str());
    let lost = mutex.force_release_up_to(up_to).await.map_err(failed)?;
    if lost > 0 {
        let holders = if lost == 1 { String::new() } else { format!(" by {lost} holders") };
        return print(&format!("{key}: released by force{holders}, up to fence {up_to}"));
    }
    let seen = mutex.inspect().await.map_err(failed)?;
    print(&match seen.holders.first() {
        Some(next) => format!(
            "{key}: the holder that was shown has gone by itself; the next one is left alone: {}",
            holder(next, now)
        ),
        None => format!("{key}: the holder that was shown has gone by itself"),
    })
}

fn refused(exit: Exit, message: String) -> Early {
    Early::Refusal(Refusal { exit, message })
}

#[allow(clippy::needless_pass_by_value, reason = "it is what map_err gives")]
fn unasked(error: io::Error) -> Early {
    refused(Exit::OUTPUT, format!("cannot ask on the terminal, so nothing was done: {error}"))
}
