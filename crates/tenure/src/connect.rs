//! The way from a URL to a store, by one table. A new store is one entry in it: URL parsing, the
//! command line's help, the documentation and the conformance suite read the table. Nothing here
//! sends a request for a lock.

#[cfg(feature = "sqlite")]
mod embedded;
pub(crate) mod environment;
mod network;
mod quorum;
mod schemes;
pub mod variables;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::LocksOptions;
use crate::locks::Locks;
use crate::process::{Forked, of_process};
use crate::runtime::{self, Runtime, answer_by, shown};
#[cfg(feature = "sqlite")]
use crate::store::SqliteView;
use crate::store::{Access, Answer, Memory, Store, StoreError, StoreErrorClass, spelling};
use crate::types::{Error, ErrorKind, Operation, Result};

#[cfg(feature = "sqlite")]
pub use embedded::{embedded_file, embedded_place};
pub use environment::DefaultStore;

type Opening = Answer<'static, Arc<dyn Store>>;

/// A store that [`connect`] knows.
#[derive(Clone, Copy)]
pub struct StoreEntry {
    /// The scheme of its URLs: the part before the colon.
    pub scheme: &'static str,
    /// Other schemes that lead to the same store.
    pub also: &'static [&'static str],
    /// An example of its URLs.
    pub example: &'static str,
    /// Where the locks live, and which programs can share them.
    pub about: &'static str,
    /// The events that the locks survive.
    pub survives: &'static str,
    /// Whether `open` reads the parameters behind a `?`, and refuses unknown ones.
    reads_parameters: bool,
    /// Makes the store's name for errors before it is open, without secrets.
    name: fn(&str) -> Arc<str>,
    /// The reason why other hosts cannot reach the store of a URL, behind its name; `None` if they
    /// may.
    own_host: fn(&str) -> Option<String>,
    /// Opens the store. A caller waits this long for its answers.
    pub(super) open: fn(&str, Arc<dyn Runtime>, Duration, Access) -> Opening,
}

const STORES: &[StoreEntry] = &[
    StoreEntry {
        scheme: "memory",
        also: &[],
        example: "memory:",
        about: "this process's memory; shared by its tasks and by nobody else",
        survives: "nothing: the locks end with the process",
        reads_parameters: false,
        name: |_| "memory".into(),
        own_host: |_| Some("is the memory of one process".into()),
        open: |url, runtime, _, _| {
            let is_bare = behind_scheme(url).is_empty();
            Box::pin(async move {
                if !is_bare {
                    let message = "memory: takes nothing behind its colon".into();
                    return Err(StoreError::config(message));
                }
                Ok(Arc::new(Memory::new(runtime)) as Arc<dyn Store>)
            })
        },
    },
    #[cfg(feature = "sqlite")]
    StoreEntry {
        scheme: "sqlite",
        also: &[],
        example: "sqlite:/var/lib/myapp/locks.db",
        about: "a file, shared by the processes of one host that can open it",
        survives: "crashes and kills of every process; a reboot frees all locks, fences go on",
        reads_parameters: false,
        name: |_| "sqlite".into(),
        own_host: |_| Some("is a file of this host".into()),
        open: |url, runtime, limit, access| {
            let path = spelling::sqlite_path(behind_scheme(url)).map(std::path::PathBuf::from);
            Box::pin(async move {
                let path = path.map_err(StoreError::config)?;
                if path.as_os_str().is_empty() {
                    let message = "sqlite: needs a path, such as sqlite:/var/lib/myapp/locks.db";
                    return Err(StoreError::config(message.into()));
                }
                let unmade = path.clone();
                let is_unmade =
                    || runtime::blocking(&*runtime, move || SqliteView::of_no_store(&unmade));
                if access.only_looks()
                    || access == Access::Examination && is_unmade().await.unwrap_or(false)
                {
                    let store = SqliteView::open(&path, runtime, limit).await?;
                    return Ok(Arc::new(store) as Arc<dyn Store>);
                }
                let store = crate::store::Sqlite::open_within(&path, runtime, limit).await?;
                Ok(Arc::new(store) as Arc<dyn Store>)
            })
        },
    },
    #[cfg(feature = "redis")]
    StoreEntry {
        scheme: "redis",
        also: &["rediss", "redis+unix", "valkey", "valkeys", "valkey+unix"],
        example: "redis://cache.internal:6379/0",
        about: "a Redis (6.2 or newer) or Valkey (7.2 or newer) server, shared by all hosts that \
                reach it",
        survives: "crashes of every holder; a restart of the server only with its persistence, a \
                   failover only what was replicated before",
        reads_parameters: true,
        name: crate::store::Redis::name_in,
        own_host: |url| network::of_servers(&crate::store::Redis::name_in(url)),
        open: open_redis,
    },
    #[cfg(feature = "redis")]
    StoreEntry {
        scheme: "redis+sentinel",
        also: &["rediss+sentinel", "valkey+sentinel", "valkeys+sentinel"],
        example: "redis+sentinel://s1,s2,s3/mymaster/0",
        about: "the Redis or Valkey server that these Sentinels name as the primary, shared by all \
                hosts that reach it",
        survives: "crashes of every holder; a failover only what was replicated before",
        reads_parameters: true,
        name: crate::store::Redis::name_in,
        own_host: |url| network::of_servers(&crate::store::Redis::name_in(url)),
        open: open_redis,
    },
    #[cfg(feature = "redis")]
    StoreEntry {
        scheme: "redis+cluster",
        also: &["rediss+cluster", "valkey+cluster", "valkeys+cluster"],
        example: "redis+cluster://h1,h2,h3",
        about: "the Redis or Valkey cluster that these nodes belong to, shared by all hosts that \
                reach its nodes",
        survives: "crashes of every holder; a failover only what was replicated before",
        reads_parameters: true,
        name: crate::store::Redis::name_in,
        own_host: |url| network::of_servers(&crate::store::Redis::name_in(url)),
        open: open_redis,
    },
    StoreEntry {
        scheme: "quorum",
        also: &[],
        example: "quorum:redis://a redis://b redis://c ?max_ttl=5m",
        about: "an odd number of independent stores, at least 3: a lock is held where a majority \
                grants it; locks of one holder only, and no queue",
        survives: "the loss of a minority of its nodes, also of their memory",
        reads_parameters: true,
        name: |_| "quorum".into(),
        own_host: |url| network::of_nodes(behind_scheme(url)),
        open: |url, runtime, _, access| quorum::open(url, runtime, access),
    },
];

#[cfg(feature = "redis")]
fn open_redis(url: &str, runtime: Arc<dyn Runtime>, _: Duration, access: Access) -> Opening {
    let options = crate::store::RedisOptions { access, ..Default::default() };
    let opened = crate::store::Redis::open_with(url, runtime, options);
    Box::pin(async move { Ok(Arc::new(opened.await?) as Arc<dyn Store>) })
}

/// The stores that [`connect`] knows, with these features of the crate.
#[must_use]
pub fn stores() -> &'static [StoreEntry] {
    STORES
}

/// Opens a store by its URL: `memory:`, `sqlite:PATH`, `redis://HOST`; see [`stores`].
///
/// A server is named by `redis://USER:PASSWORD@HOST:PORT/DATABASE`, by `rediss://` for TLS
/// (feature `tls`), or by `redis+unix:///PATH` (`valkey://`, `valkeys://` and `valkey+unix://` are
/// the same), and takes these parameters behind a `?`:
///
/// | parameter | what for | default |
/// |---|---|---|
/// | `password_file=PATH` | the password, read anew for each connection | |
/// | `db=N` | the database | 0 |
/// | `key_template=lock:{name}` | the key in the server of the lock `name` | `{name}` |
/// | `connect_timeout=1s`, `call_timeout=500ms` | limits, 10 ms to 60 min | 2 s each |
/// | `restart_guard=5m` | no new grants by a server known for less; the longest ttl | off |
/// | `ack=1`, `ack=majority` | replicas that must acknowledge a grant, from 1 | `none` |
/// | `ack_timeout=500ms` | the time for that, less than `call_timeout` | a quarter of it |
/// | `ca=PATH`, `cert=PATH`, `key=PATH`, `server_name=NAME` | TLS | the system's authorities |
///
/// A server that Sentinels name is `redis+sentinel://USER:PASSWORD@S1,S2,S3/SERVICE/DATABASE`
/// (`rediss+sentinel://` for TLS; `valkey+sentinel://` and `valkeys+sentinel://` are the same). The
/// default port of a Sentinel is 26379. User and password are for the servers, and so are the
/// parameters above. These are for the Sentinels:
///
/// | parameter | what for | default |
/// |---|---|---|
/// | `sentinel_user=NAME` | the user | that without a name |
/// | `sentinel_password=TEXT`, `sentinel_password_file=PATH` | the password | none |
/// | `sentinel_tls=yes`, `sentinel_tls=no` | TLS, or plain text | as for the servers |
/// | `sentinel_ca=PATH`, `sentinel_cert=PATH`, `sentinel_key=PATH` | TLS | as for the servers |
/// | `sentinel_server_name=NAME` | TLS | the Sentinel's host |
///
/// A cluster is `redis+cluster://USER:PASSWORD@H1,H2,H3` (`rediss+cluster://` for TLS;
/// `valkey+cluster://` and `valkeys+cluster://` are the same): some of its nodes, which name the
/// others. All nodes must be reachable under the addresses that they announce. It has database 0
/// alone, and no step over several keys.
///
/// White space or another invisible character at either end of a URL, and control characters in
/// it, are refused: they would name another store than the one that is meant.
///
/// A quorum is named by `quorum:` and the URLs of its nodes, separated by spaces: an odd number of
/// nodes, at least 3. Its own parameters come last, after one more space:
///
/// - `?max_ttl=5m` is the longest ttl, the same for all programs: 10 ms to 60 min if a node is a
///   server; default 5 min. A server whose memory is known for less time, new or restarted, grants
///   nothing.
/// - `?node_timeout=500ms` is the time limit of one answer of a node; default 1 s.
///
/// # Cancel safety
/// Dropping the future leaves nothing open.
///
/// # Errors
/// [`ErrorKind::Config`] for an unknown URL, or a file that is not a store of Tenure;
/// [`ErrorKind::Refused`] without the right to open the store; [`ErrorKind::Unavailable`] if it
/// cannot be reached now; [`ErrorKind::Forked`] for SQLite in a process whose parent had it open.
///
/// # Examples
/// ```
/// # async fn f() -> tenure::Result<()> {
/// let locks = tenure::connect("memory:").await?;
/// let guard = locks.mutex("report").acquire().await?;
/// # drop(guard); Ok(()) }
/// ```
pub async fn connect(url: &str) -> Result<Locks> {
    connect_with(url, LocksOptions::default()).await
}

/// [`connect`] with options.
///
/// # Cancel safety
/// As with [`connect`].
///
/// # Errors
/// As with [`connect`].
///
/// # Examples
/// ```
/// # async fn f() -> tenure::Result<()> {
/// use std::time::Duration;
/// let options = tenure::LocksOptions::default().with_store_timeout(Duration::from_secs(2));
/// let locks = tenure::connect_with("memory:", options).await?;
/// # drop(locks); Ok(()) }
/// ```
pub async fn connect_with(url: &str, options: LocksOptions) -> Result<Locks> {
    let forked = |_: Forked| {
        let message = "this process was forked while it connected: connect again in the child";
        Err(Error::new(ErrorKind::Forked, Operation::Connect, message))
    };
    of_process(open(url, options)).await.unwrap_or_else(forked)
}

async fn open(url: &str, options: LocksOptions) -> Result<Locks> {
    let entry =
        entry_of(url).map_err(|e| Error::new(ErrorKind::Config, Operation::Connect, e.message))?;
    let runtime = runtime::machine().map_err(|e| {
        let message = match e.kind() {
            io::ErrorKind::TimedOut => e.to_string(),
            _ => format!("this process cannot start its threads ({e}): raise its limits"),
        };
        Error::new(ErrorKind::Internal, Operation::Connect, message).with_source(Arc::new(e))
    })?;
    let limit = options.store_timeout();
    let opened = (entry.open)(url, Arc::clone(&runtime), limit, options.access());
    let store = answer_by(&*runtime, runtime.now() + limit, opened).await;
    let silent = || StoreError {
        class: StoreErrorClass::Transient,
        message: format!(
            "no answer within {limit}; is it up, and reachable from here?",
            limit = shown(limit)
        ),
        may_have_run: false,
        source: None,
    };
    let store = store.unwrap_or_else(|| Err(silent()));
    let store = store.map_err(|e| e.into_error(Operation::Connect, &(entry.name)(url)))?;
    Ok(Locks::over(store, runtime, options))
}

impl StoreEntry {
    /// The store that a URL leads to, by its scheme. Nothing is opened.
    ///
    /// # Errors
    /// [`ErrorKind::Config`], with the right spelling where it can be guessed. The message never
    /// repeats text that may be a password.
    ///
    /// ```
    /// assert_eq!(tenure::StoreEntry::of("memory:")?.scheme, "memory");
    /// assert!(tenure::StoreEntry::of("localhost:6379").is_err());
    /// # Ok::<(), tenure::Error>(())
    /// ```
    pub fn of(url: &str) -> Result<&'static Self> {
        by_scheme(url).map_err(|e| Error::new(ErrorKind::Config, Operation::Connect, e.message))
    }

    /// The name of the store that a URL of this entry leads to, without secrets. All spellings of
    /// one place have the same name.
    #[doc(hidden)]
    #[must_use]
    pub fn name_of(&self, url: &str) -> Arc<str> {
        (self.name)(url)
    }

    /// The reason why other hosts cannot reach the store of this URL, as the end of a sentence that
    /// begins with the store: "is a file of this host"; `None` if they may. No name is looked up.
    #[doc(hidden)]
    #[must_use]
    pub fn own_host(&self, url: &str) -> Option<String> {
        (self.own_host)(url)
    }

    fn answers_to(&self, scheme: &str) -> bool {
        self.scheme == scheme || self.also.contains(&scheme)
    }
}

fn by_scheme(url: &str) -> Result<&'static StoreEntry, StoreError> {
    let (scheme, rest) = url.split_once(':').unwrap_or_default();
    if let Some(entry) = STORES.iter().find(|entry| entry.answers_to(scheme)) {
        return Ok(entry);
    }
    let all = STORES.iter().flat_map(|entry| [&[entry.scheme], entry.also].concat());
    let known: Vec<_> = all.collect();
    let hint = schemes::hint(url, &known).map(|hint| format!(": {hint}")).unwrap_or_default();
    // Neither message repeats the URL: it may carry a password.
    let what = if !url.contains(':') {
        "a store is named by a URL".to_owned()
    } else if schemes::is_scheme(scheme, rest) {
        format!("{scheme:?} is no known store")
    } else {
        "this is the URL of no known store".to_owned()
    };
    let known = if hint.ends_with('?') { " Known are" } else { "; known are" };
    Err(StoreError::config(format!("{what}{hint}{known}: {}", examples())))
}

fn examples() -> String {
    STORES.iter().map(|s| s.example).collect::<Vec<_>>().join(", ")
}

/// The store that a URL leads to, if it takes the URL's parameters.
pub(super) fn entry_of(url: &str) -> Result<&'static StoreEntry, StoreError> {
    spelling::url("the store's URL", url).map_err(StoreError::config)?;
    let entry = by_scheme(url)?;
    if let Some(name) = parameter(url).filter(|_| !entry.reads_parameters) {
        let (scheme, known) = (entry.scheme, examples());
        let message = format!("{scheme}: has no parameter {name:?}; the known URLs are: {known}");
        return Err(StoreError::config(message));
    }
    Ok(entry)
}

/// The name of the first parameter (`?name=value`) of a URL. A store without parameters refuses it,
/// so that it does not become part of a file's name.
fn parameter(rest: &str) -> Option<&str> {
    let (_, parameters) = rest.split_once('?')?;
    parameters.split_once('=').map(|(name, _)| name)
}

fn behind_scheme(url: &str) -> &str {
    url.split_once(':').map_or("", |(_, rest)| rest)
}

impl std::fmt::Debug for StoreEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreEntry").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}
