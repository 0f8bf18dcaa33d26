//! `--on-lost-exec`: a line for the shell, run after CMD has ended because the lock was lost.
//! It never changes how the run ends.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};
use tenure::LostReason;
use tenure::runtime::Runtime;

use crate::command::Environment;
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
    let mut command = Command::new("/bin/sh");
    env.put_into(&mut command);
    command.arg("-c").arg(line).env("TENURE_LOST_REASON", word(reason));
    let shell = match command.stdin(Stdio::null()).process_group(0).spawn() {
        Ok(shell) => Pid::from_child(&shell),
        Err(e) => return output.error(format!("--on-lost-exec: sh cannot be started: {e}")),
    };
    let limit = runtime.now() + LIMIT;
    let status = loop {
        if let Some(status) = end_of(shell) {
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
        let _ = rustix::process::kill_process_group(shell, Signal::KILL);
        let _ = rustix::process::waitpid(Some(shell), WaitOptions::empty());
        return;
    };
    if let Some(signal) = status.terminating_signal() {
        output.error(format!("--on-lost-exec: killed by {}", signals::name(signal)));
    } else if let Some(code) = status.exit_status().filter(|code| *code != 0) {
        output.error(format!("--on-lost-exec: exit code {code}"));
    }
}

fn end_of(shell: Pid) -> Option<WaitStatus> {
    let seen = rustix::process::waitpid(Some(shell), WaitOptions::NOHANG).ok()?;
    seen.map(|(_, status)| status)
}
