//! A writer is stopped between its last look at the lock and its write, for longer than its
//! lease. When it wakes up another has written. No lock can hold it back now; the resource does,
//! by the fence: it keeps the largest that it has seen, and refuses a smaller one.
//!
//! ```sh
//! cargo run --example paused_writer
//! ```
//!
//! It prints:
//!
//! ```text
//! first: holds the lock, and is about to write
//! first: is stopped (SIGSTOP)
//! second: holds the lock, which ended unrenewed
//! second: the row was written
//! second: the file was written
//! first: goes on (SIGCONT)
//! first: the row refused the write
//! first: the file refused the write
//! first: and the lock is lost, as it sees now
//! ```
//!
//! With a server (`TENURE_STORE=redis://…`) the same is done to a key of that server, too:
//!
//! ```text
//! first: holds the lock, and is about to write
//! first: is stopped (SIGSTOP)
//! second: holds the lock, which ended unrenewed
//! second: the row was written
//! second: the file was written
//! second: the Redis key was written
//! first: goes on (SIGCONT)
//! first: the row refused the write
//! first: the file refused the write
//! first: the Redis key refused the write
//! first: and the lock is lost, as it sees now
//! ```

#![allow(clippy::print_stdout, reason = "it is a program")]

mod file;
mod redis_key;
mod row;

use std::error::Error;
use std::io::{BufRead as _, BufReader, Write as _, stdin};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tenure::{Fence, Mutex};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Result<()> {
    let args: Vec<_> = std::env::args().skip(1).collect();
    match &args[..] {
        [role, resources] if role == "first" => first(Path::new(resources)).await,
        _ => second().await,
    }
}

fn report() -> Mutex {
    tenure::mutex("report").with_ttl(Duration::from_millis(800))
}

/// The writer that is stopped; a process of its own.
async fn first(resources: &Path) -> Result<()> {
    let guard = report().acquire().await?;
    guard.check()?;
    println!("first: holds the lock, and is about to write");
    stdin().read_line(&mut String::new())?; // Here it is stopped.
    write_everywhere("first", resources, guard.fence()).await?;
    if !guard.held() {
        println!("first: and the lock is lost, as it sees now");
    }
    Ok(())
}

async fn second() -> Result<()> {
    let resources = tempfile::tempdir()?;
    let mut first = First(
        Command::new(std::env::current_exe()?)
            .arg("first")
            .arg(resources.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?,
    );
    let mut says = BufReader::new(first.0.stdout.take().ok_or("the first speaks")?).lines();
    println!("{}", says.next().ok_or("the first never got the lock")??);
    first.signal(Signal::STOP)?;
    println!("first: is stopped (SIGSTOP)");

    let guard = report().acquire().await?;
    println!("second: holds the lock, which ended unrenewed");
    write_everywhere("second", resources.path(), guard.fence()).await?;
    guard.release().await?;

    println!("first: goes on (SIGCONT)");
    first.signal(Signal::CONT)?;
    writeln!(first.0.stdin.take().ok_or("the first listens")?, "write")?;
    for line in says {
        println!("{}", line?);
    }
    if first.0.wait()?.success() { Ok(()) } else { Err("the first writer failed".into()) }
}

async fn write_everywhere(writer: &str, resources: &Path, fence: Fence) -> Result<()> {
    let say = |resource: &str, written: bool| {
        let outcome = if written { "was written" } else { "refused the write" };
        println!("{writer}: the {resource} {outcome}");
    };
    say("row", row::write(&resources.join("reports.db"), fence, writer)?);
    say("file", file::write(&resources.join("report.txt"), fence, writer)?);
    if let Some(server) = std::env::var("TENURE_STORE").ok().filter(|url| url.starts_with("redis"))
    {
        say("Redis key", redis_key::write(&server, fence, writer).await?);
    }
    Ok(())
}

/// It does not outlive this program, not even stopped.
struct First(Child);

impl First {
    fn signal(&self, signal: Signal) -> Result<()> {
        let id = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        Ok(kill_process(id.ok_or("it has a process id")?, signal)?)
    }
}

impl Drop for First {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
