//! A hundred tasks in each of ten processes want one key: the store sees one waiter of each
//! process, and each process gets its share.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Lines};
use std::process::{ChildStdout, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tenure::{Locks, LocksOptions};
use tenure_testkit::{Flavour, Running, Server, role};

use crate::home::unhurried;

const PROCESSES: usize = 10;
const TASKS: usize = 100;
/// How often each task takes the key.
const ROUNDS: usize = 2;
const HANDOFFS: usize = 16;
/// No step of a healthy machine takes so long, however busy it is.
const PATIENCE: Duration = Duration::from_secs(120);
/// The variables with the store and the name of a process of this test.
const STORE: &str = "TENURE_TEST_STORE";
const NAME: &str = "TENURE_TEST_NAME";

/// One of the processes, and the lines that it prints.
struct Contender(Running, Lines<BufReader<ChildStdout>>);

impl Contender {
    fn start(store: &str, name: &str) -> Self {
        let mut command = role!(role_crowd);
        command.env(STORE, store).env(NAME, name);
        let mut child = Running::start(command.stdout(Stdio::piped()));
        let lines = BufReader::new(child.stdout.take().expect("its stdout")).lines();
        Self(child, lines)
    }

    fn says(&mut self) -> Option<String> {
        let mut lines = self.1.by_ref().map(|line| line.expect("a line"));
        lines.find_map(|line| line.split_once('@').map(|(_, said)| said.to_owned()))
    }
}

/// Not a test but what one starts: it tells the fence of each of its grants.
#[tokio::test]
async fn role_crowd() {
    let (Ok(store), Ok(name)) = (std::env::var(STORE), std::env::var(NAME)) else { return };
    // The span is for a quiet machine; a turn ends here by its number.
    let turn = LocksOptions::default()
        .with_local_handoffs(HANDOFFS as u32, PATIENCE)
        .with_store_timeout(PATIENCE);
    let locks = tenure::connect_with(&store, turn).await.expect("opens");
    let started = Arc::new(AtomicUsize::new(0));
    let crowd: Vec<_> = (0..TASKS)
        .map(|_| {
            let mutex = locks.mutex("key").with_label(&name);
            let started = Arc::clone(&started);
            tokio::spawn(async move {
                for _ in 0..ROUNDS {
                    started.fetch_add(1, Ordering::SeqCst);
                    let guard = mutex.acquire().await.expect("granted");
                    println!("@{}", guard.fence());
                    guard.release().await.expect("released");
                }
            })
        })
        .collect();
    while started.load(Ordering::SeqCst) < TASKS {
        tokio::task::yield_now().await;
    }
    println!("@ready");
    for task in crowd {
        task.await.expect("no panic");
    }
}

/// The labels of those who stand at the store; no process has two.
async fn one_waiter_each(locks: &Locks) -> usize {
    let seen = locks.mutex("key").inspect().await.expect("a look");
    let mut labels: Vec<_> = seen.waiters.iter().map(|waiter| waiter.label.as_str()).collect();
    labels.sort_unstable();
    let twice = labels.windows(2).find(|pair| pair[0] == pair[1]);
    assert!(twice.is_none(), "two waiters of one process at the store: {labels:?}");
    labels.len()
}

async fn shares(store: &str) {
    let locks = tenure::connect(store).await.expect("opens");
    let start = locks.mutex("key").acquire().await.expect("granted");
    let mut crowd: Vec<_> = (0..PROCESSES)
        .map(|number| Contender::start(store, &format!("process {number}")))
        .collect();
    for process in &mut crowd {
        assert_eq!(process.says().as_deref(), Some("ready"));
    }
    let began = Instant::now();
    while one_waiter_each(&locks).await < PROCESSES {
        assert!(began.elapsed() < PATIENCE, "not every process stands in line");
    }
    start.release().await.expect("released");
    let mut looks = 0;
    while crowd.iter_mut().any(|process| process.0.try_wait().expect("a look").is_none()) {
        assert!(began.elapsed() < PATIENCE, "they are not done");
        one_waiter_each(&locks).await;
        looks += 1;
    }
    let mut grants = BTreeMap::new();
    for (number, process) in crowd.iter_mut().enumerate() {
        while let Some(fence) = process.says() {
            let fence: u64 = fence.parse().expect("a fence");
            assert_eq!(grants.insert(fence, number), None, "one fence was given twice");
        }
    }
    assert_eq!(grants.len(), PROCESSES * TASKS * ROUNDS);
    judge(&grants.into_values().collect::<Vec<_>>(), looks);
}

/// Looks at who had the key in which order, until the first process was done.
fn judge(order: &[usize], looks: usize) {
    let mut had = [0; PROCESSES];
    let (mut run, mut longest, mut last) = (0, 0, usize::MAX);
    for process in order {
        had[*process] += 1;
        run = if *process == last { run + 1 } else { 1 };
        (last, longest) = (*process, longest.max(run));
        if had[*process] == TASKS * ROUNDS {
            break;
        }
    }
    println!("{looks} looks; longest turn {longest}; shares {had:?}");
    // A grant by the store and the handoffs.
    assert!(longest <= HANDOFFS + 1, "one process had it {longest} times in a row");
    assert!(longest > 1, "no handoff was local");
    let (least, most) = (had.iter().min().expect("ten"), had.iter().max().expect("ten"));
    // One turn more than another, and one that a process missed which did not run in time.
    assert!(most - least <= 2 * (HANDOFFS + 1), "the shares are {had:?}");
}

#[tokio::test]
async fn ten_processes_share_a_key_on_redis() {
    let server = Server::of(Flavour::Redis).start();
    shares(&unhurried(&server)).await;
}

#[tokio::test]
async fn ten_processes_share_a_key_on_valkey() {
    let server = Server::of(Flavour::Valkey).start();
    shares(&unhurried(&server)).await;
}

#[tokio::test]
async fn ten_processes_share_a_key_on_sqlite() {
    let dir = tempfile::tempdir().expect("a directory");
    shares(&format!("sqlite:{}", dir.path().join("locks.db").display())).await;
}
