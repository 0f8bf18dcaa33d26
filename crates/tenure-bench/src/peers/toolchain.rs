//! How the adapters of a language are started, and what has to be there before: packages are
//! installed into `.cache/contenders`, in the versions that the files beside the adapter name, and
//! nothing outside of it is changed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use crate::Failure;
use crate::record::root;

/// The language of an adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Toolchain {
    /// This very program.
    Rust,
    Python,
    Node,
    Go,
    Java,
}

/// How one language's adapters are installed and started. Commands run in a private copy of the
/// adapter's folder; a program with a slash in its name lies there.
struct Installation {
    /// Below `bench/contenders`.
    folder: &'static str,
    /// Programs that the machine must have.
    needs: &'static [&'static str],
    steps: &'static [&'static [&'static str]],
    /// Followed by the name of the contender.
    run: &'static [&'static str],
}

const PYTHON: Installation = Installation {
    folder: "python",
    needs: &["python3"],
    steps: &[
        &["python3", "-m", "venv", "venv"],
        &["venv/bin/pip", "install", "--quiet", "--no-input", "-r", "requirements.txt"],
    ],
    run: &["venv/bin/python", "adapter.py"],
};

const NODE: Installation = Installation {
    folder: "node",
    needs: &["node", "npm"],
    steps: &[&["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]],
    run: &["node", "adapter.mjs"],
};

const GO: Installation = Installation {
    folder: "go",
    needs: &["go"],
    steps: &[&["go", "mod", "tidy"], &["go", "build", "-o", "adapter", "."]],
    run: &["./adapter"],
};

const JAVA: Installation = Installation {
    folder: "java",
    needs: &["java", "mvn"],
    steps: &[&[
        "mvn",
        "--quiet",
        "--batch-mode",
        "-Dstyle.color=never",
        "package",
        "dependency:copy-dependencies",
    ]],
    run: &["java", "-cp", "target/classes:target/dependency/*", "Adapter"],
};

/// The outcomes of the installations of this run, by folder.
static OUTCOMES: Mutex<BTreeMap<&str, Result<(), String>>> = Mutex::new(BTreeMap::new());

/// A file of an installed folder: the files that it was installed from.
const STAMP: &str = "installed-from";

impl Toolchain {
    /// The command that starts an adapter, less the contender's name; its packages are installed
    /// before. The failure is the reason why these contenders do not take part.
    pub(crate) fn command(self) -> Result<Command, Failure> {
        let installation = match self {
            Self::Rust => {
                let mut command = Command::new(std::env::current_exe()?);
                command.arg("adapter");
                return Ok(command);
            }
            Self::Python => PYTHON,
            Self::Node => NODE,
            Self::Go => GO,
            Self::Java => JAVA,
        };
        if let Some(missing) = installation.needs.iter().find(|program| !is_there(program)) {
            return Err(format!("{missing} is not on this machine").into());
        }
        // A second server does not try again what failed for the first.
        let mut outcomes = OUTCOMES.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = outcomes
            .entry(installation.folder)
            .or_insert_with(|| installation.install().map_err(|error| error.to_string()));
        outcome
            .clone()
            .map_err(Failure::from)
            .map(|()| command(installation.run, &installation.place()))
    }
}

impl Installation {
    /// The private copy of the folder.
    fn place(&self) -> PathBuf {
        root().join(".cache/contenders").join(self.folder)
    }

    /// Installs what is not installed yet.
    fn install(&self) -> Result<(), Failure> {
        let from = root().join("bench/contenders").join(self.folder);
        let place = self.place();
        let files = files(&from)?;
        let wanted: String = files.iter().map(|(_, text)| text.as_str()).collect();
        if fs::read_to_string(place.join(STAMP)).ok().as_ref() != Some(&wanted) {
            eprintln!("installing what {} needs into {} ...", self.folder, place.display());
            if place.exists() {
                fs::remove_dir_all(&place)?;
            }
            fs::create_dir_all(&place)?;
            for (name, text) in &files {
                fs::write(place.join(name), text)?;
            }
            for step in self.steps {
                succeed(&mut command(step, &place))?;
            }
            fs::write(place.join(STAMP), wanted)?;
        }
        Ok(())
    }
}

/// The names and texts of the files of a folder, in order.
fn files(folder: &Path) -> Result<Vec<(PathBuf, String)>, Failure> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))? {
        let entry = entry?;
        files.push((entry.file_name().into(), fs::read_to_string(entry.path())?));
    }
    files.sort();
    Ok(files)
}

fn command(words: &[&str], place: &Path) -> Command {
    let program = words[0];
    let program = if program.contains('/') { place.join(program) } else { program.into() };
    let mut command = Command::new(program);
    command.args(&words[1..]).current_dir(place);
    command
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

/// Runs a step. All that a failed one said goes to the terminal: it may name places of this
/// machine, which the reason in a committed file must not.
fn succeed(command: &mut Command) -> Result<(), Failure> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    eprintln!("{}", String::from_utf8_lossy(&said).trim_end());
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    Err(format!("{} could not install its packages", program.display()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_toolchain_has_its_adapter() {
        for of in [PYTHON, NODE, GO, JAVA] {
            let files = files(&root().join("bench/contenders").join(of.folder)).unwrap();
            assert!(files.len() >= 2, "{}: an adapter and what it needs", of.folder);
            assert!(!of.steps.is_empty() && !of.needs.is_empty(), "{}", of.folder);
        }
    }

    #[test]
    fn a_program_is_looked_for_on_the_path() {
        assert!(is_there("sh"));
        assert!(!is_there("no-such-program-of-any-machine"));
    }

    #[test]
    fn a_step_that_fails_is_named_without_its_place() {
        let failed = succeed(Command::new("/bin/sh").args(["-c", "exit 3"])).unwrap_err();
        assert_eq!(failed.to_string(), "sh could not install its packages");
        assert!(succeed(Command::new("/bin/sh").args(["-c", "exit 0"])).is_ok());
    }
}
