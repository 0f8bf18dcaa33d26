//! The raw data of a run, with date, machine and versions.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Serialize;

use crate::Failure;
use crate::figure::{Figure, Scale};

#[derive(Debug, Serialize)]
struct Record<'a> {
    date: String,
    commit: String,
    machine: Machine,
    versions: Versions,
    figures: &'a [Figure],
}

#[derive(Debug, Serialize)]
struct Machine {
    cpu: String,
    cores: usize,
    memory: String,
    kernel: String,
    /// The load average before it was written: whether the machine was quiet.
    load: String,
}

#[derive(Debug, Serialize)]
struct Versions {
    tenure: &'static str,
    rustc: String,
    sqlite: &'static str,
}

/// The root of the repository that this program was built from.
pub(crate) fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("this crate lies two levels below the root")
}

/// Where the data go: as asked; else `bench/results` for full runs, and nowhere for short ones.
pub(crate) fn directory(asked: Option<&PathBuf>, scale: Scale) -> Option<PathBuf> {
    let usual = || (scale == Scale::Full).then(|| root().join("bench/results"));
    asked.cloned().or_else(usual)
}

/// Writes a file named after the date and the commit.
pub(crate) fn write(directory: &Path, figures: &[Figure]) -> Result<PathBuf, Failure> {
    let date = said_by("date", &["-u", "+%Y-%m-%dT%H:%M:%SZ"]);
    let commit = said_by("git", &["describe", "--always", "--dirty", "--exclude", "*"]);
    let day = date.split('T').next().unwrap_or_default();
    let path = directory.join(format!("{day}-{commit}.json"));
    let record = Record {
        date: date.clone(),
        commit,
        machine: machine(),
        versions: Versions {
            tenure: env!("CARGO_PKG_VERSION"),
            rustc: said_by("rustc", &["--version"]),
            sqlite: rusqlite::version(),
        },
        figures,
    };
    std::fs::create_dir_all(directory)?;
    std::fs::write(&path, serde_json::to_string_pretty(&record)? + "\n")?;
    Ok(path)
}

fn machine() -> Machine {
    let field = |file: &str, name: &str| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_once(':').map_or_else(String::new, |(_, value)| value.trim().to_owned())
    };
    Machine {
        cpu: field("/proc/cpuinfo", "model name"),
        cores: std::thread::available_parallelism().map_or(0, usize::from),
        memory: field("/proc/meminfo", "MemTotal"),
        kernel: said_by("uname", &["-sr"]),
        load: std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim().to_owned(),
    }
}

/// What a program prints, or "unknown".
fn said_by(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(root()).output();
    let said = output.ok().filter(|o| o.status.success());
    said.map_or_else(|| "unknown".into(), |o| String::from_utf8_lossy(&o.stdout).trim().to_owned())
}
