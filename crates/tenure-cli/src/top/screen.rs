//! The loop of the screen: it takes news, changes the model and draws it. It waits for news alone.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use nix::sys::signal::SigSet;
use ratatui::crossterm::event::{self, Event, KeyEvent};
use rustix::process::Signal;
use tenure::runtime::{Moment, Runtime};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::input;
use super::model::{Model, Step, Target};
use super::row::Row;
use super::terminal::{Terminal, is_in_foreground};
use super::view::{self, Clock, Theme};
use crate::procs::Table;

/// The bars and the clock are drawn anew after this time without news.
const TICK: Duration = Duration::from_millis(500);

/// Something that the screen has to know.
#[derive(Debug)]
pub(crate) enum News {
    Key(KeyEvent),
    /// The terminal has another size.
    Resized,
    KeyboardFailed(io::Error),
    /// A look begins.
    Begun,
    /// Why the store may not show all locks, or grants nothing new.
    Remark(Option<String>),
    Rows(Vec<Row>),
    Complete,
    Failed(String),
    /// The outcome of a forced release.
    Told(String),
    Signal(Signal),
}

pub(crate) struct Screen {
    /// The store and its reach.
    store: String,
    theme: Theme,
    runtime: Arc<dyn Runtime>,
    orders: UnboundedSender<Target>,
    model: Model,
    terminal: Terminal,
}

/// Whether the loop goes on.
enum Flow {
    GoOn,
    End,
}

impl Screen {
    /// Takes the terminal.
    pub(crate) fn open(
        store: String,
        theme: Theme,
        runtime: Arc<dyn Runtime>,
        orders: UnboundedSender<Target>,
    ) -> io::Result<Self> {
        let terminal = Terminal::open()?;
        Ok(Self { store, theme, runtime, orders, model: Model::new(), terminal })
    }

    /// Starts the thread of the screen and that of the keyboard. `ended` is told the end.
    #[allow(clippy::disallowed_methods, reason = "threads that block at the terminal")]
    pub(crate) fn start(
        mut self,
        news: Sender<News>,
        from_all: Receiver<News>,
        ended: oneshot::Sender<io::Result<()>>,
    ) -> io::Result<()> {
        let thread = || std::thread::Builder::new();
        thread().name("tenure-keyboard".into()).spawn(move || read_keys(&news))?;
        thread().name("tenure-screen".into()).spawn(move || {
            let done = self.run(&from_all);
            drop(self);
            let _ = ended.send(done);
        })?;
        Ok(())
    }

    fn run(&mut self, from_all: &Receiver<News>) -> io::Result<()> {
        // Signals are for the other threads.
        let _ = SigSet::all().thread_block();
        loop {
            self.draw()?;
            let mut next = from_all.recv_timeout(TICK);
            // All that is there is taken in before the next frame.
            loop {
                match next {
                    Ok(news) => {
                        if let Flow::End = self.take_in(news)? {
                            return Ok(());
                        }
                    }
                    Err(RecvTimeoutError::Timeout) => break,
                    Err(RecvTimeoutError::Disconnected) => return Ok(()),
                }
                next = from_all.try_recv().map_err(|_| RecvTimeoutError::Timeout);
            }
        }
    }

    fn draw(&mut self) -> io::Result<()> {
        let clock = Clock { now: self.runtime.now(), wall: self.runtime.wall_micros() };
        let Self { store, theme, model, terminal, .. } = self;
        terminal.draw(|frame| {
            model.fit(view::height(model, clock, frame.area()));
            view::draw(model, store, clock, theme, frame);
        })
    }

    fn take_in(&mut self, news: News) -> io::Result<Flow> {
        let now = self.runtime.now();
        match news {
            News::Key(key) => return self.press(key, now),
            News::Resized => {}
            News::KeyboardFailed(error) => return Err(error),
            News::Begun => self.model.begin(now),
            News::Remark(remark) => self.model.remark = remark,
            News::Rows(rows) => self.model.arrive(rows, now),
            News::Complete => self.model.complete(now),
            News::Failed(reason) => self.model.fail(reason, now),
            News::Told(text) => self.model.tell(text, now),
            News::Signal(signal) => return self.heed(signal),
        }
        Ok(Flow::GoOn)
    }

    fn press(&mut self, key: KeyEvent, now: Moment) -> io::Result<Flow> {
        let Some(action) = input::action(&self.model, key) else {
            return Ok(Flow::GoOn);
        };
        match self.model.act(action, now) {
            Step::Stay => {}
            Step::Quit => return Ok(Flow::End),
            // The whole job gets it, as from a terminal that is not in raw mode. It comes back as a
            // signal.
            Step::Stop => drop(rustix::process::kill_current_process_group(Signal::TSTP)),
            Step::Redraw => self.terminal.clear()?,
            Step::Release(target) => drop(self.orders.send(target)),
        }
        Ok(Flow::GoOn)
    }

    fn heed(&mut self, signal: Signal) -> io::Result<Flow> {
        match signal {
            Signal::INT | Signal::TERM | Signal::HUP | Signal::QUIT => return Ok(Flow::End),
            // With nobody to continue it, it does not stop.
            Signal::TSTP if is_orphaned() => {}
            Signal::TSTP => self.terminal.stop()?,
            Signal::CONT => self.terminal.take_again()?,
            _ => {}
        }
        Ok(Flow::GoOn)
    }
}

fn is_orphaned() -> bool {
    Table::read().map_or(true, |table| table.own_group_is_orphaned())
}

/// Reads the keyboard to its end.
fn read_keys(news: &Sender<News>) {
    let _ = SigSet::all().thread_block();
    loop {
        let told = match event::read() {
            Ok(Event::Key(key)) => News::Key(key),
            Ok(Event::Resize(..)) => News::Resized,
            Ok(_) => continue,
            // It is about to be stopped.
            Err(_) if !is_in_foreground() => continue,
            Err(error) => {
                let _ = news.send(News::KeyboardFailed(error));
                return;
            }
        };
        if news.send(told).is_err() {
            return;
        }
    }
}
