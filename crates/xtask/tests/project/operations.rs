//! The files for operators are valid, and each line of `tenure` in them runs its job.

#![allow(clippy::print_stdout, reason = "tests say what they left out")]

use std::path::Path;
use std::process::Command;

use tenure_testkit::as_from_a_shell;
use xtask::{File, files};

use crate::program::{TENURE, path_with, stand_in};

const PLACE: &str = "docs/operations";

fn operators_files(extensions: &[&str]) -> Vec<File> {
    let is_one = |file: &File| {
        let extension = file.path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        file.path.starts_with(PLACE) && extensions.contains(&extension)
    };
    let found: Vec<_> = files().into_iter().filter(is_one).collect();
    assert!(!found.is_empty(), "no {extensions:?} in {PLACE}");
    found
}

/// The words of each line of `tenure` in a file: of a unit, of a container, of a CI job.
fn commands(file: &File) -> Vec<Vec<String>> {
    let words = |line: &str| -> Option<Vec<String>> {
        let line = line.trim().trim_start_matches("- ");
        if let Some(list) = line.strip_prefix("command: ") {
            return Some(serde_json::from_str(list).expect("a list of words"));
        }
        let given = ["ExecStart=", "run: "].iter().find_map(|start| line.strip_prefix(start));
        let command = given.or_else(|| line.starts_with("tenure ").then_some(line))?;
        let word = |word: &str| word.trim_start_matches("/usr/local/bin/").to_owned();
        Some(command.split(' ').map(word).collect())
    };
    file.text.lines().filter_map(words).collect()
}

#[test]
fn each_line_for_operators_runs_its_job() {
    let all = operators_files(&["service", "yaml", "yml"]);
    let mut ran = 0;
    for (file, words) in
        all.iter().flat_map(|file| commands(file).into_iter().map(move |w| (file, w)))
    {
        let place = tempfile::tempdir().expect("a directory");
        let (options, job) = words.split_at(words.iter().position(|w| w == "--").expect("a job"));
        let name = job[1].trim_start_matches("./");
        stand_in(place.path(), name, "echo ran >> ran");
        let path = path_with(&[place.path(), TENURE.parent().expect("a directory")]);
        let mut command = Command::new(&*TENURE);
        as_from_a_shell(&mut command).args(&options[1..]).args(job).current_dir(place.path());
        command.env("PATH", path).env("TENURE_STORE_FILE", place.path().join("locks.db"));
        let output = command.output().expect("tenure starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(options[0], "tenure", "{}", file.path.display());
        assert!(output.status.success(), "{}: {words:?}: {said}", file.path.display());
        let report = std::fs::read_to_string(place.path().join("ran")).unwrap_or_default();
        assert_eq!(report, "ran\n", "{}: {words:?}: {said}", file.path.display());
        ran += 1;
    }
    assert_eq!(ran, 5, "two units, a CronJob and two jobs of CI");
}

#[test]
fn each_unit_has_sections_and_settings_only() {
    for file in operators_files(&["service", "timer"]) {
        let mut section = None;
        for (place, line) in file.lines() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                section = Some(name);
                assert!(["Unit", "Service", "Timer", "Install"].contains(&name), "{place}");
                continue;
            }
            let (name, value) = line.split_once('=').expect(&place);
            assert!(section.is_some() && !value.is_empty(), "{place}");
            assert!(name.chars().all(|c| c.is_ascii_alphabetic()), "{place}");
        }
        if file.path.extension() == Some("timer".as_ref()) {
            let service = xtask::root().join(file.path.with_extension("service"));
            assert!(service.exists(), "{} starts nothing", file.path.display());
        }
    }
}

/// systemd reads the units where it is, with `true` in place of programs that are not.
#[test]
fn systemd_finds_no_fault_in_a_unit() {
    let place = tempfile::tempdir().expect("a directory");
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--man=no"]);
    for file in operators_files(&["service", "timer"]) {
        let path = place.path().join(file.path.file_name().expect("a name"));
        let text = file.text.replace("=/usr/local/bin/tenure ", "=/bin/true ");
        std::fs::write(&path, text).expect("a unit");
        verify.arg(path);
    }
    match verify.output() {
        Err(error) => println!("no unit is read, without systemd-analyze: {error}"),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && said.is_empty(), "{said}");
        }
    }
}

/// No tabs, and steps of two. Where Python has a parser of YAML, it reads the file as well.
#[test]
fn each_yaml_file_can_be_read() {
    for file in operators_files(&["yaml", "yml"]) {
        for (place, line) in file.lines() {
            let indent = line.len() - line.trim_start().len();
            assert!(!line.contains('\t') && indent.is_multiple_of(2), "{place}");
        }
        let read = "import sys, yaml; assert isinstance(yaml.safe_load(open(sys.argv[1])), dict)";
        let path = xtask::root().join(&file.path);
        if !python_knows("yaml") {
            println!("{}: Python has no yaml here", file.path.display());
            continue;
        }
        let output = Command::new("python3").args(["-c", read]).arg(path).output();
        let output = output.expect("python3 runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {said}", file.path.display());
    }
}

fn python_knows(module: &str) -> bool {
    let tried = Command::new("python3").args(["-c", &format!("import {module}")]).output();
    tried.is_ok_and(|output| output.status.success())
}

#[test]
fn operators_find_each_file_in_the_page() {
    let page = std::fs::read_to_string(xtask::root().join(PLACE).join("README.md"));
    let page = page.expect("the page");
    for file in operators_files(&["service", "timer", "yaml", "yml", "json"]) {
        let name = file.path.strip_prefix(Path::new(PLACE)).expect("it lies there").display();
        assert!(page.contains(&format!("]({name})")), "the page does not have {name}");
    }
}
