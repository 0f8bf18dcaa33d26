//! How long somebody with a fresh clone waits for the README's first command: everything is
//! compiled in an empty directory, in the dev profile, with the sources already downloaded.

use std::process::Command;
use std::time::Instant;

use serde_json::json;

use crate::Failure;
use crate::figure::{Figure, Limit, Scale};
use crate::record::root;

pub(crate) fn measure(_: Scale) -> Result<Vec<Figure>, Failure> {
    let directory = tempfile::tempdir()?;
    let begun = Instant::now();
    let status = Command::new("cargo")
        .args(["run", "-q", "-p", "tenure-cli", "--", "run", "nightly-report", "--", "true"])
        .current_dir(root())
        .env("CARGO_TARGET_DIR", directory.path().join("target"))
        .env("TENURE_STORE_FILE", directory.path().join("locks.db"))
        .status()?;
    let seconds = begun.elapsed().as_secs_f64();
    if !status.success() {
        return Err(format!("the first command failed: {status}").into());
    }
    Ok(vec![Figure {
        name: "first command of the README, clean build",
        value: seconds,
        unit: "s",
        limit: Limit::AtMost(120.0),
        note: "dev profile, sources downloaded before".into(),
        raw: json!({ "seconds": seconds }),
    }])
}
