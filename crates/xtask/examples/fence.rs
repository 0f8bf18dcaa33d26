//! The program of the README that shows what a fence is for, word for word.

#![allow(clippy::print_stdout, reason = "it is a program")]

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let locks = tenure::connect("sqlite:locks.db").await?;
    let outcome = nightly_report(&locks).await;
    // In every case: a lock that is not given back stays until its ttl is over.
    let closed = locks.close(std::time::Duration::from_secs(5)).await;
    outcome.and(closed.map_err(Into::into))
}

async fn nightly_report(locks: &tenure::Locks) -> Result<(), Box<dyn std::error::Error>> {
    let guard = locks.mutex("nightly-report").acquire().await?;
    tokio::select! {
        done = write_report(guard.fence()) => done?,
        reason = guard.lost() => return Err(format!("stopped half-way: {reason}").into()),
    }
    guard.release().await?;
    Ok(())
}

/// The resource keeps the largest fence it has seen, and refuses a smaller one.
async fn write_report(fence: tenure::Fence) -> std::io::Result<()> {
    println!("UPDATE report SET body = ..., fence = {fence} WHERE fence <= {fence}");
    Ok(())
}
