//! The default place of the embedded store's file: one per user of a host. It never makes or opens
//! the file itself.

use std::ffi::OsString;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::types::{Error, ErrorKind, Operation, Result};

const FILE: &str = "locks.db";
const ANOTHER: &str = "name a file with --store-file or TENURE_STORE_FILE";

/// The file of the embedded store, shared by the processes of this host and this user. If its
/// directory is missing, it is made for this user alone (mode 0700).
///
/// - root: `/var/lib/tenure/locks.db`
/// - others: `$XDG_STATE_HOME/tenure/locks.db`, by default `~/.local/state/tenure/locks.db`
/// - without a home directory: `$XDG_RUNTIME_DIR/tenure/locks.db`, which a logout may remove
///
/// # Errors
/// [`ErrorKind::Config`] if there is no such place, the directory cannot be made, or it belongs to
/// another user.
///
/// # Examples
/// ```no_run
/// let file = tenure::embedded_file()?;
/// println!("locks of this host and user are in {}", file.display());
/// # Ok::<(), tenure::Error>(())
/// ```
pub fn embedded_file() -> Result<PathBuf> {
    let is_root = rustix::process::geteuid().is_root();
    let directory = directory(is_root, |name| std::env::var_os(name), Path::is_dir)?;
    let made = DirBuilder::new().recursive(true).mode(0o700).create(&directory);
    made.map_err(|e| cannot_make(&directory, e))?;
    let found = std::fs::metadata(&directory).map_err(|e| cannot_make(&directory, e))?;
    check_owner(&directory, found.uid(), rustix::process::geteuid().as_raw())?;
    Ok(directory.join(FILE))
}

/// The same file, to be looked at: no directory is made, so the file may not exist.
#[doc(hidden)]
pub fn embedded_place() -> Result<PathBuf> {
    let is_root = rustix::process::geteuid().is_root();
    let directory = directory(is_root, |name| std::env::var_os(name), Path::is_dir)?;
    if let Ok(found) = std::fs::metadata(&directory) {
        check_owner(&directory, found.uid(), rustix::process::geteuid().as_raw())?;
    }
    Ok(directory.join(FILE))
}

/// Refuses a directory of another user, who could take or delete the locks in it.
fn check_owner(directory: &Path, owner: u32, me: u32) -> Result<()> {
    if owner == me || owner == 0 {
        return Ok(());
    }
    let message = format!(
        "the directory {} belongs to user {owner} and this is user {me}, so that it is no place \
         for the locks of this user alone: see HOME and XDG_STATE_HOME, or {ANOTHER}",
        directory.display()
    );
    Err(Error::new(ErrorKind::Config, Operation::Connect, message))
}

/// The directory that the environment names. Relative paths are ignored, as the XDG Base Directory
/// Specification demands.
fn directory(
    is_root: bool,
    env: impl Fn(&str) -> Option<OsString>,
    is_dir: impl Fn(&Path) -> bool,
) -> Result<PathBuf> {
    if is_root {
        return Ok("/var/lib/tenure".into());
    }
    let absolute = |name| env(name).map(PathBuf::from).filter(|path| path.is_absolute());
    if let Some(state) = absolute("XDG_STATE_HOME") {
        return Ok(state.join("tenure"));
    }
    // A user that runs services often has a home that does not exist, such as /nonexistent.
    if let Some(home) = absolute("HOME").filter(|home| is_dir(home)) {
        return Ok(home.join(".local/state/tenure"));
    }
    if let Some(runtime) = absolute("XDG_RUNTIME_DIR") {
        return Ok(runtime.join("tenure"));
    }
    let message = format!(
        "there is no place for the file of the embedded store: HOME names no directory, and \
         neither XDG_STATE_HOME nor XDG_RUNTIME_DIR is set; {ANOTHER}"
    );
    Err(Error::new(ErrorKind::Config, Operation::Connect, message))
}

fn cannot_make(directory: &Path, error: io::Error) -> Error {
    let directory = directory.display();
    let message = format!("the directory {directory} cannot be made ({error}); {ANOTHER}");
    Error::new(ErrorKind::Config, Operation::Connect, message).with_source(Arc::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(is_root: bool, env: &[(&str, &str)]) -> Result<PathBuf> {
        let find = |name: &str| env.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).into());
        directory(is_root, find, |home| home == Path::new("/home/ada"))
    }

    #[test]
    fn every_user_has_one_place() {
        let (home, state, runtime) =
            (("HOME", "/home/ada"), ("XDG_STATE_HOME", "/s"), ("XDG_RUNTIME_DIR", "/run/user/7"));
        for (is_root, env, expected) in [
            (true, &[home, state, runtime][..], "/var/lib/tenure"),
            (true, &[], "/var/lib/tenure"),
            (false, &[home, state, runtime], "/s/tenure"),
            (false, &[home, runtime], "/home/ada/.local/state/tenure"),
            (false, &[home, ("XDG_STATE_HOME", "relative")], "/home/ada/.local/state/tenure"),
            (false, &[home, ("XDG_STATE_HOME", "")], "/home/ada/.local/state/tenure"),
            (false, &[runtime], "/run/user/7/tenure"),
            (false, &[("HOME", "/nonexistent"), runtime], "/run/user/7/tenure"),
            (false, &[("HOME", ""), runtime], "/run/user/7/tenure"),
        ] {
            let found = place(is_root, env).expect("a place");
            assert_eq!(found, Path::new(expected), "{env:?}");
        }
    }

    #[test]
    fn without_a_home_the_message_says_what_to_do() {
        let error = place(false, &[("HOME", "/nonexistent")]).expect_err("no place");
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.message().contains("--store-file"), "{error}");
    }

    #[test]
    fn a_directory_of_another_user_is_refused() {
        let check = |owner, me| check_owner(Path::new("/tmp/.local/state/tenure"), owner, me);
        assert!(check(7, 7).is_ok() && check(0, 7).is_ok() && check(0, 0).is_ok());
        for me in [0, 8] {
            let error = check(7, me).expect_err("another user's");
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.message().contains("belongs to user 7"), "{error}");
            assert!(error.message().contains("/tmp/.local/state/tenure"), "{error}");
        }
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let error = cannot_make(Path::new("/x/tenure"), io::ErrorKind::PermissionDenied.into());
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.message().contains("/x/tenure"), "{error}");
    }
}
