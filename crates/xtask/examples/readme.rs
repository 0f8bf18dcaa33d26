//! The first program of the README, word for word.

#![allow(clippy::print_stdout, reason = "it is a program")]

#[tokio::main]
async fn main() -> tenure::Result<()> {
    let locks = tenure::connect("sqlite:locks.db").await?; // or redis://HOST
    let guard = locks.mutex("nightly-report").acquire().await?;
    println!("only one of us prints this; the fence is {}", guard.fence());
    guard.release().await?;
    locks.close(std::time::Duration::from_secs(5)).await
}
