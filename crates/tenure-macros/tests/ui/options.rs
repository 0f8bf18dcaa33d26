//! Options that are none.

#[tenure::locked(tll = "30s")]
async fn misspelt() -> tenure::Result<()> {
    Ok(())
}

#[tenure::locked(ttl = 30)]
async fn no_unit() -> tenure::Result<()> {
    Ok(())
}

#[tenure::locked(ttl = "30 parsecs")]
async fn no_duration() -> tenure::Result<()> {
    Ok(())
}

#[tenure::locked(ttl = "1s", ttl = "2s")]
async fn twice() -> tenure::Result<()> {
    Ok(())
}

#[tenure::locked(ttl = "1s", "key")]
async fn key_at_the_end() -> tenure::Result<()> {
    Ok(())
}

#[tenure::locked(permits = 0)]
async fn no_permits() -> tenure::Result<()> {
    Ok(())
}

#[tenure::locked(permits = 2, reentrant)]
async fn two_kinds() -> tenure::Result<()> {
    Ok(())
}

#[tenure::locked(shared, permits = 3)]
async fn readers_by_permits() -> tenure::Result<()> {
    Ok(())
}

#[tenure::locked(every = "5m", wait = "1s")]
async fn job_that_waits() -> tenure::Result<Option<()>> {
    Ok(Some(()))
}

#[tenure::locked(every = 5)]
async fn no_unit_of_ticks() -> tenure::Result<Option<()>> {
    Ok(Some(()))
}

#[tenure::locked(retry_failed)]
async fn retries_of_a_mutex() -> tenure::Result<Option<()>> {
    Ok(Some(()))
}

#[tenure::locked(every = "5m", permits = 3)]
async fn job_by_permits() -> tenure::Result<Option<()>> {
    Ok(Some(()))
}

fn main() {}
