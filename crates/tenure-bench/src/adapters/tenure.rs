//! Tenure as its users call it, with its defaults: fences, renewal, a place in the queue.

use std::net::SocketAddr;

use ::tenure::{Guard, Locks, Mutex, blocking};

use crate::Failure;

use super::library::{Caller, Driven, Library};

#[derive(Debug)]
pub(super) struct Async(Locks);

#[derive(Debug)]
pub(super) struct Blocking(blocking::Locks);

fn version() -> String {
    format!("tenure {}", env!("CARGO_PKG_VERSION"))
}

impl Library for Async {
    type Caller = Mutex;
    const DRIVEN: Driven = Driven::Tokio;

    fn version() -> Result<String, Failure> {
        Ok(version())
    }

    async fn open(address: SocketAddr) -> Result<Self, Failure> {
        Ok(Self(::tenure::connect(&format!("redis://{address}")).await?))
    }

    async fn caller(&self, key: String) -> Result<Mutex, Failure> {
        Ok(self.0.mutex(key))
    }
}

impl Caller for Mutex {
    type Held = Guard;

    async fn acquire(&mut self) -> Result<Guard, Failure> {
        Ok(Self::acquire(self).await?)
    }

    async fn release(&mut self, guard: Guard) -> Result<(), Failure> {
        guard.release().await?;
        Ok(())
    }
}

impl Library for Blocking {
    type Caller = blocking::Mutex;
    const DRIVEN: Driven = Driven::Blocking;

    fn version() -> Result<String, Failure> {
        Ok(version())
    }

    async fn open(address: SocketAddr) -> Result<Self, Failure> {
        Ok(Self(blocking::connect(&format!("redis://{address}"))?))
    }

    async fn caller(&self, key: String) -> Result<blocking::Mutex, Failure> {
        Ok(self.0.mutex(key))
    }
}

impl Caller for blocking::Mutex {
    type Held = blocking::Guard;

    async fn acquire(&mut self) -> Result<blocking::Guard, Failure> {
        Ok(Self::acquire(self)?)
    }

    async fn release(&mut self, guard: blocking::Guard) -> Result<(), Failure> {
        guard.release()?;
        Ok(())
    }
}
