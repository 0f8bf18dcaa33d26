//! One store of each kind, for what must hold whatever store is used.

use std::time::Duration;

use tempfile::TempDir;
use tenure::{Locks, LocksOptions};
use tenure_testkit::Server;

/// No step of a machine that runs tests takes so long, however busy it is.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Stores {
    server: Server,
    dir: TempDir,
}

impl Stores {
    pub(crate) fn start() -> Self {
        Self { server: Server::redis().start(), dir: tempfile::tempdir().expect("a directory") }
    }

    /// Locks in a store of each kind.
    pub(crate) async fn connect(&self) -> Vec<Locks> {
        let file = |name: &str| format!("sqlite:{}", self.dir.path().join(name).display());
        let quorum = format!("quorum:{} {} memory:", file("a.db"), file("b.db"));
        let server = format!("{}?call_timeout=60s&connect_timeout=60s", self.server.url());
        let options = LocksOptions::default().with_store_timeout(PATIENCE);
        let mut all = Vec::new();
        for url in ["memory:".to_owned(), file("locks.db"), server, quorum] {
            let locks = tenure::connect_with(&url, options).await;
            all.push(locks.unwrap_or_else(|e| panic!("{url}: {e}")));
        }
        all
    }
}

/// `future`'s output, or a panic after the patience.
pub(crate) async fn within<F: Future>(what: &str, locks: &Locks, future: F) -> F::Output {
    let timely = tokio::time::timeout(PATIENCE, future).await;
    let store = locks.store_name();
    timely.unwrap_or_else(|_| panic!("{store}: {what} did not come within {PATIENCE:?}"))
}
