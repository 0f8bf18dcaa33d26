//! The topics of `tenure help`: what holds for all verbs. The stores come from the library's
//! table.

use crate::exit;

/// A page of the help that belongs to no verb.
pub(crate) struct Topic {
    /// The word behind `tenure help`.
    pub(crate) name: &'static str,
    /// One line, for lists of the topics.
    pub(crate) about: &'static str,
    text: fn() -> String,
}

impl Topic {
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        ALL.iter().find(|topic| topic.name == name)
    }

    pub(crate) fn text(&self) -> String {
        (self.text)()
    }
}

/// All of them.
pub(crate) const ALL: [Topic; 6] = [
    Topic { name: "stores", about: "the stores, their URLs and what they survive", text: stores },
    Topic {
        name: "environment",
        about: "the variables that tenure reads, and those of CMD",
        text: || [ENVIRONMENT, ENVIRONMENT_OF_CMD].join("\n\n"),
    },
    Topic {
        name: "exit-codes",
        about: "each exit code and its one meaning",
        text: || exit::HELP.to_owned(),
    },
    Topic { name: "kinds", about: "the kinds of locks", text: || KINDS.to_owned() },
    Topic { name: "durations", about: "how a time is written", text: || DURATIONS.to_owned() },
    Topic {
        name: "signals",
        about: "the signals that reach CMD, and those that do not",
        text: || SIGNALS.to_owned(),
    },
];

const DURATIONS: &str = "\
Durations:
  500ms, 30s, 5m, 2h, 1h30m, 1d. The units are ms, s, m, h and d (days); any
  other, and a number without a unit, is refused. Only `-w` takes a number of
  seconds, as flock does.";

const KINDS: &str = "\
Kinds of locks:
  tenure run KEY -- CMD              mutex: one CMD at a time
  tenure run -k A -k B -- CMD        multi-lock: one at a time on each key, all
                                     keys or none
  tenure run --shared KEY -- CMD     reader: beside others that share, never
                                     beside one that does not (as flock -s)
  tenure run --permits N KEY -- CMD  semaphore: N at a time (with --units K it
                                     counts as K)
  tenure once --every 5m KEY -- CMD  job: once in each 5 minutes, on one of the
                                     hosts that try
  tenure elect KEY -- CMD            election: CMD runs on one host, and on
                                     another if that ends";

const ENVIRONMENT: &str = "\
Environment:
  TENURE_STORE       the store's URL, where --store is not given
  TENURE_STORE_FILE  the embedded store's file, where --store-file is not given
  TENURE_REQUIRE_NETWORK
                     1: a store that other hosts cannot reach is refused (78),
                     as with --require-network; 0 or empty: off
  TENURE_TICKET      the ticket, where a verb that takes one is given none
The two of the store may not be empty, and both together are refused. A
variable whose name begins with TENURE_ and is none of Tenure's is warned
about. REDIS_URL and REDIS_HOST are not read: they name a cache as often as a
server for locks.";

const ENVIRONMENT_OF_CMD: &str = "\
Environment of CMD:
  TENURE_KEY         the key
  TENURE_FENCE       the fencing token of this grant: it grows with every grant
                     on the key
  TENURE_OWNER       the owner value of this claim
                     with several keys, these three have a line for each, in
                     one order
  TENURE_STORE_NAME  the store, without secrets
  TENURE_STORE, TENURE_STORE_FILE
                     the store, for a nested tenure; the password of a --store
                     is left out, that of a URL in TENURE_STORE was and stays
                     there
  TENURE_STORE_WITHHELD
                     the URL in TENURE_STORE, if a password was left out of it:
                     a nested tenure ends with 77, since it cannot reach this
                     store and must not use another
  TENURE_HELD        the keys that this command and those around it hold: a
                     nested run on one of them at the same store is refused,
                     since it would wait for itself; another host name for the
                     same server is not recognised
  TENURE_REQUIRE_NETWORK
                     1, if this run has refused stores of one host
Environment of the --on-lost-exec line: the same, and
  TENURE_LOST_REASON expired, gone, max-hold or closed
Printed by tenure hold --shell, with TENURE_KEY and TENURE_FENCE:
  TENURE_KEEPER      the process that holds the key: end it to give KEY back";

const SIGNALS: &str = r#"Signals:
  INT, TERM, HUP, QUIT, USR1 and USR2 to tenure are passed on to CMD's process
  group; one that came to all processes of a service is not, since CMD has it. A
  signal that was ignored when tenure started is ignored in CMD as well, except
  SIGPIPE and SIGCHLD: CMD starts with their default action, under systemd too,
  which ignores SIGPIPE. To ignore SIGPIPE:
      sh -c 'trap "" PIPE; exec CMD'"#;

fn stores() -> String {
    let mut text = "Stores (without one: a file of this user on this host):".to_owned();
    for store in tenure::stores() {
        text += &format!("\n  {}", store.example);
        for line in [store.about.to_owned(), format!("survives: {}", store.survives)] {
            text += &wrapped(&line, "      ");
        }
    }
    text + "\nTo name one: --store URL, or the variable TENURE_STORE. Several --store, an\n\
            odd number of them: a quorum.\n\
            A server with a user and a password: redis://USER:PASSWORD@HOST:6379, or, in a\n\
            file: redis://USER@HOST?password_file=PATH. All parameters: docs/redis.md."
}

/// `text` in lines of at most 80 columns behind this margin, each with a line end before it.
fn wrapped(text: &str, margin: &str) -> String {
    let mut all = String::new();
    let mut column = usize::MAX;
    for word in text.split(' ') {
        let width = word.chars().count();
        if column.saturating_add(1 + width) > 80 {
            all += &format!("\n{margin}{word}");
            column = margin.len() + width;
        } else {
            all += &format!(" {word}");
            column += 1 + width;
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topic_fits_into_80_columns() {
        for topic in &ALL {
            let text = topic.text();
            assert!(!text.ends_with('\n') && text.lines().count() > 1, "{}", topic.name);
            let wide = text.lines().find(|line| line.chars().count() > 80);
            assert_eq!(wide, None, "{}", topic.name);
        }
    }
}
