//! The path of one acquire over Redis with nobody else at it: the source files with a function of
//! the library that it executes, and the types of the library in the signatures of these
//! functions. Callgrind tells the lines that an unoptimised build executes.
//!
//! It counts what a reader passes who follows one acquire: each file is one more place to look
//! at, each type one more word to know. Functions that a derive or a macro writes do not count.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::process::Command;

use crate::callgrind::{callgrind, run};
use crate::signatures::{Source, defined_types};
use crate::tree::{files, root};

/// The sources of the library.
const SOURCES: &str = "crates/tenure/src/";
/// So many files and types at most are wanted on the path.
const FILES_WANTED: usize = 14;
const TYPES_WANTED: usize = 30;

/// The functions and types that one acquire passes.
#[derive(Debug, Default)]
pub struct Path {
    /// The functions that are executed, by their files.
    functions: BTreeMap<String, BTreeSet<String>>,
    /// The types of the library in their signatures.
    types: BTreeSet<String>,
}

/// The path of one acquire, as it is executed now.
///
/// # Errors
/// If the program cannot be built, or valgrind is missing or fails.
pub fn path() -> Result<Path, String> {
    let directory = root().join("target/xtask-path");
    // The first dump is the one before `path_ends`; the other one is of the program's end.
    let first = directory.join("callgrind.1");
    // Of an earlier run; there may be none.
    let _ = std::fs::remove_file(&first);
    run(Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", "xtask", "--example", "lone_acquire"])
        .args(["--features", "valgrind"])
        .env("CARGO_PROFILE_DEV_DEBUG", "line-tables-only"))?;
    let options = ["--zero-before=*path_begins*", "--dump-before=*path_ends*"].map(str::to_owned);
    let program = root().join("target/debug/examples/lone_acquire");
    callgrind(&directory, &options, &program, &[])?;
    let dump = std::fs::read_to_string(&first).map_err(|e| format!("{}: {e}", first.display()))?;
    Ok(Path::of(&executed(&dump)))
}

/// The lines of our sources that a dump of callgrind has a cost for, by their files.
fn executed(dump: &str) -> BTreeMap<String, BTreeSet<usize>> {
    let mut lines = BTreeMap::<_, BTreeSet<_>>::new();
    let mut file = None;
    let mut dump = dump.lines();
    while let Some(line) = dump.next() {
        if line.starts_with("calls=") {
            // The next line has the cost of what was called, which has lines of its own.
            dump.next();
        } else if let Some((kind, value)) = line.split_once('=') {
            // Where a function begins, and where code of another file is inlined, begins and ends.
            if matches!(kind, "fl" | "fi" | "fe") {
                file = value.split_once(SOURCES).map(|(_, below)| below.to_owned());
            }
        } else if let Some(file) = &file {
            let number = line.split(' ').next().and_then(|number| number.parse().ok());
            if let Some(number) = number {
                lines.entry(file.clone()).or_default().insert(number);
            }
        }
    }
    lines
}

impl Path {
    fn of(executed: &BTreeMap<String, BTreeSet<usize>>) -> Self {
        let mut path = Self::default();
        let files = files();
        let ours = files.iter().filter_map(|file| {
            let below = file.path.strip_prefix(SOURCES).ok()?;
            let is_rust = below.extension() == Some("rs".as_ref());
            is_rust.then(|| (below.display().to_string(), &file.text))
        });
        let sources: BTreeMap<_, _> = ours.map(|(name, text)| (name, Source::read(text))).collect();
        let known = defined_types(sources.values());
        for (name, lines) in executed {
            let Some(source) = sources.get(name) else { continue };
            for function in lines.iter().filter_map(|line| source.function_at(*line)) {
                path.functions.entry(name.clone()).or_default().insert(function.name.clone());
                path.types.extend(function.types.intersection(&known).cloned());
            }
        }
        path
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (file, functions) in &self.functions {
            let functions = functions.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
            writeln!(f, "{file}: {functions}")?;
        }
        let types = self.types.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
        writeln!(f, "\ntypes: {types}\n")?;
        let functions: usize = self.functions.values().map(BTreeSet::len).sum();
        writeln!(
            f,
            "one acquire over Redis: {functions} functions in {} files (wanted: {FILES_WANTED}), \
             with {} types in their signatures (wanted: {TYPES_WANTED})",
            self.functions.len(),
            self.types.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_ours_are_told_from_those_of_others() {
        let place = format!("/x/{SOURCES}");
        let dump = format!(
            "version: 1\nfl=/other/a.rs\nfn=f\n7 100\nfl={place}a.rs\nfn=g\n3 10\n\
             cfi=/other/b.rs\ncfn=h\ncalls=1 20\n4 30\nfi={place}b.rs\n5 1\nfe={place}a.rs\n6 1\n"
        );
        let lines = |numbers: &[usize]| numbers.iter().copied().collect();
        let found = executed(&dump);
        assert_eq!(
            found,
            BTreeMap::from([("a.rs".into(), lines(&[3, 6])), ("b.rs".into(), lines(&[5]))])
        );
    }
}
