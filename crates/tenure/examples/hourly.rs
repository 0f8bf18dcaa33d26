//! A job that a timer starts on every host, and that one of them runs each hour. Hosts need a store
//! that they share: `TENURE_STORE=redis://HOST`. Without it the store is a file, for the processes
//! of one host alone.
//!
//! ```sh
//! cargo run --example hourly & cargo run --example hourly & wait; cargo run --example hourly
//! ```
//!
//! Two at once and one a little late, they print, in any order:
//!
//! ```text
//! 3 mails were fetched
//! this hour is another's
//! this hour is another's
//! ```

#![allow(clippy::print_stdout, reason = "it is a program")]

use std::time::Duration;

use tenure::Ran;

const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // However long the work takes, and however far the clocks of the hosts are apart. If the work
    // fails, the next host that tries may do it within the same hour.
    let poll = tenure::once("hourly:poll").every(HOUR).since_last_run().retry_failed();

    match poll.run(|_lease| fetch_mails()).await? {
        Ran::Done(mails) => println!("{mails} mails were fetched"),
        // It has who ran it, when, and how that ended.
        Ran::Skipped(_last) => println!("this hour is another's"),
    }
    Ok(())
}

async fn fetch_mails() -> Result<u32, Box<dyn std::error::Error>> {
    Ok(3)
}
