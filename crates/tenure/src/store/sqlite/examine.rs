//! The dangers to locks in a file. It looks at the file without opening it: to close it again would
//! take SQLite's locks from this process.

use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use crate::store::{Finding, Severity};

use super::mount;
use super::unmade::is_unmade;

/// Free space below which a commit may fail soon, in bytes.
const ROOM_MIN: u64 = 16 << 20;

/// The findings about the file at `path`, which is open, or of which the first lock makes a store.
pub(super) fn examine(store: &Arc<str>, path: &Path) -> Vec<Finding> {
    let say = |about, severity, what: String| Finding::new(store, about, severity, what);
    // The rights and the disk are those of the file behind links.
    let file = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let directory = directory_of(&file);
    let mut all = vec![reachable(store, path, &file), file_system(store, &file, directory)];
    if !is_unmade(&file) {
        // Opening it has checked that, and refuses what is not so.
        let journal = "the file is a store of ours, its journal is a write-ahead log";
        all.push(say("journal", Severity::Ok, journal.into()));
    }
    all.push(rights(store, &file, directory));
    all.push(match rustix::fs::statvfs(directory) {
        Ok(stat) => room(store, stat.f_bavail.saturating_mul(stat.f_frsize)),
        Err(error) => say("room", Severity::Unknown, error.to_string()),
    });
    all
}

/// The directory of the file; if that is not there yet, the one in which it would be made.
fn directory_of(file: &Path) -> &Path {
    file.ancestors().skip(1).find(|directory| directory.is_dir()).unwrap_or(file)
}

fn is_filled(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|found| found.len() > 0)
}

fn reachable(store: &Arc<str>, path: &Path, file: &Path) -> Finding {
    let say = |severity, what| Finding::new(store, "reachable", severity, what);
    if !file.exists() {
        return say(
            Severity::Note,
            "the file does not exist yet, and is not made now: the first lock makes it".into(),
        );
    }
    if !is_filled(file) {
        return say(
            Severity::Note,
            "the file is empty, and is left so: the first lock makes it a store".into(),
        );
    }
    if is_unmade(file) {
        let what = "the file is an SQLite database without a table, and is left as it is: the \
                    first lock makes it a store";
        return say(Severity::Note, what.into());
    }
    let behind = match path == file {
        true => String::new(),
        false => format!(", behind a link: {}", file.display()),
    };
    say(Severity::Ok, format!("the file is open{behind}"))
}

fn file_system(store: &Arc<str>, file: &Path, directory: &Path) -> Finding {
    let about = "file-system";
    // An open file has passed this.
    if let Err(error) = mount::check(if file.exists() { file } else { directory }) {
        return Finding::new(store, about, Severity::Error, error.message)
            .so("nothing can be locked there", "see the message");
    }
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

fn rights(store: &Arc<str>, file: &Path, directory: &Path) -> Finding {
    let say = |severity, what| Finding::new(store, "rights", severity, what);
    let mode = |of: &Metadata| of.permissions().mode() & 0o7777;
    let of_directory = match std::fs::metadata(directory) {
        Ok(found) => mode(&found),
        Err(error) => return say(Severity::Unknown, error.to_string()),
    };
    let (of_file, what) = match std::fs::metadata(file) {
        Ok(found) => (mode(&found), owned(&found, mode(&found), of_directory)),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            (0, format!("the directory {} is {of_directory:o}", directory.display()))
        }
        Err(error) => return say(Severity::Unknown, error.to_string()),
    };
    if of_file & 0o002 != 0 {
        return say(Severity::Warning, what).so(
            "every user of this host can take and free any lock",
            format!(
                "chmod o-rwx {}; users that share it have a group (SAFETY.md, \"Users that share \
                 a file\")",
                file.display()
            ),
        );
    }
    if of_directory & 0o002 != 0 {
        return say(Severity::Warning, what).so(
            "other users can put a link or a directory where a file of the store belongs, and so \
             keep it from being opened",
            "--store-file in a directory of its user, of mode 700",
        );
    }
    say(Severity::Ok, what)
}

fn owned(file: &Metadata, mode: u32, of_directory: u32) -> String {
    let (user, group) = (file.uid(), file.gid());
    format!("the file is {mode:o} of user {user} and group {group}, its directory {of_directory:o}")
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
            rights(&store(), &path, directory.path()).severity
        };
        assert_eq!(severity(0o600, 0o700), Severity::Ok);
        assert_eq!(severity(0o660, 0o2770), Severity::Ok);
        assert_eq!(severity(0o666, 0o700), Severity::Warning);
        assert_eq!(severity(0o600, 0o1777), Severity::Warning);
    }
}
