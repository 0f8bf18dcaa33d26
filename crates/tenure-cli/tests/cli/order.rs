//! The command and a program find the same default store, or both refuse: what one locks, the other
//! must see.

use std::process::Command;

use crate::place::Place;

/// Set in the process that asks the library.
const ASKS: &str = "TENURE_TEST_ASKS_THE_LIBRARY";

/// Not a test but what the next one starts: the environment is a whole process's.
#[test]
#[allow(clippy::print_stdout, reason = "it tells its parent")]
fn asks_the_library() {
    if std::env::var_os(ASKS).is_none() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let found = runtime.expect("a runtime").block_on(tenure::default_locks());
    match found {
        Ok(locks) => println!("@{}", locks.store_name()),
        Err(error) => println!("@refused: {:?}", error.kind()),
    }
}

fn said(mut command: Command, place: &Place, env: &[(&str, &str)]) -> (bool, String, String) {
    for name in ["TENURE_STORE", "TENURE_STORE_FILE", "REDIS_URL", "REDIS_HOST"] {
        command.env_remove(name);
    }
    command.env("XDG_STATE_HOME", place.path("state")).envs(env.iter().copied());
    let output = command.output().expect("it starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn the_command_and_a_program_follow_one_order() {
    let place = Place::new();
    let file = place.store().display().to_string();
    let url = format!("sqlite:{}", place.path("other.db").display());
    for env in [
        &[][..],
        &[("TENURE_STORE", &*url)],
        &[("TENURE_STORE_FILE", &file)],
        &[("TENURE_STORE", &url), ("REDIS_URL", "redis://127.0.0.1:1")],
        // Nobody listens there, and nobody is asked.
        &[("REDIS_URL", "redis://127.0.0.1:1"), ("REDIS_HOST", "127.0.0.1")],
        &[("REDIS_HOST", "127.0.0.1")],
        &[("TENURE_STORE", &url), ("TENURE_STORE_FILE", &file)],
        &[("TENURE_STORE", "")],
        &[("TENURE_STORE_FILE", "")],
        &[("TENURE_STORE", ""), ("TENURE_STORE_FILE", &file)],
        &[("TENURE_REQUIRE_NETWORK", "1")],
        &[("TENURE_REQUIRE_NETWORK", "1"), ("TENURE_STORE", &url)],
        &[("TENURE_REQUIRE_NETWORK", "1"), ("TENURE_STORE_FILE", &file)],
        &[("TENURE_REQUIRE_NETWORK", "1"), ("TENURE_STORE", "redis://127.0.0.1:1")],
        &[("TENURE_REQUIRE_NETWORK", "0"), ("TENURE_STORE", &url)],
        &[("TENURE_REQUIRE_NETWORK", "on"), ("TENURE_STORE", &url)],
    ] {
        let script =
            ["run", "the order of stores", "--", "sh", "-c", "echo \"$TENURE_STORE_NAME\""];
        let (ran, command, errors) = said(place.tenure(&script), &place, env);
        let mut library = place.command(std::env::current_exe().expect("this program"));
        library.args(["--exact", "order::asks_the_library", "--nocapture"]).env(ASKS, "1");
        let (_, library, _) = said(library, &place, env);
        let library = library.lines().find_map(|line| line.split_once('@')).expect("it says").1;
        let command = if ran { command.trim_end() } else { "refused: Config" };
        assert_eq!(command, library, "{env:?}: {errors}");
    }
}

#[test]
fn a_variable_of_others_is_a_hint() {
    let place = Place::new();
    let env = [("REDIS_URL", "redis://:s3cret@127.0.0.1:1")];
    let (ran, status, _) = said(place.tenure(&["status", "k"]), &place, &env);
    assert!(ran && status.contains("REDIS_URL is set, but is not read"), "{status}");
    assert!(!status.contains("s3cret"), "{status}");
    let (_, help, _) = said(place.tenure(&["help", "environment"]), &place, &[]);
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(help.contains("REDIS_URL and REDIS_HOST are not read"), "{help}");
}
