//! A file with a password that hangs, as on a mount that is gone.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use tenure::{ErrorKind, Renewal};
use tenure_testkit::{Server, alone, wait_until};

/// No step of a machine that runs tests takes so long, however busy it is.
const PATIENCE: Duration = Duration::from_secs(60);

/// As a file on a mount that hangs.
fn pipe(path: &std::path::Path) {
    let made = Command::new("mkfifo").arg(path).status().expect("mkfifo");
    assert!(made.success());
}

#[tokio::test]
async fn password_file_that_hangs_ends_by_the_limit_and_costs_no_lease() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("password");
    pipe(&file);
    let memory = tenure::connect("memory:").await.expect("memory");
    let often = Renewal::Every(Duration::from_millis(100));
    let mutex = memory.mutex("kept").with_ttl(Duration::from_secs(60)).with_renewal(often);
    let kept = mutex.acquire().await.expect("granted");
    let server = Server::redis().with_password("secret").start();
    let url = format!("{}?password_file={}&connect_timeout=2s", server.url(), file.display());
    let error = within(tenure::connect(&url)).await.expect_err("hangs");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let told = error.to_string();
    assert!(told.contains("was not read") && told.contains("password"), "{told}");
    for _ in 0..3 {
        within(kept.renewed(kept.deadline())).await;
    }
}

/// While one reading hangs there is no second one: each would cost a thread.
#[test]
fn password_file_that_hangs_costs_one_thread() {
    // The threads of a process are counted.
    alone(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(hang_and_count());
    });
}

async fn hang_and_count() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("password");
    fs::write(&file, "secret\n").expect("written");
    let server = Server::redis().with_password("secret").start();
    let url = format!("{}?password_file={}&connect_timeout=50ms", server.url(), file.display());
    let locks = loop {
        // On a busy machine 50 ms may be too little.
        if let Ok(locks) = within(tenure::connect(&url)).await {
            break locks;
        }
    };
    fs::remove_file(&file).expect("removed");
    pipe(&file);
    let before = threads_aside();
    server.restart();
    let mut hung = 0;
    while hung < 12 {
        let refused = locks.mutex("key").try_acquire().await.expect_err("no password");
        hung += usize::from(refused.to_string().contains("was not read"));
    }
    wait_until("one thread that hangs", || threads_aside() <= before + 1);
    // The mount is back.
    let path = file.clone();
    let writer = thread::spawn(move || fs::write(path, "secret\n"));
    writer.join().expect("no panic").expect("somebody reads");
    fs::remove_file(&file).expect("removed");
    fs::write(&file, "secret\n").expect("written");
    let began = std::time::Instant::now();
    while locks.mutex("key").try_acquire().await.is_err() {
        assert!(began.elapsed() < PATIENCE, "it never came back");
    }
}

async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("an end")
}

fn threads_aside() -> usize {
    let threads = fs::read_dir("/proc/self/task").expect("threads");
    let names = threads.flatten().map(|thread| fs::read_to_string(thread.path().join("comm")));
    names.flatten().filter(|name| name.trim() == "tenure-aside").count()
}
