//! A catalogue of two files, `names` and `prices`. Eight shoppers read both, and must see one
//! edition; two editors write new ones. A reader becomes the writer in place, if it is alone.
//!
//! ```sh
//! cargo run --example catalogue
//! ```
//!
//! It prints:
//!
//! ```text
//! 8 shoppers read 80 times, 0 of them half an edition
//! the last reader wrote edition 5 in place, and read it on
//! ```

#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "it is a program")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Stands for two files that are written one after the other.
#[derive(Default)]
struct Catalogue {
    names: AtomicU32,
    prices: AtomicU32,
}

/// Reads ten times. Answers how often it saw two editions at once.
async fn shop(catalogue: Arc<Catalogue>) -> tenure::Result<u32> {
    let mut halves = 0;
    for _ in 0..10 {
        let reader = tenure::rwlock("catalogue").read().await?;
        let (names, prices) = catalogue.read().await;
        halves += u32::from(names != prices);
        reader.release().await?;
    }
    Ok(halves)
}

/// Writes two new editions.
async fn edit(catalogue: Arc<Catalogue>) -> tenure::Result<u32> {
    for _ in 0..2 {
        let writer = tenure::rwlock("catalogue").write().await?;
        catalogue.write().await;
        writer.release().await?;
    }
    Ok(0)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let catalogue = Arc::new(Catalogue::default());
    let editors = (0..2).map(|_| tokio::spawn(edit(Arc::clone(&catalogue))));
    let shoppers = (0..8).map(|_| tokio::spawn(shop(Arc::clone(&catalogue))));
    let everybody: Vec<_> = editors.chain(shoppers).collect();
    let mut halves = 0;
    for one in everybody {
        halves += one.await??;
    }
    println!("8 shoppers read 80 times, {halves} of them half an edition");

    let mut guard = tenure::rwlock("catalogue").read().await?;
    if guard.try_upgrade().await? {
        catalogue.write().await;
        guard.downgrade().await?;
    }
    let (names, _) = catalogue.read().await;
    println!("the last reader wrote edition {names} in place, and read it on");
    guard.release().await?;
    Ok(())
}

impl Catalogue {
    async fn read(&self) -> (u32, u32) {
        let names = self.names.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(2)).await;
        (names, self.prices.load(Ordering::SeqCst))
    }

    async fn write(&self) {
        let edition = self.names.fetch_add(1, Ordering::SeqCst) + 1;
        tokio::time::sleep(Duration::from_millis(2)).await;
        self.prices.store(edition, Ordering::SeqCst);
    }
}
