//! The crate `rslock` with its defaults.

use std::net::SocketAddr;
use std::time::Duration;

use ::rslock::{LockGuard, LockManager};

use crate::Failure;
use crate::record::root;

use super::library::{Caller, Driven, Library, TTL_MS};

#[derive(Debug)]
pub(super) struct Rslock(LockManager);

#[derive(Debug)]
pub(super) struct Lock {
    manager: LockManager,
    key: String,
}

impl Library for Rslock {
    type Caller = Lock;
    const DRIVEN: Driven = Driven::Tokio;

    fn version() -> Result<String, Failure> {
        let locked = std::fs::read_to_string(root().join("Cargo.lock"))?;
        let version = locked.split_once("name = \"rslock\"\nversion = \"");
        let version = version.and_then(|(_, rest)| rest.split_once('"'));
        Ok(format!("rslock {}", version.ok_or("Cargo.lock has no rslock")?.0))
    }

    async fn open(address: SocketAddr) -> Result<Self, Failure> {
        Ok(Self(LockManager::new(vec![format!("redis://{address}")])))
    }

    async fn caller(&self, key: String) -> Result<Lock, Failure> {
        Ok(Lock { manager: self.0.clone(), key })
    }
}

impl Caller for Lock {
    type Held = LockGuard;

    async fn acquire(&mut self) -> Result<LockGuard, Failure> {
        let ttl = Duration::from_millis(TTL_MS.into());
        Ok(self.manager.acquire(self.key.as_str(), ttl).await?)
    }

    async fn release(&mut self, guard: LockGuard) -> Result<(), Failure> {
        guard.release().await;
        Ok(())
    }
}
