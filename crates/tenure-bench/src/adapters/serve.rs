//! Reads requests and answers them, for one contender. It knows no contender by name.

use std::io::BufRead;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::runtime::{Builder, Runtime};

use crate::Failure;
use crate::peers::protocol::{Failed, Request, Started, Warmed, Work, Workload};
use crate::worker::tell;

use super::library::{Driven, Library, Threads};
use super::work;

/// A contender that is connected.
struct Session<L: Library> {
    driver: Driver,
    library: Arc<L>,
    lone: L::Caller,
    key: String,
}

/// On whose thread a contender's futures run.
enum Driver {
    /// On the caller's: each is done when it is first looked at.
    Caller,
    Tokio(Runtime),
}

impl Driver {
    fn new(driven: Driven, threads: Threads, workload: Workload) -> Result<Self, Failure> {
        if driven == Driven::Blocking {
            return Ok(Self::Caller);
        }
        // Waiters sleep most of the time, in several processes.
        let mut builder = match (threads, workload) {
            (Threads::One, _) | (_, Workload::Waiters) => Builder::new_current_thread(),
            (Threads::All, _) => Builder::new_multi_thread(),
        };
        Ok(Self::Tokio(builder.enable_all().build()?))
    }

    fn block_on<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        match self {
            Self::Caller => pollster::block_on(work),
            Self::Tokio(runtime) => runtime.block_on(work),
        }
    }
}

/// Answers the requests on standard input until it ends.
pub(super) fn serve<L: Library>(threads: Threads) -> Result<(), Failure> {
    let mut session = None;
    for line in std::io::stdin().lock().lines() {
        if let Err(error) = answer::<L>(&line?, threads, &mut session) {
            tell(&Failed { error: error.to_string() })?;
        }
    }
    Ok(())
}

fn answer<L: Library>(
    line: &str,
    threads: Threads,
    session: &mut Option<Session<L>>,
) -> Result<(), Failure> {
    match line.parse()? {
        Request::Start { address, key, workload } => {
            *session = Some(Session::<L>::start(
                address,
                key,
                Driver::new(L::DRIVEN, threads, workload)?,
            )?);
            tell(&Started { version: L::version()? })
        }
        Request::Warm { cycles } => {
            let Session { driver, lone, .. } = session.as_mut().ok_or("it was not started")?;
            driver.block_on(work::lone(lone, cycles))?;
            tell(&Warmed { warmed: cycles })
        }
        Request::Run(work) => session.as_mut().ok_or("it was not started")?.run(work),
    }
}

impl<L: Library> Session<L> {
    fn start(address: SocketAddr, key: String, driver: Driver) -> Result<Self, Failure> {
        let (library, lone) = driver.block_on(async {
            let library = L::open(address).await?;
            let lone = library.caller(format!("{key}-lone")).await?;
            Ok((library, lone))
        })?;
        Ok(Self { driver, library: Arc::new(library), lone, key })
    }

    fn run(&mut self, work: Work) -> Result<(), Failure> {
        let Self { driver, library, lone, key } = self;
        if matches!(driver, Driver::Caller) && work.workload() != Workload::Lone {
            return Err("what blocks its thread has one caller".into());
        }
        match work {
            Work::Lone { cycles } => told(driver.block_on(work::lone(lone, cycles))),
            Work::Tasks { tasks, millis } => {
                told(driver.block_on(work::tasks(&**library, key, tasks, span(millis))))
            }
            Work::Runtimes { runtimes, millis } => {
                told(work::runtimes(library, key, runtimes, span(millis)))
            }
            Work::Waiters { tasks, millis } => {
                told(driver.block_on(work::waiters(&**library, key, tasks, span(millis))))
            }
        }
    }
}

fn span(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn told(found: Result<impl Serialize, Failure>) -> Result<(), Failure> {
    tell(&found?)
}
