//! A transfer books two entries. Each booking takes the account's lock, and the transfer holds it
//! already. It does not wait for itself.
//!
//! ```sh
//! cargo run --example reentrant
//! ```
//!
//! It prints:
//!
//! ```text
//! booked -30 at level 2
//! booked -1 at level 2
//! booked 5 at level 1
//! one fence for the transfer, a larger one afterwards
//! ```

#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "it is a program")]

use tenure::{Fence, ReentrantMutex};

/// Books one entry under the account's lock, whoever calls it.
async fn book(account: &ReentrantMutex, amount: i64, level: u32) -> tenure::Result<Fence> {
    let booked = account.run(|lease| async move {
        lease.check()?;
        println!("booked {amount} at level {level}");
        tenure::ok(lease.fence())
    });
    booked.await
}

#[tokio::main]
async fn main() -> tenure::Result<()> {
    let locks = tenure::default_locks().await?;
    let account = locks.mutex("account:7").reentrant();

    // Nobody sees the account between the amount and the fee.
    let transfer = account.run(|lease| {
        let account = account.clone();
        async move {
            let amount = book(&account, -30, 2).await?;
            let fee = book(&account, -1, 2).await?;
            tenure::ok([lease.fence(), amount, fee])
        }
    });
    let fences = transfer.await?;
    let later = book(&account, 5, 1).await?;
    if fences == [fences[0]; 3] && later > fences[0] {
        println!("one fence for the transfer, a larger one afterwards");
    }
    locks.close(std::time::Duration::from_secs(5)).await
}
