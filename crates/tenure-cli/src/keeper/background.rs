//! The keeper's own life: it adopts the lock, keeps it until the process or the line that it
//! watches has ended, and releases it. It has no terminal, and writes only to its log.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use rustix::process::Signal;
use rustix::stdio::{dup2_stdin, dup2_stdout, stdin, stdout};
use tenure::runtime::Runtime;
use tenure::{Guard, Locks, LostReason, Ticket};
use tokio::io::unix::AsyncFd;

use crate::command::{Environment, OWN_NAME};
use crate::exit::Exit;
use crate::health::{Check, Health};
use crate::output::{Level, Output};
use crate::signals::{self, Signals};
use crate::warnings;

use super::readable;
use super::start::{Answer, Start};

/// Runs the keeper. Its exit code is for those who wait for it in a container: 0, or 79 for a loss.
pub(crate) fn main() -> io::Result<Exit> {
    // It was started as /proc/self/exe, and `ps` would call it "exe".
    let _ = std::fs::write("/proc/self/comm", OWN_NAME);
    rustix::process::setsid()?;
    let (link, handle) = (UnixStream::from(own(stdout())?), own(stdin())?);
    let null = File::options().read(true).write(true).open("/dev/null")?;
    dup2_stdout(&null)?;
    dup2_stdin(&null)?;
    let mut line = String::new();
    BufReader::new(&link).read_line(&mut line)?;
    let start: Start = serde_json::from_str(&line)?;
    let runtime = tenure::runtime::machine()?;
    let tokio_runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    tokio_runtime.block_on(keep(&start, handle, link, runtime))
}

fn own(descriptor: impl AsFd) -> io::Result<OwnedFd> {
    descriptor.as_fd().try_clone_to_owned()
}

async fn keep(
    start: &Start,
    handle: OwnedFd,
    link: UnixStream,
    runtime: Arc<dyn Runtime>,
) -> io::Result<Exit> {
    let output = Output(Level::Normal);
    warnings::tell(output);
    let mut signals = Signals::listen()?;
    let (locks, guard) = match adopted(start, &*runtime).await {
        Ok(adopted) => adopted,
        Err(why) => {
            say(link, &Answer::Failed(why))?;
            return Ok(Exit::INTERNAL);
        }
    };
    let mut watched = Watched::of(start, handle)?;
    say(link, &Answer::Holds)?;
    let key = guard.key().as_str().to_owned();
    output.notice(format!("{key:?} is held, fence {}, for {}", guard.fence(), watched.name()));
    let env = environment(start, &guard);
    let end = until_over(&guard, &mut watched, &env, &mut signals, &*runtime).await;
    let exit = match end {
        End::Lost(reason) => {
            output.error(format!("lost {key:?}: {reason}{}", watched.told_of_loss()));
            drop(guard);
            Exit::LOST
        }
        End::Over(why) => {
            let released = guard.release().await;
            output.notice(match released {
                Ok(_) => format!("{why}: {key:?} is released"),
                Err(e) => format!("{why}: {e}"),
            });
            Exit::SUCCESS
        }
    };
    let _ = locks.close(start.store_timeout).await;
    Ok(exit)
}

fn say(mut link: UnixStream, answer: &Answer) -> io::Result<()> {
    link.write_all(&crate::link::line(answer))
}

async fn adopted(start: &Start, runtime: &dyn Runtime) -> Result<(Locks, Guard), String> {
    let ticket: Ticket = start.ticket.parse().map_err(|e| format!("{e}"))?;
    let locks = start.store.open(start.store_timeout, runtime).await;
    let locks = locks.map_err(|e| e.to_string())?;
    let mutex = locks.mutex(ticket.key()).with_ttl(start.ttl).with_label(&start.label);
    let guard = mutex.adopt(&ticket).await.map_err(|e| e.to_string())?;
    Ok((locks, guard))
}

/// The variables of the line.
fn environment(start: &Start, guard: &Guard) -> Environment {
    let mut env = Environment(start.store.environment().into());
    env.0.push(("TENURE_KEY", Some(guard.key().as_str().into())));
    env.0.push(("TENURE_FENCE", Some(guard.fence().to_string().into())));
    env
}

/// The reason to keep the lock.
enum Watched {
    Process { handle: AsyncFd<OwnedFd>, number: i32, signal: Option<Signal> },
    Line(Check),
}

impl Watched {
    fn of(start: &Start, handle: OwnedFd) -> io::Result<Self> {
        match (start.pid, &start.line) {
            (Some(number), _) => Ok(Self::Process {
                handle: readable(handle)?,
                number,
                signal: start.signal.and_then(Signal::from_named_raw),
            }),
            (None, line) => {
                let line = OsString::from_vec(line.clone().unwrap_or_default());
                Ok(Self::Line(Check { line, every: start.every, fails: 1 }))
            }
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Process { number, .. } => format!("process {number}"),
            Self::Line(_) => "as long as the --while line ends with 0".into(),
        }
    }

    /// Sends the signal, and says so.
    fn told_of_loss(&self) -> String {
        let Self::Process { handle, number, signal: Some(signal) } = self else {
            return String::new();
        };
        let name = signals::name(signal.as_raw());
        match rustix::process::pidfd_send_signal(handle.get_ref(), *signal) {
            Ok(()) => format!("; process {number} gets {name}"),
            Err(e) => format!("; process {number} does not get {name}: {e}"),
        }
    }
}

/// How the keeping ended.
enum End {
    Lost(LostReason),
    /// Nobody needs the lock any more; the text says why.
    Over(String),
}

async fn until_over(
    guard: &Guard,
    watched: &mut Watched,
    env: &Environment,
    signals: &mut Signals,
    runtime: &dyn Runtime,
) -> End {
    let mut health = match &*watched {
        Watched::Line(check) => Some(Health::new(check, env, runtime.now())),
        Watched::Process { .. } => None,
    };
    loop {
        let at = health.as_ref().map_or(tenure::runtime::Moment::NEVER, Health::next_look);
        tokio::select! {
            biased;
            signal = signals.next() => if signals::is_passed_on(signal) {
                return End::Over(format!("{} came", signals::name(signal.as_raw())));
            },
            reason = guard.lost() => return End::Lost(reason),
            why = over(watched) => return End::Over(why),
            () = runtime.sleep_until(at) => {}
        }
        let failure = health.as_mut().and_then(|health| health.look(runtime.now()));
        if failure.is_some() {
            return End::Over("the --while line did not end with 0".into());
        }
    }
}

/// Ends when the watched process has ended.
async fn over(watched: &Watched) -> String {
    match watched {
        Watched::Process { handle, number, .. } => {
            // An error says as much: nothing can be known of the process any more.
            let _ = handle.readable().await;
            format!("process {number} has ended")
        }
        Watched::Line(_) => std::future::pending().await,
    }
}
