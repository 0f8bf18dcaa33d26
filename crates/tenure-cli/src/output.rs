//! What `tenure` says: on stderr, one line each. A stderr that is closed, full or held by Ctrl-S
//! never stops it, and neither does a terminal that is in the foreground of CMD: a thread of its
//! own writes, and nobody waits for it longer than [`drain`] does.

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::signal::SigSet;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::stdio::stderr;

/// How many texts wait for a stderr that takes none. The oldest give way.
const WAITING: usize = 256;
/// How often [`drain`] looks whether stderr takes anything.
const TICK: Duration = Duration::from_millis(10);
/// So many looks at a stderr that takes nothing, and [`drain`] gives up.
const BLOCKED_TICKS: u32 = 10;
/// So many looks in all, at one that says it takes something, and does not.
const TICKS: u32 = 300;

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Errors only.
    Quiet,
    Normal,
    Verbose,
}

/// Our lines, as far as the level lets them through.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output(pub(crate) Level);

impl Output {
    /// What went wrong: always said.
    pub(crate) fn error(self, message: impl AsRef<str>) {
        QUEUE.push(Text::Line(format!("tenure: {}\n", message.as_ref())));
    }

    /// What somebody should know: unless `-q`.
    pub(crate) fn notice(self, message: impl AsRef<str>) {
        if self.0 >= Level::Normal {
            self.error(message);
        }
    }

    /// What happens: with `-v` only.
    pub(crate) fn detail(self, message: impl FnOnce() -> String) {
        if self.0 >= Level::Verbose {
            self.error(message());
        }
    }

    /// Replaces the line that the cursor is in. The next line comes after [`Output::clear`].
    pub(crate) fn update(self, message: &str) {
        QUEUE.push(Text::Update(format!("\r\x1b[Ktenure: {message}")));
    }

    /// Wipes the line of [`Output::update`].
    pub(crate) fn clear(self) {
        QUEUE.push(Text::Update("\r\x1b[K".into()));
    }

    /// Whether a line can be replaced.
    pub(crate) fn can_update(self) -> bool {
        self.0 >= Level::Normal && std::io::stderr().is_terminal()
    }
}

/// Waits until all is written that was said. A stderr that takes nothing ends the waiting after
/// a tenth of a second. For the end of the process, and before others write to the same file.
pub(crate) fn drain() {
    let (mut ticks, mut blocked) = (0, 0);
    let mut state = QUEUE.lock();
    while state.is_writing && ticks < TICKS && blocked < BLOCKED_TICKS {
        let waited = QUEUE.written.wait_timeout(state, TICK);
        let (locked, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        state = locked;
        if timeout.timed_out() {
            ticks += 1;
            blocked += u32::from(!takes_more(Some(&Timespec { tv_sec: 0, tv_nsec: 0 })));
        }
    }
}

/// What is written at once.
#[derive(Debug)]
enum Text {
    Line(String),
    /// It is of no use once another follows.
    Update(String),
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Text>,
    /// How many lines gave way since the last one was written.
    lost: usize,
    /// The thread runs, and has not written all.
    is_writing: bool,
    has_thread: bool,
}

#[derive(Debug, Default)]
struct Queue {
    state: Mutex<State>,
    /// There is something to write.
    said: Condvar,
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
        if !state.has_thread {
            state.has_thread = self.start_thread();
        }
        if !state.has_thread {
            // The system has no thread for us. The risk is small that somebody else fills what
            // takes more just now.
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
        state.is_writing = true;
        self.said.notify_one();
    }

    #[allow(clippy::disallowed_methods, reason = "stderr blocks; no runtime is involved")]
    fn start_thread(&'static self) -> bool {
        let thread = std::thread::Builder::new().name("tenure-stderr".into());
        thread.spawn(|| self.write_all()).is_ok()
    }

    fn write_all(&self) {
        // Signals are for the others. Without SIGTTOU a background job may write to a terminal.
        let _ = SigSet::all().thread_block();
        let mut state = self.lock();
        loop {
            let lost = std::mem::take(&mut state.lost);
            if lost > 0 {
                drop(state);
                write(&Text::Line(format!("tenure: {lost} lines are missing: stderr was full\n")));
                state = self.lock();
            } else if let Some(text) = state.waiting.pop_front() {
                drop(state);
                write(&text);
                state = self.lock();
            } else {
                state.is_writing = false;
                self.written.notify_all();
                state = self.said.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

/// Writes a text, and waits as long as that takes. A stderr that fails has no one to tell it to.
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
