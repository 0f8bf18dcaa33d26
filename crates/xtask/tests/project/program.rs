//! The command `tenure` as the tests of the documents run it: that of this workspace, by its name.

use std::ffi::OsString;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use tenure_testkit::as_from_a_shell;
use xtask::root;

/// The `tenure` of this workspace, built once.
pub(crate) static TENURE: LazyLock<PathBuf> = LazyLock::new(|| {
    let output = as_from_a_shell(&mut Command::new(env!("CARGO")))
        .args(["build", "--locked", "-p", "tenure-cli", "--message-format", "json"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let messages = String::from_utf8(output.stdout).expect("cargo writes UTF-8");
    let executable = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
        .next_back();
    executable.expect("tenure-cli has a program")
});

/// The caller's `PATH`, with these directories in front.
pub(crate) fn path_with(first: &[&Path]) -> OsString {
    let rest = std::env::var_os("PATH").unwrap_or_default();
    let first = first.iter().map(|directory| directory.to_path_buf());
    let directories = first.chain(std::env::split_paths(&rest));
    std::env::join_paths(directories).expect("a directory without a colon")
}

/// A command in place of the reader's own: a script with this text.
pub(crate) fn stand_in(directory: &Path, name: &str, text: &str) {
    let path = directory.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("a script");
    std::fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("its rights");
}

/// Runs a line of `bash` in `directory`, with the commands in it, `tenure` and a store of its own.
pub(crate) fn line(text: &str, directory: &Path) -> Output {
    let tenure = TENURE.parent().expect("a file lies in a directory");
    as_from_a_shell(&mut Command::new("bash"))
        .args(["-euo", "pipefail", "-c", text])
        .current_dir(directory)
        .env("PATH", path_with(&[directory, tenure]))
        .env("TENURE_STORE_FILE", directory.join("locks.db"))
        .output()
        .expect("bash runs")
}
