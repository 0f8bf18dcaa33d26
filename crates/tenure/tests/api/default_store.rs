//! The store of programs that name none. Each case is a process of its own: the default store
//! belongs to a whole program, and so does its environment.

use std::path::Path;
use std::sync::{Arc, Mutex};

use tenure::ErrorKind;
use tenure_testkit::role;

/// Set in the processes that play a case.
const CASE: &str = "TENURE_TEST_CASE";

/// Plays `case` in a process of its own with exactly this environment.
fn play(case: &str, env: &[(&str, &Path)]) {
    let mut command = role!(plays_its_case);
    let output = command.env(CASE, case).envs(env.iter().copied()).output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{case}: {text}{errors}");
    assert!(text.contains("played"), "{case} was not played: {text}");
}

#[test]
#[allow(clippy::print_stdout, reason = "it tells its parent that the case was known")]
fn plays_its_case() {
    let Ok(case) = std::env::var(CASE) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build();
    runtime.expect("a runtime").block_on(async {
        match case.as_str() {
            "first uses" => first_uses().await,
            "bad url" => bad_url().await,
            "set" => set().await,
            "server" => server().await,
            "refused" => refused().await,
            "embedded" => embedded().await,
            "misspelt" => misspelt().await,
            other => panic!("no such case: {other}"),
        }
    });
    println!("played");
}

/// Many first uses at once share one opening: they are one process to the file.
async fn first_uses() {
    let uses: Vec<_> = (0..32).map(|_| tokio::task::spawn(tenure::default_locks())).collect();
    let mut names = Vec::new();
    for one in uses {
        names.push(one.await.expect("no panic").expect("opened").store_name());
    }
    let file = std::env::var("TENURE_STORE_FILE").expect("set by the parent");
    assert!(names.iter().all(|name| **name == *format!("sqlite:{file}")), "{names:?}");
    let same = |name| std::sync::Arc::ptr_eq(name, &names[0]);
    assert!(names.iter().all(same), "the file was opened more than once");
    let guard = tenure::mutex("key").acquire().await.expect("granted");
    assert!(tenure::mutex("key").try_acquire().await.expect("an answer").is_none());
    guard.release().await.expect("released");
}

async fn bad_url() {
    let error = tenure::mutex("key").acquire().await.expect_err("no such store");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("TENURE_STORE"), "{error}");
    assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    // A failed opening is tried again.
    tenure::set_default(tenure::connect("memory:").await.expect("memory"));
    drop(tenure::mutex("key").acquire().await.expect("granted"));
}

async fn set() {
    let early = tenure::mutex("key");
    let first = tenure::connect("memory:").await.expect("memory");
    tenure::set_default(first.clone());
    let guard = early.acquire().await.expect("granted");
    assert!(first.mutex("key").held_by_anyone().await.expect("a look"));
    tenure::set_default(tenure::connect("memory:").await.expect("memory"));
    let other = early.try_acquire().await.expect("an answer").expect("free in the other store");
    guard.check().expect("held where it was acquired");
    other.check().expect("held");
}

async fn server() {
    let locks = tenure::default_locks().await.expect("the server answers");
    assert!(locks.store_name().starts_with("redis://127.0.0.1"), "{}", locks.store_name());
    let guard = tenure::mutex("key").acquire().await.expect("granted");
    assert!(locks.mutex("key").held_by_anyone().await.expect("a look"));
    guard.release().await.expect("released");
}

async fn refused() {
    for error in [
        tenure::default_locks().await.expect_err("no store for sure"),
        tenure::mutex("key").acquire().await.expect_err("no store for sure"),
    ] {
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        assert!(error.to_string().contains("TENURE_STORE"), "{error}");
    }
}

/// A store that cannot be opened says which variable may have been meant.
async fn embedded() {
    let error = tenure::mutex("key").acquire().await.expect_err("no place for the store");
    let text = format!("{error} {error:?}");
    assert!(text.contains("REDIS_URL is set, but is not read"), "{text}");
    assert!(!text.contains("secret"), "{text}");
}

/// The warnings that were told.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn event(&self, event: &tracing::Event<'_>) {
        let message = &mut |_: &tracing::field::Field, value: &dyn std::fmt::Debug| {
            self.0.lock().expect("no panic").push(format!("{value:?}"));
        };
        event.record(message);
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

/// It would be ignored, and the locks of this host would be used in place of those of all.
async fn misspelt() {
    let warnings = Warnings::default();
    tracing::subscriber::set_global_default(warnings.clone()).expect("the first");
    tenure::default_locks().await.expect_err("no such store");
    tenure::default_locks().await.expect_err("no such store");
    let told = warnings.0.lock().expect("no panic").clone();
    let about = |told: &&String| told.contains("TENURE_STOER (did you mean TENURE_STORE?)");
    assert_eq!(told.iter().filter(about).count(), 1, "{told:?}");
    assert!(!told.concat().contains("secret"), "{told:?}");
}

#[test]
fn a_misspelt_variable_is_warned_about_once() {
    let url = Path::new("redis://:secret@h");
    play("misspelt", &[("TENURE_STOER", url), ("TENURE_STORE", Path::new("nosuch:"))]);
}

#[test]
fn a_server_is_named_by_its_url() {
    let server = tenure_testkit::Server::redis().start();
    play("server", &[("TENURE_STORE", Path::new(&server.url()))]);
}

/// They name a cache as often as a server for locks.
#[test]
fn a_variable_of_others_is_a_hint_and_no_store() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("file");
    std::fs::write(&file, "").expect("it can be written");
    // No directory can be made where a file is. As root the place is another.
    if !rustix::process::geteuid().is_root() {
        let url = Path::new("redis://:secret@127.0.0.1:1");
        play("embedded", &[("REDIS_URL", url), ("XDG_STATE_HOME", &file), ("HOME", &file)]);
    }
    let file = dir.path().join("locks.db");
    let nobody = Path::new("127.0.0.1");
    play("first uses", &[("TENURE_STORE_FILE", &file), ("REDIS_HOST", nobody)]);
}

#[test]
fn an_empty_variable_is_refused_and_so_are_two() {
    let file = Path::new("/nonexistent/locks.db");
    let memory = Path::new("memory:");
    play("refused", &[("TENURE_STORE", Path::new(""))]);
    play("refused", &[("TENURE_STORE_FILE", Path::new(""))]);
    play("refused", &[("TENURE_STORE", Path::new("")), ("TENURE_STORE_FILE", file)]);
    play("refused", &[("TENURE_STORE", memory), ("TENURE_STORE_FILE", file)]);
}

#[test]
fn concurrent_first_uses_share_one_opening() {
    let dir = tempfile::tempdir().expect("a directory");
    play("first uses", &[("TENURE_STORE_FILE", &dir.path().join("locks.db"))]);
}

#[test]
fn a_bad_url_names_its_variable_and_no_secret() {
    play("bad url", &[("TENURE_STORE", Path::new("nosuch://user:secret@host"))]);
}

#[test]
fn what_is_set_comes_before_the_environment() {
    play("set", &[("TENURE_STORE", Path::new("nosuch:"))]);
}
