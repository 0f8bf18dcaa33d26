//! Keys that cannot be made.

#[tenure::locked("order:{id")]
async fn not_closed(id: u32) -> tenure::Result<()> {
    Ok(())
}

#[tenure::locked("order:}")]
async fn not_opened() -> tenure::Result<()> {
    Ok(())
}

#[tenure::locked("order:{1 +}")]
async fn no_expression() -> tenure::Result<()> {
    Ok(())
}

#[tenure::locked("")]
async fn empty() -> tenure::Result<()> {
    Ok(())
}

fn main() {}
