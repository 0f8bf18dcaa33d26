//! Forty transfers between two accounts, half of them in each direction. Each holds both accounts,
//! and they never wait for each other in a circle.
//!
//! ```sh
//! cargo run --example transfer
//! ```
//!
//! It prints:
//!
//! ```text
//! 40 transfers between account:3 and account:7
//! 200 EUR before, 200 EUR afterwards
//! each account has a fence of its own
//! ```

#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "it is a program")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tenure::{Locks, MultiLease};

/// Stands for a table of another service: reading and writing are two trips to it.
type Bank = Mutex<BTreeMap<&'static str, i64>>;

async fn read(bank: &Bank, account: &str) -> i64 {
    tokio::time::sleep(Duration::from_micros(100)).await;
    bank.lock().expect("no panic")[account]
}

async fn write(bank: &Bank, account: &'static str, amount: i64) {
    tokio::time::sleep(Duration::from_micros(100)).await;
    bank.lock().expect("no panic").insert(account, amount);
}

/// Nobody else changes either account between the reading and the writing.
async fn transfer(
    locks: Locks,
    bank: Arc<Bank>,
    [from, to]: [&'static str; 2],
) -> tenure::Result<()> {
    let both = locks.all([from, to]).with_wait(Duration::from_secs(30));
    let work = |lease: MultiLease| async move {
        let [left, right] = [read(&bank, from).await, read(&bank, to).await];
        lease.check()?;
        write(&bank, from, left - 1).await;
        write(&bank, to, right + 1).await;
        tenure::ok(())
    };
    both.run(work).await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let locks = tenure::default_locks().await?;
    let accounts = ["account:3", "account:7"];
    let bank = Arc::new(Mutex::new(BTreeMap::from(accounts.map(|account| (account, 100)))));
    let sum = |bank: &Bank| bank.lock().expect("no panic").values().sum::<i64>();
    println!("40 transfers between {} and {}", accounts[0], accounts[1]);
    let before = sum(&bank);

    let transfers: Vec<_> = (0..40)
        .map(|number| {
            let way = if number % 2 == 0 { accounts } else { [accounts[1], accounts[0]] };
            tokio::spawn(transfer(locks.clone(), Arc::clone(&bank), way))
        })
        .collect();
    for transfer in transfers {
        transfer.await??;
    }

    println!("{before} EUR before, {} EUR afterwards", sum(&bank));
    let guard = locks.all(accounts).acquire().await?;
    if accounts.iter().all(|account| guard.fence(account).is_some()) {
        println!("each account has a fence of its own");
    }
    guard.release().await?;
    locks.close(Duration::from_secs(5)).await?;
    Ok(())
}
