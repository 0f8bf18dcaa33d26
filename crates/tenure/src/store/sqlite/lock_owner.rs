//! The process that holds a lock of the file, named for people. The kernel shows it
//! (proc_locks(5)). If it does not, the message says less; no decision depends on it.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::beside;

/// The byte of the `-shm` file that the writer of a WAL locks (SQLite, *WAL-mode file format*).
const WRITE_LOCK_BYTE: &str = "120";
/// The byte of the `-shm` file that all its users share (SQLite, `os_unix.c`: `UNIX_SHM_DMS`).
const SHM_USERS_BYTE: &str = "128";
/// The first of the bytes of the file that its users share (SQLite, `os.h`: `SHARED_FIRST`).
const SHARED_FROM_BYTE: &str = "1073741826";

/// A process that holds a lock.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LockOwner {
    pid: u32,
    name: String,
    stopped: bool,
}

impl LockOwner {
    /// The process inside a write transaction on `file`.
    pub(super) fn writing(file: &Path) -> Option<Self> {
        let shared_memory = beside::path_of(file, "-shm");
        Self::holding("POSIX", "WRITE", &shared_memory, WRITE_LOCK_BYTE)
    }

    /// A process that has the file open.
    pub(super) fn using(file: &Path) -> Option<Self> {
        Self::holding("POSIX", "READ", file, SHARED_FROM_BYTE)
    }

    /// A process that uses the shared memory of `file`, whether the file exists or not.
    pub(super) fn sharing(file: &Path) -> Option<Self> {
        let shared_memory = beside::path_of(file, "-shm");
        Self::holding("POSIX", "READ", &shared_memory, SHM_USERS_BYTE)
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// The process that is opening the file whose directory of sockets this is.
    pub(super) fn opening(wake_dir: &Path) -> Option<Self> {
        Self::holding("FLOCK", "WRITE", wake_dir, "0")
    }

    fn holding(kind: &str, access: &str, path: &Path, from: &str) -> Option<Self> {
        let inode = fs::metadata(path).ok()?;
        let (major, minor) = (rustix::fs::major(inode.dev()), rustix::fs::minor(inode.dev()));
        let inode = format!("{major:02x}:{minor:02x}:{}", inode.ino());
        let pid = holder(&fs::read_to_string("/proc/locks").ok()?, (kind, access), &inode, from)?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (name, stopped) = name_and_state(&stat)?;
        Some(Self { pid, name, stopped })
    }
}

/// The process with a lock in the kernel's table, whose lines are such as
/// `1: POSIX  ADVISORY  WRITE 7419 fe:00:10592337 120 120`. A line with `->` is a waiting process.
fn holder(table: &str, kind: (&str, &str), inode: &str, from: &str) -> Option<u32> {
    table.lines().find_map(|line| match *line.split_whitespace().collect::<Vec<_>>() {
        [_, its_kind, _, access, pid, its_inode, its_from, _]
            if ((its_kind, access), its_inode, its_from) == (kind, inode, from) =>
        {
            pid.parse().ok()
        }
        _ => None,
    })
}

/// The name in `7419 (some name) T ...`, and whether the process is stopped. The name may contain
/// any character (proc_pid_stat(5)).
fn name_and_state(stat: &str) -> Option<(String, bool)> {
    let (front, rest) = stat.rsplit_once(')')?;
    let name = front.split_once('(')?.1;
    Some((name.to_owned(), rest.trim_start().starts_with(['T', 't'])))
}

impl fmt::Display for LockOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} ({:?})", self.pid, self.name)
    }
}

/// The sentence about a lock's holder: its name, what it is doing, and what to do about it.
pub(super) fn sentence(lock_owner: Option<&LockOwner>, doing: &str) -> String {
    match lock_owner {
        Some(who) if who.stopped => {
            let pid = who.pid;
            format!("{who} was {doing}; it is stopped: continue it (kill -CONT {pid}) or end it")
        }
        Some(who) => {
            format!("{who} was {doing}; that takes milliseconds: see what it is doing, or end it")
        }
        None => format!(
            "another process was {doing}; that takes milliseconds, so it is perhaps stopped: \
             continue it or end it"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
        1: POSIX  ADVISORY  READ 11 fe:00:105 120 120\n\
        2: POSIX  ADVISORY  WRITE 12 fe:00:104 120 120\n\
        3: POSIX  ADVISORY  WRITE 13 fe:00:105 121 121\n\
        4: FLOCK  ADVISORY  WRITE 14 fe:00:105 0 EOF\n\
        5: POSIX  ADVISORY  WRITE 7419 fe:00:105 120 120\n\
        5: -> POSIX  ADVISORY  WRITE 15 fe:00:105 120 120\n";

    #[test]
    fn the_holder_of_the_lock_is_found_among_others() {
        assert_eq!(holder(TABLE, ("POSIX", "WRITE"), "fe:00:105", "120"), Some(7419));
        assert_eq!(holder(TABLE, ("FLOCK", "WRITE"), "fe:00:105", "0"), Some(14));
        assert_eq!(holder(TABLE, ("POSIX", "WRITE"), "fe:00:106", "120"), None);
    }

    #[test]
    fn a_name_may_look_like_a_state() {
        assert_eq!(name_and_state("7 (a) T (b) S 1 7"), Some(("a) T (b".into(), false)));
        assert_eq!(name_and_state("7 (tar) T 1 7"), Some(("tar".into(), true)));
        assert_eq!(name_and_state("nonsense"), None);
    }

    #[test]
    fn the_sentence_says_what_to_do() {
        let who = LockOwner { pid: 7, name: "tar".into(), stopped: true };
        assert!(
            sentence(Some(&who), "busy").contains("process 7 (\"tar\") was busy; it is stopped")
        );
        assert!(sentence(Some(&who), "busy").contains("kill -CONT 7"));
        assert!(sentence(None, "busy").contains("perhaps stopped"));
    }
}
