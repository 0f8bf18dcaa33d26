//! A function that cannot say that acquiring failed.

struct Mine;

#[tenure::locked]
async fn no_answer() {}

#[tenure::locked]
async fn no_result() -> u32 {
    1
}

#[tenure::locked]
async fn error_without_from() -> Result<u32, Mine> {
    Ok(1)
}

#[tenure::locked(try)]
async fn try_without_option() -> tenure::Result<u32> {
    Ok(1)
}

#[tenure::locked]
const fn constant() -> tenure::Result<u32> {
    Ok(1)
}

fn main() {}
