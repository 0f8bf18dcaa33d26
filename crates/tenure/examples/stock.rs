//! Fifty buyers at once, twenty pieces: none is sold twice, none is left over.
//!
//! ```sh
//! cargo run --example stock
//! ```
//!
//! It prints:
//!
//! ```text
//! 50 buyers, 20 pieces
//! 20 bought one, 30 found it sold out
//! 0 pieces are left
//! ```

#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "it is a program")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Stands for a table of another service: reading and writing are two trips to it.
struct Shelf(AtomicU32);

/// Between its reading and its writing nobody else may sell, on this host or another.
#[tenure::locked("stock:{item}", wait = "30s")]
async fn buy(shelf: &Shelf, item: &str) -> tenure::Result<bool> {
    let left = shelf.read().await;
    if left == 0 {
        return Ok(false);
    }
    shelf.write(left - 1).await;
    Ok(true)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let shelf = Arc::new(Shelf(AtomicU32::new(20)));
    println!("50 buyers, {} pieces", shelf.read().await);

    let buyers: Vec<_> = (0..50)
        .map(|_| {
            let shelf = Arc::clone(&shelf);
            tokio::spawn(async move { buy(&shelf, "lamp").await })
        })
        .collect();
    let mut bought = 0;
    for buyer in buyers {
        bought += u32::from(buyer.await??);
    }

    println!("{bought} bought one, {} found it sold out", 50 - bought);
    println!("{} pieces are left", shelf.read().await);
    Ok(())
}

impl Shelf {
    async fn read(&self) -> u32 {
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.0.load(Ordering::SeqCst)
    }

    async fn write(&self, left: u32) {
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.0.store(left, Ordering::SeqCst);
    }
}
