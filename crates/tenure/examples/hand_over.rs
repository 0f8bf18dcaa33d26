//! A request handler takes a lock, answers at once, and leaves the work to a worker in another
//! process, which goes on under the same lock: nobody comes in between.
//!
//! ```sh
//! cargo run --example hand_over
//! ```
//!
//! It prints:
//!
//! ```text
//! handler: took order:7
//! handler: accepted, a worker has it
//! worker: works on order:7 under the handler's fence
//! handler: nobody came in between
//! worker: done
//! ```

#![allow(clippy::print_stdout, reason = "it is a program")]

use std::error::Error;
use std::io::{BufRead as _, BufReader, Write as _, stdin};
use std::process::{Command, Stdio};
use std::time::Duration;

use tenure::Ticket;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    match std::env::args().nth(1).as_deref() {
        Some("worker") => worker().await,
        _ => handler().await,
    }
}

async fn handler() -> Result<(), Box<dyn Error>> {
    let guard = tenure::mutex("order:7").acquire().await?;
    println!("handler: took {}", guard.key());

    // The lock is kept for a minute. Until then everybody who has the ticket can adopt it.
    let ticket = guard.hand_over(Duration::from_secs(60)).await?;
    println!("handler: accepted, a worker has it");

    // A pipe stands for the queue of jobs.
    let mut worker = Command::new(std::env::current_exe()?)
        .arg("worker")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut queue = worker.stdin.take().ok_or("the worker has a queue")?;
    writeln!(queue, "{ticket}")?;
    let mut says = BufReader::new(worker.stdout.take().ok_or("the worker speaks")?).lines();

    // While it works, nobody else gets the lock.
    println!("{}", says.next().ok_or("the worker ended too early")??);
    if tenure::mutex("order:7").try_acquire().await?.is_none() {
        println!("handler: nobody came in between");
    }
    writeln!(queue, "go on")?;
    println!("{}", says.next().ok_or("the worker ended too early")??);
    if worker.wait()?.success() { Ok(()) } else { Err("the worker failed".into()) }
}

async fn worker() -> Result<(), Box<dyn Error>> {
    let mut queue = stdin().lock().lines();
    let ticket: Ticket = queue.next().ok_or("no job")??.parse()?;

    // Once: a second worker with the same ticket is refused. The lease is renewed from here on.
    let guard = tenure::default_locks().await?.adopt(&ticket).await?;
    let whose = if guard.fence() == ticket.fence() { "the handler's" } else { "another" };
    println!("worker: works on {} under {whose} fence", guard.key());

    queue.next().ok_or("the handler is gone")??;
    guard.release().await?;
    println!("worker: done");
    Ok(())
}
