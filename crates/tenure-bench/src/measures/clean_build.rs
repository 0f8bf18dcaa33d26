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
    let (begun, core_begun) = (Instant::now(), core_seconds_of_children());
    let status = Command::new("cargo")
        .args(["run", "-p", "tenure-cli", "--", "run", "nightly-report", "--", "true"])
        .current_dir(root())
        .env("CARGO_TARGET_DIR", directory.path().join("target"))
        .env("TENURE_STORE_FILE", directory.path().join("locks.db"))
        .status()?;
    let seconds = begun.elapsed().as_secs_f64();
    let core_seconds = core_seconds_of_children() - core_begun;
    if !status.success() {
        return Err(format!("the first command failed: {status}").into());
    }
    Ok(vec![Figure {
        name: "first command of the README, clean build".into(),
        value: seconds,
        unit: "s",
        limit: Limit::AtMost(120.0),
        note: format!("{core_seconds:.0} s of the cores; dev profile, sources downloaded before"),
        raw: json!({ "seconds": seconds, "core_seconds": core_seconds }),
    }])
}

/// CPU time of the children that have ended, in seconds (proc_pid_stat(5) has hundredths). A busy
/// machine makes the build longer, but not this.
fn core_seconds_of_children() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let behind_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = behind_name.split_whitespace().skip(13).take(2);
    ticks.filter_map(|ticks| ticks.parse::<u32>().ok()).map(f64::from).sum::<f64>() / 100.0
}
