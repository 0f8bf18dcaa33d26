//! The examples in the help of each verb, short and long, and the words for a bare `tenure`. The
//! parts that are the same for all verbs are topics.

use clap::Command;

use crate::topics::{self, Topic};

/// For `tenure -h`.
pub(crate) const EXAMPLE: &str = "\
Example:
  tenure run nightly-report -- sh -c 'echo \"fence $TENURE_FENCE\"'";

/// For `tenure --help`.
pub(crate) const EXAMPLES: &str = "\
Examples:
  tenure run nightly-report -- sh -c 'echo \"fence $TENURE_FENCE\"'
  tenure status nightly-report
  tenure help stores";

/// For `tenure run -h`.
pub(crate) const RUN: &str = "\
Example:
  tenure run --wait 10s nightly-report -- write-report";

/// For `tenure run --help`.
pub(crate) const RUN_LONG: &str = "\
Examples:
  tenure run nightly-report -- sh -c 'echo \"fence $TENURE_FENCE\"'
  A job that cron starts on every host, and that one of them runs; the hosts share the store, and
  the key stays taken for those that start a little late. In each crontab:
    TENURE_STORE=redis://locks.internal
    0 3 * * * tenure run --try --busy-exit 0 --min-hold 50s -q nightly-report -- write-report
  A job on two things at once, which waits for both and deadlocks with nobody:
    tenure run -k account:3 -k account:7 -- transfer
  As flock -n, and as flock -w 10 -s:
    tenure run -n nightly-report -- write-report
    tenure run -w 10 --shared site -- publish";

/// For `tenure once -h`.
pub(crate) const ONCE: &str = "\
Example:
  tenure once --every 5m poll -- poll-mail";

/// For `tenure once --help`.
pub(crate) const ONCE_LONG: &str = "\
Examples:
  A job that cron starts on every host, and that one of them runs; in each crontab:
    TENURE_STORE=redis://locks.internal
    2-59/5 * * * * tenure once --every 5m -q poll -- poll-mail
  The hosts' clocks may differ: cron starts it in the middle of the ticks, and not at their edges.
  How the last run went, and who ran it:
    tenure status poll";

/// For `tenure elect -h`.
pub(crate) const ELECT: &str = "\
Example:
  tenure elect --value \"$(hostname):8080\" scheduler -- scheduler --port 8080";

/// For `tenure elect --help`.
pub(crate) const ELECT_LONG: &str = "\
The life of a candidate:
  It waits in line until it leads, and starts CMD. If the leadership is lost, CMD and all it started
  are ended by the deadline, and it is a candidate again.
  CMD fails (or --check fails --fails times in a row, which ends CMD): the leadership is given up,
  so that another host can lead at once, and it is a candidate again after 1s. Each failure doubles
  the pause, up to 1m; a CMD that ran for 1m begins anew.
  CMD ends with 0: its work is done. The leadership is given up, and tenure ends with 0.
  INT, TERM or QUIT (or HUP, if CMD dies of it): when CMD has ended, tenure ends with CMD's code.
  A store that cannot be reached is waited for, at the start and later.

Example, with a service that tells its health:
  tenure elect --ttl 5s --value \"$(hostname):8080\" --check 'curl -fs localhost:8080/health' \\
      --every 2s scheduler -- scheduler --port 8080";

/// For `tenure status`.
pub(crate) const STATUS: &str = "\
Examples:
  tenure status nightly-report
  Something for a moment in which nobody holds KEY (to hold it: tenure run):
    if tenure status --exit-code nightly-report; then echo free; fi
  It ends with 0 if KEY is free, with 1 if Tenure or somebody else holds it, and
  with another code if that could not be found out.";

/// For `tenure list`.
pub(crate) const LIST: &str = "\
Example:
  tenure list --json nightly-";

/// For `tenure permits -h`.
pub(crate) const PERMITS: &str = "\
Example:
  tenure permits encode 5";

/// For `tenure permits --help`.
pub(crate) const PERMITS_LONG: &str = "\
A larger N lets those that wait go on at once. With a smaller N nobody loses a permit: it counts as
permits come back. A waiter that wants more than N is refused. From now on all must name N:
  tenure permits encode 5
  tenure run --permits 5 encode -- CMD
Without a permit in use there is nothing to change: the next run says the number.";

/// For `tenure top`.
#[cfg(feature = "top")]
pub(crate) const TOP: &str = "\
Example:
  tenure top nightly-
It needs a terminal. For scripts there is tenure list --json.";

/// For `tenure mcp -h`.
#[cfg(feature = "mcp")]
pub(crate) const MCP: &str = r#"Example:
  tenure mcp --as backend
In the configuration of the agent's client:
  {"mcpServers": {"tenure": {"command": "tenure", "args": ["mcp"]}}}"#;

/// For `tenure mcp --help`.
#[cfg(feature = "mcp")]
pub(crate) const MCP_LONG: &str = r#"Example:
  tenure mcp --as backend
In the configuration of the agent's client:
  {"mcpServers": {"tenure": {"command": "tenure", "args": ["mcp"]}}}

The tools: acquire, renew, release, who, list, wait. A lock lasts for the time that the agent asked
for, and nothing renews it but the tool. It ends with the session: when stdin ends, or at a signal.
A store that cannot be reached fails the call, and the agent does not hold the lock. stdout carries
the protocol and nothing else."#;

/// For `tenure help --help`.
pub(crate) const HELP: &str = "\
Examples:
  tenure help run
  tenure help exit-codes";

/// For `tenure hold -h`.
pub(crate) const HOLD: &str = "\
Example:
  tenure hold --pid 4711 nightly-report";

/// For `tenure hold --help`.
pub(crate) const HOLD_LONG: &str = "\
Examples:
  From here on a script holds the lock, until it ends, however it ends:
  tenure hold --pid $$ --signal TERM nightly-report || exit
  The lock is kept while a file is there:
  tenure hold --while 'test -e /run/maintenance' maintenance
The number that is printed is that of the process in the background: to release the lock earlier,
end it (kill NUMBER).";

/// For `tenure force-release -h`.
pub(crate) const FORCE: &str = "\
Example:
  tenure force-release nightly-report";

/// For `tenure force-release --help`.
pub(crate) const FORCE_LONG: &str = "\
Examples:
  tenure force-release nightly-report
  A script names the holder that it means, by its fence (tenure status shows it):
  tenure force-release --yes --fence 7 nightly-report
The old holder learns of the loss at its next renewal, a third of its ttl later at most, and may go
on with its work until then. If the answer is no, nothing is done, and the exit code is 1.
A value that is no lock of Tenure's is never deleted: the line that does it is shown.";

/// For `tenure wait`.
pub(crate) const WAIT: &str = "\
Example:
  tenure wait --timeout 10m nightly-report";

/// For `tenure watch`.
pub(crate) const WATCH: &str = "\
Example:
  tenure watch --json nightly-";

/// For `tenure acquire -h`, and the verbs of its ticket.
pub(crate) const TICKET: &str = "\
Example:
  ticket=$(tenure acquire deploy --ttl 10m) || exit
  tenure renew \"$ticket\"
  tenure release \"$ticket\"";

/// For `tenure acquire --help`, and the verbs of its ticket.
pub(crate) const TICKET_LONG: &str = "\
Examples:
  ticket=$(tenure acquire deploy --ttl 10m) || exit
  tenure renew \"$ticket\"
  tenure release \"$ticket\"
  With variables in place of the ticket (TENURE_TICKET, TENURE_KEY, TENURE_FENCE):
  eval \"$(tenure acquire deploy --shell)\" || exit
  tenure check && tenure release
Nothing renews the lease meanwhile: after its time the key is free for others. A ticket is a secret:
it can be released, or adopted by a program, by everybody who has it. The list of processes shows
it to all users of a host; TENURE_TICKET and \"-\" (stdin) do not.";

/// For `tenure doctor --help`.
pub(crate) const DOCTOR: &str = "\
Each finding is ok, unknown (the store does not tell, as managed services do, or
this user may not ask), note, warning or error. It ends with 0 without a warning
or an error, and with 1 with one. If the store cannot be used at all, it ends
with the code of the reason, such as 69; the findings are printed as well.

Examples:
  tenure doctor --store redis://locks.internal --ttl 5m
  tenure doctor --json";

/// For `tenure acl --help`.
pub(crate) const ACL: &str = "\
It asks no server. Replace PASSWORD, and give the line to redis-cli or
valkey-cli. With a key_template the prefix is that of the name in the server.

Examples:
  tenure acl --user locks --prefix jobs:
  tenure acl --read-only --user watcher
  tenure acl --cluster --without ack";

/// Columns of the text for a bare `tenure`.
const WIDTH: usize = 80;

/// The text for a bare `tenure`: 15 lines at most.
pub(crate) fn summary(command: &Command) -> String {
    let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    let verbs = lines("All verbs:", verbs.map(Command::get_name));
    let topics = lines("Topics:", topics::ALL.iter().map(|topic| topic.name));
    format!(
        "\
tenure runs a command under a lock that processes and hosts share.

  tenure run KEY -- CMD...              run CMD while holding KEY
  tenure once --every 5m KEY -- CMD...  run CMD once in 5 minutes, on one host
  tenure elect KEY -- CMD...            keep CMD running on one host
  tenure status KEY                     show who holds KEY and who waits
  tenure list                           show the keys in use

{verbs}
{topics}
See 'tenure VERB -h' for a verb's options, 'tenure help TOPIC' for a topic."
    )
}

/// `head` and the words behind it, in lines that fit.
fn lines<'a>(head: &str, words: impl Iterator<Item = &'a str>) -> String {
    let mut text = head.to_owned();
    let mut column = text.len();
    for word in words {
        if column + 1 + word.len() > WIDTH {
            text += "\n ";
            column = 1;
        }
        text += &format!(" {word}");
        column += 1 + word.len();
    }
    text
}

/// The text for `tenure help`, about a verb or a topic, or about all.
pub(crate) fn text(about: Option<&str>, command: &mut Command) -> String {
    if let Some(topic) = about.and_then(Topic::named) {
        return topic.text() + "\n";
    }
    command.build();
    let verb = about.and_then(|about| command.find_subcommand_mut(about));
    match verb {
        Some(verb) => verb.render_long_help().to_string(),
        None => command.render_long_help().to_string(),
    }
}
