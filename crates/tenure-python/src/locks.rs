//! All locks of one store, or of the default store.

use std::ffi::CString;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::PyRuntimeWarning;
use pyo3::prelude::*;
use tenure::{Key, LocksOptions, variables};
use tokio::sync::OnceCell;

use crate::answer::Answer;
use crate::guard::Held;
use crate::lock::{Kind, Lock, parsed};
use crate::operation::Operation;
use crate::options::{Chosen, Options, Span, with_options};
use crate::stream::Source;

/// Whether this process was told of unknown variables, or has named its store by itself.
static WARNED: AtomicBool = AtomicBool::new(false);

/// The frame that a warning names: the caller of the package's method.
const LEVEL: i32 = 2;

/// The locks of a store.
#[pyclass(frozen, module = "tenure._tenure")]
pub(crate) struct Locks(Store);

#[derive(Clone)]
enum Store {
    /// It is found and opened at its first use.
    Default,
    Open(tenure::Locks),
    Later(Arc<Later>),
}

/// A store that is opened at its first use, once.
pub(crate) struct Later {
    url: String,
    options: LocksOptions,
    locks: OnceCell<tenure::Locks>,
}

impl Later {
    /// The store. One that could not be opened is tried again at the next use.
    pub(crate) async fn open(&self) -> tenure::Result<tenure::Locks> {
        let open = || tenure::connect_with(&self.url, self.options);
        self.locks.get_or_try_init(open).await.cloned()
    }
}

impl Store {
    /// Makes a lock of it; `make` is given nothing for the default store.
    fn lock(&self, make: impl Fn(Option<&tenure::Locks>) -> Kind + Send + Sync + 'static) -> Lock {
        match self {
            Self::Default => Lock::now(make(None)),
            Self::Open(locks) => Lock::now(make(Some(locks))),
            Self::Later(later) => match later.locks.get() {
                Some(locks) => Lock::now(make(Some(locks))),
                None => Lock::later(later, move |locks| make(Some(locks))),
            },
        }
    }

    async fn open(self) -> tenure::Result<tenure::Locks> {
        match self {
            Self::Default => tenure::default_locks().await,
            Self::Open(locks) => Ok(locks),
            Self::Later(later) => later.open().await,
        }
    }
}

impl Locks {
    /// The store. The first use of the default one warns of variables that may have been meant to
    /// name it, by Python's `warnings`: most programs show those, and no events of the library.
    fn store(&self, py: Python<'_>) -> PyResult<&Store> {
        if matches!(self.0, Store::Default) && !WARNED.swap(true, Ordering::Relaxed) {
            let message = variables::warning(variables::names());
            if let Some(message) = message.and_then(|message| CString::new(message).ok()) {
                PyErr::warn(py, &py.get_type::<PyRuntimeWarning>(), &message, LEVEL)?;
            }
        }
        Ok(&self.0)
    }
}

impl From<tenure::Locks> for Locks {
    fn from(locks: tenure::Locks) -> Self {
        Self(Store::Open(locks))
    }
}

fn connect_options(store_timeout: Option<Span>) -> LocksOptions {
    let options = LocksOptions::default();
    store_timeout.map_or(options, |Span(limit)| options.with_store_timeout(limit))
}

/// Opens a store.
#[pyfunction]
pub(crate) fn connect(url: String, store_timeout: Option<Span>) -> Operation {
    let options = connect_options(store_timeout);
    Operation::new(async move { tenure::connect_with(&url, options).await.map(Answer::Locks) })
}

/// A store that is opened at its first use.
#[pyfunction]
pub(crate) fn connect_later(url: String, store_timeout: Option<Span>) -> Locks {
    let options = connect_options(store_timeout);
    Locks(Store::Later(Arc::new(Later { url, options, locks: OnceCell::new() })))
}

/// The default store.
#[pyfunction]
pub(crate) fn default_locks() -> Locks {
    Locks(Store::Default)
}

/// Makes the store of `locks` the default one.
#[pyfunction]
pub(crate) fn set_default(locks: &Locks) -> Operation {
    let store = locks.0.clone();
    WARNED.store(true, Ordering::Relaxed);
    Operation::new(async move {
        tenure::set_default(store.open().await?);
        Ok(Answer::Nothing)
    })
}

#[pymethods]
impl Locks {
    fn mutex(&self, py: Python<'_>, key: String, options: Options) -> PyResult<Lock> {
        let options = Chosen::from(options);
        Ok(self.store(py)?.lock(move |locks| {
            let default = || tenure::mutex(&key);
            let lock = locks.map_or_else(default, |locks| locks.mutex(&key));
            let lock = if options.plain_value { lock.with_plain_value() } else { lock };
            Kind::Mutex(with_options!(lock, options.clone()))
        }))
    }

    fn semaphore(
        &self,
        py: Python<'_>,
        key: String,
        permits: u32,
        units: u32,
        options: Options,
    ) -> PyResult<Lock> {
        let options = Chosen::from(options);
        Ok(self.store(py)?.lock(move |locks| {
            let default = || tenure::semaphore(&key, permits);
            let lock = locks.map_or_else(default, |locks| locks.semaphore(&key, permits));
            Kind::Semaphore(with_options!(lock, options.clone()), units)
        }))
    }

    fn rwlock(
        &self,
        py: Python<'_>,
        key: String,
        writes: bool,
        options: Options,
    ) -> PyResult<Lock> {
        let options = Chosen::from(options);
        Ok(self.store(py)?.lock(move |locks| {
            let default = || tenure::rwlock(&key);
            let lock = locks.map_or_else(default, |locks| locks.rwlock(&key));
            let lock = with_options!(lock, options.clone());
            if writes { Kind::Write(lock) } else { Kind::Read(lock) }
        }))
    }

    fn election(
        &self,
        py: Python<'_>,
        key: String,
        value: String,
        options: Options,
    ) -> PyResult<Lock> {
        let options = Chosen::from(options);
        Ok(self.store(py)?.lock(move |locks| {
            let default = || tenure::election(&key);
            let lock = locks.map_or_else(default, |locks| locks.election(&key));
            Kind::Candidate(with_options!(lock, options.clone()), value.clone())
        }))
    }

    fn all(&self, py: Python<'_>, keys: Vec<String>, options: Options) -> PyResult<Lock> {
        let options = Chosen::from(options);
        Ok(self.store(py)?.lock(move |locks| {
            let lock = locks.map_or_else(|| tenure::all(&keys), |locks| locks.all(&keys));
            Kind::All(with_options!(lock, options.clone()))
        }))
    }

    fn once(
        &self,
        py: Python<'_>,
        key: String,
        every: Option<Span>,
        since_last_run: bool,
        retry_failed: bool,
        options: Options,
    ) -> PyResult<Lock> {
        let options = Chosen::from(options);
        let every = every.map(|Span(period)| period);
        Ok(self.store(py)?.lock(move |locks| {
            let default = || tenure::once(&key);
            let lock = locks.map_or_else(default, |locks| locks.once(&key));
            let mut lock = with_options!(lock, options.clone();
                with_ttl ttl with_renewal renewal with_max_hold max_hold with_label label);
            if let Some(period) = every {
                lock = lock.every(period);
            }
            if since_last_run {
                lock = lock.since_last_run();
            }
            if retry_failed {
                lock = lock.retry_failed();
            }
            Kind::Once(lock)
        }))
    }

    /// A page of keys, each with its state.
    fn list(
        &self,
        py: Python<'_>,
        prefix: String,
        after: Option<String>,
        limit: usize,
    ) -> PyResult<Operation> {
        let locks = self.store(py)?.clone();
        Ok(Operation::new(async move {
            let invalid = |e: tenure::InvalidKey| {
                let operation = tenure::Operation::Inspect;
                tenure::Error::new(tenure::ErrorKind::Invalid, operation, e.to_string())
            };
            let after = after.map(Key::new).transpose().map_err(invalid)?;
            let locks = locks.open().await?;
            locks.list(&prefix, after.as_ref(), limit).await.map(Answer::Page)
        }))
    }

    /// All keys, page by page.
    fn list_all(&self, py: Python<'_>, prefix: String) -> PyResult<Operation> {
        let locks = self.store(py)?.clone();
        Ok(Operation::new(async move {
            let list = locks.open().await?.list_all(&prefix);
            Ok(Answer::Stream(Box::new(Source::List(list))))
        }))
    }

    /// The states of a key, one after the other.
    fn watch(&self, py: Python<'_>, key: String, interval: Option<Span>) -> PyResult<Operation> {
        let locks = self.store(py)?.clone();
        Ok(Operation::new(async move {
            let watch = locks.open().await?.watch(key);
            let watch = match interval {
                Some(Span(span)) => watch.with_interval(span),
                None => watch,
            };
            Ok(Answer::Stream(Box::new(Source::Watch(watch))))
        }))
    }

    fn adopt(&self, py: Python<'_>, ticket: &str) -> PyResult<Operation> {
        let (locks, ticket) = (self.store(py)?.clone(), parsed(py, ticket)?);
        Ok(Operation::new(async move {
            let guard = locks.open().await?.adopt(&ticket).await?;
            Ok(Answer::Guard(Some(Held::One(guard))))
        }))
    }

    fn release_owner(&self, py: Python<'_>, key: String, owner: String) -> PyResult<Operation> {
        let locks = self.store(py)?.clone();
        Ok(Operation::new(async move {
            locks.open().await?.release_owner(key, owner).await.map(Answer::Released)
        }))
    }

    /// The store's name, without secrets.
    fn store_name(&self, py: Python<'_>) -> PyResult<Operation> {
        let locks = self.store(py)?.clone();
        Ok(Operation::new(async move { Ok(Answer::Text(locks.open().await?.store_name())) }))
    }

    fn close(&self, limit: Span) -> Operation {
        let locks = self.0.clone();
        Operation::new(async move { locks.open().await?.close(limit.0).await.map(Answer::from) })
    }
}
