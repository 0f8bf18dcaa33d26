//! A fresh file opened by many at once, while those who came first already write to it: all of
//! them get in, and nobody takes a file that is just being written for a damaged one.

use std::sync::Barrier;
use std::time::Duration;

const ROUNDS: usize = 50;
const OPENERS: usize = 8;

#[test]
fn many_open_a_fresh_file_while_others_write_to_it() {
    for round in 0..ROUNDS {
        let directory = tempfile::tempdir().expect("a directory");
        let url = format!("sqlite:{}", directory.path().join("locks.db").display());
        let start = Barrier::new(OPENERS);
        std::thread::scope(|scope| {
            for opener in 0..OPENERS {
                let (url, start) = (&url, &start);
                scope.spawn(move || {
                    start.wait();
                    // They come one after the other, as processes do.
                    std::thread::sleep(Duration::from_micros(opener as u64 * 700));
                    let runtime = tokio::runtime::Builder::new_current_thread().build();
                    let used = runtime.expect("a runtime").block_on(async {
                        let locks = tenure::connect(url).await?;
                        let guard = locks.mutex(format!("key-{opener}")).acquire().await?;
                        guard.release().await
                    });
                    used.unwrap_or_else(|e| panic!("round {round}, opener {opener}: {e}"));
                });
            }
        });
    }
}
