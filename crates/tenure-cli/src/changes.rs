//! `tenure watch [PREFIX]`: a line for each change of a key, the present state first, until a
//! signal ends it or nobody reads on. It compares what it sees at each look: a change that is
//! undone in between is not seen, also while a slow reader holds it up.

mod event;

use std::collections::BTreeMap;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use tenure::Locks;
use tenure::runtime::Runtime;

use crate::args::ChangesArgs;
use crate::exit::{Exit, Refusal};
use crate::inspect::{Early, failed, print, with_store};
use crate::output::{Level, Output};
use crate::warnings;

use event::{Event, Shape};

/// The shortest time between two looks.
const INTERVAL_MIN: Duration = Duration::from_millis(10);

/// The keys that were seen.
type Seen = BTreeMap<String, Shape>;

pub(crate) fn watch(args: &ChangesArgs) -> Result<Exit, Refusal> {
    if args.interval < INTERVAL_MIN {
        return Err(Refusal::usage("--interval is below the limit of 10ms"));
    }
    let output = Output(Level::Normal);
    with_store(&args.store, async |locks, _, now| {
        warnings::tell(output);
        let runtime = tenure::runtime::machine().map_err(|e| {
            Early::Refusal(Refusal { exit: Exit::INTERNAL, message: e.to_string() })
        })?;
        let mut seen = look(locks, &args.prefix).await.map_err(failed)?;
        tell(args, &event::between(&Seen::new(), &seen), now())?;
        let mut is_away = false;
        loop {
            pause(&*runtime, args.interval).await?;
            match look(locks, &args.prefix).await {
                Ok(next) => {
                    if std::mem::take(&mut is_away) {
                        output.notice(format!("{} answers again", locks.store_name()));
                    }
                    tell(args, &event::between(&seen, &next), now())?;
                    seen = next;
                }
                Err(e) if !std::mem::replace(&mut is_away, true) => {
                    output.notice(format!("{e}; tenure watch goes on when it answers"));
                }
                Err(_) => {}
            }
        }
    })
}

async fn look(locks: &Locks, prefix: &str) -> tenure::Result<Seen> {
    let mut all = locks.list_all(prefix);
    let mut seen = Seen::new();
    while let Some((key, state)) = all.next().await.transpose()? {
        seen.insert(key.as_str().to_owned(), Shape::of(&state));
    }
    Ok(seen)
}

fn tell(args: &ChangesArgs, events: &[Event<'_>], now: u64) -> Result<(), Early> {
    events
        .iter()
        .try_for_each(|event| print(&if args.json { event.json(now) } else { event.text(now) }))
}

/// Waits for the next look. A reader that went away is found without a line to write.
async fn pause(runtime: &dyn Runtime, interval: Duration) -> Result<(), Early> {
    runtime.sleep_until(runtime.now() + interval).await;
    let stdout = rustix::stdio::stdout();
    let mut ready = [PollFd::new(&stdout, PollFlags::empty())];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    let polled = rustix::event::poll(&mut ready, Some(&at_once));
    let is_closed = polled.is_ok() && ready[0].revents().contains(PollFlags::ERR);
    if is_closed { Err(Early::Enough) } else { Ok(()) }
}
