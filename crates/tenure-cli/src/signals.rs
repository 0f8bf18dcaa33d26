//! Signals: names and numbers, those that we listen to, and dying of one. A signal that was ignored
//! when we started (`nohup`) is left alone, here and in CMD.

use std::future::poll_fn;
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::Poll;

use nix::sys::signal::{SigSet, Signal as NixSignal};
use rustix::process::Signal;
use tokio::signal::unix::{Signal as Stream, SignalKind};

/// The signals that are passed on to CMD while it runs, and that end the waiting before.
const PASSED_ON: [Signal; 6] =
    [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT, Signal::USR1, Signal::USR2];

/// Reads `TERM`, `SIGTERM` or `15`.
pub(crate) fn parse(text: &str) -> Result<Signal, String> {
    let number = match text.parse::<i32>() {
        Ok(number) => Some(number),
        Err(_) => {
            let name = text.to_ascii_uppercase();
            let name = name.strip_prefix("SIG").unwrap_or(&name);
            format!("SIG{name}").parse::<NixSignal>().ok().map(|signal| signal as i32)
        }
    };
    number
        .and_then(Signal::from_named_raw)
        .ok_or_else(|| "write a signal like TERM, SIGTERM or 15".into())
}

/// `SIGTERM`, or the number of a signal without a name.
pub(crate) fn name(number: i32) -> String {
    NixSignal::try_from(number)
        .map_or_else(|_| format!("signal {number}"), |signal| signal.as_str().to_owned())
}

/// The signals that this process ignores, as /proc shows them: bit n - 1 for signal n.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}

fn is_ignored(mask: u64, signal: Signal) -> bool {
    mask & (1 << (signal.as_raw() - 1)) != 0
}

/// Makes the sentry deaf to the signals for `tenure` and for CMD, and gives a pipe that becomes
/// readable when a child has changed. The signals get handlers that do nothing: ignored signals
/// would stay ignored in CMD, while handlers end with the next program.
pub(crate) fn shield() -> io::Result<UnixStream> {
    let mask = ignored();
    let others = [Signal::TSTP, Signal::TTIN, Signal::TTOU];
    for signal in PASSED_ON.into_iter().chain(others).filter(|s| !is_ignored(mask, *s)) {
        signal_hook::flag::register(signal.as_raw(), Arc::new(AtomicBool::new(false)))?;
    }
    let (reader, writer) = UnixStream::pair()?;
    reader.set_nonblocking(true)?;
    signal_hook::low_level::pipe::register(Signal::CHILD.as_raw(), writer)?;
    Ok(reader)
}

/// Blocks in this thread the signals that `tenure` passes on, and SIGTSTP, and answers them all.
/// One that was ignored when we started is left alone.
pub(crate) fn block_passed_on() -> io::Result<SigSet> {
    let mask = ignored();
    let mut set = SigSet::empty();
    let all = PASSED_ON.into_iter().chain([Signal::TSTP]);
    for signal in all.filter(|signal| !is_ignored(mask, *signal)) {
        set.add(NixSignal::try_from(signal.as_raw())?);
    }
    set.thread_block()?;
    Ok(set)
}

/// Unblocks SIGCHLD. Our parent may have blocked it, and children inherit that: without it neither
/// we nor a sentry would ever hear of CMD's end.
fn hear_of_children() {
    let mut set = SigSet::empty();
    set.add(NixSignal::SIGCHLD);
    let _ = set.thread_unblock();
}

/// The signals that come to `tenure`.
#[derive(Debug)]
pub(crate) struct Signals {
    streams: Vec<(Signal, Stream)>,
    children: Stream,
    /// SIGTSTP was ignored when we started: no job control is wanted.
    no_jobs: bool,
}

impl Signals {
    /// Starts to listen. From here on none of them ends this process by itself.
    pub(crate) fn listen() -> io::Result<Self> {
        let mask = ignored();
        let job = [Signal::TSTP, Signal::TTIN, Signal::TTOU, Signal::CONT];
        let mut streams = vec![];
        for signal in PASSED_ON.into_iter().chain(job).filter(|s| !is_ignored(mask, *s)) {
            let kind = SignalKind::from_raw(signal.as_raw());
            streams.push((signal, tokio::signal::unix::signal(kind)?));
        }
        hear_of_children();
        let children = tokio::signal::unix::signal(SignalKind::child())?;
        Ok(Self { streams, children, no_jobs: is_ignored(mask, Signal::TSTP) })
    }

    /// Whether Ctrl-Z means nothing to this process.
    pub(crate) fn no_jobs(&self) -> bool {
        self.no_jobs
    }

    /// The next signal; SIGCHLD when a child has changed. Safe to drop: nothing is lost.
    pub(crate) async fn next(&mut self) -> Signal {
        poll_fn(|cx| {
            if self.children.poll_recv(cx).is_ready() {
                return Poll::Ready(Signal::CHILD);
            }
            for (signal, stream) in &mut self.streams {
                if stream.poll_recv(cx).is_ready() {
                    return Poll::Ready(*signal);
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// Whether a signal is passed on to CMD.
pub(crate) fn is_passed_on(signal: Signal) -> bool {
    PASSED_ON.contains(&signal)
}

/// Runs `f` while SIGTTOU is held back on this thread: a process in the background may then
/// write to the terminal and set its foreground group without being stopped.
pub(crate) fn without_ttou<T>(f: impl FnOnce() -> T) -> T {
    let mut set = SigSet::empty();
    set.add(NixSignal::SIGTTOU);
    let was_blocked = SigSet::thread_get_mask().is_ok_and(|mask| mask.contains(NixSignal::SIGTTOU));
    let _ = set.thread_block();
    let result = f();
    if !was_blocked {
        let _ = set.thread_unblock();
    }
    result
}

/// Stops this process, as Ctrl-Z would. Returns when it is continued.
pub(crate) fn stop_self() {
    let _ = signal_hook::low_level::raise(Signal::STOP.as_raw());
}

/// Dies of SIGINT as if we had never listened to it: only then does a shell end its loop. With
/// `whole_job` the rest of our group gets it too, such as a script that called us: the terminal
/// sent it to CMD's group alone, and a script goes on unless it was interrupted itself.
/// Returns where that is impossible: process 1 of a namespace does not die of its own signals.
pub(crate) fn die_of_interrupt(whole_job: bool) {
    if whole_job {
        let _ = rustix::process::kill_current_process_group(Signal::INT);
    }
    if std::process::id() == 1 {
        return;
    }
    let _ = signal_hook::low_level::emulate_default_handler(Signal::INT.as_raw());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_by_name_or_number() {
        for text in ["TERM", "SIGTERM", "sigterm", "15"] {
            assert_eq!(parse(text), Ok(Signal::TERM), "{text}");
        }
        for text in ["", "0", "-1", "99", "SIG", "NOPE"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!(name(9), "SIGKILL");
        assert_eq!(name(40), "signal 40");
    }
}
