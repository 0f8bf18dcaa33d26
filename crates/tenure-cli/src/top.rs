//! `tenure top`: the keys of a store on a full screen, kept up to date. It changes nothing but what
//! the user confirms.
//!
//! ```text
//! local     processes of this host that are gone
//! row       one key as a row shows it            rates     grants and releases between two looks
//! model     rows, order, filter, what is chosen  view      the model as a frame
//! input     a key of the keyboard as an action   terminal  raw mode, and the way back
//! reader    looks at the store, forced releases  screen    the loop: news in, frames out
//! ```
//!
//! The reader and the signals run on the main thread. The screen has a thread of its own, and so
//! has the keyboard: none of them waits for the store.

mod input;
mod model;
#[cfg(test)]
mod picture;
mod rates;
mod reader;
mod row;
mod screen;
mod terminal;
mod view;

use std::io::IsTerminal;
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::Signal;
use tenure::store::Access;
use tokio::sync::{mpsc as orders, oneshot};

use crate::args::TopArgs;
use crate::duration::show;
use crate::exit::{Exit, Refusal};
use crate::inspect::{Early, with_view};
use crate::run::Termination;
use crate::signals::Signals;

use screen::{News, Screen};
use view::Theme;

/// Limits of `--interval`.
const INTERVAL: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(3600)];

/// Time that the screen has after a signal that ends it, before the process ends without it: the
/// terminal may take nothing.
const GRACE: Duration = Duration::from_secs(1);

/// `tenure top [PREFIX]`.
pub(crate) fn top(args: &TopArgs) -> Result<Termination, Refusal> {
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        return Err(Refusal::usage(
            "top needs a terminal for its input and output; for scripts there is \
             tenure list --json",
        ));
    }
    let [least, most] = INTERVAL;
    if !(least..=most).contains(&args.interval) {
        let (least, most, interval) = (show(least), show(most), show(args.interval));
        let message = format!("--interval {interval} is not within {least} and {most}");
        return Err(Refusal::usage(message));
    }
    let theme = Theme::of(args.no_color, |name| std::env::var_os(name));
    let mut end = Termination::Exit(Exit::SUCCESS);
    with_view(&args.store, Access::Looks, async |locks, store, _| {
        let failed = |e: std::io::Error| {
            let message = format!("cannot show the screen: {e}");
            Early::Refusal(Refusal { exit: Exit::INTERNAL, message })
        };
        let runtime = tenure::runtime::machine().map_err(failed)?;
        let mut signals = Signals::listen().map_err(failed)?;
        let (news, from_all) = mpsc::channel();
        let (order, mut ordered) = orders::unbounded_channel();
        let screen = Screen::open(store.describe(locks), theme, runtime.clone(), order);
        let (ended, mut has_ended) = oneshot::channel();
        screen.map_err(failed)?.start(news.clone(), from_all, ended).map_err(failed)?;
        let reader = reader::Reader {
            locks,
            store,
            store_timeout: args.store.store_timeout,
            prefix: &args.prefix,
            interval: args.interval,
            runtime: &*runtime,
            news: &news,
        };
        let work = async {
            tokio::join!(reader.look(), reader.obey(&mut ordered));
        };
        let mut work = std::pin::pin!(work);
        let mut limit = None;
        loop {
            tokio::select! {
                biased;
                done = &mut has_ended => {
                    let defect = || failed(std::io::Error::other("its thread has ended"));
                    return done.map_err(|_| defect())?.map_err(failed);
                }
                signal = signals.next() => {
                    if let Some(code) = ending(signal) {
                        end = code;
                        limit.get_or_insert(runtime.sleep_until(runtime.now() + GRACE));
                    }
                    let _ = news.send(News::Signal(signal));
                }
                () = async { limit.as_mut().expect("it is set").await }, if limit.is_some() => {
                    terminal::give_up();
                    return Ok(());
                }
                () = &mut work => {}
            }
        }
    })?;
    Ok(end)
}

/// The end of the process by a signal.
fn ending(signal: Signal) -> Option<Termination> {
    match signal {
        Signal::INT => Some(Termination::Interrupt { whole_job: false }),
        Signal::TERM | Signal::HUP | Signal::QUIT => {
            Some(Termination::Exit(Exit::of_signal(signal.as_raw())))
        }
        _ => None,
    }
}
