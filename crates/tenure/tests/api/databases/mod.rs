//! The statements that check a fence, on a real PostgreSQL and a real MariaDB. `tools/databases`
//! gets them; where one is missing, its test says so and is left out.

mod database;

use std::sync::Arc;
use std::thread;

use database::{Client, Database, Kind};

/// Begins a transaction and answers whether a writer with this fence may go on.
fn begin(client: &mut Client, resource: &str, fence: u64) -> bool {
    client.run("BEGIN");
    client.register(resource);
    passes(client, resource, fence)
}

fn passes(client: &mut Client, resource: &str, fence: u64) -> bool {
    match client.pass(fence, resource) {
        0 => false,
        1 => true,
        rows => panic!("{rows} rows were changed"),
    }
}

/// Writes in a transaction of its own, if the fence lets it.
fn write(client: &mut Client, resource: &str, fence: u64) -> bool {
    let goes_on = begin(client, resource, fence);
    if goes_on {
        client.run(&format!("INSERT INTO log (fence) VALUES ({fence})"));
    }
    client.run(if goes_on { "COMMIT" } else { "ROLLBACK" });
    goes_on
}

fn smaller_fences_are_refused(database: &Database) {
    let [mut one, mut other] = [database.client(), database.client()];
    assert!(write(&mut one, "report", 5));
    assert!(write(&mut one, "report", 5), "the same holder writes again");
    assert!(write(&mut other, "report", 7));
    assert!(!write(&mut one, "report", 5), "it was paused");
    assert!(!write(&mut one, "report", 6));
    assert!(write(&mut one, "another", 6), "another resource has fences of its own");
    assert!(write(&mut other, "report", (1 << 53) - 1), "it is large enough for every fence");
}

/// A writer that comes between `pass` and the commit of another waits for that one.
fn rows_are_locked_to_the_commit(database: &Database) {
    let [mut newer, mut older, mut looks] =
        [database.client(), database.client(), database.client()];
    assert!(write(&mut newer, "locked", 1));
    assert!(begin(&mut newer, "locked", 8));
    let waits = thread::spawn(move || write(&mut older, "locked", 7));
    looks.until_one_waits();
    newer.run("COMMIT");
    assert!(!waits.join().expect("an answer"), "the older one has passed");
}

fn log_only_grows(database: &Arc<Database>) {
    let mut client = database.client();
    client.run("DELETE FROM log");
    let writers: Vec<_> = (0..4)
        .map(|number| {
            let database = Arc::clone(database);
            thread::spawn(move || {
                let mut client = database.client();
                for round in 0..25 {
                    let fence = 4 * round + number;
                    if begin(&mut client, "grows", fence) {
                        client.run(&format!("INSERT INTO log (fence) VALUES ({fence})"));
                    }
                    client.run("COMMIT");
                }
            })
        })
        .collect();
    writers.into_iter().for_each(|writer| writer.join().expect("it has written"));
    let fences: Vec<u64> = client
        .run("SELECT fence FROM log ORDER BY id")
        .iter()
        .map(|line| line.parse().expect("a fence"))
        .collect();
    assert!(fences.is_sorted() && fences.len() >= 25, "{fences:?}");
    assert_eq!(fences.last(), Some(&99));
}

#[allow(clippy::print_stderr, reason = "a test that is left out says so")]
fn on(kind: Kind) {
    let Some(database) = Database::start(kind) else {
        eprintln!("left out: no {kind:?} here; tools/databases gets it");
        return;
    };
    let database = Arc::new(database);
    smaller_fences_are_refused(&database);
    rows_are_locked_to_the_commit(&database);
    log_only_grows(&database);
}

#[test]
fn postgresql_checks_fences() {
    on(Kind::Postgresql);
}

#[test]
fn mariadb_checks_fences() {
    on(Kind::Mariadb);
}
