//! Exit codes. Each code of `tenure`'s own means one thing. CMD's code is passed through and may be
//! any number; `--report` tells them apart.

use tenure::{Error, ErrorKind};

/// An exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exit(pub(crate) u8);

/// A code of `tenure`'s own, and its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Code {
    pub(crate) exit: Exit,
    /// The message line of this code begins with `tenure: WORD: `, and no other does.
    pub(crate) word: &'static str,
}

/// Every code that `tenure` ends with by itself, but for 0 and the signals. docs/command-line.md
/// has this table.
pub(crate) const CODES: [Code; 12] = [
    Code { exit: Exit::USAGE, word: "usage" },
    Code { exit: Exit::MISMATCH, word: "mismatch" },
    Code { exit: Exit::UNAVAILABLE, word: "unavailable" },
    Code { exit: Exit::INTERNAL, word: "internal" },
    Code { exit: Exit::OUTPUT, word: "output" },
    Code { exit: Exit::BUSY, word: "busy" },
    Code { exit: Exit::REFUSED, word: "refused" },
    Code { exit: Exit::CONFIG, word: "config" },
    Code { exit: Exit::LOST, word: "lost" },
    Code { exit: Exit::MAX_HOLD, word: "max-hold" },
    Code { exit: Exit::NOT_EXECUTABLE, word: "not executable" },
    Code { exit: Exit::NOT_FOUND, word: "not found" },
];

impl Exit {
    pub(crate) const SUCCESS: Self = Self(0);
    /// Of `status --exit-code`: somebody holds the key.
    pub(crate) const HELD: Self = Self(1);
    /// Of `force-release`: the answer was no.
    pub(crate) const LEFT: Self = Self(1);
    pub(crate) const USAGE: Self = Self(64);
    pub(crate) const MISMATCH: Self = Self(65);
    pub(crate) const UNAVAILABLE: Self = Self(69);
    pub(crate) const INTERNAL: Self = Self(70);
    /// `tenure doctor` has a warning or an error to show.
    pub(crate) const FINDINGS: Self = Self(1);
    pub(crate) const OUTPUT: Self = Self(74);
    pub(crate) const BUSY: Self = Self(75);
    pub(crate) const REFUSED: Self = Self(77);
    pub(crate) const CONFIG: Self = Self(78);
    pub(crate) const LOST: Self = Self(79);
    pub(crate) const MAX_HOLD: Self = Self(124);
    pub(crate) const NOT_EXECUTABLE: Self = Self(126);
    pub(crate) const NOT_FOUND: Self = Self(127);

    /// The beginning of the message of this code.
    pub(crate) fn word(self) -> &'static str {
        CODES.iter().find(|code| code.exit == self).map_or("error", |code| code.word)
    }

    /// 128 + n.
    pub(crate) fn of_signal(number: i32) -> Self {
        Self(u8::try_from(number).unwrap_or(0).saturating_add(128))
    }

    pub(crate) fn of_error(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::Invalid => Self::USAGE,
            ErrorKind::Mismatch => Self::MISMATCH,
            ErrorKind::Unavailable => Self::UNAVAILABLE,
            ErrorKind::Busy => Self::BUSY,
            ErrorKind::Refused => Self::REFUSED,
            ErrorKind::Config => Self::CONFIG,
            ErrorKind::Lost => Self::LOST,
            _ => Self::INTERNAL,
        }
    }
}

/// A request that is refused before anything is touched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) exit: Exit,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::USAGE, message: message.into() }
    }

    pub(crate) fn config(message: impl Into<String>) -> Self {
        Self { exit: Exit::CONFIG, message: message.into() }
    }
}

/// The part of the help that documents every code.
pub(crate) const HELP: &str = "\
Exit codes:
  0..255   CMD's own, where CMD ended by itself (--report tells it from those
           below)
  0        tenure once: skipped, since no run is due (--skip-exit N changes it)
  1        tenure status --exit-code: somebody holds the key;
           tenure force-release: the answer was no, nothing was done;
           tenure doctor: a warning or an error is among the findings
  64       usage: the command line or an option was refused, nothing was touched
           (a store that is named wrongly: 78)
  65       the key is something else at the store: another kind of lock, a
           foreign value
  69       the store cannot be reached, does not answer, failed, or grants
           nothing new yet (restart guard)
  70       internal: a defect of tenure, its sentry was killed, or the system
           refused a process or file descriptors
  74       stdout cannot be written: the output of status, list or permits does
           not fit there
  75       busy: others held the key (--busy-exit N changes it)
  77       the store refused: credentials, rights, a full disk
  78       configuration: a wrong URL, file or variable, no such store, not a
           file of ours, no place for the embedded store, or --require-network
           and a store of one host
  79       lost: the lease could not be kept; CMD and all it started were ended.
           Of a ticket: it holds nothing any more
  124      --max-hold was over; CMD and all it started were ended
  126      CMD is not executable
  127      CMD was not found
  128 + n  signal n ended CMD, or came while waiting (of SIGINT tenure dies as
           well: 130)";
