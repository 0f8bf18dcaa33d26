//! One acquire over Redis with nobody else at it: what `cargo xtask path` looks at. It is not the
//! first of its program, so the link is there and the server knows the script.

use tenure_testkit::Server;

fn main() -> tenure::Result<()> {
    let server = Server::redis().start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let locks = tenure::connect(&server.url()).await?;
        locks.mutex("first").acquire().await?.release().await?;
        let mutex = locks.mutex("key");
        path_begins();
        let guard = mutex.acquire().await?;
        path_ends();
        guard.release().await?;
        locks.close(std::time::Duration::from_secs(60)).await
    })
}

/// Callgrind forgets all that was before.
#[inline(never)]
fn path_begins() {}

/// Callgrind writes down all that was since.
#[inline(never)]
fn path_ends() {}
