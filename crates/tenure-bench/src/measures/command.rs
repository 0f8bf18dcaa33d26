//! The time that `tenure run` adds to the command that it runs, and the size of the program.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::json;

use crate::Failure;
use crate::figure::{Figure, Limit, Scale};
use crate::record::root;
use crate::sample::Sample;

pub(crate) fn measure(scale: Scale) -> Result<Vec<Figure>, Failure> {
    let tenure = build()?;
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("locks.db");
    let (mut bare, mut under_lock) = (Vec::new(), Vec::new());
    for _ in 0..scale.pick(2, 200) {
        bare.push(millis_of(&mut Command::new("true"))?);
        let mut run = Command::new(&tenure);
        run.arg("run").arg("--store-file").arg(&file).args(["bench", "--", "true"]);
        under_lock.push(millis_of(&mut run)?);
    }
    let (bare, under_lock) = (Sample::new(bare), Sample::new(under_lock));
    let size = u32::try_from(std::fs::metadata(&tenure)?.len())?;
    Ok(vec![
        Figure {
            name: "tenure run -- true, above true, p50".into(),
            value: under_lock.median() - bare.median(),
            unit: "ms",
            limit: Limit::AtMost(15.0),
            note: format!("{:.2} against {:.2}", under_lock.median(), bare.median()),
            raw: json!({ "under_lock_ms": under_lock.outline(), "bare_ms": bare.outline() }),
        },
        Figure {
            name: "tenure: size of the program".into(),
            value: f64::from(size) / f64::from(1 << 20),
            unit: "MiB",
            limit: Limit::AtMost(10.0),
            note: "stripped".into(),
            raw: json!({ "bytes": size }),
        },
    ])
}

/// Builds the program in the profile of this one, above whose directory cargo puts it.
fn build() -> Result<PathBuf, Failure> {
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--quiet", "--locked", "-p", "tenure-cli"]).current_dir(root());
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    if !cargo.status()?.success() {
        return Err("tenure-cli does not build".into());
    }
    let here = std::env::current_exe()?;
    Ok(here.ancestors().nth(2).unwrap_or(Path::new(".")).join("tenure"))
}

fn millis_of(command: &mut Command) -> Result<f64, Failure> {
    command.stdin(Stdio::null());
    let begun = Instant::now();
    let status = command.status()?;
    let millis = begun.elapsed().as_secs_f64() * 1_000.0;
    if !status.success() {
        return Err(format!("{command:?}: {status}").into());
    }
    Ok(millis)
}
