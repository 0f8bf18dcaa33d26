//! A run on paper: its figures, with date, commit, machine and versions. `bench/baseline.json` is
//! the last full run that was kept, without its raw data; every run is compared with it.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Failure;
use crate::figure::{Figure, Limit};
use crate::lines::lines;

#[derive(Debug, Serialize)]
pub(crate) struct Record {
    #[serde(flatten)]
    occasion: Occasion,
    figures: Vec<Line>,
}

/// When and where a run was made, and of what.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Occasion {
    /// In UTC, as in `2026-01-31T12:00:00Z`.
    pub(crate) date: String,
    pub(crate) commit: String,
    pub(crate) machine: Machine,
    pub(crate) versions: Versions,
}

/// A figure on paper. The raw data are left out of the baseline.
#[derive(Debug, Serialize)]
struct Line {
    name: String,
    value: f64,
    unit: &'static str,
    limit: Limit,
    note: String,
    #[serde(skip_serializing_if = "Value::is_null")]
    raw: Value,
}

/// An earlier run, as far as it is compared with.
#[derive(Debug, Deserialize)]
pub(crate) struct Baseline {
    commit: String,
    figures: Vec<Earlier>,
}

#[derive(Debug, Deserialize)]
struct Earlier {
    name: String,
    value: f64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    memory: String,
    pub(crate) kernel: String,
    /// The load average before it was written: whether the machine was quiet.
    load: String,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Versions {
    tenure: String,
    rustc: String,
    sqlite: String,
}

/// Reads a file of JSON; `None` if there is none yet.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Failure> {
    let text = match std::fs::read(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        text => text.map_err(|e| format!("{}: {e}", path.display()))?,
    };
    let read = serde_json::from_slice(&text);
    Ok(Some(read.map_err(|e| format!("{}: {e}", path.display()))?))
}

/// The root of the repository that this program was built from.
pub(crate) fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("this crate lies two levels below the root")
}

/// Where the baseline stands.
pub(crate) fn baseline_file() -> PathBuf {
    root().join("bench/baseline.json")
}

impl Baseline {
    /// Reads the baseline; `None` if there is none yet.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>, Failure> {
        read(path)
    }

    /// How a figure has changed, for people; empty if it is new.
    pub(crate) fn change(&self, figure: &Figure) -> String {
        let earlier = self.figures.iter().find(|earlier| earlier.name == figure.name);
        let change = earlier.filter(|earlier| earlier.value != 0.0).map(|earlier| {
            let percent = (figure.value / earlier.value - 1.0) * 100.0;
            format!("{percent:+.1} % since {}", self.commit)
        });
        change.unwrap_or_default()
    }
}

impl Record {
    /// The record of a run that ends now.
    pub(crate) fn of(figures: &[Figure]) -> Self {
        let lines = figures.iter().map(|figure| Line {
            name: figure.name.clone(),
            value: figure.value,
            unit: figure.unit,
            limit: figure.limit,
            note: figure.note.clone(),
            raw: figure.raw.clone(),
        });
        Self { occasion: Occasion::now(), figures: lines.collect() }
    }

    pub(crate) fn without_raw_data(mut self) -> Self {
        self.figures.iter_mut().for_each(|line| line.raw = Value::Null);
        self
    }

    pub(crate) fn write(&self, path: &Path) -> Result<(), Failure> {
        write(path, &lines(self)?)
    }
}

impl Occasion {
    pub(crate) fn now() -> Self {
        Self {
            date: said_by("date", &["-u", "+%Y-%m-%dT%H:%M:%SZ"]),
            commit: said_by("git", &["describe", "--always", "--dirty", "--exclude", "*"]),
            machine: machine(),
            versions: Versions {
                tenure: env!("CARGO_PKG_VERSION").into(),
                rustc: said_by("rustc", &["--version"]),
                sqlite: rusqlite::version().into(),
            },
        }
    }
}

/// Writes a file; the failure names it.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let folder = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    let written = folder.and_then(|()| std::fs::write(path, text));
    written.map_err(|e| format!("{}: {e}", path.display()).into())
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

/// The output of a program, or "unknown".
fn said_by(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(root()).output();
    let said = output.ok().filter(|o| o.status.success());
    said.map_or_else(|| "unknown".into(), |o| String::from_utf8_lossy(&o.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(value: f64) -> Figure {
        Figure {
            name: "x".into(),
            value,
            unit: "ms",
            limit: Limit::AtMost(9.0),
            note: "n".into(),
            raw: Value::from(vec![1, 2]),
        }
    }

    #[test]
    fn a_run_is_compared_with_the_baseline_that_another_has_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("baseline.json");
        assert!(Baseline::read(&path).unwrap().is_none());
        Record::of(&[figure(2.0)]).without_raw_data().write(&path).unwrap();
        assert!(!std::fs::read_to_string(&path).unwrap().contains("raw"));
        let baseline = Baseline::read(&path).unwrap().expect("it was written");
        assert!(baseline.change(&figure(3.0)).starts_with("+50.0 % since "));
        assert_eq!(baseline.change(&Figure { name: "y".into(), ..figure(3.0) }), "");
        std::fs::write(&path, "{").unwrap();
        let error = Baseline::read(&path).unwrap_err().to_string();
        assert!(error.contains("baseline.json"), "{error}");
    }

    #[test]
    fn the_committed_baseline_can_be_read() {
        let baseline = Baseline::read(&baseline_file()).unwrap().expect("it is committed");
        assert!(baseline.figures.len() >= 28, "{}", baseline.figures.len());
    }
}
