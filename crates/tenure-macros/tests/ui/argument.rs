//! A key over an argument that is none.

#[tenure::locked("order:{nobody}")]
async fn no_such_argument() -> tenure::Result<()> {
    Ok(())
}

fn main() {}
