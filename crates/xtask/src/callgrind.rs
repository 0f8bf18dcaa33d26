//! Programs of ours under callgrind, which counts the instructions that they execute.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::tree::root;

/// Runs a program under callgrind with these options, which need no name of a file. Answers the
/// file that holds the profile of its end; those of other dumps have the same name and a number.
pub(crate) fn callgrind(
    directory: &Path,
    options: &[String],
    program: &Path,
    arguments: &[&str],
) -> Result<PathBuf, String> {
    std::fs::create_dir_all(directory).map_err(|e| format!("{}: {e}", directory.display()))?;
    let profile = directory.join("callgrind");
    let mut valgrind = valgrind();
    run(valgrind
        .args(["--quiet", "--tool=callgrind", "--compress-strings=no", "--compress-pos=no"])
        .arg(format!("--callgrind-out-file={}", profile.display()))
        // So many freed blocks of each size are kept at hand: the allocator's work then depends
        // little on what was freed before, and by which thread.
        .env("GLIBC_TUNABLES", "glibc.malloc.tcache_count=1000")
        .args(options)
        .arg(program)
        .args(arguments))?;
    Ok(profile)
}

/// The machine's valgrind, or the one that `tools/valgrind` has fetched because there is none.
fn valgrind() -> Command {
    let fetched = root().join(".cache/tools/valgrind");
    let program = fetched.join("bin/valgrind");
    if !program.exists() {
        return Command::new("valgrind");
    }
    let mut valgrind = Command::new(program);
    valgrind.env("VALGRIND_LIB", fetched.join("libexec"));
    valgrind
}

/// Runs a command at the root of the repository, to its end.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().display().to_string();
    let status = command.current_dir(root()).status();
    let status = status.map_err(|e| format!("{program}: {e}"))?;
    status.success().then_some(()).ok_or_else(|| format!("{program}: {status}"))
}
