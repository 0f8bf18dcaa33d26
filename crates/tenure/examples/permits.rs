//! Twelve calls to a service that takes three at a time. A large call counts as two. However many
//! programs and hosts call, none is turned away.
//!
//! ```sh
//! cargo run --example permits
//! ```
//!
//! It prints:
//!
//! ```text
//! 12 calls to a service that takes 3 at a time
//! 12 were answered, 0 were turned away
//! ```

#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "it is a program")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const LIMIT: u32 = 3;

/// Stands for a service elsewhere: it has so many connections open.
#[derive(Default)]
struct Service(AtomicU32);

/// Calls the service. Every third call is a large one.
async fn call(service: Arc<Service>, number: u32) -> tenure::Result<bool> {
    let units = if number.is_multiple_of(3) { 2 } else { 1 };
    let permits = tenure::semaphore("geocoder", LIMIT).acquire_many(units).await?;
    permits.run(|_lease| async move { tenure::ok(service.answer(units).await) }).await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("12 calls to a service that takes {LIMIT} at a time");
    let service = Arc::new(Service::default());
    let calls: Vec<_> =
        (0..12).map(|number| tokio::spawn(call(Arc::clone(&service), number))).collect();
    let mut answered = 0;
    for call in calls {
        answered += u32::from(call.await??);
    }
    println!("{answered} were answered, {} were turned away", 12 - answered);
    Ok(())
}

impl Service {
    /// Whether it answers: it turns a call away that is one too many.
    async fn answer(&self, connections: u32) -> bool {
        let open = self.0.fetch_add(connections, Ordering::SeqCst) + connections;
        tokio::time::sleep(Duration::from_millis(20)).await;
        self.0.fetch_sub(connections, Ordering::SeqCst);
        open <= LIMIT
    }
}
