//! Instructions of some paths of the library, as callgrind counts them in an optimised build, and
//! the committed counts that they must not outgrow. Counts are the same on a busy machine, which
//! times are not. They depend on the compiler, so those of another one are shown and not judged.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::callgrind::{callgrind, run};
use crate::server::Server;
use crate::tree::root;

/// The committed counts.
const FILE: &str = "bench/counts.json";
/// Growth of a count, in percent, from which on it is refused. Two runs of one program differ by
/// less than a third of it.
const GROWTH_MAX: u64 = 5;
/// Acquires and releases of a run. Each path is counted for one of each.
const CYCLES: u64 = 2_000;
/// Runs of which the median counts. Where a thread frees what another has allocated, the
/// allocator's work depends on which was faster.
const RUNS: usize = 5;

/// A path of which the instructions are counted.
struct Counted {
    name: &'static str,
    store: Store,
    /// The functions whose instructions, with all that they call, are those of the path. None calls
    /// another. They must not be inlined.
    functions: &'static [&'static str],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Store {
    /// `KeyState` alone.
    Machine,
    Memory,
    Redis,
}

const PATHS: [Counted; 4] = [
    Counted {
        name: "encode",
        store: Store::Redis,
        functions: &[
            "<tenure::store::redis::encode::ScriptCall>::new",
            "<tenure::store::redis::encode::ScriptCall>::command",
        ],
    },
    Counted {
        name: "decode",
        store: Store::Redis,
        functions: &[
            "<tenure::store::redis::client::resp::Reader>::next",
            "tenure::store::redis::decode::decode",
        ],
    },
    Counted {
        name: "machine",
        store: Store::Machine,
        functions: &["tenure_counts::counted_machine"],
    },
    Counted { name: "memory", store: Store::Memory, functions: &["tenure_counts::counted_store"] },
];

/// Instructions of an acquire and a release on each path, and of which build they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    compiler: String,
    libc: String,
    instructions: BTreeMap<String, u64>,
}

/// Counts all paths.
///
/// # Errors
/// If the program cannot be built, or valgrind is missing or fails, or a function is not found.
pub fn counts() -> Result<Counts, String> {
    let program = build()?;
    let server = Server::start()?;
    // Valgrind is slow, and more so on a busy machine.
    let url = format!("{}?connect_timeout=60s&call_timeout=60s", server.url());
    let mut instructions = BTreeMap::new();
    for path in &PATHS {
        let target = match path.store {
            Store::Machine => "machine",
            Store::Memory => "memory:",
            Store::Redis => &url,
        };
        let runs = (0..RUNS).map(|_| path.count(&program, target));
        let mut runs = runs.collect::<Result<Vec<_>, _>>()?;
        runs.sort_unstable();
        instructions.insert(path.name.to_owned(), (runs[RUNS / 2] + CYCLES / 2) / CYCLES);
    }
    let compiler = said_by("rustc", &["--version"])?;
    let libc = said_by("getconf", &["GNU_LIBC_VERSION"])?;
    let compiler = format!("{compiler}, {}", std::env::consts::ARCH);
    Ok(Counts { compiler, libc, instructions })
}

/// Builds the program whose instructions are counted, as a user of the library would.
fn build() -> Result<PathBuf, String> {
    let target = root().join("target/counts");
    run(Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "--release", "--package", "tenure-counts"])
        .args(["--features", "valgrind"])
        .env("CARGO_TARGET_DIR", &target)
        .env("CARGO_PROFILE_RELEASE_STRIP", "none")
        // A change elsewhere moves no function to another unit, where other calls are inlined.
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1")
        // Names of functions that do not depend on the compiler.
        .env("RUSTFLAGS", "-C symbol-mangling-version=v0"))?;
    Ok(target.join("release/tenure-counts"))
}

impl Counted {
    /// The instructions of one run.
    fn count(&self, program: &Path, target: &str) -> Result<u64, String> {
        // Nothing from before the cycles: a greeting is an answer too.
        let begin = if self.store == Store::Machine { "machine" } else { "store" };
        let mut options = vec![format!("--zero-before=tenure_counts::counted_{begin}")];
        options.extend(self.functions.iter().map(|name| format!("--toggle-collect={name}")));
        let directory = root().join("target/xtask-counts");
        let profile = callgrind(&directory, &options, program, &[target, &CYCLES.to_string()])?;
        let profile =
            std::fs::read_to_string(&profile).map_err(|e| format!("{}: {e}", profile.display()))?;
        let executed: BTreeSet<_> =
            profile.lines().filter_map(|line| line.strip_prefix("fn=")).collect();
        if let Some(missing) = self.functions.iter().find(|name| !executed.contains(**name)) {
            return Err(format!(
                "{}: no call of {missing} was seen: it has another name, or it is inlined",
                self.name
            ));
        }
        let total = profile.lines().find_map(|line| line.strip_prefix("totals: "));
        total.and_then(|total| total.parse().ok()).ok_or_else(|| "a profile without totals".into())
    }
}

fn said_by(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).output();
    let output = output.map_err(|e| format!("{program}: {e}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

impl Counts {
    /// The committed ones; `None` if there are none yet.
    ///
    /// # Errors
    /// If the file is no file of counts.
    pub fn committed() -> Result<Option<Self>, String> {
        let Ok(text) = std::fs::read_to_string(root().join(FILE)) else { return Ok(None) };
        serde_json::from_str(&text).map(Some).map_err(|e| format!("{FILE}: {e}"))
    }

    /// Makes these the committed ones.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self) -> Result<(), String> {
        let text = serde_json::to_string_pretty(self).map_err(|e| e.to_string())?;
        std::fs::write(root().join(FILE), text + "\n").map_err(|e| format!("{FILE}: {e}"))
    }

    /// Compares these with `committed`.
    #[must_use]
    pub fn beside(&self, committed: &Self) -> Comparison {
        let is_same_build = (&self.compiler, &self.libc) == (&committed.compiler, &committed.libc);
        let committed_build = format!("{}, {}", committed.compiler, committed.libc);
        let changes = self.instructions.iter().map(|(name, now)| {
            let before = committed.instructions.get(name).copied();
            Change { name: name.clone(), before, now: *now }
        });
        let changes = changes.collect();
        let other_build = (!is_same_build).then_some(committed_build);
        Comparison { build: format!("{}, {}", self.compiler, self.libc), other_build, changes }
    }
}

/// Counts beside the committed ones.
#[derive(Debug)]
pub struct Comparison {
    build: String,
    /// The build of the committed counts, if it is another one.
    other_build: Option<String>,
    changes: Vec<Change>,
}

#[derive(Debug)]
struct Change {
    name: String,
    /// `None`: this path was not counted.
    before: Option<u64>,
    now: u64,
}

impl Change {
    /// In percent.
    #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    fn growth(&self) -> Option<f64> {
        let before = self.before?;
        Some((self.now as f64 / before as f64 - 1.0) * 100.0)
    }

    fn is_too_large(&self) -> bool {
        self.before.is_none_or(|before| self.now * 100 > before * (100 + GROWTH_MAX))
    }

    /// Whether it has shrunk by as much as is refused for growth.
    fn is_much_smaller(&self) -> bool {
        self.before.is_some_and(|before| self.now * 100 < before * (100 - GROWTH_MAX))
    }
}

impl Comparison {
    /// Whether a count has grown too much, or none is committed to compare it with.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.other_build.is_none() && self.changes.iter().any(Change::is_too_large)
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "instructions of an acquire and a release ({}):", self.build)?;
        for change in &self.changes {
            let Change { name, now, before } = change;
            write!(f, "  {name:8} {now:>7}")?;
            match (change.growth(), before) {
                (Some(growth), Some(before)) => write!(f, "  {growth:>+6.1} %  of {before}")?,
                _ => write!(f, "  none committed")?,
            }
            let is_refused = self.other_build.is_none() && change.is_too_large();
            writeln!(f, "{}", if is_refused { "  REFUSED" } else { "" })?;
        }
        if let Some(other) = &self.other_build {
            writeln!(f, "not judged: the committed counts are of {other}")?;
        } else if self.is_refused() {
            writeln!(
                f,
                "no count may grow by more than {GROWTH_MAX} %; if it must, commit what \
                 `cargo xtask counts --write` writes, and say why"
            )?;
        } else if self.changes.iter().any(Change::is_much_smaller) {
            writeln!(f, "commit what `cargo xtask counts --write` writes, so that it stays so")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(compiler: &str, memory: u64) -> Counts {
        let instructions = BTreeMap::from([("memory".to_owned(), memory)]);
        Counts { compiler: compiler.to_owned(), libc: "glibc 2.36".to_owned(), instructions }
    }

    #[test]
    fn a_count_may_grow_by_five_percent() {
        let is_refused = |now| of("rustc 1", now).beside(&of("rustc 1", 1000)).is_refused();
        assert_eq!([900, 1050, 1051].map(is_refused), [false, false, true]);
        let told = of("rustc 1", 1100).beside(&of("rustc 1", 1000)).to_string();
        assert!(told.contains("+10.0 %  of 1000  REFUSED"), "{told}");
    }

    #[test]
    fn counts_of_another_compiler_are_not_judged() {
        let comparison = of("rustc 2", 2000).beside(&of("rustc 1", 1000));
        assert!(!comparison.is_refused());
        let told = comparison.to_string();
        assert!(told.contains("not judged: the committed counts are of rustc 1"), "{told}");
    }

    #[test]
    fn a_path_without_a_committed_count_is_refused() {
        let none = Counts { instructions: BTreeMap::new(), ..of("rustc 1", 0) };
        assert!(of("rustc 1", 1000).beside(&none).is_refused());
    }

    #[test]
    fn every_path_has_a_committed_count() {
        let committed = Counts::committed().expect("it can be read").expect("it is there");
        let names: Vec<_> = committed.instructions.keys().map(String::as_str).collect();
        let mut paths = PATHS.map(|path| path.name);
        paths.sort_unstable();
        assert_eq!(names, paths);
    }
}
