//! A cache entry has run out, and everybody asks for it at once: one refills it, the others wait
//! for that one, and the database is asked once.
//!
//! ```sh
//! cargo run --example cache
//! ```
//!
//! It prints:
//!
//! ```text
//! 30 requests got "today's prices"
//! refills: 1
//! ```

#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "it is a program")]

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// Stands for a cache that all hosts share.
#[derive(Default)]
struct Cache {
    entry: RwLock<Option<String>>,
    refills: AtomicU32,
}

/// Without a lock as long as the entry is there.
async fn prices(cache: &Cache) -> tenure::Result<String> {
    if let Some(prices) = cache.get() {
        return Ok(prices);
    }
    let refill = tenure::mutex("cache:prices").with_wait(Duration::from_secs(10));
    refill
        .run(|_lease| async {
            // Look again: who was ahead in the line has refilled it.
            if let Some(prices) = cache.get() {
                return Ok(prices);
            }
            tenure::ok(cache.refill().await)
        })
        .await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cache = Arc::new(Cache::default());
    let requests: Vec<_> = (0..30)
        .map(|_| {
            let cache = Arc::clone(&cache);
            tokio::spawn(async move { prices(&cache).await })
        })
        .collect();
    let mut answered = 0;
    for request in requests {
        answered += u32::from(request.await?? == "today's prices");
    }
    println!("{answered} requests got \"today's prices\"");
    println!("refills: {}", cache.refills.load(Ordering::SeqCst));
    Ok(())
}

impl Cache {
    fn get(&self) -> Option<String> {
        self.entry.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks the database, which takes its time.
    async fn refill(&self) -> String {
        self.refills.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(50)).await;
        let prices = "today's prices".to_owned();
        *self.entry.write().unwrap_or_else(PoisonError::into_inner) = Some(prices.clone());
        prices
    }
}
