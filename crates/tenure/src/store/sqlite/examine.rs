//! The dangers to locks in a file. It looks at the file without opening it: to close it again would
//! take SQLite's locks from this process.

use std::fs::Metadata;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use crate::store::{Finding, Severity};

use super::mount;

/// Free space below which a commit may fail soon, in bytes.
const ROOM_MIN: u64 = 16 << 20;

/// The findings about the file at `path`, which is open.
pub(super) fn examine(store: &Arc<str>, path: &Path) -> Vec<Finding> {
    let directory = path.parent().unwrap_or(path);
    let say = |about, severity, what: String| Finding::new(store, about, severity, what);
    // Opening it has checked that, and refuses what is not so.
    let journal = "the file is a store of ours, its journal is a write-ahead log";
    let mut all = vec![
        say("reachable", Severity::Ok, "the file is open".into()),
        file_system(store, directory),
        say("journal", Severity::Ok, journal.into()),
    ];
    match (std::fs::metadata(path), std::fs::metadata(directory)) {
        (Ok(file), Ok(directory)) => all.push(rights(store, &file, &directory)),
        (Err(error), _) | (_, Err(error)) => {
            all.push(say("rights", Severity::Unknown, error.to_string()));
        }
    }
    all.push(match rustix::fs::statvfs(directory) {
        Ok(stat) => room(store, stat.f_bavail.saturating_mul(stat.f_frsize)),
        Err(error) => say("room", Severity::Unknown, error.to_string()),
    });
    all
}

fn file_system(store: &Arc<str>, directory: &Path) -> Finding {
    let about = "file-system";
    match mount::kind(directory) {
        Some(kind) if matches!(&*kind, "tmpfs" | "ramfs") => {
            let what = format!("the file is in memory ({kind})");
            Finding::new(store, about, Severity::Note, what).so(
                "after a reboot the file is gone, and with it what fences count from: they start \
                 from the clock again",
                "--store-file on a disk, if the clock may be set back",
            )
        }
        Some(kind) => Finding::new(store, about, Severity::Ok, format!("{kind}, of this host")),
        None => {
            let what = "the kind of the file system is not told (no /proc/self/mountinfo)";
            Finding::new(store, about, Severity::Unknown, what)
        }
    }
}

fn rights(store: &Arc<str>, file: &Metadata, directory: &Metadata) -> Finding {
    let (mode, of_directory) = (file.permissions().mode(), directory.permissions().mode());
    let what = format!(
        "the file is {:o} of user {} and group {}, its directory {:o}",
        mode & 0o7777,
        file.uid(),
        file.gid(),
        of_directory & 0o7777
    );
    if mode & 0o002 != 0 {
        return Finding::new(store, "rights", Severity::Warning, what).so(
            "every user of this host can take and free any lock",
            "chmod o-rwx FILE; users that share it have a group (SAFETY.md, \"Users that share a \
             file\")",
        );
    }
    if of_directory & 0o002 != 0 {
        return Finding::new(store, "rights", Severity::Warning, what).so(
            "other users can put a link or a directory where a file of the store belongs, and so \
             keep it from being opened",
            "--store-file in a directory of its user, of mode 700",
        );
    }
    Finding::new(store, "rights", Severity::Ok, what)
}

fn room(store: &Arc<str>, free: u64) -> Finding {
    let what = format!("{} MiB are free", free >> 20);
    if free >= ROOM_MIN {
        return Finding::new(store, "room", Severity::Ok, what);
    }
    Finding::new(store, "room", Severity::Warning, what).so(
        "on a full disk nothing is granted, and holders that cannot renew are lost",
        "free the disk, or --store-file on another one",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> Arc<str> {
        "sqlite:/f".into()
    }

    #[test]
    fn a_disk_that_is_nearly_full_is_warned_about() {
        assert_eq!(room(&store(), ROOM_MIN).severity, Severity::Ok);
        assert_eq!(room(&store(), ROOM_MIN - 1).severity, Severity::Warning);
    }

    #[test]
    fn a_file_that_everybody_may_write_is_warned_about() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("f");
        std::fs::write(&path, "").expect("written");
        let severity = |mode, of_directory| {
            let set = |path: &Path, mode| {
                let mode = std::fs::Permissions::from_mode(mode);
                std::fs::set_permissions(path, mode).expect("set");
            };
            set(&path, mode);
            set(directory.path(), of_directory);
            let of = |path: &Path| std::fs::metadata(path).expect("there");
            rights(&store(), &of(&path), &of(directory.path())).severity
        };
        assert_eq!(severity(0o600, 0o700), Severity::Ok);
        assert_eq!(severity(0o660, 0o2770), Severity::Ok);
        assert_eq!(severity(0o666, 0o700), Severity::Warning);
        assert_eq!(severity(0o600, 0o1777), Severity::Warning);
    }
}
