//! The terminal while the screen is shown: raw mode, the alternate screen, no cursor. It is given
//! back as it was at each end of the process that can be seen, a panic included.

use std::io::{self, BufWriter, Stdout, Write, stdout};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use ratatui::Frame;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use rustix::stdio::stdin;

use crate::signals;

/// Size of the buffer for a frame, so that one is written at once.
const FRAME_BYTES: usize = 1 << 16;

/// The terminal is ours, and has to be given back.
static TAKEN: AtomicBool = AtomicBool::new(false);

pub(crate) struct Terminal {
    inner: ratatui::Terminal<CrosstermBackend<BufWriter<Stdout>>>,
}

impl Terminal {
    /// Takes the terminal.
    pub(crate) fn open() -> io::Result<Self> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                give_back();
                before(panic);
            }));
        });
        let buffer = BufWriter::with_capacity(FRAME_BYTES, stdout());
        let inner = ratatui::Terminal::new(CrosstermBackend::new(buffer))?;
        let mut terminal = Self { inner };
        terminal.take()?;
        Ok(terminal)
    }

    pub(crate) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        // A thread that has panicked has given the terminal back.
        if TAKEN.load(Ordering::SeqCst) {
            self.inner.draw(draw)?;
        }
        Ok(())
    }

    /// All of the next frame is drawn, not only what has changed.
    pub(crate) fn clear(&mut self) -> io::Result<()> {
        // Its own `clear` asks the terminal where the cursor is, and waits for the answer.
        let size = self.inner.size()?;
        self.inner.resize(size.into())
    }

    /// Stops this process, as Ctrl-Z is to do, and takes the terminal again when it is continued in
    /// the foreground.
    pub(crate) fn stop(&mut self) -> io::Result<()> {
        give_back();
        signals::stop_self();
        self.take()
    }

    /// Sets the modes again, after somebody else may have changed them.
    pub(crate) fn take_again(&mut self) -> io::Result<()> {
        if is_in_foreground() {
            let _ = disable_raw_mode();
        }
        self.take()
    }

    fn take(&mut self) -> io::Result<()> {
        // Started or continued in the background (bg), it has no terminal.
        while !is_in_foreground() {
            signals::stop_self();
        }
        TAKEN.store(true, Ordering::SeqCst);
        enable_raw_mode()?;
        execute!(stdout(), EnterAlternateScreen, Hide)?;
        self.clear()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        give_back();
    }
}

/// Gives the terminal back, once.
fn give_back() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        let _ = execute!(stdout(), LeaveAlternateScreen, Show);
        let _ = stdout().flush();
        let _ = disable_raw_mode();
    }
}

/// Gives back the modes alone: nothing can be written to a terminal that takes nothing.
pub(crate) fn give_up() {
    let _ = disable_raw_mode();
}

/// Whether this process may use its terminal.
pub(crate) fn is_in_foreground() -> bool {
    let foreground = rustix::termios::tcgetpgrp(stdin());
    // A terminal that cannot be asked is not waited for.
    foreground.map_or(true, |group| group == rustix::process::getpgrp())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use tenure_testkit::role;

    use super::*;

    /// Set for the process that panics.
    const ROLE: &str = "TENURE_TEST_PANICS";

    /// The part of the test below that has a terminal. Alone, it does nothing.
    #[test]
    fn role_panics_on_the_full_screen() {
        if std::env::var_os(ROLE).is_none() {
            return;
        }
        let mut terminal = Terminal::open().expect("it has a terminal");
        let mut draw = |text: &str| {
            terminal.draw(|frame| frame.render_widget(text, frame.area())).expect("it draws");
        };
        draw("full-screen");
        #[allow(clippy::disallowed_methods, reason = "a thread that panics")]
        let other = std::thread::spawn(|| panic!("a defect of another thread"));
        assert!(other.join().is_err());
        draw("too-late");
        panic!("a defect of the screen");
    }

    #[test]
    fn a_panic_gives_the_terminal_back_before_it_is_told() {
        let (pty, pts) = pty_process::blocking::open().expect("a pseudo-terminal");
        pty.resize(pty_process::Size::new(24, 80)).expect("it has a size");
        let role = role!(role_panics_on_the_full_screen);
        let mut child = pty_process::blocking::Command::new(role.get_program())
            .args(role.get_args())
            .env(ROLE, "1")
            .env("TERM", "xterm")
            .env("RUST_BACKTRACE", "0")
            .spawn(pts)
            .expect("it starts");
        let mut bytes = Vec::new();
        // The end of a pseudo-terminal is an error.
        let _ = (&pty).read_to_end(&mut bytes);
        assert!(!child.wait().expect("it is our child").success());
        let text = String::from_utf8_lossy(&bytes);
        let at = |part: &str| {
            text.find(part).unwrap_or_else(|| panic!("{part:?} is missing in {text:?}"))
        };
        assert!(at("\x1b[?1049h") < at("full-screen"));
        assert!(at("full-screen") < at("\x1b[?1049l"));
        assert!(at("\x1b[?1049l") < at("a defect of another thread"));
        assert!(at("a defect of another thread") < at("a defect of the screen"));
        assert_eq!(text.matches("\x1b[?1049h").count(), 1);
        assert!(!text.contains("too-late"), "{text:?}");
        // Lines end as in a terminal that is not in raw mode.
        assert!(text[at("a defect of another thread")..].contains("\r\n"), "{text:?}");
    }
}
