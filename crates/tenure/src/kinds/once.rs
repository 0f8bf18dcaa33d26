//! A job that runs once per tick, whichever host comes first: the exclusive claim, and the record
//! of the last run. It sends nothing before a verb is called, and starts nothing by itself.

use std::fmt;
use std::ops::Deref;
use std::time::Duration;

use crate::engine::{self, AcquireOptions, Renewal};
use crate::guard::{Guard, Lease};
use crate::protocol::{Count, Inspection, LastRun, Outcome, TickClock, Ticks};
use crate::runtime::shown;
use crate::scope::{self, Leased as _};
use crate::types::{Claim, Error, ErrorKind, InvalidKey, Key, Label, Operation, Result, TTL_MIN};

use super::LazyLocks;
use super::options::{Kind, Options};

const ONCE: Kind = Kind { name: "a job that runs once per tick", has_many_holders: false };
/// The longest tick: a leap year.
const EVERY_MAX: Duration = Duration::from_secs(366 * 24 * 3_600);

/// A job that runs once per tick, on one of the hosts that try it, though their clocks differ.
///
/// **When to use it.** For a job that a timer starts on every host and that shall run once: a
/// report each night, a poll every five minutes. The first to [`begin`](Self::begin) in a tick runs
/// it. The others skip, and are told who ran it, when, and how it ended.
///
/// **When not.** For work that must only not run *twice at once* take a [`Mutex`](crate::Mutex):
/// it lets the second host run after the first, which a job of some seconds on hosts whose clocks
/// differ by more than that then does. It starts nothing: your timer does, cron or an interval. It
/// does not make up for ticks in which nobody tried. It is *at most* once: a job that must be done
/// to the end needs a queue of tasks, or work that may be repeated.
///
/// Ticks are the multiples of the period since 1970 (UTC), by the clock of the *store*; or each
/// begins with the last run ([`since_last_run`](Self::since_last_run)). A quorum agrees on the
/// tick: its clients propose the time, and a node refuses one that is farther than half a tick from
/// its own clock. While a run is under way no other begins, also if it takes longer than a tick.
///
/// The outcome of the last run is kept for a day longer than its tick ([`last`](Self::last)). A run
/// whose holder dies, loses the lock or gives it back unfinished counts as failed. It is not run
/// again within its tick, unless that is asked for ([`retry_failed`](Self::retry_failed)).
///
/// The lock behind it is the exclusive one of the key, so it keeps out a mutex on the same key, and
/// is kept out by it. It is a lease like any other: renewed while the work runs, and free again
/// after its ttl if the holder dies.
///
/// ```
/// # async fn write_report() -> tenure::Result<u32> { Ok(12) }
/// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
/// use std::time::Duration;
/// use tenure::Ran;
/// let report = locks.once("report").every(Duration::from_secs(300));
/// match report.run(|_lease| write_report()).await? {
///     Ran::Done(pages) => println!("{pages} pages"),
///     Ran::Skipped(last) => println!("not now: {last}"),
/// }
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[must_use = "nothing runs before it is begun"]
pub struct Once {
    options: Options,
    every: Option<Duration>,
    count: Count,
    retry_failed: bool,
}

/// The answer to [`Once::begin`].
#[derive(Debug)]
#[must_use = "a guard that is dropped at once makes a run that has failed"]
pub enum Begun {
    /// This process runs it.
    Ours(OnceGuard),
    /// No run is due, because of this one.
    Skipped(LastRun),
}

/// The answer to [`Once::run`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ran<T> {
    /// The work ran here, and this is its value.
    Done(T),
    /// No run was due, because of this one.
    Skipped(LastRun),
}

impl<T> Ran<T> {
    /// The value of the work, if it ran here.
    pub fn done(self) -> Option<T> {
        match self {
            Self::Done(value) => Some(value),
            Self::Skipped(_) => None,
        }
    }
}

impl Once {
    pub(crate) fn new(locks: LazyLocks, key: Result<Key, InvalidKey>) -> Self {
        let options = Options::new(ONCE, locks, key);
        Self { options, every: None, count: Count::default(), retry_failed: false }
    }

    /// The length of a tick: 10 ms to 366 days. It must be set before a run. All who use the key
    /// should name the same.
    pub fn every(mut self, period: Duration) -> Self {
        self.every = Some(period);
        self
    }

    /// Counts a tick from the begin of the last run, in place of the multiples of the period since
    /// 1970 (UTC): from one begin to the next passes one period at least.
    pub fn since_last_run(mut self) -> Self {
        self.count = Count::LastRun;
        self
    }

    /// Begins a run also in the tick of one that failed, by this host or another. Default: a run
    /// that failed has had its tick.
    pub fn retry_failed(mut self) -> Self {
        self.retry_failed = true;
        self
    }

    /// Time for which the lease lasts without renewal: 10 ms to 30 days, default 30 s. After a
    /// crash of the holder, its run counts as failed after this time.
    pub fn with_ttl(mut self, ttl: Duration) -> Self {
        self.options.ttl = ttl;
        self
    }

    /// When the lease is renewed; default: every third of the ttl.
    pub fn with_renewal(mut self, renewal: Renewal) -> Self {
        self.options.renewal = renewal;
        self
    }

    /// Loses the lock `span` after the begin, whatever is renewed or extended: no run takes longer.
    /// Default: never.
    pub fn with_max_hold(mut self, span: Duration) -> Self {
        self.options.max_hold = Some(span);
        self
    }

    /// Sets the name that others see; default `host:pid:program`. See [`Label`].
    pub fn with_label(mut self, text: impl AsRef<str>) -> Self {
        self.options.label = Some(Label::new(text));
        self
    }

    /// Checks the options and sends nothing: each limit, and whether they fit together. Every begin
    /// checks the same, and then what the store asks for, such as its longest ttl.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`], with the number and its limit in the message.
    ///
    /// # Examples
    /// ```
    /// let error = tenure::once("k").validate().unwrap_err();
    /// assert_eq!(error.message(), "no period is set: say every(...)");
    /// ```
    pub fn validate(&self) -> Result<()> {
        self.checked().map(drop)
    }

    /// Begins a run if one is due. It never waits.
    ///
    /// # If the reply is lost
    /// The same request is repeated, and the store recognises it. A quorum withdraws what too few
    /// of its nodes answered, and the next try is a new one. If no answer comes within the store's
    /// time limit, that is an error with [`Error::may_hold`], and the run is withdrawn in the
    /// background: its tick is as free as before.
    ///
    /// # Cancel safety
    /// Dropping the future withdraws the run in the background.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] if the key is held by a lock of another kind; the message names the
    /// holder. [`ErrorKind::Invalid`] before anything is touched; [`ErrorKind::Mismatch`] if the
    /// key is something else at the store. [`ErrorKind::Unavailable`] if the store cannot be
    /// reached, or grants nothing new yet (restart guard). [`ErrorKind::Refused`] if a quorum's
    /// clocks are half a tick apart, or a node of it could forget the run within its tick.
    ///
    /// # Examples
    /// ```
    /// # async fn write_report() -> std::io::Result<()> { Ok(()) }
    /// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
    /// use tenure::{Begun, Outcome};
    /// let report = locks.once("report").every(std::time::Duration::from_secs(300));
    /// if let Begun::Ours(run) = report.begin().await? {
    ///     let outcome = match write_report().await {
    ///         Ok(()) => Outcome::Ok,
    ///         Err(e) => Outcome::failed(e),
    ///     };
    ///     run.finish(outcome).await?;
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn begin(&self) -> Result<Begun> {
        let (options, ticks) = self.checked()?;
        let engine = self.options.engine_for_claims(Operation::Acquire, &options.key).await?;
        Ok(match engine::begin(&engine, &options, ticks).await? {
            engine::Begun::Held(held) => Begun::Ours(OnceGuard(Guard::new(&engine, held))),
            engine::Begun::Skipped(run) => Begun::Skipped(*run),
        })
    }

    /// Runs `work` if a run is due, and puts on record how it went: the text of its error, too.
    ///
    /// As with [`Mutex::run`](crate::Mutex::run), the work's future is dropped if the lock is lost,
    /// and its own error comes first. If the store cannot be reached at the end, the work's result
    /// stands.
    ///
    /// # If the reply is lost
    /// As with [`begin`](Self::begin); the end goes on in the background.
    ///
    /// # Cancel safety
    /// Dropping the future withdraws a run that was not begun. One that was begun has failed.
    ///
    /// # Errors
    /// Those of [`begin`](Self::begin); the work's own; [`Lost`](ErrorKind::Lost).
    ///
    /// # Examples
    /// ```
    /// # async fn write_report() -> tenure::Result<u32> { Ok(12) }
    /// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
    /// let report = locks.once("report").every(std::time::Duration::from_secs(300));
    /// let pages = report.run(|_lease| write_report()).await?.done();
    /// # assert_eq!(pages, Some(12)); Ok(()) }
    /// ```
    pub async fn run<T, E, Fut>(&self, work: impl FnOnce(Lease) -> Fut) -> Result<Ran<T>, E>
    where
        Fut: Future<Output = Result<T, E>>,
        E: From<Error> + fmt::Display,
    {
        match self.begin().await? {
            Begun::Ours(guard) => guard.run(work).await.map(Ran::Done),
            Begun::Skipped(last) => Ok(Ran::Skipped(last)),
        }
    }

    /// The last run; `None` if none is on record.
    ///
    /// # Cancel safety
    /// It changes nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a bad key, or the store's failure.
    ///
    /// # Examples
    /// ```
    /// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
    /// if let Some(last) = locks.once("report").last().await? {
    ///     println!("{last}");
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn last(&self) -> Result<Option<LastRun>> {
        Ok(self.inspect().await?.last_run.map(|run| *run))
    }

    /// Asks the store for the holder and the last run.
    ///
    /// # Cancel safety
    /// It changes nothing.
    ///
    /// # Errors
    /// Those of [`last`](Self::last).
    ///
    /// # Examples
    /// ```
    /// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
    /// let seen = locks.once("report").inspect().await?;
    /// println!("{} at it, last run {:?}", seen.holders.len(), seen.last_run);
    /// # Ok(()) }
    /// ```
    pub async fn inspect(&self) -> Result<Inspection> {
        self.options.inspect().await
    }

    fn checked(&self) -> Result<(AcquireOptions, Ticks)> {
        let options = self.options.check(Claim::EXCLUSIVE)?;
        let every = self.every.ok_or_else(|| "no period is set: say every(...)".to_owned());
        let every = every.and_then(|every| match every {
            _ if every < TTL_MIN => Err(format!(
                "a period of {every} is below the limit of {ttl_min}",
                every = shown(every),
                ttl_min = shown(TTL_MIN)
            )),
            _ if every > EVERY_MAX => Err(format!(
                "a period of {every} is above the limit of 366 days",
                every = shown(every)
            )),
            _ => Ok(every),
        });
        let every = every.map_err(|message| self.options.invalid(Operation::Acquire, message))?;
        let Self { count, retry_failed, .. } = *self;
        Ok((options, Ticks { every, count, retry_failed, clock: TickClock::Store }))
    }
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("Once");
        text.field("every", &self.every)
            .field("count", &self.count)
            .field("retry_failed", &self.retry_failed);
        self.options.describe(&mut text)
    }
}

/// A run that was begun, until it is finished, dropped or lost.
///
/// Dropping it gives the lock back in the background, and the run counts as failed. It dereferences
/// to [`Lease`], which answers all questions about the lock.
#[derive(Debug)]
#[must_use = "a run whose guard is dropped has failed"]
pub struct OnceGuard(Guard);

impl OnceGuard {
    /// A copy of the lease, for the work.
    #[must_use]
    pub fn lease(&self) -> Lease {
        self.0.lease()
    }

    /// Puts the outcome on record and gives the lock back, in one step.
    ///
    /// # If the reply is lost
    /// It goes on in the background until the store answers or the lease has ended.
    ///
    /// # Cancel safety
    /// Dropping the future leaves it to the background.
    ///
    /// # Errors
    /// [`ErrorKind::Lost`] if the lock was lost before: the outcome is not on record, and the run
    /// counts as failed. The store's failure; [`may_hold`](Error::may_hold) is then true, and the
    /// outcome may be on record or not.
    ///
    /// # Examples
    /// ```
    /// # async fn f(run: tenure::OnceGuard) -> tenure::Result<()> {
    /// run.finish(tenure::Outcome::failed("no space left on the disk")).await
    /// # }
    /// ```
    pub async fn finish(self, outcome: Outcome) -> Result<()> {
        self.0.finish(outcome).await
    }

    /// Runs `work`, and finishes with its outcome; see [`Once::run`].
    ///
    /// # Cancel safety
    /// Dropping the future drops the work's future, and the run has failed.
    ///
    /// # Errors
    /// The work's own; [`Lost`](ErrorKind::Lost) if it had none and the lock was lost.
    ///
    /// # Examples
    /// ```
    /// # async fn f(run: tenure::OnceGuard) -> tenure::Result<()> {
    /// run.run(|lease| async move { lease.check() }).await
    /// # }
    /// ```
    pub async fn run<T, E, Fut>(self, work: impl FnOnce(Lease) -> Fut) -> Result<T, E>
    where
        Fut: Future<Output = Result<T, E>>,
        E: From<Error> + fmt::Display,
    {
        let lease = self.lease();
        let result = scope::until_lost(&lease, work(lease.clone())).await?;
        let outcome = match &result {
            Ok(_) => Outcome::Ok,
            Err(error) => Outcome::failed(error),
        };
        match self.finish(outcome).await {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Lost => {
                return result.and_then(|_| Err(error.into()));
            }
            Err(error) => lease.tell_release_failed(&error),
        }
        result
    }
}

impl Deref for OnceGuard {
    type Target = Lease;

    fn deref(&self) -> &Lease {
        &self.0
    }
}
