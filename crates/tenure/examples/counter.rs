//! A counter in a file, counted up by read, sleep, write: right only if no two processes are at
//! it at once.
//!
//! ```text
//! cargo run --example counter -- sqlite:/tmp/locks.db /tmp/count 300
//! cargo run --example counter -- none /tmp/count 300        # without a lock: it miscounts
//! ```
//!
//! Beside the counter it keeps a detector: whoever enters puts down a marker, and whoever finds
//! one there already writes a line into `FILE.overlaps`.

#![allow(clippy::disallowed_methods, reason = "a program of its own")]
#![allow(clippy::print_stderr, reason = "it says how it is called")]

use std::error::Error;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Between reading and writing: long enough for others to come in between, if they can.
const PAUSE: Duration = Duration::from_micros(200);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let [store, file, cycles] = &args[..] else {
        eprintln!("usage: counter STORE|none FILE CYCLES");
        std::process::exit(64);
    };
    let (file, cycles) = (Path::new(file), cycles.parse::<u32>()?);
    if store == "none" {
        for _ in 0..cycles {
            count_one_up(file)?;
        }
        return Ok(());
    }
    let locks = tenure::connect(store).await?;
    let mutex = locks.mutex("counter");
    for _ in 0..cycles {
        let guard = mutex.acquire().await?;
        count_one_up(file)?;
        guard.release().await?;
    }
    locks.close(Duration::from_secs(5)).await?;
    Ok(())
}

fn count_one_up(file: &Path) -> Result<(), Box<dyn Error>> {
    let marker = beside(file, "inside");
    let alone = match OpenOptions::new().write(true).create_new(true).open(&marker) {
        Ok(_) => true,
        Err(e) if e.kind() == ErrorKind::AlreadyExists => false,
        Err(e) => return Err(e.into()),
    };
    if !alone {
        let overlaps = beside(file, "overlaps");
        writeln!(OpenOptions::new().append(true).create(true).open(overlaps)?, "overlap")?;
    }
    let text = fs::read_to_string(file).unwrap_or_default();
    let count: u64 = text.trim().parse().unwrap_or(0);
    std::thread::sleep(PAUSE);
    fs::write(file, (count + 1).to_string())?;
    if alone {
        fs::remove_file(marker)?;
    }
    Ok(())
}

fn beside(file: &Path, what: &str) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(".");
    path.push(what);
    path.into()
}
