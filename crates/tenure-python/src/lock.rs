//! One lock with its options: every kind, with the verbs that all of them have.

use std::future::Future;
use std::sync::Arc;

use pyo3::prelude::*;
use tenure::{Election, Error, ErrorKind, MultiLock, Mutex, Once, RwLock, Semaphore, Ticket};

use crate::answer::Answer;
use crate::error;
use crate::guard::Held;
use crate::locks::Later;
use crate::operation::Operation;
use crate::options::Span;
use crate::stream::Source;

/// A kind of lock, and the part of it that is acquired.
#[derive(Clone)]
pub(crate) enum Kind {
    Mutex(Mutex),
    Semaphore(Semaphore, u32),
    Read(RwLock),
    Write(RwLock),
    Candidate(Election, String),
    All(MultiLock),
    Once(Once),
}

/// Makes the lock of a store that is open.
type Make = Arc<dyn Fn(&tenure::Locks) -> Kind + Send + Sync>;

/// A lock that nothing has been asked of yet.
#[pyclass(frozen, module = "tenure._tenure")]
pub(crate) struct Lock(Made);

#[derive(Clone)]
enum Made {
    Now(Kind),
    /// Its store is opened first.
    Later(Arc<Later>, Make),
}

impl Lock {
    /// A lock of a store that is open, or of the default store.
    pub(crate) fn now(kind: Kind) -> Self {
        Self(Made::Now(kind))
    }

    /// A lock of a store that is opened when it is needed.
    pub(crate) fn later(
        store: &Arc<Later>,
        make: impl Fn(&tenure::Locks) -> Kind + Send + Sync + 'static,
    ) -> Self {
        Self(Made::Later(Arc::clone(store), Arc::new(make)))
    }

    fn kind(&self) -> impl Future<Output = tenure::Result<Kind>> + Send + 'static {
        let made = self.0.clone();
        async move {
            match made {
                Made::Now(kind) => Ok(kind),
                Made::Later(store, make) => Ok(make(&store.open().await?)),
            }
        }
    }
}

/// Calls a method that all kinds of one key have.
macro_rules! of_one_key {
    ($self:expr, $lock:ident => $work:expr) => {{
        let kind = $self.kind();
        Operation::new(async move {
            match kind.await? {
                Kind::Mutex($lock) => $work,
                Kind::Semaphore($lock, _) => $work,
                Kind::Read($lock) | Kind::Write($lock) => $work,
                Kind::Candidate($lock, _) => $work,
                Kind::All(_) | Kind::Once(_) => Err(has_none()),
            }
        })
    }};
}

/// Calls a method of one kind.
macro_rules! of_kind {
    ($self:expr, $kind:pat => $work:expr) => {{
        let kind = $self.kind();
        Operation::new(async move {
            let $kind = kind.await? else { return Err(has_none()) };
            $work
        })
    }};
}

fn has_none() -> Error {
    let message = "this kind of lock has no such verb";
    Error::new(ErrorKind::Invalid, tenure::Operation::Hold, message)
}

#[pymethods]
impl Lock {
    /// Waits for the lock.
    fn acquire(&self) -> Operation {
        let kind = self.kind();
        Operation::new(async move {
            let held = match kind.await? {
                Kind::Mutex(lock) => Held::One(lock.acquire().await?),
                Kind::Semaphore(lock, units) => Held::One(lock.acquire_many(units).await?),
                Kind::Read(lock) => Held::One(lock.read().await?),
                Kind::Write(lock) => Held::One(lock.write().await?),
                Kind::Candidate(lock, value) => Held::Leader(lock.campaign(value).await?),
                Kind::All(lock) => Held::Many(lock.acquire().await?),
                Kind::Once(lock) => return lock.begin().await.map(Answer::Begun),
            };
            Ok(Answer::Guard(Some(held)))
        })
    }

    /// Acquires without waiting for another holder.
    fn try_acquire(&self) -> Operation {
        let kind = self.kind();
        Operation::new(async move {
            let held = match kind.await? {
                Kind::Mutex(lock) => lock.try_acquire().await?.map(Held::One),
                Kind::Semaphore(lock, units) => lock.try_acquire_many(units).await?.map(Held::One),
                Kind::Read(lock) => lock.try_read().await?.map(Held::One),
                Kind::Write(lock) => lock.try_write().await?.map(Held::One),
                Kind::Candidate(lock, value) => lock.try_campaign(value).await?.map(Held::Leader),
                Kind::All(lock) => lock.try_acquire().await?.map(Held::Many),
                Kind::Once(lock) => return lock.begin().await.map(Answer::Begun),
            };
            Ok(Answer::Guard(held))
        })
    }

    /// Takes a mutex away from its holder.
    fn steal(&self) -> Operation {
        of_kind!(self, Kind::Mutex(lock) => {
            lock.steal().await.map(|guard| Answer::Guard(Some(Held::One(guard))))
        })
    }

    fn held_by_anyone(&self) -> Operation {
        of_one_key!(self, lock => lock.held_by_anyone().await.map(Answer::Bool))
    }

    fn held_by_me(&self) -> Operation {
        of_one_key!(self, lock => lock.held_by_me().await.map(Answer::Bool))
    }

    fn inspect(&self) -> Operation {
        let kind = self.kind();
        Operation::new(async move {
            let seen = match kind.await? {
                Kind::Mutex(lock) => lock.inspect().await,
                Kind::Semaphore(lock, _) => lock.inspect().await,
                Kind::Read(lock) | Kind::Write(lock) => lock.inspect().await,
                Kind::Candidate(lock, _) => lock.inspect().await,
                Kind::Once(lock) => lock.inspect().await,
                Kind::All(_) => Err(has_none()),
            };
            seen.map(Box::new).map(Answer::Inspection)
        })
    }

    fn force_release(&self) -> Operation {
        of_one_key!(self, lock => lock.force_release().await.map(Answer::Count))
    }

    fn adopt(&self, py: Python<'_>, ticket: &str) -> PyResult<Operation> {
        let ticket = parsed(py, ticket)?;
        Ok(of_one_key!(self, lock => {
            lock.adopt(&ticket).await.map(|guard| Answer::Guard(Some(Held::One(guard))))
        }))
    }

    /// Changes the number of permits of a semaphore.
    fn set_permits(&self, permits: u32) -> Operation {
        of_kind!(self, Kind::Semaphore(lock, _) => {
            lock.set_permits(permits).await.map(Answer::MaybeCount)
        })
    }

    /// The leader of an election.
    fn leader(&self) -> Operation {
        of_kind!(self, Kind::Candidate(lock, _) => lock.leader().await.map(Answer::Leader))
    }

    /// The leaders of an election, one after the other.
    fn observe(&self, interval: Option<Span>) -> Operation {
        of_kind!(self, Kind::Candidate(lock, _) => {
            let leaders = lock.observe();
            let leaders = match interval {
                Some(Span(span)) => leaders.with_interval(span),
                None => leaders,
            };
            Ok(Answer::Stream(Box::new(Source::Leaders(leaders))))
        })
    }

    /// The last run of a job.
    fn last(&self) -> Operation {
        of_kind!(self, Kind::Once(lock) => lock.last().await.map(Answer::LastRun))
    }
}

/// The ticket that a text is.
pub(crate) fn parsed(py: Python<'_>, ticket: &str) -> PyResult<Ticket> {
    ticket.parse().map_err(|e: tenure::InvalidTicket| error::invalid(py, &e.to_string()))
}
