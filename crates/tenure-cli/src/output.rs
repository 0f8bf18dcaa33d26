//! The messages of `tenure` on stderr, one line each. A stderr that is closed, full or held by
//! Ctrl-S never stops the program, and neither does a terminal in whose foreground CMD is: a thread
//! of its own writes, and only [`drain`] waits for it, with a limit.

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::signal::SigSet;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::stdio::stderr;

use crate::clock;
use crate::exit::Exit;
use crate::log::{self, Format, Severity};
use crate::printable::printable;

/// At most so many texts wait for a stderr that takes none. The oldest are dropped.
const WAITING: usize = 256;
/// Interval at which [`drain`] looks whether stderr takes anything.
const TICK: Duration = Duration::from_millis(10);
/// [`drain`] gives up after so many looks at a stderr that takes nothing.
const BLOCKED_TICKS: u32 = 10;
/// [`drain`] gives up after so many looks in all: a stderr may promise to take more, and not do it.
const TICKS: u32 = 300;

/// The messages that are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Errors only.
    Quiet,
    Normal,
    Verbose,
}

/// Messages, as far as the level lets them through.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output(pub(crate) Level);

impl Output {
    /// A failure: always told.
    pub(crate) fn error(self, message: impl AsRef<str>) {
        push(Severity::Error, "error", message.as_ref());
    }

    /// The failure behind an exit code: always told, with the one beginning of that code.
    pub(crate) fn fail(self, exit: Exit, message: impl AsRef<str>) {
        let word = exit.word();
        push(Severity::Error, word, &format!("{word}: {}", message.as_ref()));
    }

    /// As [`Output::fail`], for an end that is no failure: told unless `-q`.
    pub(crate) fn decline(self, exit: Exit, message: impl AsRef<str>) {
        let word = exit.word();
        self.notice_of(word, format!("{word}: {}", message.as_ref()));
    }

    /// Lines without the program's name before them.
    pub(crate) fn text(self, lines: impl AsRef<str>) {
        QUEUE.push(Text::Line(format!("{}\n", lines.as_ref())));
    }

    /// Something to know: told unless `-q`.
    pub(crate) fn notice(self, message: impl AsRef<str>) {
        self.notice_of("notice", message);
    }

    /// As [`Output::notice`], with the name of the event for programs.
    pub(crate) fn notice_of(self, event: &str, message: impl AsRef<str>) {
        if self.0 >= Level::Normal {
            push(Severity::Info, event, message.as_ref());
        }
    }

    /// A step on the way, with the time of day: told with `-v`.
    pub(crate) fn detail(self, event: &str, message: impl FnOnce() -> String) {
        if self.0 < Level::Verbose {
            return;
        }
        let message = match log::format() {
            Format::Text => format!("{}: {}", clock::time_of_day(clock::wall()), message()),
            Format::Json => message(),
        };
        push(Severity::Debug, event, &message);
    }

    /// Replaces the line that the cursor is in. The next line comes after [`Output::clear`].
    pub(crate) fn update(self, message: &str) {
        QUEUE.push(Text::Update(format!("\r\x1b[Ktenure: {}", printable(message))));
    }

    /// Wipes the line of [`Output::update`].
    pub(crate) fn clear(self) {
        QUEUE.push(Text::Update("\r\x1b[K".into()));
    }

    /// Whether a line can be replaced.
    pub(crate) fn can_update(self) -> bool {
        let is_text = log::format() == Format::Text;
        self.0 >= Level::Normal && is_text && std::io::stderr().is_terminal()
    }
}

fn push(severity: Severity, event: &str, message: &str) {
    QUEUE.push(Text::Line(log::line(severity, event, message)));
}

/// Waits until all messages are written, for a tenth of a second at most if stderr takes nothing.
/// For the end of the process, and before others write to the same file.
pub(crate) fn drain() {
    let (mut ticks, mut blocked) = (0, 0);
    let mut state = QUEUE.lock();
    while state.thread == Thread::Writes && ticks < TICKS && blocked < BLOCKED_TICKS {
        let waited = QUEUE.written.wait_timeout(state, TICK);
        let (locked, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        state = locked;
        if timeout.timed_out() {
            ticks += 1;
            blocked += u32::from(!takes_more(Some(&Timespec { tv_sec: 0, tv_nsec: 0 })));
        }
    }
}

/// A text that is written at once.
#[derive(Debug)]
enum Text {
    Line(String),
    /// The next text replaces it.
    Update(String),
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Text>,
    /// The number of lines that were dropped since the last one was written.
    lost: usize,
    thread: Thread,
}

/// The thread that writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Thread {
    #[default]
    Missing,
    Rests,
    /// It has not written all.
    Writes,
}

#[derive(Debug, Default)]
struct Queue {
    state: Mutex<State>,
    /// There is something to write.
    pushed: Condvar,
    /// All is written.
    written: Condvar,
}

static QUEUE: LazyLock<Queue> = LazyLock::new(Queue::default);

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Never waits for stderr.
    fn push(&'static self, text: Text) {
        let mut state = self.lock();
        if state.thread == Thread::Missing && self.start_thread() {
            state.thread = Thread::Rests;
        }
        if state.thread == Thread::Missing {
            // The system has no thread for us. Another program may fill stderr between the look and
            // the write, but that is rare.
            if takes_more(Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
                write(&text);
            }
            return;
        }
        if let (Text::Update(_), Some(Text::Update(_))) = (&text, state.waiting.back()) {
            state.waiting.pop_back();
        }
        if state.waiting.len() == WAITING {
            state.waiting.pop_front();
            state.lost += 1;
        }
        state.waiting.push_back(text);
        state.thread = Thread::Writes;
        self.pushed.notify_one();
    }

    #[allow(clippy::disallowed_methods, reason = "stderr blocks; no runtime is involved")]
    fn start_thread(&'static self) -> bool {
        let thread = std::thread::Builder::new().name("tenure-stderr".into());
        thread.spawn(|| self.write_all()).is_ok()
    }

    fn write_all(&self) {
        // Signals are for the other threads. With SIGTTOU blocked, a background job may write to a
        // terminal.
        let _ = SigSet::all().thread_block();
        let mut state = self.lock();
        loop {
            let lost = std::mem::take(&mut state.lost);
            if lost > 0 {
                drop(state);
                let missing = format!("{lost} lines are missing: stderr was full");
                write(&Text::Line(log::line(Severity::Error, "error", &missing)));
                state = self.lock();
            } else if let Some(text) = state.waiting.pop_front() {
                drop(state);
                write(&text);
                state = self.lock();
            } else {
                state.thread = Thread::Rests;
                self.written.notify_all();
                state = self.pushed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

/// Writes a text, and waits as long as that takes. There is nobody to tell of a failure.
fn write(text: &Text) {
    let (Text::Line(text) | Text::Update(text)) = text;
    let mut bytes = text.as_bytes();
    while !bytes.is_empty() {
        match rustix::io::write(stderr(), bytes) {
            Ok(count) if count > 0 => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            // Others share the descriptor and have made it non-blocking.
            Err(Errno::AGAIN) => drop(takes_more(None)),
            _ => return,
        }
    }
}

/// Whether stderr takes more, or fails at once, within this time.
fn takes_more(limit: Option<&Timespec>) -> bool {
    let stderr = stderr();
    let mut ready = [PollFd::new(&stderr, PollFlags::OUT)];
    rustix::event::poll(&mut ready, limit).is_ok_and(|count| count > 0)
}
