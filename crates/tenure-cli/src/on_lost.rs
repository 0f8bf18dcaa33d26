//! `--on-lost-exec`: a line for the shell, run after CMD has ended because the lock was lost.
//! It never changes how the run ends.

use std::ffi::OsStr;
use std::process::Stdio;
use std::time::Duration;

use tenure::LostReason;
use tenure::runtime::Runtime;

use crate::command::Environment;
use crate::line::Line;
use crate::output::Output;
use crate::signals::{self, Signals};

/// Time for the line.
const LIMIT: Duration = Duration::from_secs(30);

/// The reason in one word, for `TENURE_LOST_REASON`.
fn word(reason: LostReason) -> &'static str {
    match reason {
        LostReason::Expired => "expired",
        LostReason::Gone => "gone",
        LostReason::MaxHold => "max-hold",
        LostReason::Closed => "closed",
        _ => "unknown",
    }
}

/// Runs the line. A failure is told and changes nothing.
pub(crate) async fn run(
    line: &OsStr,
    reason: LostReason,
    env: &Environment,
    signals: &mut Signals,
    runtime: &dyn Runtime,
    output: Output,
) {
    let more = Some(("TENURE_LOST_REASON", word(reason)));
    let shell = match Line::start(line, env, more, Stdio::inherit()) {
        Ok(shell) => shell,
        Err(e) => return output.error(format!("--on-lost-exec: sh cannot be started: {e}")),
    };
    let limit = runtime.now() + LIMIT;
    let status = loop {
        if let Some(status) = shell.end() {
            break status;
        }
        tokio::select! {
            biased;
            signal = signals.next() => {
                if !signals::is_passed_on(signal) {
                    continue;
                }
                let name = signals::name(signal.as_raw());
                output.error(format!("--on-lost-exec: ended by {name}"));
            }
            () = runtime.sleep_until(limit) => {
                output.error("--on-lost-exec: not ready within 30s; killed");
            }
        }
        // It is killed when it is dropped.
        return;
    };
    if let Some(signal) = status.terminating_signal() {
        output.error(format!("--on-lost-exec: killed by {}", signals::name(signal)));
    } else if let Some(code) = status.exit_status().filter(|code| *code != 0) {
        output.error(format!("--on-lost-exec: exit code {code}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_those_of_the_help() {
        let topic = crate::topics::Topic::named("environment").expect("a topic").text();
        let line = topic.lines().find(|line| line.contains("TENURE_LOST_REASON")).expect("a line");
        let all = [LostReason::Expired, LostReason::Gone, LostReason::MaxHold, LostReason::Closed];
        for reason in all {
            assert!(line.contains(word(reason)), "{reason:?}: {line}");
        }
    }
}
