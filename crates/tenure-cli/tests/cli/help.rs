//! The help in its parts, wrong use, the words of flock, and the pages that `man` shows.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::place::{Place, until};

/// The verbs of the program, as its help lists them.
pub(crate) fn verbs(place: &Place) -> Vec<String> {
    let help = place.run(&["-h"]).stdout;
    let (_, rest) = help.split_once("Commands:\n").expect("a list of verbs");
    let lines = rest.lines().take_while(|line| !line.is_empty());
    lines.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[test]
fn a_bare_tenure_says_in_15_lines_how_to_go_on() {
    let ended = Place::new().run(&[]);
    assert_eq!((ended.code, &*ended.stdout), (Some(64), ""), "{ended:?}");
    assert!(ended.stderr.lines().count() <= 15, "{}", ended.stderr);
    for part in ["tenure run KEY -- CMD", "tenure status KEY", "exit-codes", "permits"] {
        assert!(ended.stderr.contains(part), "{part}: {}", ended.stderr);
    }
    assert!(ended.stderr.lines().all(|line| line.chars().count() <= 80), "{}", ended.stderr);
}

#[test]
fn the_topics_name_every_code_variable_and_store() {
    let place = Place::new();
    let topic = |name: &str| {
        let ended = place.run(&["help", name]);
        assert_eq!((ended.code, &*ended.stderr), (Some(0), ""), "{name}");
        ended.stdout
    };
    let text = topic("exit-codes");
    let codes = ["64", "65", "69", "70", "75", "77", "78", "79", "124", "126", "127", "128 + n"];
    for code in codes {
        assert!(text.contains(&format!("\n  {code} ")), "{code}: {text}");
    }
    let text = topic("environment");
    let variables = ["STORE", "STORE_FILE", "KEY", "FENCE", "OWNER", "STORE_NAME", "HELD"];
    for name in variables.into_iter().chain(["LOST_REASON"]) {
        assert!(text.contains(&format!("\n  TENURE_{name}")), "{name}: {text}");
    }
    let text = topic("stores");
    for store in tenure::stores() {
        assert!(text.contains(store.example), "{text}");
    }
    assert!(topic("kinds").contains("tenure run --shared KEY -- CMD"));
}

#[test]
fn help_is_short_by_h_and_long_by_help() {
    let place = Place::new();
    let verbs = verbs(&place);
    assert!(verbs.len() >= 7, "{verbs:?}");
    for verb in &verbs {
        let (short, long) = (place.run(&[verb, "-h"]), place.run(&[verb, "--help"]));
        let by_verb = place.run(&["help", verb]);
        assert_eq!(long.stdout, by_verb.stdout, "{verb}");
        for help in [&short, &long] {
            assert_eq!((help.code, &*help.stderr), (Some(0), ""), "{help:?}");
            assert!(help.stdout.lines().all(|line| line.chars().count() <= 100), "{help:?}");
            assert!(help.stdout.contains("tenure help stores|environment|exit-codes"), "{help:?}");
        }
        assert!(short.stdout.contains("See --help"), "{short:?}");
        assert!(short.stdout.lines().count() < long.stdout.lines().count(), "{verb}");
    }
    let long = place.run(&["help"]).stdout;
    assert_eq!(long, place.run(&["--help"]).stdout);
    assert!(long.contains("each exit code and its one meaning"), "{long}");
}

#[test]
fn every_error_begins_with_the_name_of_the_program_and_keeps_its_tip() {
    let place = Place::new();
    for (words, tip) in [
        (&["status", "--jsno", "k"][..], "tip: a similar argument exists: '--json'"),
        (&["statsu", "k"], "tip: a similar subcommand exists: 'status'"),
        (&["help", "stroes"], "tip: a similar value exists: 'stores'"),
        (&["run", "--ttl", "soon", "k", "--", "c"], "write it like 500ms"),
        (&["run", "--try", "--wait", "1s", "k", "--", "c"], "cannot be used with"),
        (&["run", "k"], "tip: behind the key stands a command: 'tenure run k -- CMD'"),
        (&["lock", "k"], "'tenure run k -- CMD'"),
        (&["unlock", "k"], "tip: did you mean 'tenure "),
        (&["ls"], "tip: did you mean 'tenure list'?"),
    ] {
        let ended = place.run(words);
        assert_eq!((ended.code, &*ended.stdout), (Some(64), ""), "{words:?}: {ended:?}");
        assert!(ended.stderr.starts_with("tenure: "), "{words:?}: {}", ended.stderr);
        assert!(!ended.stderr.contains("error: "), "{words:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(tip), "{words:?}: {}", ended.stderr);
    }
}

/// The line of the tip is typed as it stands there.
#[test]
fn the_right_use_for_a_key_without_a_verb_works() {
    let place = Place::new();
    let ended = place.run(&["nightly", "--ttl", "20s", "--", "echo", "a b"]);
    assert_eq!((ended.code, &*ended.stdout), (Some(64), ""), "{ended:?}");
    let (_, tip) = ended.stderr.split_once("did you mean 'tenure ").expect("a tip");
    let (line, _) = tip.split_once("'?\n").expect("its end");
    assert_eq!(place.sh(&format!("\"$TENURE\" {line}")).stdout, "a b\n", "{line}");
}

#[test]
fn n_and_w_are_those_of_flock() {
    let place = Place::new();
    let holder = place.start(&["run", "k", "--", "sh", "-c", "echo 1 > held; sleep 600"]);
    until("the key is held", || (place.read("held") == "1\n").then_some(()));
    for words in [&["-n"][..], &["-w", "0.05"], &["-w", "0"], &["-w0.05", "-q"]] {
        let ended = place.run(&[&["run"], words, &["k", "--", "echo", "ran"]].concat());
        assert_eq!((ended.code, &*ended.stdout), (Some(75), ""), "{words:?}: {ended:?}");
    }
    drop(holder);
    for words in [&["-n"][..], &["-w", "600"]] {
        let free = ["run", "other", "--", "echo", "ran"];
        let ended = place.run(&[&free[..1], words, &free[1..]].concat());
        assert_eq!((ended.code, &*ended.stdout), (Some(0), "ran\n"), "{words:?}: {ended:?}");
    }
    for (words, part) in [
        (&["-w", "10s"][..], "-w takes a number of seconds, such as 10 or 0.5"),
        (&["-w", "1", "--wait", "1s"], "cannot be used with"),
        (&["-n", "-w", "1"], "cannot be used with"),
    ] {
        let ended = place.run(&[&["run"], words, &["k", "--", "echo"]].concat());
        assert_eq!(ended.code, Some(64), "{words:?}: {ended:?}");
        assert!(ended.stderr.contains(part), "{words:?}: {ended:?}");
    }
}

fn of_this_crate(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn man_shows_every_page_without_a_warning() {
    let place = Place::new();
    let pages = std::fs::read_dir(of_this_crate("man")).expect("pages");
    let pages: Vec<_> = pages.map(|page| page.expect("a page").path()).collect();
    for verb in verbs(&place) {
        let name = format!("tenure-{verb}.1");
        assert!(pages.iter().any(|page| page.ends_with(&name)), "no page {name}");
    }
    for page in pages {
        let shown = |program: &str, options: &[&str]| {
            let mut command: Command = place.command(program);
            let output = command.env("MANWIDTH", "200").args(options).arg(&page).output().ok()?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{program} {}: {stderr}", page.display());
            assert_eq!(stderr, "", "{program} {}", page.display());
            Some(text)
        };
        let by_man = shown("man", &["--warnings", "-l"]);
        let Some(text) = by_man.or_else(|| shown("mandoc", &["-Wunsupp"])) else {
            return println!("neither man nor mandoc is here: no page is shown");
        };
        let name = page.file_stem().expect("a name").to_string_lossy().into_owned();
        assert!(text.contains(&format!("{name} - ")), "{name}: {text}");
        assert!(text.contains("SEE ALSO"), "{name}: {text}");
    }
}
