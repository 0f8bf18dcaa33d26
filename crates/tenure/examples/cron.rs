//! A job that cron starts on every host at the same minute, and that must run once. Hosts need a
//! store that they share: `TENURE_STORE=redis://HOST` in each crontab. Without it the store is a
//! file, which keeps out the processes of one host alone.
//!
//! ```sh
//! cargo run --example cron & cargo run --example cron & wait; cargo run --example cron
//! ```
//!
//! Two at once and one a little late, they print, in any order:
//!
//! ```text
//! the report was written
//! another instance has this minute's report
//! another instance has this minute's report
//! ```

#![allow(clippy::print_stdout, reason = "it is a program")]

use std::time::Duration;

#[tokio::main]
async fn main() -> tenure::Result<()> {
    // Clocks of hosts differ, and a report may be written in no time: the key stays taken for
    // most of the minute, so that an instance that is a little late does not write it again.
    let report = tenure::mutex("cron:report").with_min_hold(Duration::from_secs(50));

    let written = report.try_run(|_lease| async { tenure::ok(write_report()) }).await?;
    match written {
        Some(report) => println!("the {report} was written"),
        None => println!("another instance has this minute's report"),
    }
    Ok(())
}

fn write_report() -> &'static str {
    "report"
}
