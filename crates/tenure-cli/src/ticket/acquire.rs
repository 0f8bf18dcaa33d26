//! `tenure acquire`: takes the lock and prints its ticket. If nobody gets the ticket, the lock is
//! given back.

use std::future::pending;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use rustix::fs::FileType;
use serde::Serialize;

use crate::args::AcquireArgs;
use crate::duration::show;
use crate::exit::Refusal;
use crate::inspect::{Early, print};
use crate::report::millis;
use crate::run::Termination;
use crate::shell;

use super::form;
use super::grant::{Granted, Keep, NotGranted, Wanted, block_on};
use super::text;

/// How long a ticket is good for if the command line does not say.
const TTL: Duration = Duration::from_secs(30 * 60);

/// A lock that was acquired. The fields are a contract; see `schema/ticket.json`.
#[derive(Debug, Serialize)]
struct View<'a> {
    key: &'a str,
    ticket: &'a str,
    fence: u64,
    label: &'a str,
    ttl_ms: u64,
    store: &'a str,
}

/// `tenure acquire KEY`.
pub(crate) fn acquire(args: &AcquireArgs) -> Result<Termination, Refusal> {
    let wanted = Wanted::of(&args.want, Keep::of(args.ttl, TTL), None)?;
    block_on(async |runtime| {
        let granted = wanted.get(&*runtime, pending()).await?;
        let printed = print(&shown(args, &wanted, &granted));
        if printed.is_err() {
            let released = granted.locks.release_ticket(&granted.ticket).await;
            let ttl = show(granted.keep());
            if let Err(e) = released {
                wanted.output.error(format!("{e}; the key is free in {ttl} at the latest"));
            }
        } else if is_thrown_away() {
            wanted.output.notice(unread(&wanted, &granted));
        }
        // All is answered.
        let _ = granted.locks.close(Duration::ZERO).await;
        printed.map_err(|early| {
            NotGranted::Refused(match early {
                Early::Refusal(refusal) => refusal,
                Early::Enough => Refusal {
                    exit: crate::exit::Exit::OUTPUT,
                    message: format!(
                        "nobody reads the ticket for {}, so the lock was given back",
                        wanted.keys
                    ),
                },
            })
        })
    })
}

/// Whether stdout is the null device. Before `main` the standard library puts it in the place of a
/// descriptor that is closed, so both look the same.
fn is_thrown_away() -> bool {
    let stat = rustix::fs::fstat(rustix::stdio::stdout());
    let null = std::fs::metadata("/dev/null");
    let is_null = |stat: rustix::fs::Stat, null: std::fs::Metadata| {
        FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
            && stat.st_rdev == null.rdev()
    };
    stat.is_ok_and(|stat| null.is_ok_and(|null| is_null(stat, null)))
}

/// Nobody has the ticket, so only time or force frees the key.
fn unread(wanted: &Wanted, granted: &Granted) -> String {
    let key = shell::quoted(granted.ticket.key().as_str());
    format!(
        "{} is taken at {}, and nobody has its ticket, since stdout is closed or /dev/null: it \
         stays taken for {}, or until tenure force-release{} {key}",
        wanted.keys,
        granted.locks.store_name(),
        show(granted.keep()),
        wanted.store.option()
    )
}

fn shown(args: &AcquireArgs, wanted: &Wanted, granted: &Granted) -> String {
    let Granted { locks, ticket } = granted;
    let (text, fence) = (ticket.to_string(), ticket.fence());
    let key = ticket.key().as_str();
    if args.want.form.json {
        let view = View {
            key,
            ticket: &text,
            fence: fence.get(),
            label: wanted.label.as_str(),
            ttl_ms: millis(granted.keep()),
            store: &locks.store_name(),
        };
        return serde_json::to_string(&view).expect("text and numbers are JSON");
    }
    if args.want.form.shell {
        let fence = fence.to_string();
        let variables = [(text::VARIABLE, &*text), ("TENURE_KEY", key), ("TENURE_FENCE", &*fence)];
        return form::exports(&variables);
    }
    text
}
