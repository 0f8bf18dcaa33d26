//! Resources that check a fence: SQLite rows by our statements, and files.

use std::fs;
use std::thread;

use rusqlite::Connection;
use tenure::Fence;
use tenure::fencing::{MYSQL, POSTGRESQL, SQLITE, StaleFence, write_file};

fn database(file: &std::path::Path) -> Connection {
    let database = Connection::open(file).expect("opens");
    database.busy_timeout(std::time::Duration::from_secs(20)).expect("a setting");
    database.execute(SQLITE.create, []).expect("made, or there");
    database
}

/// Whether a writer with this fence may go on, in a transaction that writes it into the data.
fn write(database: &mut Connection, resource: &str, fence: i64) -> bool {
    let immediate = rusqlite::TransactionBehavior::Immediate;
    let transaction = database.transaction_with_behavior(immediate).expect("begins");
    transaction.execute(SQLITE.register, [resource]).expect("registered");
    let passed = transaction.execute(SQLITE.pass, (fence, resource)).expect("an answer");
    if passed == 0 {
        return false;
    }
    assert_eq!(passed, 1);
    transaction.execute("INSERT INTO log VALUES (?1)", [fence]).expect("written");
    transaction.commit().expect("committed");
    true
}

#[test]
fn rows_refuse_a_smaller_fence() {
    let dir = tempfile::tempdir().expect("a directory");
    let [mut one, mut other] = [(); 2].map(|()| database(&dir.path().join("data.db")));
    one.execute("CREATE TABLE log (fence INTEGER)", []).expect("made");
    assert!(write(&mut one, "report", 5));
    assert!(write(&mut one, "report", 5), "the same holder writes again");
    assert!(write(&mut other, "report", 7));
    assert!(!write(&mut one, "report", 5), "it was paused");
    assert!(!write(&mut one, "report", 6));
    assert!(write(&mut one, "another", 6), "another key has fences of its own");
    assert!(write(&mut other, "report", 7));
}

#[test]
fn rows_of_writers_at_the_same_time_only_grow() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("data.db");
    database(&file).execute("CREATE TABLE log (fence INTEGER)", []).expect("made");
    thread::scope(|scope| {
        for number in 0..4 {
            let file = &file;
            scope.spawn(move || {
                let mut database = database(file);
                (0..25).for_each(|round| _ = write(&mut database, "report", 4 * round + number));
            });
        }
    });
    let database = database(&file);
    let mut rows = database.prepare("SELECT fence FROM log ORDER BY rowid").expect("a query");
    let fences: Vec<i64> =
        rows.query_map([], |row| row.get(0)).expect("rows").map(|f| f.expect("a fence")).collect();
    assert!(fences.is_sorted() && !fences.is_empty(), "{fences:?}");
    assert_eq!(fences.last(), Some(&99));
}

/// The same table and the same rule everywhere; only the placeholders differ.
#[test]
fn statements_of_all_databases_say_the_same() {
    let plain = |text: &str| {
        ["$1", "$2", "?1", "?2"].iter().fold(text.to_owned(), |text, mark| text.replace(mark, "?"))
    };
    for statements in [POSTGRESQL, MYSQL] {
        assert_eq!(plain(statements.pass), plain(SQLITE.pass));
        assert!(
            statements.create.starts_with("CREATE TABLE IF NOT EXISTS tenure_fences (resource")
        );
        let values = "INTO tenure_fences (resource, fence, writes) VALUES (?, 0, 0)";
        assert!(plain(statements.register).contains(values), "{}", statements.register);
    }
}

#[test]
fn a_file_refuses_a_smaller_fence() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("report.txt");
    let read = || fs::read_to_string(&path).expect("a body");
    write_file(&path, Fence::new(9), b"first").expect("written");
    write_file(&path, Fence::new(9), b"again").expect("the same holder");
    write_file(&path, Fence::new(10), b"second").expect("a later holder");
    let late = write_file(&path, Fence::new(9), b"late").expect_err("it was paused");
    assert_eq!(StaleFence::of(&late).map(|stale| stale.largest), Some(Fence::new(10)));
    assert!(late.to_string().contains("with fence 10"), "{late}");
    assert_eq!(read(), "second");
    let entries = fs::read_dir(&dir).expect("a directory");
    let mut names: Vec<_> = entries.map(|entry| entry.expect("an entry").file_name()).collect();
    names.sort();
    assert_eq!(names, ["report.txt", "report.txt.fence"]);

    fs::write(dir.path().join("report.txt.fence"), "nonsense").expect("written");
    let error = write_file(&path, Fence::new(11), b"x").expect_err("what was seen is unknown");
    assert_eq!((error.kind(), StaleFence::of(&error)), (std::io::ErrorKind::InvalidData, None));
    assert_eq!(read(), "second");
}

#[test]
fn readers_see_whole_bodies_and_fences_that_only_grow() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("report");
    let body = |fence: u64| format!("{fence}\n").repeat(10_000);
    write_file(&path, Fence::new(1), body(1).as_bytes()).expect("written");
    thread::scope(|scope| {
        for number in 0..3 {
            let path = &path;
            scope.spawn(move || {
                for round in 0..20 {
                    let fence = 2 + 3 * round + number;
                    match write_file(path, Fence::new(fence), body(fence).as_bytes()) {
                        Err(error) if StaleFence::of(&error).is_some() => {}
                        written => written.expect("written"),
                    }
                }
            });
        }
        let begun = std::time::Instant::now();
        let mut largest = 0;
        while largest < 61 {
            assert!(begun.elapsed() < std::time::Duration::from_secs(60), "{largest} is the last");
            let seen = fs::read_to_string(&path).expect("a body");
            let fence = seen.lines().next().expect("a line").parse().expect("a fence");
            assert_eq!(seen, body(fence), "a part of a body");
            assert!(fence >= largest, "{fence} after {largest}");
            largest = fence;
        }
    });
}
