//! A job that runs once per tick, without `async`.

use std::fmt;
use std::future::ready;
use std::ops::Deref;
use std::time::Duration;

use pollster::block_on;

use crate::engine::Renewal;
use crate::guard::Lease;
use crate::kinds::Ran;
use crate::protocol::{Inspection, LastRun, Outcome};
use crate::types::{Error, Result};

/// [`tenure::Once`](crate::Once) for blocking use.
#[derive(Debug, Clone)]
#[must_use = "nothing runs before it is begun"]
pub struct Once(crate::Once);

/// [`tenure::OnceGuard`](crate::OnceGuard) for blocking use. It dereferences to [`Lease`].
#[derive(Debug)]
#[must_use = "a run whose guard is dropped has failed"]
pub struct OnceGuard(crate::OnceGuard);

/// The answer to [`Once::begin`].
#[derive(Debug)]
#[must_use = "a guard that is dropped at once makes a run that has failed"]
pub enum Begun {
    /// This process runs it.
    Ours(OnceGuard),
    /// No run is due, because of this one.
    Skipped(LastRun),
}

/// Defines methods that set an option.
macro_rules! options {
    ($($name:ident($($option:ident: $type:ty),*);)+) => {
        $(
            #[doc = concat!("See [`Once::", stringify!($name), "`](crate::Once::")]
            #[doc = concat!(stringify!($name), ").")]
            pub fn $name(self, $($option: $type),*) -> Self {
                Self(self.0.$name($($option),*))
            }
        )+
    };
}

impl Once {
    options! {
        every(period: Duration);
        since_last_run();
        retry_failed();
        with_ttl(ttl: Duration);
        with_renewal(renewal: Renewal);
        with_max_hold(span: Duration);
        with_label(text: impl AsRef<str>);
    }

    /// See [`Once::validate`](crate::Once::validate).
    ///
    /// # Errors
    /// As there.
    pub fn validate(&self) -> Result<()> {
        self.0.validate()
    }

    /// See [`Once::begin`](crate::Once::begin). It blocks meanwhile.
    ///
    /// # Errors
    /// As there.
    pub fn begin(&self) -> Result<Begun> {
        Ok(match block_on(self.0.begin())? {
            crate::Begun::Ours(guard) => Begun::Ours(OnceGuard(guard)),
            crate::Begun::Skipped(last) => Begun::Skipped(last),
        })
    }

    /// Runs `work` on this thread if a run is due, and puts on record how it went. As the async
    /// [`run`](crate::Once::run), but the loss of the lock cannot interrupt the work. It is
    /// reported at the end, unless the work itself has failed.
    ///
    /// # Errors
    /// As there.
    pub fn run<T, E>(&self, work: impl FnOnce(Lease) -> Result<T, E>) -> Result<Ran<T>, E>
    where
        E: From<Error> + fmt::Display,
    {
        block_on(self.0.run(|lease| ready(work(lease))))
    }

    /// See [`Once::last`](crate::Once::last). It blocks meanwhile.
    ///
    /// # Errors
    /// As there.
    pub fn last(&self) -> Result<Option<LastRun>> {
        block_on(self.0.last())
    }

    /// See [`Once::inspect`](crate::Once::inspect). It blocks meanwhile.
    ///
    /// # Errors
    /// As there.
    pub fn inspect(&self) -> Result<Inspection> {
        block_on(self.0.inspect())
    }
}

impl From<crate::Once> for Once {
    fn from(once: crate::Once) -> Self {
        Self(once)
    }
}

impl OnceGuard {
    /// See [`OnceGuard::finish`](crate::OnceGuard::finish). It blocks meanwhile.
    ///
    /// # Errors
    /// As there.
    pub fn finish(self, outcome: Outcome) -> Result<()> {
        block_on(self.0.finish(outcome))
    }
}

impl Deref for OnceGuard {
    type Target = Lease;

    fn deref(&self) -> &Lease {
        &self.0
    }
}
