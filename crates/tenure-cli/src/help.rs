//! The parts of the help that clap cannot derive: exit codes, environment, stores. The stores
//! come from the library's table.

use std::sync::LazyLock;

use crate::exit;

const DURATIONS: &str = "\
Durations: 500ms, 30s, 5m, 2h, 1h30m, 1d; a number without a unit is refused.";

const EXAMPLES: &str = "\
Examples:
  tenure run nightly-report -- sh -c 'echo \"fence $TENURE_FENCE\"'
  A job that cron starts on every host, and that one of them runs; the hosts share the store, and
  the key stays taken for those that start a little late. In each crontab:
    TENURE_STORE=redis://locks.internal
    0 3 * * * tenure run --try --busy-exit 0 --min-hold 50s -q nightly-report -- write-report
  A job on two things at once, which waits for both and deadlocks with nobody:
    tenure run -k account:3 -k account:7 -- transfer";

const KINDS: &str = "\
Kinds of locks:
  tenure run KEY -- CMD                mutex: one CMD at a time
  tenure run -k A -k B -- CMD          multi-lock: one at a time on each key, all keys or none
  tenure run --shared KEY -- CMD       reader: beside others that share, never beside one that does
                                       not (as flock -s)
  tenure run --permits N KEY -- CMD    semaphore: N at a time (with --units K it counts as K)
  tenure once --every 5m KEY -- CMD    job: once in each 5 minutes, on one of the hosts that try
  tenure elect KEY -- CMD              election: CMD runs on one host, and on another if that ends";

const EXAMPLES_OF_ONCE: &str = "\
Examples:
  A job that cron starts on every host, and that one of them runs; in each crontab:
    TENURE_STORE=redis://locks.internal
    2-59/5 * * * * tenure once --every 5m -q poll -- poll-mail
  The hosts' clocks may differ: cron starts it in the middle of the ticks, and not at their edges.
  How the last run went, and who ran it:
    tenure status poll";

const CANDIDATE: &str = "\
The life of a candidate:
  It waits in line until it leads, and starts CMD. If the leadership is lost, CMD and all it started
  are ended by the deadline, and it is a candidate again.
  CMD fails (or --check fails --fails times in a row, which ends CMD): the leadership is given up,
  so that another host can lead at once, and it is a candidate again after 1s. Each failure doubles
  the pause, up to 1m; a CMD that ran for 1m begins anew.
  CMD ends with 0: its work is done. The leadership is given up, and tenure ends with 0.
  INT, TERM or QUIT (or HUP, if CMD dies of it): when CMD has ended, tenure ends with CMD's code.
  A store that cannot be reached at the start ends tenure with 69; later it is waited for.

Example, with a service that tells its health:
  tenure elect --ttl 5s --value \"$(hostname):8080\" --check 'curl -fs localhost:8080/health' \\
      --every 2s scheduler -- scheduler --port 8080";

const ENVIRONMENT: &str = "\
Environment:
  TENURE_STORE       the store's URL, where --store is not given
  TENURE_STORE_FILE  the embedded store's file, where --store-file is not given
Neither may be empty, and both together are refused. REDIS_URL and REDIS_HOST are not read: they
name a cache as often as a server for locks.";

const ENVIRONMENT_OF_CMD: &str = "\
Environment of CMD:
  TENURE_KEY         the key
  TENURE_FENCE       the fencing token of this grant: it grows with every grant on the key
  TENURE_OWNER       the owner value of this claim
                     with several keys, these three have a line for each, in one order
  TENURE_STORE_NAME  the store, without secrets
  TENURE_STORE, TENURE_STORE_FILE
                     the store, for a nested tenure; the password of a --store is left out,
                     that of a URL in TENURE_STORE was and stays there
  TENURE_STORE_WITHHELD
                     the URL in TENURE_STORE, if a password was left out of it: a nested tenure
                     ends with 77, since it cannot reach this store and must not use another
  TENURE_HELD        the keys that this command and those around it hold: a nested run on one
                     of them at the same store is refused, since it would wait for itself;
                     another host name for the same server is not recognised
Environment of the --on-lost-exec line: the same, and
  TENURE_LOST_REASON expired, gone, max-hold or closed";

const SIGNALS: &str = r#"Signals:
  INT, TERM, HUP, QUIT, USR1 and USR2 to tenure are passed on to CMD's process group; one that came
  to all processes of a service is not, since CMD has it. A signal that was ignored when tenure
  started is ignored in CMD as well, except SIGPIPE and SIGCHLD: CMD starts with their default
  action, under systemd too, which ignores SIGPIPE. To ignore SIGPIPE:
      sh -c 'trap "" PIPE; exec CMD'"#;

fn stores() -> String {
    let mut text = "Stores (without --store: a file of this user on this host):".to_owned();
    for store in tenure::stores() {
        text += &format!(
            "\n  {}\n      {}\n      survives: {}",
            store.example, store.about, store.survives
        );
    }
    text
}

/// For `tenure help`.
pub(crate) static OVERVIEW: LazyLock<String> = LazyLock::new(|| {
    let example = "Example: tenure run nightly-report -- sh -c 'echo \"fence $TENURE_FENCE\"'";
    [example.into(), KINDS.into(), stores(), ENVIRONMENT.into(), exit::HELP.into()].join("\n\n")
});

/// For `tenure run --help`.
pub(crate) static RUN: LazyLock<String> = LazyLock::new(|| {
    let stores = stores();
    let env = [ENVIRONMENT, ENVIRONMENT_OF_CMD].join("\n\n");
    let parts = [EXAMPLES, KINDS, DURATIONS, &stores, &env, SIGNALS, exit::HELP];
    parts.join("\n\n")
});

const PERMITS_CHANGED: &str = "\
A larger N lets those that wait go on at once. With a smaller N nobody loses a permit: it counts as
permits come back. A waiter that wants more than N is refused. From now on all must name N:
  tenure permits encode 5
  tenure run --permits 5 encode -- CMD
Without a permit in use there is nothing to change: the next run says the number.";

/// For `tenure permits --help`.
pub(crate) static PERMITS: LazyLock<String> = LazyLock::new(|| {
    [PERMITS_CHANGED.into(), stores(), ENVIRONMENT.into(), exit::HELP.into()].join("\n\n")
});

/// For `tenure once --help`.
pub(crate) static ONCE: LazyLock<String> = LazyLock::new(|| {
    let stores = stores();
    let env = [ENVIRONMENT, ENVIRONMENT_OF_CMD].join("\n\n");
    [EXAMPLES_OF_ONCE, DURATIONS, &stores, &env, SIGNALS, exit::HELP].join("\n\n")
});

/// For `tenure elect --help`.
pub(crate) static ELECT: LazyLock<String> = LazyLock::new(|| {
    let stores = stores();
    let env = [ENVIRONMENT, ENVIRONMENT_OF_CMD].join("\n\n");
    [CANDIDATE, DURATIONS, &stores, &env, SIGNALS, exit::HELP].join("\n\n")
});

/// For `tenure status --help` and `tenure list --help`.
pub(crate) static LOOK: LazyLock<String> = LazyLock::new(|| {
    [DURATIONS.into(), stores(), ENVIRONMENT.into(), exit::HELP.into()].join("\n\n")
});
