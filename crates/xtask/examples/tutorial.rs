//! The program of the tutorial, word for word.

#![allow(clippy::print_stdout, reason = "it is a program")]

use std::time::Duration;

#[tokio::main]
async fn main() -> tenure::Result<()> {
    let locks = tenure::connect("sqlite:locks.db").await?; // or redis://HOST
    let report = locks.mutex("report").with_wait(Duration::from_secs(10));
    let pages = report
        .run(|lease| async move {
            println!("writing under fence {}", lease.fence());
            lease.check()?; // right before a step that cannot be undone
            tenure::ok(3)
        })
        .await?;
    println!("{pages} pages");
    locks.close(Duration::from_secs(5)).await
}
