//! Where passwords go, and where not. A `tenure` within CMD finds the store of the one around it,
//! or none: never another store. No password is in CMD's environment that was not there before, and
//! none is in what `tenure` says, whatever the server repeats.

use std::process::{Command, Stdio};

use tenure_testkit::{Flavour, Server};

const CANARY: &str = "s3cr3t";

/// A server with a password, and a home without an embedded store.
struct Scene {
    home: tempfile::TempDir,
    server: Server,
}

/// How it ended, and what it said on both.
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Scene {
    fn new(flavour: Flavour) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        std::fs::write(home.path().join("password"), CANARY).expect("it can be written");
        let server = Server::of(flavour).with_password(CANARY);
        let server = server.with_user("ada", &format!("on >{CANARY} ~* &* +@all")).start();
        Self { home, server }
    }

    fn url(&self, login: &str) -> String {
        format!("redis://{login}{}", self.server.address())
    }

    /// Runs `tenure` with nothing of ours in its environment but this.
    fn tenure(&self, env: &[(&str, &str)], words: &[&str]) -> Ended {
        let program = env!("CARGO_BIN_EXE_tenure");
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("TENURE_") {
                command.env_remove(name);
            }
        }
        command.env("HOME", self.home.path()).env("XDG_STATE_HOME", self.home.path());
        command.env("TENURE", program).envs(env.iter().copied()).args(words);
        let output = command.stdin(Stdio::null()).output().expect("it starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        assert!(!stderr.contains(CANARY), "{stderr}");
        Ended { code: output.status.code(), stdout, stderr }
    }
}

/// Takes another key of the same store and says where, then the very key that is held.
const WITHIN: &str = "\"$TENURE\" run other -- sh -c 'echo $TENURE_STORE_NAME'; echo $?; \
                      \"$TENURE\" run k -- echo same; echo $?; env";

#[test]
fn a_url_with_a_password_in_the_environment_reaches_the_same_store() {
    for flavour in Flavour::ALL {
        let scene = Scene::new(flavour);
        let file = format!("?password_file={}", scene.home.path().join("password").display());
        let name = format!("redis://{}/0", scene.server.address());
        for (env, typed) in [
            (Some(scene.url(&format!(":{CANARY}@"))), None),
            (Some(scene.url(&format!("ada:{CANARY}@"))), None),
            (Some(scene.url("ada@") + &file), None),
            (None, Some(scene.url("ada@") + &file)),
        ] {
            let env: Vec<_> = env.iter().map(|url| ("TENURE_STORE", &**url)).collect();
            let typed: Vec<_> = typed.iter().flat_map(|url| ["--store", url]).collect();
            let words = [&["run"], &typed[..], &["k", "--", "sh", "-c", WITHIN]].concat();
            let ended = scene.tenure(&env, &words);
            assert_eq!(ended.code, Some(0), "{}", ended.stderr);
            assert!(ended.stdout.starts_with(&format!("{name}\n0\n64\n")), "{}", ended.stdout);
            assert!(ended.stderr.contains("held by a command around"), "{}", ended.stderr);
            for line in ended.stdout.lines().filter(|line| line.contains(CANARY)) {
                let was_there = env.iter().any(|(name, url)| line == format!("{name}={url}"));
                assert!(was_there, "a secret that was not there before: {line}");
            }
        }
    }
}

#[test]
fn a_store_whose_password_stood_on_the_command_line_is_refused_within_and_not_another() {
    for flavour in Flavour::ALL {
        let scene = Scene::new(flavour);
        for login in [format!(":{CANARY}@"), format!("ada:{CANARY}@")] {
            let url = scene.url(&login);
            let words = ["run", "--store", &url, "k", "--", "sh", "-c", WITHIN];
            // Also where the caller's own variable names another store.
            for env in [&[][..], &[("TENURE_STORE", "memory:")], &[("TENURE_STORE_FILE", "f")]] {
                let ended = scene.tenure(env, &words);
                assert_eq!(ended.code, Some(0), "{}", ended.stderr);
                assert!(ended.stdout.starts_with("77\n77\n"), "{}", ended.stdout);
                assert!(!ended.stdout.contains(CANARY), "{}", ended.stdout);
                for word in ["--store", "Set TENURE_STORE", "?password_file=PATH"] {
                    assert!(ended.stderr.contains(word), "no {word}: {}", ended.stderr);
                }
            }
        }
        // The command line goes before the environment.
        let url = scene.url(&format!("ada:{CANARY}@"));
        let given = "\"$TENURE\" run --store \"$GIVEN\" other -- echo ran; \"$TENURE\" status k; \
                     echo $?";
        let words = ["run", "--store", &url, "k", "--", "sh", "-c", given];
        let ended = scene.tenure(&[("GIVEN", &url)], &words);
        assert_eq!(ended.stdout, "ran\n77\n", "{}", ended.stderr);
    }
}

#[test]
fn a_server_that_repeats_a_password_gives_it_to_no_report_and_no_status() {
    for flavour in Flavour::ALL {
        let options = Server::of(flavour).with("rename-command HELLO \"\"");
        let server = options.with_user("ada", &format!("on >{CANARY} ~* &* +@all")).start();
        let scene = Scene { home: tempfile::tempdir().expect("a directory"), server };
        let url = scene.url(&format!("ada:{CANARY}@"));
        let report = scene.home.path().join("report").display().to_string();
        for words in [
            &["run", "-v", "--report", &report, "k", "--", "true"][..],
            &["status", "--json", "k"],
            &["list", "--json"],
        ] {
            let ended = scene.tenure(&[("TENURE_STORE", &url)], words);
            assert_eq!((ended.code, &*ended.stdout), (Some(78), ""), "{}", ended.stderr);
            assert!(ended.stderr.contains("lacks a command"), "{}", ended.stderr);
        }
        let report = std::fs::read_to_string(report).expect("a report");
        assert!(report.contains("lacks a command") && !report.contains(CANARY), "{report}");
    }
}
