//! From the command line to a lock that is held: by a ticket, which later commands use. A signal,
//! or anything else that ends the wait, withdraws.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use tenure::runtime::Runtime;
use tenure::store::Reach;
use tenure::{ErrorKind, Guard, Label, Locks, Mutex, TTL_MAX, Ticket};

use crate::args::WantArgs;
use crate::contact::{self, Contact};
use crate::duration::{show, typed};
use crate::exit::{Exit, Refusal};
use crate::job::Job;
use crate::keys::Keys;
use crate::lock::Part;
use crate::output::{Level, Output};
use crate::plan::{self, check_store_timeout, key_of};
use crate::progress::Progress;
use crate::run::Termination;
use crate::signals::Signals;
use crate::store::{Choice, Located};
use crate::wait::{self, Subject};
use crate::{label, variables, warnings};

/// The longest time for which a key stays taken if this process dies between the grant and the
/// ticket.
const LEASE_MAX: Duration = Duration::from_secs(30);
/// Time for the withdrawal of a claim.
const WITHDRAWAL: Duration = Duration::from_secs(2);

/// How long a ticket is good for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keep {
    /// The time that the command line names. A store that cannot grant it is refused.
    typed: Option<Duration>,
    /// The time that is asked for, or the longest that the store grants if that is shorter.
    span: Duration,
}

impl Keep {
    pub(crate) fn of(typed: Option<Duration>, default: Duration) -> Self {
        Self { typed, span: typed.unwrap_or(default) }
    }

    /// For `least` or longer.
    pub(crate) fn at_least(self, least: Duration) -> Self {
        Self { span: self.span.max(least), ..self }
    }

    fn at(self, locks: &Locks) -> Duration {
        self.span.min(longest(locks))
    }
}

/// The longest time for which a lease at this store can be made to last.
pub(crate) fn longest(locks: &Locks) -> Duration {
    let limit = locks.capabilities().ttl_max;
    if limit == TTL_MAX {
        return TTL_MAX;
    }
    // The store gets a little more than what it has to last for.
    limit.saturating_sub(limit / 50 + Duration::from_millis(5))
}

/// A lock that is wanted, with nothing left to refuse but by its store.
pub(crate) struct Wanted {
    pub(crate) store: Located,
    pub(crate) store_timeout: Duration,
    pub(crate) keys: Keys,
    pub(crate) label: Label,
    pub(crate) output: Output,
    keep: Keep,
    /// `None`: without limit. Zero: do not wait.
    wait: Option<Duration>,
}

/// A lock that is held by its ticket.
pub(crate) struct Granted {
    pub(crate) locks: Locks,
    pub(crate) ticket: Ticket,
}

impl Granted {
    /// How long the ticket is good for.
    pub(crate) fn keep(&self) -> Duration {
        self.ticket.keep().expect("a ticket of this version says it")
    }
}

/// The process ends without the lock.
pub(crate) enum NotGranted {
    /// After a message.
    Told(Termination),
    Refused(Refusal),
}

impl Wanted {
    /// Checks all that can be checked without the store. The holder is called after the process
    /// `watched`, which the lock ends with, or after the calling script, unless it is given a name.
    pub(crate) fn of(args: &WantArgs, keep: Keep, watched: Option<u32>) -> Result<Self, Refusal> {
        let WantArgs { store, waiting, key, .. } = args;
        let keys = Keys::one(key_of(key)?);
        let mutex = tenure::mutex(key).with_ttl(keep.span);
        mutex.validate().map_err(|e| Refusal::usage(format!("--ttl: {}", e.message())))?;
        check_store_timeout(store)?;
        let output = Output(if waiting.quiet { Level::Quiet } else { Level::Normal });
        let choice = Choice::of(store, |name| std::env::var_os(name))?;
        choice.warn(output, variables::names());
        let located = choice.located()?;
        plan::held_with(&keys, Part::Whole, &located.identity())?;
        let of_holder = || match watched {
            Some(pid) => label::of_process(pid),
            None => label::of_ticket(std::os::unix::process::parent_id()),
        };
        Ok(Self {
            store: located,
            store_timeout: store.store_timeout,
            keys,
            label: waiting.label.as_deref().map_or_else(of_holder, Label::new),
            output,
            keep,
            wait: if waiting.try_once {
                Some(Duration::ZERO)
            } else {
                waiting.wait.or(waiting.wait_seconds)
            },
        })
    }

    /// Waits for the store and for the lock, and leaves the lock to a ticket. It gives up if
    /// `abandoned` ends, which says why.
    pub(crate) async fn get(
        &self,
        runtime: &dyn Runtime,
        abandoned: impl Future<Output = String>,
    ) -> Result<Granted, NotGranted> {
        let mut signals = Signals::listen().map_err(defect)?;
        let job = Job::new(signals.no_jobs());
        warnings::tell(self.output);
        let contact = Contact::new(self.contact(), runtime, runtime.now());
        let mut abandoned = pin!(abandoned);
        let opening = async {
            tokio::select! {
                biased;
                opened = contact.open() => opened.map_err(|e| refused(&e)),
                why = abandoned.as_mut() => Err(busy(why)),
            }
        };
        let opened = wait::or_signal(opening, &mut signals, &job).await;
        let locks = opened.map_err(|signal| NotGranted::Told(interrupted(signal)))??;
        self.check_reach(&locks)?;
        let work = async {
            tokio::select! {
                biased;
                granted = self.acquire(&locks, &contact, runtime) => granted,
                why = abandoned.as_mut() => Err(Failed::Busy(why)),
            }
        };
        let outcome = wait::or_signal(work, &mut signals, &job).await;
        let not_granted = match outcome {
            Ok(Ok(ticket)) => return Ok(Granted { locks, ticket }),
            Ok(Err(Failed::Error(e))) => refused(&e),
            Ok(Err(Failed::Busy(message))) => busy(message),
            Err(signal) => NotGranted::Told(interrupted(signal)),
        };
        // The claim is withdrawn meanwhile.
        let time = WITHDRAWAL.min(self.store_timeout);
        let closed = wait::for_answers(&locks, time, &mut signals, &job, runtime).await;
        Err(if closed.is_answered { not_granted } else { self.left(&locks, not_granted) })
    }

    fn contact(&self) -> contact::Wanted<'_> {
        let Self { store, store_timeout, wait, output, .. } = self;
        let key = self.keys.first();
        contact::Wanted { store, store_timeout: *store_timeout, key, wait: *wait, output: *output }
    }

    fn mutex(&self, locks: &Locks, wait: Option<Duration>) -> Mutex {
        let mutex = locks.mutex(self.keys.first()).with_label(self.label.as_str());
        let mutex = mutex.with_ttl(self.keep.at(locks).min(LEASE_MAX));
        match wait {
            Some(limit) => mutex.with_wait(limit),
            None => mutex,
        }
    }

    /// Waits for the lock, and for a store that fails before it gives it.
    async fn acquire(
        &self,
        locks: &Locks,
        contact: &Contact<'_>,
        runtime: &dyn Runtime,
    ) -> Result<Ticket, Failed> {
        loop {
            let error = match self.guard(locks, contact.left(), runtime).await {
                Ok(guard) => {
                    return guard.hand_over(self.keep.at(locks)).await.map_err(Failed::Error);
                }
                Err(Failed::Error(error)) if contact.goes_on_after(&error) => error,
                Err(failed) => return Err(failed),
            };
            contact.again(locks, error).await.map_err(Failed::Error)?;
        }
    }

    /// Waits for the lock for so long.
    async fn guard(
        &self,
        locks: &Locks,
        wait: Option<Duration>,
        runtime: &dyn Runtime,
    ) -> Result<Guard, Failed> {
        let mutex = self.mutex(locks, wait);
        let (keys, label, store) = (&self.keys, &self.label, self.store.option());
        let subject = Subject { keys, label, store, is_candidacy: false };
        let acquiring = async {
            match self.wait {
                Some(Duration::ZERO) => mutex.try_acquire().await,
                _ => mutex.acquire().await.map(Some),
            }
        };
        let progress = Progress::new(self.output);
        let acquired = tokio::select! {
            biased;
            acquired = acquiring => acquired,
            () = progress.tell(locks, subject, runtime) => unreachable!("it tells without end"),
        };
        drop(progress);
        match acquired {
            Ok(Some(guard)) => Ok(guard),
            Ok(None) => Err(Failed::Busy(wait::holder_of(locks, subject, runtime).await)),
            Err(e) if e.kind() == ErrorKind::Busy => Err(Failed::Busy(e.to_string())),
            Err(e) => Err(Failed::Error(e)),
        }
    }

    /// Refuses a store that cannot keep the lock until the next command.
    fn check_reach(&self, locks: &Locks) -> Result<(), NotGranted> {
        let store = locks.capabilities();
        if store.reach == Reach::Process {
            return Err(refusal(format!(
                "{} is a store of one process: the lock would end with this command; use \
                 sqlite:PATH, redis://HOST, or no --store",
                locks.store_name()
            )));
        }
        let longest = longest(locks);
        if let Some(ttl) = self.keep.typed.filter(|ttl| *ttl > longest) {
            let (ttl, shown, longest) = (show(ttl), show(longest), typed(longest));
            return Err(refusal(format!(
                "--ttl {ttl} is above {shown}, the longest that {} grants (restart_guard of a \
                 server, or max_ttl of a quorum): give --ttl {longest}, and renew the ticket in \
                 time (tenure renew --ttl {longest})",
                locks.store_name()
            )));
        }
        Ok(())
    }

    /// The store has not answered the withdrawal. Then "busy" is not certain either.
    fn left(&self, locks: &Locks, not_granted: NotGranted) -> NotGranted {
        let (keys, span) = (&self.keys, show(self.keep.at(locks).min(LEASE_MAX)));
        self.output.error(format!(
            "a request that was not answered may still count at {}: {keys} is then taken for up \
             to {span}",
            locks.store_name()
        ));
        match not_granted {
            NotGranted::Refused(Refusal { exit: Exit::BUSY, message }) => {
                let more = "since then the store has not answered; is it up, and reachable from \
                            here?";
                let message = format!("{message}; {more}");
                NotGranted::Refused(Refusal { exit: Exit::UNAVAILABLE, message })
            }
            other => other,
        }
    }
}

/// The outcome of a wait that was in vain.
enum Failed {
    Busy(String),
    Error(tenure::Error),
}

fn refusal(message: String) -> NotGranted {
    NotGranted::Refused(Refusal::usage(message))
}

fn busy(message: String) -> NotGranted {
    NotGranted::Refused(Refusal { exit: Exit::BUSY, message })
}

fn refused(error: &tenure::Error) -> NotGranted {
    NotGranted::Refused(Refusal { exit: Exit::of_error(error), message: error.to_string() })
}

fn interrupted(signal: Signal) -> Termination {
    if signal == Signal::INT {
        return Termination::Interrupt { whole_job: false };
    }
    Termination::Exit(Exit::of_signal(signal.as_raw()))
}

#[allow(clippy::needless_pass_by_value, reason = "it is what map_err gives")]
pub(crate) fn defect(error: std::io::Error) -> NotGranted {
    NotGranted::Refused(Refusal { exit: Exit::INTERNAL, message: error.to_string() })
}

/// Runs the work of a command that wants a lock.
pub(crate) fn block_on(
    work: impl AsyncFnOnce(Arc<dyn Runtime>) -> Result<(), NotGranted>,
) -> Result<Termination, Refusal> {
    let defect = |e: std::io::Error| Refusal { exit: Exit::INTERNAL, message: e.to_string() };
    let runtime = tenure::runtime::machine().map_err(defect)?;
    let tokio_runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    match tokio_runtime.map_err(defect)?.block_on(work(runtime)) {
        Ok(()) => Ok(Termination::Exit(Exit::SUCCESS)),
        Err(NotGranted::Told(end)) => Ok(end),
        Err(NotGranted::Refused(refusal)) => Err(refusal),
    }
}
