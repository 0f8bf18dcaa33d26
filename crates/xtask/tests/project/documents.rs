//! The documents tell the truth: shell lines run, the README's program is an example that runs,
//! every store has its row. (Rust blocks run as documentation tests.)

#![allow(clippy::disallowed_methods, reason = "hosts start one after the other")]

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tenure_testkit::{Server, as_from_a_shell, clean};
use xtask::{Block, blocks, files, root};

use crate::program::{TENURE, path_with};
use crate::translations::is_translation;

/// The lines that the README promises for a fresh clone.
const INSTALL: &str = "cargo install --locked --path crates/tenure-cli\n";
const RUN: &str = "cargo run -p tenure-cli -- run nightly-report -- \
                   echo \"only one of us runs this\"\n";
const TEST: &str = "./test\n";

/// The documents whose Python blocks the Python package's tests run.
const PYTHON: [&str; 3] = ["README.md", "docs/change-one-import.md", "docs/tutorial.md"];

/// The documents whose blocks are run: all but translations, whose blocks are the originals'.
fn documents() -> Vec<String> {
    xtask::documents().into_iter().filter(|name| !is_translation(name)).collect()
}

/// The documents whose blocks of JSON are configurations that the tests of the command start.
const CONFIGURATIONS: [&str; 2] = ["README.md", "docs/coding-agents.md"];

fn document(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// Runs shell lines as a reader would, with a store of their own. Answers what they printed.
fn shell(block: &Block, document: &str, directory: &Path) -> String {
    let store = tempfile::tempdir().expect("a directory");
    let output = as_from_a_shell(&mut Command::new("bash"))
        .args(["-euo", "pipefail", "-c", &block.code])
        .current_dir(directory)
        .env("PATH", path_with(&[TENURE.parent().expect("a file lies in a directory")]))
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
fn the_first_line_of_the_readme_installs_tenure() {
    let first = &shell_blocks("README.md")[0];
    assert_eq!(first.code, INSTALL);
    let place = tempfile::tempdir().expect("a directory");
    // The profile of the other tests, and a place of its own: the line itself stays as it is.
    let output = as_from_a_shell(&mut Command::new("bash"))
        .args(["-c", &format!("{} --debug --root \"$0\"", first.code.trim_end())])
        .arg(place.path())
        .current_dir(root())
        .output()
        .expect("bash runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let version = Command::new(place.path().join("bin/tenure")).arg("--version").output();
    let version = version.expect("the installed tenure runs").stdout;
    assert!(version.starts_with(b"tenure "), "{}", String::from_utf8_lossy(&version));
}

/// Without `-q`: the reader sees that it builds.
#[test]
fn the_first_command_of_the_readme_runs_a_command_under_a_lock() {
    let first = &shell_blocks("README.md")[1];
    assert_eq!(first.code, RUN);
    assert_eq!(shell(first, "README.md", root()), "only one of us runs this\n");
}

#[test]
fn the_last_command_of_the_readme_is_the_one_that_ci_runs() {
    assert_eq!(shell_blocks("README.md").last().expect("shell lines").code, TEST);
    let ci = std::fs::read_to_string(root().join(".ci/run")).expect(".ci/run");
    let lines: Vec<_> = ci.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines, ["exec \"$(dirname \"${BASH_SOURCE[0]}\")/../test\""]);
}

#[test]
fn all_other_shell_lines_run() {
    let mut ran = 0;
    for name in &documents() {
        let of_their_own = [INSTALL, RUN, TEST];
        for block in shell_blocks(name).iter().filter(|b| !of_their_own.contains(&&*b.code)) {
            let directory = tempfile::tempdir().expect("a directory");
            shell(block, name, directory.path());
            ran += 1;
        }
    }
    assert!(ran >= 4, "only {ran} blocks were found");
}

/// The crontabs of a document: the variables that each sets, and its command.
fn crontabs(name: &str) -> Vec<(Vec<(String, String)>, String)> {
    let is_entry = |line: &&str| line.split(' ').filter(|field| *field == "*").count() == 3;
    let blocks = blocks(&document(name));
    let crontabs = blocks.iter().filter(|block| block.code.lines().any(|line| is_entry(&line)));
    let read = |block: &Block| {
        let (entries, variables): (Vec<_>, Vec<_>) = block.code.lines().partition(is_entry);
        let [entry] = entries[..] else { panic!("one entry: {}", block.code) };
        let set =
            |line: &str| line.split_once('=').map(|(name, value)| (name.into(), value.into()));
        let variables = variables.into_iter().map(|line| set(line).expect("NAME=VALUE")).collect();
        (variables, entry.splitn(6, ' ').nth(5).expect("a command").to_owned())
    };
    crontabs.map(read).collect()
}

/// The hosts on which the job of a crontab ran, when it was started five times, each time on one
/// of `hosts` hosts that share nothing but perhaps a server. They are started one after the
/// other, so that the first may have ended before the last begins.
fn ran_on(crontab: &(Vec<(String, String)>, String), hosts: usize) -> Vec<String> {
    let (variables, line) = crontab;
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
    let start = |number: usize| {
        let home = place.path().join(format!("host {}", number % hosts));
        std::fs::create_dir_all(&home).expect("a directory");
        let mut command = Command::new("sh");
        clean(&mut command).args(["-c", line]).current_dir(&home).env("HOME", &home);
        command.env("PATH", &path).stdin(Stdio::null());
        if variables.is_empty() {
            // The embedded store of this host: that of the user who runs the tests is not ours.
            command.env("TENURE_STORE_FILE", home.join("locks.db"));
        }
        for (name, value) in variables {
            // The server stands here for the one of the README.
            let is_shared = name == "TENURE_STORE" && value == "redis://locks.internal";
            command.env(name, if is_shared { server.url() } else { value.clone() });
        }
        let job = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        std::thread::sleep(Duration::from_millis(200));
        job.expect("sh starts")
    };
    for job in (0..5).map(start).collect::<Vec<_>>() {
        let ended = job.wait_with_output().expect("its end");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "{said}");
        assert!(ended.stdout.is_empty() && said.is_empty(), "cron would send a mail: {said}");
    }
    let ran = std::fs::read_to_string(ran).expect("somebody ran it");
    ran.lines().map(str::to_owned).collect()
}

#[test]
fn of_five_hosts_with_the_readme_s_crontab_one_runs_the_job() {
    let crontab = &crontabs("README.md")[0];
    let names_a_server = crontab.0.iter().any(|(_, value)| value == "redis://locks.internal");
    assert!(names_a_server, "the crontab names no store that hosts share");
    let ran = ran_on(crontab, 5);
    assert_eq!(ran.len(), 1, "{ran:?}");
}

#[test]
fn the_tutorial_has_the_readme_s_crontab() {
    assert_eq!(crontabs("docs/tutorial.md"), crontabs("README.md")[..1]);
}

#[test]
fn without_a_store_the_readme_s_crontab_excludes_on_one_host_only() {
    let crontab = &crontabs("README.md")[1];
    assert!(crontab.0.is_empty(), "it names a store");
    let (mut five, one) = (ran_on(crontab, 5), ran_on(crontab, 1));
    five.sort_unstable();
    five.dedup();
    assert_eq!(five.len(), 5, "hosts without a common store exclude each other: {five:?}");
    assert_eq!(one.len(), 1, "{one:?}");
}

#[test]
fn the_help_has_the_readme_s_crontab() {
    let (variables, line) = crontabs("README.md").swap_remove(0);
    let help = clean(&mut Command::new(&*TENURE)).args(["run", "--help"]).output();
    let help = String::from_utf8(help.expect("tenure runs").stdout).expect("UTF-8");
    assert!(help.contains(&line), "{line} is not in {help}");
    for (name, value) in variables {
        assert!(help.contains(&format!("{name}={value}")), "{help}");
    }
}

/// Runs a program of a document as a reader would. Answers what it printed.
fn run_program(name: &str, number: usize, example: &str) -> String {
    let all = blocks(&document(name));
    let mut programs = all.iter().filter(|b| b.language == "rust,no_run");
    let program = programs.nth(number).expect("a program");
    let source = document(&format!("crates/xtask/examples/{example}.rs"));
    assert!(source.ends_with(&program.code), "examples/{example}.rs is not that of {name}");
    let directory = tempfile::tempdir().expect("a directory");
    let output = as_from_a_shell(&mut Command::new(env!("CARGO")))
        .args(["run", "-q", "--locked", "--example", example, "--manifest-path"])
        .arg(root().join("crates/xtask/Cargo.toml"))
        .current_dir(directory.path())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(directory.path().join("locks.db").exists(), "it used the embedded store");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_readmes_first_program_is_the_example_and_runs() {
    let printed = run_program("README.md", 0, "readme");
    assert!(printed.starts_with("only one of us prints this; the fence is "), "{printed}");
}

#[test]
fn the_readmes_program_with_a_fence_is_the_example_and_runs() {
    let printed = run_program("README.md", 1, "fence");
    assert!(printed.starts_with("UPDATE report"), "{printed}");
}

#[test]
fn the_tutorial_s_program_is_the_example_and_runs() {
    let printed = run_program("docs/tutorial.md", 0, "tutorial");
    let lines: Vec<_> = printed.lines().collect();
    let [first, "3 pages"] = lines[..] else { panic!("{printed}") };
    assert!(first.starts_with("writing under fence "), "{printed}");
}

/// The lines for a `Cargo.toml` in the README, and all that must be in them for the examples.
#[test]
fn the_readme_s_dependencies_have_the_features_that_the_examples_need() {
    let readme = blocks(&document("README.md"));
    let toml = readme.iter().find(|block| block.language == "toml").expect("dependencies");
    let manifest = document("crates/tenure/Cargo.toml");
    let line = |name: &str| {
        let found = toml.code.lines().find(|line| line.starts_with(&format!("{name} = ")));
        found.unwrap_or_else(|| panic!("no {name} in the README's dependencies")).to_owned()
    };
    let features = |line: &str| -> BTreeSet<String> {
        let (_, list) = line.split_once("features = [").expect("a list of features");
        let (list, _) = list.split_once(']').expect("the list is closed");
        list.split(", ").map(|feature| feature.trim_matches('"').to_owned()).collect()
    };
    let ours = features(&line("tenure"));
    for feature in &ours {
        assert!(manifest.contains(&format!("\n{feature} = [")), "there is no feature {feature}");
    }
    let places = ["crates/tenure/examples", "crates/tenure/docs", "crates/xtask/examples"];
    let sources: String = places
        .iter()
        .flat_map(|place| files().into_iter().filter(move |file| file.path.starts_with(place)))
        .map(|file| file.text)
        .collect();
    let needs = [
        ("blocking", "tenure::blocking"),
        ("macros", "#[tenure::locked"),
        ("tls", "rediss://"),
        ("metrics", "metrics::"),
        ("testing", "tenure::testing"),
    ];
    for (feature, sign) in needs {
        assert_eq!(sources.contains(sign), ours.contains(feature), "{feature}: {sign}");
    }
    let tokio = features(&line("tokio"));
    for (feature, sign) in [
        ("macros", "#[tokio::main]"),
        ("rt-multi-thread", "#[tokio::main]"),
        ("time", "tokio::time"),
        ("process", "tokio::process"),
        ("net", "tokio::net"),
        ("fs", "tokio::fs"),
    ] {
        assert_eq!(sources.contains(sign), tokio.contains(feature), "tokio, {feature}: {sign}");
    }
}

#[test]
fn the_readme_names_every_feature_of_the_crate() {
    let (readme, manifest) = (document("README.md"), document("crates/tenure/Cargo.toml"));
    let (_, rest) = manifest.split_once("[features]\n").expect("features");
    let (features, _) = rest.split_once("\n[").expect("their end");
    let names = features.lines().filter_map(|line| line.split_once(" = [")).map(|(name, _)| name);
    let names: Vec<_> =
        names.filter(|name| !name.starts_with("__") && *name != "default").collect();
    assert!(names.len() > 4, "{names:?}");
    for name in names {
        assert!(readme.contains(&format!("`{name}`")), "the README does not name {name}");
    }
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
    let tested = document("crates/xtask/src/lib.rs");
    for name in &documents() {
        let languages: BTreeSet<_> =
            blocks(&document(name)).into_iter().map(|block| block.language).collect();
        assert!(!languages.contains(""), "{name}: a block without a language counts as Rust");
        let has_rust = languages.iter().any(|language| language.starts_with("rust"));
        assert!(!has_rust || tested.contains(&format!("/{name}\"")), "{name} is not compiled");
        let unknown: Vec<_> = languages
            .iter()
            .filter(|l| !matches!(l.as_str(), "sh" | "console" | "text" | "sql" | "toml"))
            .filter(|l| !l.starts_with("rust"))
            .filter(|l| *l != "python" || !PYTHON.contains(&name.as_str()))
            .filter(|l| *l != "json" || !CONFIGURATIONS.contains(&name.as_str()))
            .collect();
        assert!(unknown.is_empty(), "{name}: nobody runs {unknown:?}");
    }
}
