//! Work that cannot be stopped half-way outlives its lock; what it did is then undone.
//!
//! ```sh
//! cargo run --example compensation
//! ```
//!
//! It prints:
//!
//! ```text
//! order 1: charged 10 EUR
//! order 2: the lock was lost: its deadline passed without a confirmed renewal
//! order 2: gave 10 EUR back
//! ```

#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "it is a program")]

use std::time::Duration;

use tenure::{Mutex, Renewal};

#[tokio::main]
async fn main() -> tenure::Result<()> {
    let payment = |order: u32| tenure::mutex(format!("order:{order}:payment"));

    charge_under(&payment(1), 1).await?;

    // A lease that is not renewed and shorter than the work: as if the store were out of reach.
    let short = payment(2).with_ttl(Duration::from_millis(300)).with_renewal(Renewal::Off);
    charge_under(&short, 2).await
}

async fn charge_under(payment: &Mutex, order: u32) -> tenure::Result<()> {
    // Unlike `run`, it never drops work at an await: a card that is charged must be recorded.
    let finished = payment.run_to_end(|_lease| charge()).await?;

    let undo = finished.compensate(|reason, amount| async move {
        println!("order {order}: the lock was lost: {reason}");
        give_back(amount).await
    });
    match undo.await {
        Ok(amount) => println!("order {order}: charged {amount} EUR"),
        // The loss of the lock, and beside it what the compensation came to.
        Err(outlived) => match outlived.value {
            Ok(amount) => println!("order {order}: gave {amount} EUR back"),
            Err(error) => println!("order {order}: call the bank: {error}"),
        },
    }
    Ok(())
}

/// Takes longer than the lease of order 2.
async fn charge() -> u32 {
    tokio::time::sleep(Duration::from_millis(500)).await;
    10
}

async fn give_back(amount: u32) -> std::io::Result<u32> {
    Ok(amount)
}
