//! The engine of a lock: one that is open, or one that is opened at the first use. It is never
//! opened before that.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::Engine;
use crate::process::{Forked, OfProcess};
use crate::types::{Error, ErrorKind, Key, Operation, Result};

/// An engine that is being opened.
pub(crate) type Opening = Pin<Box<dyn Future<Output = Result<OfProcess<Arc<Engine>>>> + Send>>;

#[derive(Clone)]
pub(crate) enum LazyLocks {
    Open(OfProcess<Arc<Engine>>),
    /// Called at every use. It opens the store once, and answers the same engine afterwards.
    Later(fn() -> Opening),
}

impl LazyLocks {
    /// The engine, unless it is that of a parent.
    pub(crate) async fn engine(
        &self,
        operation: Operation,
        key: &Key,
    ) -> Result<OfProcess<Arc<Engine>>> {
        let engine = match self {
            Self::Open(engine) => engine.clone(),
            Self::Later(open) => open().await?,
        };
        match engine.here() {
            Ok(_) => Ok(engine),
            Err(Forked) => Err(engine.failing(operation, key).by_fork()),
        }
    }

    /// Ends after `span`, and at once in a forked process or without an engine.
    pub(super) async fn pause(&self, span: Duration) {
        let engine = match self {
            Self::Open(engine) => engine.clone(),
            Self::Later(open) => match open().await {
                Ok(engine) => engine,
                Err(_) => return,
            },
        };
        if engine.is_here() {
            let _forked = engine.sleep_until(engine.now() + span).await;
        }
    }

    /// The error of an operation in a forked process.
    pub(super) fn by_fork(&self, operation: Operation, key: Option<&Key>) -> Error {
        match self {
            Self::Open(engine) => engine.failing(operation, key).by_fork(),
            Self::Later(_) => Error::new(ErrorKind::Forked, operation, Forked.to_string()),
        }
    }
}
