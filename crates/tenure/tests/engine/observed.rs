//! Events, spans and metrics, by tracing and by the metrics facade: every name of the table in
//! `tenure::observe` is reported here, and no other.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use tenure::protocol::{Reply, Request};
use tenure::runtime::{self, Runtime};
use tenure::store::{Answer, Memory, Store, StoreError, StoreErrorClass};
use tenure::{Lease, Locks, LocksOptions, Renewal};
use tracing::field::{Field, Visit};
use tracing::span;

use crate::store_wrapper::{Change, Wrapper};

/// All that was told, with the names of the fields.
#[derive(Debug, Clone, Default)]
struct Told(Arc<Mutex<Names>>);

struct Fields<'a>(&'a mut BTreeSet<String>);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, _: &dyn Debug) {
        self.0.insert(field.name().to_owned());
    }
}

impl tracing::Subscriber for Told {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().starts_with("tenure")
    }

    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        let mut told = self.0.lock().expect("no panic");
        span.record(&mut Fields(told.entry(span.metadata().name().to_owned()).or_default()));
        span::Id::from_u64(1)
    }

    fn event(&self, event: &tracing::Event<'_>) {
        let mut told = self.0.lock().expect("no panic");
        let mut fields = BTreeSet::new();
        event.record(&mut Fields(&mut fields));
        let name = event.metadata().name().to_owned();
        assert!(fields.remove("message"), "{name} has no message for people");
        told.entry(name).or_default().extend(fields);
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// A store that is out of reach at times.
#[derive(Debug)]
struct OutOfReach(Memory, AtomicBool);

impl Change for OutOfReach {
    fn within(&self) -> &dyn Store {
        &self.0
    }

    fn call(&self, steps: Vec<Request>) -> Answer<'_, Vec<Reply>> {
        if !self.1.load(Ordering::Relaxed) {
            return self.0.call(steps);
        }
        Box::pin(std::future::ready(Err(StoreError {
            class: StoreErrorClass::Transient,
            message: "out of reach".into(),
            may_have_run: true,
            source: None,
        })))
    }
}

/// The names of spans and events, and their fields. Written out, as dashboards and filters have
/// them: a name that is spelt wrongly is wrong in the code and in its documentation alike.
const SPANS_AND_EVENTS: &[(&str, &[&str])] = &[
    ("tenure.acquire", &["key", "store"]),
    ("tenure.work", &["fence", "key"]),
    ("tenure.granted", &["fence", "key", "waited_ms"]),
    ("tenure.busy", &["key", "waited_ms"]),
    ("tenure.renewed", &["fence", "key"]),
    ("tenure.given_back", &["fence", "held_ms", "key"]),
    ("tenure.renewal_failed", &["error", "fence", "key", "left_ms", "store"]),
    ("tenure.renewals_resumed", &["failed_ms", "key", "store"]),
    ("tenure.lost", &["fence", "key", "reason"]),
    ("tenure.store_error", &["error", "store"]),
    ("tenure.release_failed", &["error", "key"]),
    ("tenure.outlived", &["key", "reason"]),
    ("tenure.waits_for_itself", &["key", "store"]),
    ("tenure.events_dropped", &["count"]),
];

/// The names of metrics, and their labels; written out for the same reason.
const METRICS: &[(&str, &[&str])] = &[
    ("tenure_attempts_total", &["store"]),
    ("tenure_grants_total", &["store"]),
    ("tenure_busy_total", &["store"]),
    ("tenure_wait_seconds", &["store"]),
    ("tenure_hold_seconds", &["store"]),
    ("tenure_renewals_total", &["store"]),
    ("tenure_lost_total", &["reason", "store"]),
    ("tenure_store_errors_total", &["class", "store"]),
    ("tenure_events_dropped_total", &[]),
];

/// Names, and what is told with each.
type Names = BTreeMap<String, BTreeSet<String>>;

fn written(names: &[(&str, &[&str])]) -> Names {
    let row = |(name, with): &(&str, &[&str])| {
        ((*name).to_owned(), with.iter().map(|&one| one.to_owned()).collect())
    };
    names.iter().map(row).collect()
}

/// The rows of a table in the module's documentation: name and last column.
fn documented(nth: usize, column: usize) -> Names {
    let source = include_str!("../../src/observe.rs");
    let tables: Vec<Vec<&str>> = source
        .split("//! |---")
        .skip(1)
        .map(|table| table.lines().skip(1).take_while(|line| line.starts_with("//! |")).collect())
        .collect();
    let quoted = |cell: &str| -> BTreeSet<String> {
        cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    let row = |line: &&str| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let name = quoted(cells[1]).into_iter().next().expect("a name");
        (name, quoted(cells[column]))
    };
    tables[nth].iter().map(row).collect()
}

async fn until(what: &str, so: impl Fn() -> bool) {
    let started = Instant::now();
    while !so() {
        assert!(started.elapsed() < Duration::from_secs(60), "{what} did not come");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Everything that there is to tell.
async fn everything(told: &Told) {
    let runtime: Arc<dyn Runtime> = runtime::machine().expect("a clock and timers");
    let locks = tenure::connect("memory:").await.expect("memory");
    let often = Renewal::Every(Duration::from_millis(20));
    let short = locks.mutex("short").with_renewal(often);
    let guard = short.acquire().await.expect("granted");
    guard.renewed(guard.deadline()).await;
    assert!(short.try_acquire().await.expect("a look").is_none());
    assert!(short.clone().with_wait(Duration::from_millis(20)).acquire().await.is_err());
    guard.release().await.expect("released");
    let late = |lease: Lease| async move { lease.lost().await };
    let short = short.with_ttl(Duration::from_secs(1)).with_renewal(Renewal::Off);
    let finished = short.run_to_end(late).await.expect("acquired");
    let _reason = finished.value();
    let memory = Memory::new(Arc::clone(&runtime));
    let apart = Arc::new(Wrapper(OutOfReach(memory, AtomicBool::new(false))));
    let options = LocksOptions::default().with_store_timeout(Duration::from_millis(50));
    let unreachable = Locks::over(Arc::clone(&apart) as _, Arc::clone(&runtime), options);
    let held = unreachable.mutex("held").with_renewal(often).acquire().await;
    let held = held.expect("granted");
    apart.0.1.store(true, Ordering::Relaxed);
    held.failing().await;
    apart.0.1.store(false, Ordering::Relaxed);
    held.renewed(held.deadline()).await;
    apart.0.1.store(true, Ordering::Relaxed);
    unreachable.mutex("key").acquire().await.expect_err("out of reach");
    let twice = locks.mutex("twice");
    let _guard = twice.acquire().await.expect("granted");
    let permits = locks.semaphore("permits", 3);
    let (_one, _others) = (permits.acquire().await, permits.acquire_many(2).await);
    let warned = || told.0.lock().expect("no panic").contains_key("tenure.waits_for_itself");
    // Longer than the time before a warning: a permit may come back from somebody else.
    let waited = tokio::time::timeout(Duration::from_millis(1_300), permits.acquire()).await;
    assert!(waited.is_err() && !warned(), "it was warned of a permit that others have");
    tokio::select! {
        _ = twice.acquire() => unreachable!("this task has it"),
        () = until("the warning", warned) => {}
    }
    hold_up_the_reporter(&*runtime);
}

/// Until more waits to be told than there is room for.
fn hold_up_the_reporter(runtime: &dyn Runtime) {
    let (go_on, held_up) = mpsc::channel::<()>();
    runtime.report(Box::new(move || {
        let _gone = held_up.recv();
    }));
    for _ in 0..10_000 {
        runtime.report(Box::new(|| {}));
    }
    drop(go_on);
}

#[test]
fn the_names_are_documented_as_they_are_written_here() {
    assert_eq!(documented(0, 4), written(SPANS_AND_EVENTS));
    assert_eq!(documented(1, 3), written(METRICS));
}

/// Events in the background are reported there, a little later.
fn told_within_a_while(told: &Told, expected: &Names) -> Names {
    let began = Instant::now();
    loop {
        let now = told.0.lock().expect("no panic").clone();
        let is_all = expected.keys().all(|name| now.contains_key(name));
        if is_all || began.elapsed() > Duration::from_secs(60) {
            return now;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn every_name_is_told_and_no_other() {
    tenure_testkit::alone(|| {
        hear_everything();
    });
}

/// In a process with a logger and a recorder of its own.
fn hear_everything() {
    let told = Told::default();
    tracing::subscriber::set_global_default(told.clone()).expect("the first");
    let recorder = DebuggingRecorder::new();
    let numbers = recorder.snapshotter();
    recorder.install().expect("the first");
    let tokio_runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    tokio_runtime.expect("a runtime").block_on(everything(&told));

    let mut expected = written(SPANS_AND_EVENTS);
    // Only a store that fails between the work and the release brings it.
    expected.remove("tenure.release_failed");
    let told = told_within_a_while(&told, &expected);
    let named = |name: &&String| name.starts_with("tenure.");
    assert_eq!(told.keys().filter(named).collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (name, fields) in expected {
        assert_eq!(told[&name], fields, "the fields of {name}");
    }

    let mut counted = Names::new();
    let mut keys = Vec::new();
    for (key, _, _, value) in numbers.snapshot().into_vec() {
        let key = key.key();
        let labels = key.labels().map(|label| label.key().to_owned());
        counted.entry(key.name().to_owned()).or_default().extend(labels);
        keys.extend(key.labels().map(|label| label.value().to_owned()));
        let something = match value {
            DebugValue::Counter(count) => count > 0,
            DebugValue::Histogram(spans) => !spans.is_empty(),
            DebugValue::Gauge(_) => false,
        };
        assert!(something, "{key} counts nothing");
    }
    assert_eq!(counted, written(METRICS));
    assert!(!keys.iter().any(|label| label == "short"), "a key became a label: {keys:?}");
}
