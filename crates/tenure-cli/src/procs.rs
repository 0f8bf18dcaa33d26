//! Processes as /proc shows them: their parents, groups and users; and signals that hit the process
//! that was looked at, never one that got its number afterwards.

use std::collections::HashMap;
use std::fs;
use std::io;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal};

/// One living process. Numbers are those of /proc. In a PID namespace without a /proc of its own
/// they are not the numbers that `kill` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) number: i32,
    pub(crate) parent: i32,
    pub(crate) group: i32,
    pub(crate) session: i32,
    /// Tells a process from a later one of the same number.
    started: u64,
}

/// The effect of a signal on a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disposition {
    /// It has been sent and is not delivered yet, or it ends the process right now.
    Pending,
    /// The kernel's default action.
    Default,
    /// It is caught or ignored.
    Handled,
}

/// All living processes, and which of them is this one.
#[derive(Debug)]
pub(crate) struct Table {
    own: Process,
    all: Vec<Process>,
    /// The place of our namespace's number in the list `NSpid`, in a PID namespace that /proc does
    /// not belong to.
    level: Option<usize>,
}

impl Table {
    /// Looks at /proc once.
    pub(crate) fn read() -> io::Result<Self> {
        let own = read_one("self").ok_or(io::ErrorKind::NotFound)?;
        let foreign = own.number != rustix::process::getpid().as_raw_nonzero().get();
        let level = foreign.then(|| numbers_of(own.number).len().saturating_sub(1));
        let mut all = vec![];
        for entry in fs::read_dir("/proc")? {
            let name = entry?.file_name();
            let is_number = name.as_encoded_bytes().iter().all(u8::is_ascii_digit);
            if let Some(name) = name.to_str().filter(|_| is_number) {
                all.extend(read_one(name));
            }
        }
        Ok(Self { own, all, level })
    }

    /// The living processes that descend from this one.
    pub(crate) fn descendants(&self) -> Vec<Process> {
        let mut children = HashMap::<i32, Vec<Process>>::new();
        for process in &self.all {
            children.entry(process.parent).or_default().push(*process);
        }
        let mut found = vec![];
        let mut parents = vec![self.own.number];
        while let Some(parent) = parents.pop() {
            for child in children.remove(&parent).unwrap_or_default() {
                parents.push(child.number);
                found.push(child);
            }
        }
        found
    }

    /// The living process with this number, as `kill` takes it.
    pub(crate) fn find(&self, pid: Pid) -> Option<&Process> {
        self.all.iter().find(|process| self.pid_of(process) == Some(pid))
    }

    /// Whether we may signal a process. One that has ended counts as yes.
    pub(crate) fn may_signal(&self, process: &Process) -> bool {
        let pid = self.pid_of(process);
        pid.is_none_or(|pid| rustix::process::test_kill_process(pid) != Err(Errno::PERM))
    }

    /// The real user that a process runs as.
    pub(crate) fn user_of(&self, process: &Process) -> Option<u32> {
        let status = fs::read_to_string(format!("/proc/{}/status", process.number)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
        line.split_ascii_whitespace().next()?.parse().ok()
    }

    /// The numbers, as `kill` takes them, of our parent, its parent and so on.
    pub(crate) fn ancestors(&self) -> Vec<i32> {
        let mut found = vec![];
        let mut process = Some(&self.own);
        while let Some(parent) =
            process.and_then(|p| self.all.iter().find(|q| q.number == p.parent))
        {
            found.extend(self.pid_of(parent).map(|pid| pid.as_raw_nonzero().get()));
            process = Some(parent);
        }
        found
    }

    /// The effect of a signal on a process; `None` if the process has ended.
    pub(crate) fn disposition(&self, pid: Pid, signal: Signal) -> Option<Disposition> {
        let process = self.find(pid)?;
        let status = fs::read_to_string(format!("/proc/{}/status", process.number)).ok()?;
        let has = |name: &str, signal: Signal| {
            let mask = status.lines().find_map(|line| line.strip_prefix(name));
            let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
            mask.unwrap_or_default() & (1 << (signal.as_raw() - 1)) != 0
        };
        // A signal that ends a process becomes SIGKILL for each of its threads.
        Some(match signal {
            _ if has("ShdPnd:", signal) || has("SigPnd:", signal) => Disposition::Pending,
            _ if has("SigPnd:", Signal::KILL) => Disposition::Pending,
            _ if has("SigCgt:", signal) || has("SigIgn:", signal) => Disposition::Handled,
            _ => Disposition::Default,
        })
    }

    /// Whether our group has no parent process in another group of our session. Then nobody would
    /// continue us once we are stopped, and the kernel refuses to stop such a group by Ctrl-Z.
    pub(crate) fn own_group_is_orphaned(&self) -> bool {
        let (group, session) = (self.own.group, self.own.session);
        let members = self.all.iter().filter(|p| p.group == group);
        !members.into_iter().any(|member| {
            let parent = self.all.iter().find(|p| p.number == member.parent);
            parent.is_some_and(|p| p.session == session && p.group != group)
        })
    }

    /// Sends a signal to the very process that this table shows. One that has ended is no error.
    pub(crate) fn signal(&self, process: &Process, signal: Signal) -> io::Result<()> {
        let Some(pid) = self.pid_of(process) else { return Ok(()) };
        let done = rustix::process::pidfd_open(pid, PidfdFlags::empty()).and_then(|handle| {
            // The number may have a new owner by now: the start time tells.
            match read_one(&process.number.to_string()) {
                Some(now) if now.started == process.started => {
                    rustix::process::pidfd_send_signal(handle, signal)
                }
                _ => Ok(()),
            }
        });
        match done {
            Err(Errno::SRCH) => Ok(()),
            done => Ok(done?),
        }
    }

    /// The number of a process, as `kill` takes it.
    pub(crate) fn pid_of(&self, process: &Process) -> Option<Pid> {
        let number = match self.level {
            None => process.number,
            Some(level) => *numbers_of(process.number).get(level)?,
        };
        Pid::from_raw(number)
    }
}

/// Whether /proc shows processes.
pub(crate) fn is_mounted() -> bool {
    read_one("self").is_some() && fs::read_link(crate::command::OWN_PROGRAM).is_ok()
}

/// Reads `/proc/NAME/stat`; `None` for a process that is gone, or a zombie.
fn read_one(name: &str) -> Option<Process> {
    parse(&fs::read(format!("/proc/{name}/stat")).ok()?)
}

/// The second field, the command, may contain anything. The others follow its last `)`.
fn parse(stat: &[u8]) -> Option<Process> {
    let number = std::str::from_utf8(stat.split(|b| *b == b' ').next()?).ok()?.parse().ok()?;
    let behind = stat.iter().rposition(|b| *b == b')')? + 1;
    let fields: Vec<&str> =
        std::str::from_utf8(&stat[behind..]).ok()?.split_ascii_whitespace().collect();
    let field = |at: usize| fields.get(at)?.parse::<i32>().ok();
    // A process whose first thread has ended looks like a zombie while others go on.
    if matches!(*fields.first()?, "Z" | "X") && field(17)? <= 1 {
        return None;
    }
    Some(Process {
        number,
        parent: field(1)?,
        group: field(2)?,
        session: field(3)?,
        started: fields.get(19)?.parse().ok()?,
    })
}

/// The numbers of a process: in the namespace of /proc, and in each one inside of it.
fn numbers_of(number: i32) -> Vec<i32> {
    let status = fs::read_to_string(format!("/proc/{number}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
    line.split_ascii_whitespace().filter_map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_may_be_called_anything() {
        let stat = b"77 (a) S 1 (b) R 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 4242 24";
        let process = parse(stat).expect("a process");
        assert_eq!((process.number, process.parent, process.group), (77, 5, 6));
        assert_eq!((process.session, process.started), (7, 4242));
    }

    #[test]
    fn a_zombie_is_not_alive() {
        let stat = |threads: &str| {
            parse(
                format!("7 (x) Z 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 {threads} 22 3")
                    .as_bytes(),
            )
        };
        assert_eq!(stat("1"), None);
        assert!(stat("2").is_some(), "its first thread has ended, another goes on");
    }

    #[test]
    fn a_child_is_found_and_hit() {
        let mut child = std::process::Command::new("sleep").arg("600").spawn().expect("sleep runs");
        let table = Table::read().expect("/proc");
        let id = i32::try_from(child.id()).expect("a process number");
        let found = table.descendants().into_iter().find(|p| p.number == id).expect("the child");
        table.signal(&found, Signal::KILL).expect("a signal");
        let status = child.wait().expect("it ends");
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
        table.signal(&found, Signal::KILL).expect("one that is gone is no error");
    }
}
