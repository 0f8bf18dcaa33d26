//! `tenure hold`: takes the lock, leaves it to a process in the background, the *keeper*, and ends.
//! The keeper adopts the lock's ticket, so that it is held without a gap.
//!
//! ```text
//! start        the keeper is started, and says that it holds the lock
//! background   the keeper's own life: it renews, and releases in the end
//! ```

mod background;
mod start;

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags};
use serde::Serialize;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::args::HoldArgs;
use crate::exit::{Exit, Refusal};
use crate::fifo;
use crate::inspect::{Early, print};
use crate::report::millis;
use crate::run::Termination;
use crate::ticket::form;
use crate::ticket::grant::{self, Granted, Keep, NotGranted, Wanted, block_on};

use start::Keeper;

pub(crate) use background::main;

/// The word that makes `tenure` a keeper: not for people.
pub(crate) const WORD: &str = "__keeper";

/// How long the lease lasts without renewal if the command line does not say.
const TTL: Duration = Duration::from_secs(30);

/// A lock that is kept. The fields are a contract; see `schema/hold.json`.
#[derive(Debug, Serialize)]
struct View<'a> {
    key: &'a str,
    pid: u32,
    fence: u64,
    label: &'a str,
    ttl_ms: u64,
    store: &'a str,
}

/// `tenure hold KEY`.
pub(crate) fn hold(args: &HoldArgs) -> Result<Termination, Refusal> {
    // Before the wait: another process may have its number afterwards.
    let watched = args.pid.map(|pid| open(pid, args)).transpose()?;
    let log = args.log.as_deref().map(|path| {
        let file = fifo::open_to_block(File::options().append(true).create(true), path);
        file.map_err(|e| Refusal::config(format!("--log: cannot write {}: {e}", path.display())))
    });
    let log = log.transpose()?;
    if args.every.is_zero() {
        return Err(Refusal::usage("--every is zero; no line ends that fast"));
    }
    let mutex = tenure::mutex(&args.want.key).with_ttl(args.ttl.unwrap_or(TTL));
    mutex.validate().map_err(|e| Refusal::usage(format!("--ttl: {}", e.message())))?;
    let keep = Keep::of(args.ttl, TTL).at_least(start::LIMIT);
    let name = args.pid.and_then(|pid| u32::try_from(pid).ok());
    let wanted = Wanted::of(&args.want, keep, name)?;
    block_on(async |runtime| {
        let gone = gone(watched.as_ref(), args.pid).map_err(grant::defect)?;
        let granted = wanted.get(&*runtime, gone).await?;
        let kept = start::keeper(args, &wanted, &granted, watched.as_ref(), log.as_ref());
        let outcome = match kept {
            Ok(keeper) => told(args, &wanted, &granted, &keeper),
            Err(e) => {
                let key = granted.ticket.key().as_str();
                // A keeper that was half-way has adopted it, and gives it back itself.
                let _ = granted.locks.release_ticket(&granted.ticket).await;
                let message = format!("no process in the background keeps {key:?}: {e}");
                Err(NotGranted::Refused(Refusal { exit: Exit::INTERNAL, message }))
            }
        };
        let _ = granted.locks.close(Duration::ZERO).await;
        outcome
    })
}

/// A handle of the process, which is never that of a later one with its number.
fn open(number: i32, args: &HoldArgs) -> Result<OwnedFd, Refusal> {
    let none = || Refusal::usage(format!("--pid: no process has the number {number}"));
    let pid = Pid::from_raw(number).ok_or_else(none)?;
    let handle = rustix::process::pidfd_open(pid, PidfdFlags::empty()).map_err(|e| match e {
        Errno::SRCH => none(),
        e => Refusal::usage(format!("--pid: cannot watch process {number}: {e}")),
    })?;
    if args.signal.is_some() && rustix::process::test_kill_process(pid) == Err(Errno::PERM) {
        return Err(Refusal::usage(format!(
            "--signal: process {number} is of another user, and gets no signal from here"
        )));
    }
    Ok(handle)
}

/// A handle that becomes readable when its process ends.
#[allow(deprecated, reason = "the other constructor is unsafe, and this type keeps its descriptor")]
fn readable(handle: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(handle, Interest::READABLE)
}

/// Ends when the process has ended, with the reason why nobody needs the lock any more.
fn gone(
    watched: Option<&OwnedFd>,
    number: Option<i32>,
) -> io::Result<impl Future<Output = String> + use<>> {
    let watched = watched.map(OwnedFd::try_clone).transpose()?;
    let watched = watched.map(readable).transpose()?;
    Ok(async move {
        match watched {
            Some(watched) => drop(watched.readable().await),
            None => std::future::pending().await,
        }
        let number = number.unwrap_or_default();
        format!("process {number} has ended before it had the lock, which nobody needs now")
    })
}

/// How long the lease lasts without renewal at this store.
fn ttl(args: &HoldArgs, granted: &Granted) -> Duration {
    args.ttl.unwrap_or(TTL).min(granted.keep())
}

/// Prints the keeper. If nobody reads that, the lock is given back.
fn told(
    args: &HoldArgs,
    wanted: &Wanted,
    granted: &Granted,
    keeper: &Keeper,
) -> Result<(), NotGranted> {
    let printed = print(&shown(args, granted, keeper));
    printed.map_err(|early| {
        keeper.end();
        NotGranted::Refused(match early {
            Early::Refusal(refusal) => refusal,
            Early::Enough => Refusal {
                exit: Exit::OUTPUT,
                message: format!("nobody reads who keeps {}: it is given back", wanted.keys),
            },
        })
    })
}

fn shown(args: &HoldArgs, granted: &Granted, keeper: &Keeper) -> String {
    let (key, fence, pid) =
        (granted.ticket.key().as_str(), granted.ticket.fence().get(), keeper.pid());
    if args.want.form.json {
        let view = View {
            key,
            pid,
            fence,
            label: keeper.label.as_str(),
            ttl_ms: millis(ttl(args, granted)),
            store: &granted.locks.store_name(),
        };
        return serde_json::to_string(&view).expect("text and numbers are JSON");
    }
    let (fence, pid) = (fence.to_string(), pid.to_string());
    if args.want.form.shell {
        return form::exports(&[
            ("TENURE_KEEPER", &*pid),
            ("TENURE_KEY", key),
            ("TENURE_FENCE", &*fence),
        ]);
    }
    pid
}
