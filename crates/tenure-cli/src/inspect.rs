//! `tenure status` and `tenure list`: keys as the store sees them. They change nothing.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use tenure::protocol::{Inspection, State};
use tenure::runtime::Runtime;
use tenure::store::Access;
use tenure::{Key, Locks};

use crate::args::{ListArgs, StatusArgs, StoreArgs};
use crate::exit::{Exit, Refusal};
use crate::hindrance::{Hindrance, may_be_held};
use crate::output::{self, Level, Output};
use crate::plan::{check_store_timeout, key_of};
use crate::store::{Choice, Located};
use crate::view::{self, KeyView};
use crate::{variables, warnings};

/// Number of keys that are asked for at a time.
const PAGE: usize = 256;

/// `tenure status KEY`.
pub(crate) fn status(args: &StatusArgs) -> Result<Exit, Refusal> {
    let key = key_of(&args.key)?;
    let mut answer = Exit::SUCCESS;
    let done = with_view(&args.store, Access::Looks, async |locks, store, now| {
        let seen = locks.mutex(key.as_str()).inspect().await.map_err(failed)?;
        answer = match seen.state {
            _ if may_be_held(&seen) => Exit::UNAVAILABLE,
            State::Free => Exit::SUCCESS,
            _ => Exit::HELD,
        };
        if args.json {
            tell_of_missing(store);
            let hindrance = Hindrance::of(&seen, now());
            return print(&KeyView::of(&key, &seen, hindrance.as_ref()).json());
        }
        let text = view::text(&key, &seen, now());
        let missing = store.missing().map(|missing| format!("\n  {missing}"));
        print(&format!("{text}\n  at {}{}", store.describe(locks), missing.unwrap_or_default()))
    });
    done.map(|done| if args.exit_code { answer } else { done })
}

/// `tenure list [PREFIX]`, page by page: a long list begins at once.
pub(crate) fn list(args: &ListArgs) -> Result<Exit, Refusal> {
    let access = if args.all { Access::LooksAtAll } else { Access::Looks };
    with_view(&args.store, access, async |locks, store, now| {
        warnings::tell(Output(Level::Normal));
        tell_of_missing(store);
        let hindrance = Hindrance::of_store(locks, &args.prefix, now()).await;
        let hindrance = hindrance.map_err(failed)?;
        if let Some(hindrance) = &hindrance {
            let about = format!("{}: {}", locks.store_name(), hindrance.text);
            Output(Level::Normal).notice(about);
        }
        let line = |key: &Key, seen: Inspection| {
            if args.json {
                return KeyView::of(key, &seen, hindrance.as_ref()).json();
            }
            view::text_of_many(key, &seen, now())
        };
        let mut after: Option<Key> = None;
        let mut is_empty = true;
        loop {
            let page = locks.list(&args.prefix, after.as_ref(), PAGE).await.map_err(failed)?;
            after = page.last().filter(|_| page.len() == PAGE).map(|(key, _)| key.clone());
            is_empty &= page.is_empty();
            for (key, seen) in page {
                print(&line(&key, seen))?;
            }
            if after.is_none() {
                break;
            }
        }
        // The line about a hindrance names the store.
        if is_empty && hindrance.is_none() && !args.json {
            tell_of_none(locks, store, &args.prefix);
        }
        Ok(())
    })
}

/// Says which store has no locks, and which were asked for. A store that is missing was told.
pub(crate) fn tell_of_none(locks: &Locks, store: &Located, prefix: &str) {
    if store.missing().is_some() {
        return;
    }
    let which = match prefix {
        "" => String::new(),
        prefix => format!(" that begin with {prefix:?}"),
    };
    Output(Level::Normal).notice(format!("no locks{which} at {}", store.describe(locks)));
}

/// Nothing on stdout says whether a store is empty or was never there.
pub(crate) fn tell_of_missing(store: &Located) {
    if let Some(missing) = store.missing() {
        Output(Level::Normal).notice(missing);
    }
}

/// The reason why a command on a store ended early.
pub(crate) enum Early {
    Refusal(Refusal),
    /// The reader of our output has enough of it.
    Enough,
}

#[allow(clippy::needless_pass_by_value, reason = "it is what map_err gives")]
pub(crate) fn failed(error: tenure::Error) -> Early {
    Early::Refusal(Refusal { exit: Exit::of_error(&error), message: error.to_string() })
}

/// Opens the store, and lets `work` use it.
pub(crate) fn with_store(
    args: &StoreArgs,
    work: impl AsyncFnOnce(&Locks, &Located, &dyn Fn() -> u64) -> Result<(), Early>,
) -> Result<Exit, Refusal> {
    with_view(args, Access::Locks, work)
}

/// Opens the store for this purpose, and lets `work` use it. For looks nothing is made.
pub(crate) fn with_view(
    args: &StoreArgs,
    access: Access,
    work: impl AsyncFnOnce(&Locks, &Located, &dyn Fn() -> u64) -> Result<(), Early>,
) -> Result<Exit, Refusal> {
    opened_for(args, access, async |opened, store, runtime| {
        let locks = opened.as_ref().map_err(|error| failed(error.clone()))?;
        work(locks, store, &|| runtime.wall_micros()).await
    })
}

/// As [`with_store`], also if the store could not be opened. A file that is no store yet is only
/// looked at, so that none is made of it: by root, it would be root's.
pub(crate) fn with_opened(
    args: &StoreArgs,
    look: impl AsyncFnOnce(&tenure::Result<Locks>, &Located, &dyn Runtime) -> Result<(), Early>,
) -> Result<Exit, Refusal> {
    let choice = chosen(args)?;
    let to_come = choice.clone().located_to_look().ok().filter(Located::is_embedded_to_come);
    match to_come {
        Some(store) => opened(args, &store, Access::Looks, look),
        None => opened(args, &choice.located()?, Access::Examination, look),
    }
}

/// Opens the store for this purpose, and lets `look` use it, also if it could not be opened.
pub(crate) fn opened_for(
    args: &StoreArgs,
    access: Access,
    look: impl AsyncFnOnce(&tenure::Result<Locks>, &Located, &dyn Runtime) -> Result<(), Early>,
) -> Result<Exit, Refusal> {
    let choice = chosen(args)?;
    let store =
        if access == Access::Locks { choice.located()? } else { choice.located_to_look()? };
    opened(args, &store, access, look)
}

fn chosen(args: &StoreArgs) -> Result<Choice, Refusal> {
    check_store_timeout(args)?;
    let choice = Choice::of(args, |name| std::env::var_os(name))?;
    choice.warn(Output(Level::Normal), variables::names());
    output::drain();
    Ok(choice)
}

fn opened(
    args: &StoreArgs,
    store: &Located,
    access: Access,
    look: impl AsyncFnOnce(&tenure::Result<Locks>, &Located, &dyn Runtime) -> Result<(), Early>,
) -> Result<Exit, Refusal> {
    let defect = |e: io::Error| Refusal { exit: Exit::INTERNAL, message: e.to_string() };
    let runtime: Arc<dyn Runtime> = tenure::runtime::machine().map_err(defect)?;
    let tokio_runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    let done = tokio_runtime.map_err(defect)?.block_on(async {
        let opened = store.open_for(access, args.store_timeout, &*runtime).await;
        let done = look(&opened, store, &*runtime).await;
        // Nothing is held here; closing cannot leave anything behind.
        if let Ok(locks) = &opened {
            let _ = locks.close(Duration::ZERO).await;
        }
        done
    });
    match done {
        Ok(()) | Err(Early::Enough) => Ok(Exit::SUCCESS),
        Err(Early::Refusal(refusal)) => Err(refusal),
    }
}

/// Writes a line to stdout. A reader that went away is no error.
pub(crate) fn print(text: &str) -> Result<(), Early> {
    match io::stdout().write_all(format!("{text}\n").as_bytes()) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Err(Early::Enough),
        Err(e) => Err(Early::Refusal(Refusal {
            exit: Exit::OUTPUT,
            message: format!("cannot write to stdout: {e}"),
        })),
    }
}
