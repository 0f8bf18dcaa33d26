//! `tenure watch [PREFIX]`: a line for each change of a key, the present state first, until a
//! signal ends it or nobody reads on. It compares what it sees at each look: a change that is
//! undone in between is not seen, also while a slow reader holds it up.

mod event;

use std::collections::BTreeMap;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use tenure::Locks;
use tenure::runtime::Runtime;
use tenure::store::Access;

use crate::args::ChangesArgs;
use crate::exit::{Exit, Refusal};
use crate::hindrance::Hindrance;
use crate::inspect::{Early, failed, print, tell_of_missing, tell_of_none, with_view};
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
    with_view(&args.store, Access::Looks, async |locks, store, now| {
        warnings::tell(output);
        tell_of_missing(store);
        let runtime = tenure::runtime::machine().map_err(|e| {
            Early::Refusal(Refusal { exit: Exit::INTERNAL, message: e.to_string() })
        })?;
        let name = locks.store_name();
        let first = Hindrance::of_store(locks, &args.prefix, now()).await;
        let mut hindrance = first.map_err(failed)?;
        remark(output, &name, None, hindrance.as_ref());
        let mut seen = look(locks, &args.prefix).await.map_err(failed)?;
        tell(args, &event::between(&Seen::new(), &seen), hindrance.as_ref(), now())?;
        if seen.is_empty() && hindrance.is_none() && !args.json {
            tell_of_none(locks, store, &args.prefix);
        }
        let mut is_away = false;
        loop {
            pause(&*runtime, args.interval).await?;
            let next = async {
                let present = Hindrance::of_store(locks, &args.prefix, now()).await?;
                Ok((present, look(locks, &args.prefix).await?))
            };
            match next.await {
                Ok((present, next)) => {
                    if std::mem::take(&mut is_away) {
                        output.notice(format!("{name} answers again"));
                    }
                    remark(output, &name, hindrance.as_ref(), present.as_ref());
                    hindrance = present;
                    tell(args, &event::between(&seen, &next), hindrance.as_ref(), now())?;
                    seen = next;
                }
                Err::<_, tenure::Error>(e) if !std::mem::replace(&mut is_away, true) => {
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

/// Tells why the store may not know of a holder, when that begins, changes or ends.
fn remark(output: Output, store: &str, before: Option<&Hindrance>, present: Option<&Hindrance>) {
    match (before, present) {
        (Some(before), Some(present)) if before.is_as(present) => {}
        (_, Some(present)) => output.notice(format!("{store}: {}", present.text)),
        (Some(before), None) => output.notice(format!("{store}: {}", before.over())),
        (None, None) => {}
    }
}

fn tell(
    args: &ChangesArgs,
    events: &[Event<'_>],
    hindrance: Option<&Hindrance>,
    now: u64,
) -> Result<(), Early> {
    let line = |event: &Event<'_>| {
        if args.json { event.json(hindrance, now) } else { event.text(now) }
    };
    events.iter().try_for_each(|event| print(&line(event)))
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
