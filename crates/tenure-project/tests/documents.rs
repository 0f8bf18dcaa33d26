//! The documents tell the truth: shell lines run, the README's program is an example that runs,
//! every store has its row, links lead somewhere. (Rust blocks run as documentation tests.)

#![allow(clippy::disallowed_methods, reason = "hosts start one after the other")]

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use tenure_project::{Block, blocks, root};
use tenure_testkit::{Server, as_from_a_shell, clean};

/// The two lines that the README promises for a fresh clone.
const RUN: &str = "cargo run -q -p tenure-cli -- run nightly-report -- \
                   echo \"only one of us runs this\"\n";
const TEST: &str = "./test\n";

const DOCUMENTS: [&str; 6] =
    ["README.md", "DESIGN.md", "SAFETY.md", "COMPARE.md", "CONTRIBUTING.md", "CHANGELOG.md"];

fn document(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// The `tenure` of this workspace, built once.
static TENURE: LazyLock<PathBuf> = LazyLock::new(|| {
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

fn path_with(directory: &Path) -> OsString {
    let rest = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::iter::once(directory.to_owned()).chain(std::env::split_paths(&rest));
    std::env::join_paths(directories).expect("a directory without a colon")
}

/// Runs shell lines as a reader would, with a store of their own. Answers what they printed.
fn shell(block: &Block, document: &str, directory: &Path) -> String {
    let store = tempfile::tempdir().expect("a directory");
    let output = as_from_a_shell(&mut Command::new("bash"))
        .args(["-euo", "pipefail", "-c", &block.code])
        .current_dir(directory)
        .env("PATH", path_with(TENURE.parent().expect("a file lies in a directory")))
        .env("TENURE_STORE_FILE", store.path().join("locks.db"))
        .output()
        .expect("bash runs");
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let status = output.status;
    assert!(status.success(), "{document}:{}: {}{status}\n{out}{err}", block.line, block.code);
    out.into_owned()
}

fn shell_blocks(name: &str) -> Vec<Block> {
    blocks(&document(name)).into_iter().filter(|block| block.language == "sh").collect()
}

#[test]
fn the_first_command_of_the_readme_runs_a_command_under_a_lock() {
    let first = &shell_blocks("README.md")[0];
    assert_eq!(first.code, RUN);
    assert_eq!(shell(first, "README.md", root()), "only one of us runs this\n");
}

#[test]
fn the_second_command_of_the_readme_is_the_one_that_ci_runs() {
    assert_eq!(shell_blocks("README.md")[1].code, TEST);
    let ci = std::fs::read_to_string(root().join(".ci/run")).expect(".ci/run");
    let lines: Vec<_> = ci.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines, ["exec \"$(dirname \"${BASH_SOURCE[0]}\")/../test\""]);
}

#[test]
fn all_other_shell_lines_run() {
    let mut ran = 0;
    for name in DOCUMENTS {
        let of_their_own = [RUN, TEST];
        for block in shell_blocks(name).iter().filter(|b| !of_their_own.contains(&&*b.code)) {
            let directory = tempfile::tempdir().expect("a directory");
            shell(block, name, directory.path());
            ran += 1;
        }
    }
    assert!(ran >= 4, "only {ran} blocks were found");
}

/// The lines for a crontab in the README: the variables that they set, and the command.
fn crontab() -> (Vec<(String, String)>, String) {
    let blocks = blocks(&document("README.md"));
    let is_entry = |line: &&str| line.split(' ').filter(|field| *field == "*").count() == 3;
    let block = blocks.iter().find(|block| block.code.lines().any(|line| is_entry(&line)));
    let block = block.expect("an entry of a crontab");
    let (entries, variables): (Vec<_>, Vec<_>) = block.code.lines().partition(is_entry);
    let [entry] = entries[..] else { panic!("one entry: {}", block.code) };
    let set = |line: &str| line.split_once('=').map(|(name, value)| (name.into(), value.into()));
    let variables = variables.into_iter().map(|line| set(line).expect("NAME=VALUE")).collect();
    (variables, entry.splitn(6, ' ').nth(5).expect("a command").to_owned())
}

/// Five hosts that share nothing but a server, and are started one after the other, so that the
/// first may have ended before the last begins.
#[test]
fn of_five_hosts_with_the_readme_s_crontab_one_runs_the_job() {
    let (variables, line) = crontab();
    let server = Server::redis().start();
    let place = tempfile::tempdir().expect("a directory");
    let ran = place.path().join("ran");
    let job = place.path().join("write-report");
    let script = format!("#!/bin/sh\necho \"$HOME\" >> '{}'\n", ran.display());
    std::fs::write(&job, script).expect("a script");
    std::fs::set_permissions(&job, Permissions::from_mode(0o755)).expect("its rights");
    let path = std::env::join_paths([TENURE.parent().expect("a directory"), place.path()]);
    let mut path = path.expect("no colon");
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let start = |host: usize| {
        let home = place.path().join(format!("host {host}"));
        std::fs::create_dir(&home).expect("a directory");
        let mut command = Command::new("sh");
        clean(&mut command).args(["-c", &line]).current_dir(&home).env("HOME", &home);
        command.env("PATH", &path).stdin(Stdio::null());
        for (name, value) in &variables {
            // The server stands here for the one of the README.
            let is_shared = name == "TENURE_STORE" && value == "redis://locks.internal";
            command.env(name, if is_shared { server.url() } else { value.clone() });
        }
        let is_shared = command.get_envs().any(|(_, value)| value == Some(server.url().as_ref()));
        assert!(is_shared, "the crontab names no store that hosts share");
        let host = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        std::thread::sleep(Duration::from_millis(200));
        host.expect("sh starts")
    };
    for host in (1..=5).map(start).collect::<Vec<_>>() {
        let ended = host.wait_with_output().expect("its end");
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    }
    let ran = std::fs::read_to_string(ran).expect("somebody ran it");
    assert_eq!(ran.lines().count(), 1, "{ran}");
}

#[test]
fn the_help_has_the_readme_s_crontab() {
    let (variables, line) = crontab();
    let help = clean(&mut Command::new(&*TENURE)).args(["run", "--help"]).output();
    let help = String::from_utf8(help.expect("tenure runs").stdout).expect("UTF-8");
    assert!(help.contains(&line), "{line} is not in {help}");
    for (name, value) in variables {
        assert!(help.contains(&format!("{name}={value}")), "{help}");
    }
}

#[test]
fn the_readmes_program_is_the_example_and_runs() {
    let readme = blocks(&document("README.md"));
    let program = readme.iter().find(|b| b.language.starts_with("rust")).expect("a program");
    let example = document("crates/tenure-project/examples/readme.rs");
    assert!(example.ends_with(&program.code), "examples/readme.rs is not the README's program");
    let directory = tempfile::tempdir().expect("a directory");
    let output = as_from_a_shell(&mut Command::new(env!("CARGO")))
        .args(["run", "-q", "--locked", "--example", "readme", "--manifest-path"])
        .arg(root().join("crates/tenure-project/Cargo.toml"))
        .current_dir(directory.path())
        .output()
        .expect("cargo runs");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(printed.starts_with("UPDATE report"), "{printed}");
    assert!(directory.path().join("locks.db").exists(), "it used the embedded store");
}

#[test]
fn every_store_has_its_row_in_the_readme() {
    let readme = document("README.md");
    for store in tenure::stores() {
        let url = format!("| `{}:", store.scheme);
        assert!(readme.contains(&url), "no row with {url} in the table of stores");
    }
}

#[test]
fn rust_blocks_stand_only_where_they_are_compiled() {
    let tested = document("crates/tenure-project/src/lib.rs");
    for name in DOCUMENTS {
        let languages: BTreeSet<_> =
            blocks(&document(name)).into_iter().map(|block| block.language).collect();
        assert!(!languages.contains(""), "{name}: a block without a language counts as Rust");
        let has_rust = languages.iter().any(|language| language.starts_with("rust"));
        assert!(!has_rust || tested.contains(&format!("/{name}\"")), "{name} is not compiled");
        let unknown: Vec<_> = languages
            .iter()
            .filter(|l| !matches!(l.as_str(), "sh" | "console" | "text" | "sql"))
            .filter(|l| !l.starts_with("rust"))
            .collect();
        assert!(unknown.is_empty(), "{name}: nobody runs {unknown:?}");
    }
}

#[test]
fn links_between_documents_lead_somewhere() {
    for name in DOCUMENTS {
        let text = document(name);
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split([')', '#']).next().unwrap_or_default();
            let is_local = !target.is_empty() && !target.contains("://");
            assert!(!is_local || root().join(target).exists(), "{name}: nothing at {target}");
        }
    }
}
