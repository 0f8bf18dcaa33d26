//! Plays the table of faults: the error of the library, the exit code and the message of the
//! command, and the time that both take.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tenure::LocksOptions;
use tenure_testkit::{Flavour, clean};

use crate::scenes::{KEY, SCENES, Scene};

/// A row of the table.
#[derive(Debug)]
struct Row {
    fault: &'static str,
    kind: &'static str,
    exit: i32,
    store_timeout: Duration,
    within: Duration,
    message: &'static str,
}

fn rows() -> Vec<Row> {
    let millis = |text: &str| Duration::from_millis(text.parse().expect("milliseconds"));
    let lines = include_str!("faults.table").lines();
    let lines = lines.filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| {
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            let [fault, kind, exit, timeout, within, message] = cells[..] else {
                panic!("six cells are in a row: {line}")
            };
            Row {
                fault,
                kind,
                exit: exit.parse().expect("an exit code"),
                store_timeout: millis(timeout),
                within: millis(within),
                message,
            }
        })
        .collect()
}

#[test]
fn every_fault_has_one_row_and_one_scene() {
    let rows: Vec<_> = rows().iter().map(|row| row.fault).collect();
    let scenes: Vec<_> = SCENES.iter().map(|(fault, _)| *fault).collect();
    assert_eq!(rows, scenes);
}

/// The result of the library: `granted` or the error's kind, and its message.
fn by_library(scene: &Scene, store_timeout: Duration) -> (String, String) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let options = LocksOptions::default().with_store_timeout(store_timeout);
        let tried = async {
            let locks = tenure::connect_with(&scene.url, options).await?;
            locks.mutex(KEY).acquire().await?.release().await
        };
        match tried.await {
            Ok(_) => ("granted".to_owned(), String::new()),
            Err(error) => (format!("{:?}", error.kind()), error.to_string()),
        }
    })
}

/// The result of the command: its exit code and its messages.
fn by_command(scene: &Scene, row: &Row) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenure"));
    clean(&mut command);
    let timeout = format!("{}ms", row.store_timeout.as_millis());
    // A run that may wait would wait for a server that is away.
    let patience: &[&str] = if row.kind == "Unavailable" { &["--try"] } else { &[] };
    command.args(["run", "--store-timeout", &timeout]).args(patience).args([KEY, "--", "true"]);
    command.env("TENURE_STORE", &scene.url).stdin(Stdio::null());
    let output = command.output().expect("it starts");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Plays one row; what is wrong with it.
fn play(row: &Row, flavour: Flavour) -> Result<(), String> {
    let (_, scene) = SCENES.iter().find(|(fault, _)| *fault == row.fault).expect("a scene");
    let timed = |what: &str, begun: Instant| {
        let took = begun.elapsed();
        println!("{flavour}, {}: the {what} took {took:?}", row.fault);
        let timely = took <= row.within;
        timely.then_some(()).ok_or_else(|| format!("the {what} took {took:?}"))
    };
    let told = |text: &str| {
        if !text.contains(row.message) {
            return Err(format!("{:?} is missing in: {text}", row.message));
        }
        if text.contains("secret") {
            return Err(format!("a secret is in: {text}"));
        }
        Ok(())
    };
    let struck = |stage: &Scene| {
        stage.has_struck().then_some(()).ok_or_else(|| "the fault never struck".to_owned())
    };
    let stage = scene(flavour);
    let begun = Instant::now();
    let (kind, text) = by_library(&stage, row.store_timeout);
    timed("library", begun)?;
    struck(&stage)?;
    drop(stage);
    if kind != row.kind {
        return Err(format!("the library says {kind}: {text}"));
    }
    if kind != "granted" {
        told(&text)?;
    }

    let stage = scene(flavour);
    let begun = Instant::now();
    let (exit, text) = by_command(&stage, row);
    timed("command", begun)?;
    struck(&stage)?;
    if exit != Some(row.exit) {
        return Err(format!("the command ended with {exit:?}: {text}"));
    }
    told(&text)
}

fn play_all(flavour: Flavour) {
    let wrong: Vec<_> = rows()
        .iter()
        .filter_map(|row| play(row, flavour).err().map(|what| format!("{}: {what}", row.fault)))
        .collect();
    assert!(wrong.is_empty(), "on {flavour}:\n{}", wrong.join("\n"));
}

#[test]
fn every_fault_of_a_redis_reads_as_the_table_says() {
    play_all(Flavour::Redis);
}

#[test]
fn every_fault_of_a_valkey_reads_as_the_table_says() {
    play_all(Flavour::Valkey);
}
