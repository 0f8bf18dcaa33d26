//! Five candidates, each a process of its own, of which the leader is killed, stopped or cut off
//! from the store: never two lead within their validity, terms grow, and nobody leads for no longer
//! than a leader's ttl.
//!
//! `TENURE_ELECTIONS=20 cargo test --release -p tenure --test processes election -- --nocapture`
//! does so 20 times each, on each store.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use rustix::time::{ClockId, clock_gettime};
use tempfile::TempDir;
use tenure_testkit::{Flavour, Proxy, Running, Server, lateness, role, wait_until};

const CANDIDATES: usize = 5;
const TTL: Duration = Duration::from_secs(2);
/// Time that an election takes after the end of the lease before: a timer and a call. Candidates
/// that only looked with their heartbeats would take longer, on average.
const LATE: Duration = Duration::from_millis(300);
/// The rounds of each disturbance in the short form.
const ROUNDS: usize = 3;

/// The variables with the store, the file of notes and the number of a candidate; and whether it
/// stands for a role of its own.
const STORE: &str = "TENURE_TEST_STORE";
const NOTES: &str = "TENURE_TEST_NOTES";
const NUMBER: &str = "TENURE_TEST_NUMBER";
const IS_CARELESS: &str = "TENURE_TEST_CARELESS";
/// The variable with the rounds of the long form.
const ELECTIONS: &str = "TENURE_ELECTIONS";

/// Now, on the clock of deadlines, which all processes of a host share.
fn now() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).expect("below 10^9"))
}

/// Not a test but what one starts: a candidate until it is killed.
#[tokio::test]
async fn role_candidate() {
    let (Ok(store), Ok(notes)) = (std::env::var(STORE), std::env::var(NOTES)) else { return };
    let number = std::env::var(NUMBER).expect("a number");
    let mut notes = OpenOptions::new().append(true).open(notes).expect("the notes");
    let mut note = |word: &str, term: tenure::Fence, at: u128| {
        // In one piece, since others write there too.
        notes.write_all(format!("{word} {number} {term} {at}\n").as_bytes()).expect("a line");
    };
    let is_careless = std::env::var_os(IS_CARELESS).is_some();
    let key = if is_careless { format!("role {number}") } else { "role".into() };
    let locks = loop {
        // A busy machine may not answer within the limits.
        if let Ok(locks) = tenure::connect(&store).await {
            break locks;
        }
    };
    let election = locks.election(key).with_ttl(TTL);
    loop {
        let Ok(leadership) = election.campaign(&number).await else {
            // It is cut off, and the store was away at the first contact.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let (term, mut deadline) = (leadership.term(), leadership.deadline());
        note("begins", term, now().as_micros());
        loop {
            note("valid", term, deadline.as_micros().into());
            tokio::select! {
                biased;
                _ = leadership.lost() => break,
                later = leadership.renewed(deadline) => deadline = later,
            }
        }
        note("lost", term, now().as_micros());
    }
}

/// The time of one leader, as its notes say.
#[derive(Debug, Clone, Copy)]
struct Reign {
    number: usize,
    term: u64,
    begin: Duration,
    /// The last deadline that it knew.
    valid_until: Duration,
    /// How often it was renewed.
    renewals: u32,
    lost: Option<Duration>,
}

/// The file in which the candidates write.
struct Notes(PathBuf);

impl Notes {
    fn create(path: PathBuf) -> Self {
        File::create(&path).expect("a file");
        Self(path)
    }

    /// In the order of terms.
    fn reigns(&self) -> Vec<Reign> {
        let text = std::fs::read_to_string(&self.0).expect("the notes");
        let mut reigns: Vec<Reign> = Vec::new();
        // The last line may be half written.
        for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            let words: Vec<_> = line.split(' ').collect();
            let [word, number, term, at] = words[..] else { panic!("{line}") };
            let term = term.parse().expect("a number");
            let at = Duration::from_micros(at.parse().expect("a time"));
            let reign = reigns.iter_mut().find(|reign| reign.term == term);
            match (word, reign) {
                ("begins", None) => reigns.push(Reign {
                    number: number.parse().expect("a number"),
                    term,
                    begin: at,
                    valid_until: at,
                    renewals: 0,
                    lost: None,
                }),
                ("valid", Some(reign)) => {
                    reign.valid_until = reign.valid_until.max(at);
                    reign.renewals += 1;
                }
                ("lost", Some(reign)) => reign.lost = Some(at),
                _ => panic!("{line}"),
            }
        }
        reigns.sort_by_key(|reign| reign.term);
        reigns
    }

    fn last(&self) -> Option<Reign> {
        self.reigns().pop()
    }

    fn of(&self, term: u64) -> Reign {
        let found = self.reigns().into_iter().find(|reign| reign.term == term);
        found.expect("it has led")
    }
}

/// Why two of them led at the same time, or in the wrong order; `None` if none did.
fn conflict(reigns: &[Reign]) -> Option<String> {
    let pairs = reigns.windows(2).filter(|pair| pair[1].begin < pair[0].valid_until);
    pairs.map(|pair| format!("{:?} began within {:?}", pair[1], pair[0])).next()
}

/// The way in which a leader is disturbed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Disturbance {
    Killed,
    Stopped,
    CutOff,
}

/// The store, and the ways to it.
struct Home {
    dir: TempDir,
    server: Option<Server>,
    /// The way of each candidate to the server.
    proxies: Vec<Proxy>,
    /// The store's URL, where there is no server.
    url: String,
}

impl Home {
    fn file() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let url = format!("sqlite:{}", dir.path().join("locks.db").display());
        Self { dir, server: None, proxies: vec![], url }
    }

    fn quorum_of_files() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let node = |name: &str| format!("sqlite:{}", dir.path().join(name).display());
        let url = format!("quorum:{} {} {}", node("a.db"), node("b.db"), node("c.db"));
        Self { dir, server: None, proxies: vec![], url }
    }

    fn server(flavour: Flavour) -> Self {
        let server = Server::of(flavour).start();
        let proxies = (0..CANDIDATES).map(|_| Proxy::to(server.address())).collect();
        let dir = tempfile::tempdir().expect("a directory");
        Self { dir, server: Some(server), proxies, url: String::new() }
    }

    fn url_for(&self, number: usize) -> String {
        self.proxies.get(number).map_or_else(|| self.url.clone(), Proxy::url)
    }

    fn disturbances(&self) -> &'static [Disturbance] {
        use Disturbance::{CutOff, Killed, Stopped};
        if self.server.is_some() { &[Killed, Stopped, CutOff] } else { &[Killed, Stopped] }
    }
}

/// The candidates of a test. They are killed when this is dropped.
struct Campaign {
    home: Home,
    notes: Notes,
    candidates: Vec<Running>,
    is_careless: bool,
}

impl Campaign {
    fn at(home: Home, is_careless: bool) -> Self {
        let notes = Notes::create(home.dir.path().join("notes"));
        let mut this = Self { home, notes, candidates: vec![], is_careless };
        this.candidates = (0..CANDIDATES).map(|number| this.start(number)).collect();
        this
    }

    fn start(&self, number: usize) -> Running {
        let mut command = role!(role_candidate);
        command.env(STORE, self.home.url_for(number)).env(NOTES, &self.notes.0);
        command.env(NUMBER, number.to_string());
        if self.is_careless {
            command.env(IS_CARELESS, "yes");
        }
        Running::start(command.stdout(Stdio::null()))
    }

    /// The leader, once it has renewed twice: a grant from the queue is short before that.
    fn settled_leader(&self) -> Reign {
        let mut leader = None;
        wait_until("somebody leads", || {
            leader = self.notes.last().filter(|last| last.renewals > 2 && last.lost.is_none());
            leader.is_some()
        });
        leader.expect("it was seen")
    }

    /// Disturbs the leader until another one leads. Answers how long nobody did.
    fn succession(&mut self, disturbance: Disturbance) -> Duration {
        let old = self.settled_leader();
        let pid = pid_of(&self.candidates[old.number]);
        let at = now();
        match disturbance {
            Disturbance::Killed => kill_process(pid, Signal::KILL).expect("killed"),
            Disturbance::Stopped => kill_process(pid, Signal::STOP).expect("stopped"),
            Disturbance::CutOff => self.home.proxies[old.number].black_hole(),
        }
        wait_until("another one leads", || self.notes.last().is_some_and(|l| l.term > old.term));
        let new = self.notes.last().expect("it leads");
        match disturbance {
            // This waits for its end.
            Disturbance::Killed => self.candidates[old.number] = self.start(old.number),
            Disturbance::Stopped => kill_process(pid, Signal::CONT).expect("continued"),
            Disturbance::CutOff => self.home.proxies[old.number].heal(),
        }
        if disturbance != Disturbance::Killed {
            wait_until("the old one knows", || self.notes.of(old.term).lost.is_some());
        }
        new.begin.saturating_sub(at)
    }
}

fn pid_of(running: &Running) -> Pid {
    i32::try_from(running.id()).ok().and_then(Pid::from_raw).expect("a process number")
}

fn elections(home: Home, has_line: bool) {
    let rounds = std::env::var(ELECTIONS).map_or(ROUNDS, |text| text.parse().expect("a number"));
    let _from_here_on = lateness();
    let mut campaign = Campaign::at(home, false);
    for disturbance in campaign.home.disturbances() {
        let mut gaps: Vec<_> = (0..rounds).map(|_| campaign.succession(*disturbance)).collect();
        gaps.sort_unstable();
        let (median, longest) = (gaps[rounds / 2], gaps[rounds - 1]);
        println!("{disturbance:?} {rounds} times: no leader for {median:?}, {longest:?} at most");
        // Other work on the machine may delay some, but not most. Candidates of a quorum ask again
        // after random pauses.
        let limit = TTL + if has_line { LATE } else { 2 * LATE } + lateness();
        assert!(median <= limit, "{gaps:?}");
    }
    let reigns = campaign.notes.reigns();
    assert!(reigns.len() > rounds * campaign.home.disturbances().len(), "{reigns:?}");
    assert_eq!(conflict(&reigns), None);
}

#[test]
fn leaders_are_succeeded_sqlite() {
    elections(Home::file(), true);
}

#[test]
fn leaders_are_succeeded_redis() {
    elections(Home::server(Flavour::Redis), true);
}

#[test]
fn leaders_are_succeeded_valkey() {
    elections(Home::server(Flavour::Valkey), true);
}

#[test]
fn leaders_are_succeeded_quorum() {
    elections(Home::quorum_of_files(), false);
}

/// The detector detects.
#[test]
fn leaders_of_roles_of_their_own_are_seen_together() {
    let campaign = Campaign::at(Home::file(), true);
    wait_until("two lead at once", || conflict(&campaign.notes.reigns()).is_some());
}
