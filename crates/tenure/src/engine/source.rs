//! Where a lock finds its engine: one that is open, or one that is opened at the first use.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::words::Result;

use super::core::Engine;
use super::locks::Locks;

/// The opening of the locks that are wanted later.
pub(crate) type Opening = Pin<Box<dyn Future<Output = Result<Locks>> + Send>>;

#[derive(Clone)]
pub(crate) enum Source {
    Open(Arc<Engine>),
    /// Asked at every use; whoever gives it opens only once.
    Later(fn() -> Opening),
}

impl Source {
    pub(crate) async fn engine(&self) -> Result<Arc<Engine>> {
        match self {
            Self::Open(engine) => Ok(Arc::clone(engine)),
            Self::Later(open) => Ok(Arc::clone(open().await?.engine())),
        }
    }
}
