//! Exit codes: each of `tenure`'s own has one beginning of its message line, as the table in
//! docs/command-line.md says.

use std::process::Command;

use crate::place::{Ended, Place, Running};

/// The rows of the table: code and beginning.
fn rows() -> Vec<(i32, String)> {
    let page = include_str!("../../../../docs/command-line.md");
    let (_, table) = page.split_once("| code | its line begins with |").expect("the table");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let row = |line: &str| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        (cells[1].parse().expect("a code"), cells[2].trim_matches('`').to_owned())
    };
    rows.map(row).collect()
}

fn with(command: &mut Command) -> Ended {
    Running::of(command).wait()
}

/// An end with this code.
fn end_with(place: &Place, code: i32) -> Ended {
    match code {
        64 => place.run(&["run", "--ttl", "1ms", "k", "--", "true"]),
        65 => {
            let holder =
                ["run", "--permits", "3", "k", "--", "sh", "-c", "echo 1 > held; sleep 600"];
            let _holder = place.start(&holder);
            place.number_in("held");
            place.run(&["run", "--permits", "2", "k", "--", "true"])
        }
        69 => {
            let mut tenure = place.tenure(&["run", "--try", "k", "--", "true"]);
            with(tenure.env_remove("TENURE_STORE_FILE").env("TENURE_STORE", "redis://127.0.0.1:1"))
        }
        70 => place.sh("ulimit -n 20; exec $TENURE status k"),
        74 => place.sh("exec $TENURE status k > /dev/full"),
        75 => {
            let _holder = place.start(&["run", "k", "--", "sh", "-c", "echo 1 > held; sleep 600"]);
            place.number_in("held");
            place.run(&["run", "--try", "k", "--", "true"])
        }
        77 => {
            let mut tenure = place.tenure(&["status", "k"]);
            tenure.env_remove("TENURE_STORE_FILE").env("TENURE_STORE", "redis://u@h");
            with(tenure.env("TENURE_STORE_WITHHELD", "redis://u@h"))
        }
        78 => place.run(&["status", "--store-file", "/etc/passwd", "k"]),
        79 => {
            let words = ["run", "--ttl", "6s", "--kill-grace", "100ms", "k", "--", "sh", "-c"];
            let cmd = "echo 1 > held; sleep 600";
            let running = place.start(&[&words[..], &[cmd]].concat());
            place.number_in("held");
            let _blocked = place.block_store();
            running.wait()
        }
        124 => place.run(&["run", "--max-hold", "100ms", "k", "--", "sleep", "600"]),
        126 => place.run(&["run", "k", "--", "/etc/passwd"]),
        127 => place.run(&["run", "k", "--", "no-such-command"]),
        code => panic!("no scene ends with {code}"),
    }
}

#[test]
fn each_code_has_one_beginning_of_its_line() {
    let rows = rows();
    let codes: Vec<_> = rows.iter().map(|(code, _)| *code).collect();
    assert_eq!(codes, [64, 65, 69, 70, 74, 75, 77, 78, 79, 124, 126, 127]);
    for (code, beginning) in &rows {
        let ended = end_with(&Place::new(), *code);
        assert_eq!(ended.code, Some(*code), "{ended:?}");
        let begins = |line: &str, beginning: &str| line.starts_with(&format!("{beginning} "));
        let own = ended.stderr.lines().filter(|line| begins(line, beginning)).count();
        assert_eq!(own, 1, "{beginning}: {ended:?}");
        for (_, other) in rows.iter().filter(|(_, other)| other != beginning) {
            assert!(!ended.stderr.lines().any(|line| begins(line, other)), "{other}: {ended:?}");
        }
    }
}
