//! Other processes of a measurement: this program, started again with a task.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tenure::Locks;
use tenure_testkit::Host;

use crate::Failure;
use crate::failover::contender::Contender;
use crate::measures::{crowd, death, handoff, memory, redis};

/// The task of one process, with its arguments.
#[derive(Debug, Args)]
pub(crate) struct Worker {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    Memory { rounds: u32, round_ms: u64 },
    Handoff { file: PathBuf, turns: u32 },
    Crowd { file: PathBuf, key: String, millis: u64 },
    Holder { file: PathBuf, ttl_ms: u64 },
    Failover(Contender),
    RedisHandoff { url: String, key: String, tasks: u32, millis: u64 },
}

impl Worker {
    /// Does the task and prints what was found as one line of JSON.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        match &self.task {
            Task::Memory { rounds, round_ms } => {
                tell(&memory::worker(*rounds, Duration::from_millis(*round_ms))?)
            }
            Task::Handoff { file, turns } => tell(&handoff::worker(file, *turns)?),
            Task::Crowd { file, key, millis } => {
                tell(&crowd::worker(file, key, Duration::from_millis(*millis))?)
            }
            Task::RedisHandoff { url, key, tasks, millis } => {
                let span = Duration::from_millis(*millis);
                tell(&redis::handoff::worker(url, key, *tasks, span)?)
            }
            Task::Failover(contender) => contender.run(),
            Task::Holder { file, ttl_ms } => death::holder(file, Duration::from_millis(*ttl_ms)),
        }
    }
}

/// Prints one line of JSON for the process that started this one.
pub(crate) fn tell(found: &impl Serialize) -> Result<(), Failure> {
    println!("{}", serde_json::to_string(found)?);
    Ok(())
}

/// Another process of this measurement. It is killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Process {
    /// Starts this program with a task.
    pub(crate) fn start(task: &str, arguments: &[&str]) -> Result<Self, Failure> {
        Self::start_on(None, task, arguments)
    }

    /// The same, on a host of a network.
    pub(crate) fn start_on(
        host: Option<&Host>,
        task: &str,
        arguments: &[&str],
    ) -> Result<Self, Failure> {
        let program = std::env::current_exe()?;
        let mut command = match host {
            None => Command::new(program),
            Some(host) => {
                let [nsenter, rest @ ..] = host.enter();
                let mut command = Command::new(nsenter);
                command.args(rest).arg(program);
                command
            }
        };
        let mut child = command
            .args(["worker", task])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let out = BufReader::new(child.stdout.take().ok_or("no standard output")?);
        Ok(Self { child, out })
    }

    /// The next line that it prints.
    pub(crate) fn line(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        self.out.read_line(&mut line)?;
        Ok(line)
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// SIGKILL, in the middle of whatever it does.
    pub(crate) fn kill(&mut self) -> Result<(), Failure> {
        Ok(self.child.kill()?)
    }

    /// Waits for its end and reads what it found.
    pub(crate) fn found<T: DeserializeOwned>(mut self) -> Result<T, Failure> {
        let mut text = String::new();
        self.out.read_to_string(&mut text)?;
        let status = self.child.wait()?;
        if !status.success() {
            return Err(format!("a process of this measurement failed: {status}").into());
        }
        Ok(serde_json::from_str(&text)?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a future on this thread alone.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

/// The locks in a SQLite file.
pub(crate) async fn open(file: &Path) -> Result<Locks, Failure> {
    let path = file.to_str().ok_or("the directory's name is not UTF-8")?;
    Ok(tenure::connect(&format!("sqlite:{path}")).await?)
}

/// The boot clock in microseconds: one clock for all processes of a machine.
pub(crate) fn boot_micros() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    time.tv_sec.unsigned_abs() * 1_000_000 + time.tv_nsec.unsigned_abs() / 1_000
}
