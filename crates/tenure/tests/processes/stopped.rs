//! A process that was stopped for longer than the limit of its call, while the answer came: it
//! reads the answer that lies in its socket, and does not take the server for silent.
//!
//! Chance says which of its threads goes on first. So some tests hold up the thread that reads, for
//! as long as it takes: there the limit always comes first.

use std::fs;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::Stdio;
use std::sync::{Arc, mpsc};
use std::task::Poll;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tenure::store::{Direct, Quorum, QuorumOptions, Redis, RedisOptions, Store};
use tenure::{Locks, LocksOptions, runtime};
use tenure_testkit::{Direction, Flavour, Flow, Proxy, Running, Server, alone, role, wait_until};

/// The limit of a call. No pause of the machine makes the stop come later than that.
const LIMIT: Duration = Duration::from_secs(6);
/// So many call, each over connections of its own.
const CALLERS: usize = 8;
/// No lease ends during the test.
const LONG: Duration = Duration::from_secs(600);

/// A process whose tasks call.
struct Callers {
    process: Running,
    dir: tempfile::TempDir,
}

impl Callers {
    /// Starts it, and waits until they are about to call.
    fn of(kind: &str, urls: &[String]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut command = role!(callers);
        command
            .arg("--ignored")
            .stdout(Stdio::null())
            .env("CALLER_DIR", dir.path())
            .env("CALLER_KIND", kind);
        let process = Running::start(command.env("CALLER_URLS", urls.join(" ")));
        let callers = Self { process, dir };
        wait_until("they are ready", || callers.file("ready").exists());
        callers
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.process.id()).expect("a pid")).expect("a pid");
        kill_process(pid, signal).expect("it runs");
    }

    /// Lets them call, stops the process while the answers are on their way, and lets it go on when
    /// they lie in its sockets and the limit is over. Answers what each got, line by line.
    fn call(&self, servers: &[Server], proxies: &[Proxy]) -> String {
        proxies.iter().for_each(|p| p.set_flow(Direction::ToClient, Flow::Stalled));
        fs::write(self.file("go"), "").expect("a file");
        for server in servers {
            let keys: Vec<_> = (0..CALLERS).map(|number| format!("key {number}")).collect();
            let exist: Vec<_> = ["EXISTS"].into_iter().chain(keys.iter().map(|k| &**k)).collect();
            let have_run = || server.command(&exist).int() == i64::try_from(CALLERS).expect("few");
            wait_until("the calls are carried out", have_run);
        }
        // They were sent before.
        let sent = Instant::now();
        self.signal(Signal::STOP);
        let is_stopped = || state(self.process.id()) == Some('T');
        wait_until("it is stopped", is_stopped);
        assert!(!self.file("done").exists(), "it was stopped too late");
        proxies.iter().for_each(|p| p.set_flow(Direction::ToClient, Flow::Open));
        for proxy in proxies {
            // A direct connection that is just being opened has an answer of its own to read.
            wait_until("the answers are there", || unread(proxy.address()) >= CALLERS);
        }
        std::thread::sleep((LIMIT + Duration::from_millis(100)).saturating_sub(sent.elapsed()));
        self.signal(Signal::CONT);
        wait_until("it has its answer", || self.file("done").exists());
        fs::read_to_string(self.file("done")).expect("an answer")
    }
}

fn state(id: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// How many sockets of clients of this address have bytes that were not read.
fn unread(address: SocketAddr) -> usize {
    let sockets = fs::read_to_string("/proc/net/tcp").expect("the sockets");
    let port = format!(":{:04X}", address.port());
    let has_unread = |line: &&str| {
        let words: Vec<_> = line.split_whitespace().collect();
        let unread = words[4].split_once(':').map_or("", |(_, unread)| unread);
        words[2].ends_with(&port) && unread.chars().any(|digit| digit != '0')
    };
    sockets.lines().skip(1).filter(has_unread).count()
}

/// Says that it is there in whole: by its name.
fn write(dir: &Path, name: &str, text: &str) {
    fs::write(dir.join("half"), text).expect("a file");
    fs::rename(dir.join("half"), dir.join(name)).expect("a file");
}

/// A server whose calls have this limit. Servers of tests are young, and are taken for old.
fn node(url: &str, limit: Duration, direct: Direct) -> Arc<dyn Store> {
    let (guard, limit) = (LONG.as_secs(), limit.as_millis());
    let url = format!("{url}?restart_guard={guard}s&connect_timeout=60s&call_timeout={limit}ms");
    let old = RedisOptions { up_for: Some(LONG), direct, ..RedisOptions::default() };
    let machine = runtime::machine().expect("a clock and timers");
    Arc::new(Redis::unopened(&url, &machine, &old).expect("a good URL"))
}

/// A quorum that waits for a node for this limit; the nodes have time.
async fn quorum(urls: &[String]) -> Arc<dyn Store> {
    let stores = urls.iter().map(|url| node(url, LONG, Direct::Never)).collect();
    let options = QuorumOptions::default().with_max_ttl(LONG).with_node_timeout(LIMIT);
    let machine = runtime::machine().expect("a clock and timers");
    Arc::new(Quorum::open(stores, machine, options).await.expect("all answer"))
}

#[tokio::test]
#[ignore = "started by the tests below"]
async fn callers() {
    let told = |name: &str| std::env::var(name).expect("started by the tests below");
    let (dir, kind) = (PathBuf::from(told("CALLER_DIR")), told("CALLER_KIND"));
    let urls: Vec<_> = told("CALLER_URLS").split(' ').map(str::to_owned).collect();
    let mut all = Vec::new();
    for _ in 0..CALLERS {
        let store = match kind.as_str() {
            "quorum" => quorum(&urls).await,
            "direct" => node(&urls[0], LIMIT, Direct::Lone),
            _ => node(&urls[0], LIMIT, Direct::Never),
        };
        let options = LocksOptions::default().with_store_timeout(LONG);
        let machine = runtime::machine().expect("a clock and timers");
        let locks = Locks::over(store, machine, options);
        // Many lone calls in a row open the direct connection.
        for _ in 0..if kind == "direct" { 100 } else { 1 } {
            let guard = locks.mutex("warm").with_ttl(LONG).acquire().await.expect("free");
            guard.release().await.expect("an answer");
        }
        all.push(locks);
    }
    write(&dir, "ready", "");
    while !dir.join("go").exists() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let asking = all.into_iter().enumerate().map(|(number, locks)| {
        let mutex = locks.mutex(format!("key {number}")).with_ttl(LONG);
        // It asks once.
        tokio::spawn(async move { mutex.try_acquire().await })
    });
    let mut answers = Vec::new();
    for asked in asking.collect::<Vec<_>>() {
        answers.push(match asked.await.expect("no panic") {
            Ok(Some(_guard)) => "held".to_owned(),
            Ok(None) => "busy".to_owned(),
            Err(error) => error.to_string(),
        });
    }
    write(&dir, "done", &answers.join("\n"));
}

fn all_are_held(kind: &str, nodes: usize) {
    let servers: Vec<_> = (0..nodes).map(|_| Server::of(Flavour::Redis).start()).collect();
    let proxies: Vec<_> = servers.iter().map(|server| Proxy::to(server.address())).collect();
    let urls: Vec<_> = proxies.iter().map(Proxy::url).collect();
    let answers = Callers::of(kind, &urls).call(&servers, &proxies);
    assert_eq!(answers.lines().collect::<Vec<_>>(), ["held"; CALLERS]);
}

#[test]
fn an_answer_on_the_shared_connection_is_read_first() {
    all_are_held("shared", 1);
}

#[test]
fn an_answer_on_the_direct_connection_is_read_first() {
    all_are_held("direct", 1);
}

#[test]
fn the_answers_of_a_quorum_are_read_first() {
    all_are_held("quorum", 3);
}

/// Holds up the thread that reads answers, from before a call goes out until its limit is over.
fn late_limit_reads_first(servers: &[Server], store: Arc<dyn Store>) {
    let machine = runtime::machine().expect("a clock and timers");
    let tokio = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let options = LocksOptions::default().with_store_timeout(LONG);
    let locks = Locks::over(store, Arc::clone(&machine), options);
    let warm = locks.mutex("warm").with_ttl(LONG);
    let guard = tokio.block_on(warm.acquire()).expect("free");
    tokio.block_on(guard.release()).expect("an answer");
    let (begun, is_begun) = mpsc::channel();
    let (over, is_over) = mpsc::channel::<()>();
    machine.spawn(Box::pin(async move {
        begun.send(()).expect("it is waited for");
        let _dropped = is_over.recv();
    }));
    is_begun.recv().expect("it begins");
    let mutex = locks.mutex("key").with_ttl(LONG);
    let mut asking = pin!(mutex.try_acquire());
    let asked = poll_fn(|cx| Poll::Ready(asking.as_mut().poll(cx).is_pending()));
    assert!(tokio.block_on(asked), "nobody reads the answer");
    // At a node that has not answered the release yet, the call waits to be sent.
    let majority = servers.len() / 2 + 1;
    wait_until("a majority has carried the call out", || {
        let has = |server: &&Server| server.command(&["EXISTS", "key"]).int() == 1;
        servers.iter().filter(has).count() >= majority
    });
    std::thread::sleep(LIMIT + Duration::from_millis(100));
    drop(over);
    let guard = tokio.block_on(asking).expect("it has answered").expect("free");
    tokio.block_on(guard.release()).expect("an answer");
}

#[test]
fn a_late_limit_of_a_call_reads_first() {
    alone(|| {
        let server = Server::of(Flavour::Redis).start();
        let store = node(&server.url(), LIMIT, Direct::Never);
        late_limit_reads_first(&[server], store);
    });
}

#[test]
fn a_late_limit_of_a_quorum_reads_first() {
    alone(|| {
        let servers: Vec<_> = (0..3).map(|_| Server::of(Flavour::Redis).start()).collect();
        let tokio = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let urls: Vec<_> = servers.iter().map(Server::url).collect();
        let quorum = tokio.block_on(quorum(&urls));
        late_limit_reads_first(&servers, quorum);
    });
}
