//! Other libraries on the same key, both ways: redis-py itself, and the layouts of the others.

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use tenure::ErrorKind;
use tenure::protocol::State;
use tenure_testkit::{Flavour, Reply, Running, Server, clean, redis_py};

use crate::world::{acquire, connect, exists, ms, take, until, until_waiting, waiting};

const ROUNDS: usize = 15;

/// redis-py in a process of its own.
struct RedisPy {
    _process: Running,
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
}

impl RedisPy {
    fn at(server: &Server) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/redis/redis_py.py");
        let mut command = Command::new("python3");
        clean(&mut command)
            .arg(script)
            .arg(server.port().to_string())
            .env("PYTHONPATH", redis_py());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Running::start(&mut command);
        let stdin = process.stdin.take().expect("its stdin");
        let stdout = BufReader::new(process.stdout.take().expect("its stdout")).lines();
        Self { _process: process, stdin, stdout }
    }

    /// Says a line and waits for its answer.
    fn ask(&mut self, line: &str) -> String {
        writeln!(self.stdin, "{line}").expect("it listens");
        self.stdout.next().expect("it answers").expect("a line")
    }
}

#[tokio::test]
async fn redis_py_is_kept_out_while_tenure_holds() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let mut other = RedisPy::at(&server);
        let locks = connect(&server.url()).await;
        let guard = take(&locks, "job").await;
        assert_eq!(other.ask("acquire job 5"), "False");
        assert_eq!(other.ask("locked job"), "True");
        guard.release().await.expect("released");
        assert_eq!(other.ask("locked job"), "False");
        assert_eq!(other.ask("acquire job 5"), "True");
    }
}

#[tokio::test]
async fn tenure_is_kept_out_while_redis_py_holds() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let mut other = RedisPy::at(&server);
        let locks = connect(&server.url()).await;
        assert_eq!(other.ask("acquire job 30"), "True");
        let mutex = locks.mutex("job");
        assert!(mutex.try_acquire().await.expect("an answer").is_none());
        let seen = mutex.inspect().await.expect("a look");
        let State::Foreign(about) = &seen.state else { panic!("{seen:?}") };
        assert!(about.contains("another library"), "{about}");
        let busy = mutex.clone().with_wait(ms(3000)).acquire().await.expect_err("it is held");
        assert_eq!(busy.kind(), ErrorKind::Busy);
        assert!(busy.to_string().contains("not Tenure"), "{busy}");
        // It withdraws in the background.
        until_waiting(&locks, "job", 0).await;
        other.ask("release job");
        take(&locks, "job").await.release().await.expect("released");
    }
}

/// The time from redis-py's release to the waiter's grant.
async fn after_redis_py(other: &mut RedisPy, locks: &tenure::Locks) -> Duration {
    assert_eq!(other.ask("acquire job 30"), "True");
    let mutex = locks.mutex("job");
    let waiter = tokio::spawn(async move {
        let guard = acquire(&mutex).await;
        (Instant::now(), guard)
    });
    until_waiting(locks, "job", 1).await;
    let answer = other.ask("release job");
    let released = Instant::now();
    assert!(answer.parse::<u64>().is_ok(), "{answer}");
    let (at, guard) = waiter.await.expect("granted");
    guard.release().await.expect("released");
    at.saturating_duration_since(released)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiter_behind_redis_py_is_granted_soon_after_its_release() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let mut other = RedisPy::at(&server);
        let locks = connect(&server.url()).await;
        let mut took = Vec::new();
        for _ in 0..ROUNDS {
            took.push(after_redis_py(&mut other, &locks).await);
        }
        took.sort_unstable();
        let (median, worst) = (took[ROUNDS / 2], took[ROUNDS - 1]);
        println!("{flavour}: granted after redis-py's release: median {median:?}, worst {worst:?}");
        // It looks every 100 ms. A waiter that only had its heartbeats would come nearly a second
        // late each time, since they begin with its place. A busy machine delays some, not most.
        assert!(median < ms(500), "{took:?}");
    }
}

#[tokio::test]
async fn redis_py_waits_for_tenure_and_tenure_for_redis_py_in_turn() {
    let server = Server::redis().start();
    let mut other = RedisPy::at(&server);
    let locks = connect(&server.url()).await;
    let mut last = None;
    for _ in 0..5 {
        let guard = acquire(&locks.mutex("job")).await;
        assert!(Some(guard.fence()) > last);
        last = Some(guard.fence());
        let released = tokio::spawn(async move {
            tokio::time::sleep(ms(20)).await;
            guard.release().await
        });
        let got = tokio::task::spawn_blocking(move || (other.ask("wait job 30 20"), other)).await;
        let (answer, back) = got.expect("no panic");
        other = back;
        assert_eq!(answer, "True");
        released.await.expect("no panic").expect("released");
        assert!(locks.mutex("job").try_acquire().await.expect("an answer").is_none());
        other.ask("release job");
    }
}

#[tokio::test]
async fn a_late_release_of_redis_py_does_not_free_ours() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let mut other = RedisPy::at(&server);
        let locks = connect(&server.url()).await;
        assert_eq!(other.ask("acquire job 0.2"), "True");
        let guard = acquire(&locks.mutex("job")).await;
        assert_eq!(other.ask("release job"), "LockNotOwnedError");
        guard.check().expect("held");
        assert!(exists(&server, "job"));
        let seen = locks.mutex("job").inspect().await.expect("a look");
        assert_eq!(seen.holders[0].fence, guard.fence());
        guard.release().await.expect("released");
    }
}

#[tokio::test]
async fn redis_py_extends_and_releases_a_lock_whose_value_it_was_told() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let mut other = RedisPy::at(&server);
        let locks = connect(&server.url()).await;
        let mutex = locks.mutex("job").with_plain_value();
        let guard = acquire(&mutex).await;
        let (value, fence) = (guard.owner().value().to_owned(), guard.fence());
        guard.hand_over(ms(20_000)).await.expect("handed over");
        assert_eq!(other.ask(&format!("take-over job {value}")), "True", "{flavour}");
        assert_eq!(other.ask("extend job 600"), "True", "{flavour}");
        let seen = mutex.inspect().await.expect("a look");
        assert!(seen.holders[0].remaining > ms(500_000), "{flavour}: {seen:?}");
        assert!(mutex.try_acquire().await.expect("an answer").is_none());
        let waiter = waiting(mutex.clone());
        until_waiting(&locks, "job", 1).await;
        assert!(other.ask("release job").parse::<u64>().is_ok(), "{flavour}: not its own");
        let next = crate::world::granted(waiter).await;
        assert!(next.fence() > fence, "{flavour}");
        // The other way round it does not own what it was not told of.
        assert_eq!(other.ask("take-over job another"), "False", "{flavour}");
        assert_eq!(other.ask("extend job 600"), "LockNotOwnedError", "{flavour}");
        assert_eq!(other.ask("release job"), "LockNotOwnedError", "{flavour}");
        next.release().await.expect("released");
    }
}

/// Found by this test: the record of a lock named no owner, so that whatever value stood under the
/// name was taken for its last holder's, and was freed when that holder's lease had ended.
#[tokio::test]
async fn whoever_comes_after_a_holder_is_not_taken_for_it() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let mut other = RedisPy::at(&server);
        let locks = connect(&server.url()).await;
        // Starting takes it longer than the lease lasts.
        assert_eq!(other.ask("locked job"), "False");
        let mutex = locks.mutex("job").with_ttl(ms(3000));
        let guard = acquire(&mutex).await;
        let lease_end = Instant::now() + ms(3000);
        guard.release().await.expect("released");
        assert_eq!(other.ask("acquire job 30"), "True");
        // While the lease would still run, and once after its end.
        let mut over = false;
        while !over {
            over = Instant::now() > lease_end + ms(50);
            assert!(mutex.try_acquire().await.expect("an answer").is_none());
            let seen = mutex.inspect().await.expect("a look");
            assert!(matches!(seen.state, State::Foreign(_)), "{flavour}: {seen:?}");
            assert_eq!(other.ask("locked job"), "True", "{flavour}: its lock was freed");
        }
        assert!(other.ask("release job").parse::<u64>().is_ok(), "its lock was not its own");
    }
}

#[tokio::test]
async fn a_late_release_of_ours_does_not_free_redis_py() {
    let server = Server::redis().start();
    let mut other = RedisPy::at(&server);
    let locks = connect(&server.url()).await;
    let mutex = locks.mutex("job").with_ttl(ms(2000)).with_renewal(tenure::Renewal::Off);
    let guard = acquire(&mutex).await;
    assert_eq!(other.ask("wait job 30 20"), "True");
    assert_eq!(guard.release().await.expect("an answer"), tenure::Released::Others);
    assert!(exists(&server, "job"));
    assert_eq!(other.ask("locked job"), "True");
}

/// The templates that SAFETY.md names.
fn documented_templates() -> Vec<&'static str> {
    let (_, table) =
        include_str!("../../../../SAFETY.md").split_once("`?key_template=` |").unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.filter_map(|row| row.split('`').nth(1)).collect()
}

#[tokio::test]
async fn templates_fit_the_layouts_of_the_others() {
    let layouts = [
        ("{name}", "job"),
        ("lock:{name}", "lock:job"),
        ("redlock:{name}", "redlock:job"),
        ("mutex:{name}", "mutex:job"),
    ];
    assert_eq!(documented_templates(), layouts.map(|(template, _)| template));
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        for (template, name) in layouts {
            excludes_each_other(&server, template, name).await;
        }
    }
}

/// Tenure under a template, and those who set this name if it is free, and delete it.
async fn excludes_each_other(server: &Server, template: &str, name: &str) {
    let locks = connect(&format!("{}?key_template={template}", server.url())).await;
    let guard = take(&locks, "job").await;
    let nx = ["SET", name, "theirs", "NX", "PX", "60000"];
    assert!(server.command(&nx).is_nil(), "{name}: both hold it");
    let value = server.command(&["GET", name]).text().expect("a string");
    assert_eq!(value.lines().next(), Some(guard.owner().value()), "{name}");
    guard.release().await.expect("released");
    assert_eq!(server.command(&nx), Reply::Simple("OK".into()), "{name}: it was released");
    assert!(locks.mutex("job").try_acquire().await.expect("an answer").is_none());
    let waiter = waiting(locks.mutex("job"));
    until_waiting(&locks, "job", 1).await;
    server.command(&["DEL", name]);
    crate::world::granted(waiter).await.release().await.expect("released");
}

/// Values that somebody may have left under the name, and the words for them.
const NO_LOCKS: [(&[&str], &str); 6] = [
    (&["HSET", "job", "uuid:1", "1"], "hash"),
    (&["ZADD", "job", "1", "x"], "zset"),
    (&["RPUSH", "job", "x"], "list"),
    (&["SADD", "job", "x"], "set"),
    (&["XADD", "job", "*", "f", "v"], "stream"),
    (&["SET", "job", "x"], "string without a ttl"),
];

#[tokio::test]
async fn what_is_no_lock_is_called_by_its_name() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let locks = connect(&server.url()).await;
        for (command, what) in NO_LOCKS {
            server.command(&["DEL", "job"]);
            assert!(!server.command(command).is_error(""), "{command:?}");
            let before = server.command(&["DUMP", "job"]);
            let mutex = locks.mutex("job");
            let seen = mutex.inspect().await.expect("a look");
            let State::Foreign(about) = &seen.state else { panic!("{what}: {seen:?}") };
            assert!(about.contains(what), "{what}: {about}");
            let tried = mutex.try_acquire().await.expect_err(what);
            let waited = mutex.clone().with_wait(ms(30_000)).acquire().await.expect_err(what);
            for error in [tried, waited] {
                assert_eq!(error.kind(), ErrorKind::Mismatch, "{what}: {error}");
                assert!(error.to_string().contains(what), "{what}: {error}");
                assert!(error.to_string().contains("choose another key"), "{what}: {error}");
            }
            assert_eq!(server.command(&["DUMP", "job"]), before, "{what}: it was touched");
        }
    }
}

#[tokio::test]
async fn a_key_that_becomes_something_else_ends_the_lease_and_is_left_alone() {
    let server = Server::redis().start();
    let locks = connect(&server.url()).await;
    let mutex = locks.mutex("job").with_renewal(tenure::Renewal::Every(ms(200)));
    let guard = acquire(&mutex).await;
    server.command(&["DEL", "job"]);
    server.command(&["HSET", "job", "uuid:1", "1"]);
    let reason = crate::world::within("the loss", guard.lost()).await;
    assert_eq!(reason, tenure::LostReason::Gone);
    let _told = guard.release().await;
    assert_eq!(server.command(&["TYPE", "job"]), Reply::Simple("hash".into()));
    until("the hash is seen", async || {
        matches!(locks.mutex("job").inspect().await.expect("a look").state, State::Foreign(_))
    })
    .await;
}

/// A later version of Tenure may have written this: a lock that says everything, and a record.
#[tokio::test]
async fn another_layout_is_refused_and_left_alone() {
    let lock = format!("owner\n2{:016x}label{:048}", 1, 0);
    for (name, value) in [("job", &*lock), ("tenure:{job}:record", "2Xrest")] {
        for flavour in Flavour::ALL {
            let server = Server::of(flavour).start();
            let locks = connect(&server.url()).await;
            server.command(&["SET", name, value, "PX", "60000"]);
            let tried = locks.mutex("job").try_acquire().await.expect_err("another layout");
            let looked = locks.mutex("job").inspect().await.expect_err("another layout");
            for error in [tried, looked] {
                assert_eq!(error.kind(), ErrorKind::Mismatch, "{flavour}, {name}: {error}");
                assert!(error.to_string().contains("one version of Tenure"), "{error}");
            }
            assert_eq!(server.command(&["GET", name]).text().as_deref(), Some(value), "{name}");
        }
    }
}
