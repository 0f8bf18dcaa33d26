//! Tenure as its users call it, with its defaults: fences, renewal, a place in the queue.

use std::net::SocketAddr;
use std::sync::Arc;

use ::tenure::store::{Direct, Redis, RedisOptions};
use ::tenure::{Guard, Locks, LocksOptions, Mutex, blocking, runtime};

use crate::Failure;

use super::library::{Caller, Driven, Library};

#[derive(Debug)]
pub(super) struct Async(Locks);

/// Kept from choosing its connection to the server.
#[derive(Debug)]
pub(super) struct Shared(Locks);

/// Kept from choosing its connection to the server.
#[derive(Debug)]
pub(super) struct Lone(Locks);

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

async fn forced(address: SocketAddr, direct: Direct) -> Result<Locks, Failure> {
    let options = RedisOptions { direct, ..RedisOptions::default() };
    let runtime = runtime::machine()?;
    let store = Redis::open_with(&format!("redis://{address}"), Arc::clone(&runtime), options);
    Ok(Locks::over(Arc::new(store.await?), runtime, LocksOptions::default()))
}

macro_rules! forced {
    ($library:ident, $direct:ident) => {
        impl Library for $library {
            type Caller = Mutex;
            const DRIVEN: Driven = Driven::Tokio;

            fn version() -> Result<String, Failure> {
                Ok(version())
            }

            async fn open(address: SocketAddr) -> Result<Self, Failure> {
                Ok(Self(forced(address, Direct::$direct).await?))
            }

            async fn caller(&self, key: String) -> Result<Mutex, Failure> {
                Ok(self.0.mutex(key))
            }
        }
    };
}

forced!(Shared, Never);
forced!(Lone, Always);

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
