//! How the adapters of a language are started, and what has to be there before: packages are
//! installed into `.cache/contenders`, in the versions that the files beside the adapter name, and
//! nothing outside of it is changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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
struct Steps {
    /// Below `bench/contenders`.
    folder: &'static str,
    /// Programs that the machine must have.
    needs: &'static [&'static str],
    install: &'static [&'static [&'static str]],
    /// Followed by the name of the contender.
    run: &'static [&'static str],
}

const PYTHON: Steps = Steps {
    folder: "python",
    needs: &["python3"],
    install: &[
        &["python3", "-m", "venv", "venv"],
        &["venv/bin/pip", "install", "--quiet", "--no-input", "-r", "requirements.txt"],
    ],
    run: &["venv/bin/python", "adapter.py"],
};

const NODE: Steps = Steps {
    folder: "node",
    needs: &["node", "npm"],
    install: &[&["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]],
    run: &["node", "adapter.mjs"],
};

const GO: Steps = Steps {
    folder: "go",
    needs: &["go"],
    install: &[&["go", "mod", "tidy"], &["go", "build", "-o", "adapter", "."]],
    run: &["./adapter"],
};

const JAVA: Steps = Steps {
    folder: "java",
    needs: &["java", "mvn"],
    install: &[&[
        "mvn",
        "--quiet",
        "--batch-mode",
        "-Dstyle.color=never",
        "package",
        "dependency:copy-dependencies",
    ]],
    run: &["java", "-cp", "target/classes:target/dependency/*", "Adapter"],
};

/// A file of an installed folder: the files that it was installed from.
const STAMP: &str = "installed-from";

impl Toolchain {
    /// The command that starts an adapter, less the contender's name; its packages are installed
    /// before. The failure is the reason why these contenders do not take part.
    pub(crate) fn command(self) -> Result<Command, Failure> {
        let steps = match self {
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
        if let Some(missing) = steps.needs.iter().find(|program| !is_there(program)) {
            return Err(format!("{missing} is not on this machine").into());
        }
        steps.installed()
    }
}

impl Steps {
    fn installed(&self) -> Result<Command, Failure> {
        let from = root().join("bench/contenders").join(self.folder);
        let place = root().join(".cache/contenders").join(self.folder);
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
            for step in self.install {
                succeed(&mut command(step, &place))?;
            }
            fs::write(place.join(STAMP), wanted)?;
        }
        Ok(command(self.run, &place))
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

fn succeed(command: &mut Command) -> Result<(), Failure> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let (mut lines, program) = (said.lines(), command.get_program().to_string_lossy());
    let first = lines.find(|line| line.to_lowercase().contains("error"));
    let reason = first.or_else(|| said.lines().next()).unwrap_or_default().trim();
    let reason = reason.chars().filter(|sign| !sign.is_control()).take(160).collect::<String>();
    eprint!("{said}");
    Err(format!("{program} ended with {}: {reason}", output.status).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_toolchain_has_its_adapter() {
        for steps in [PYTHON, NODE, GO, JAVA] {
            let files = files(&root().join("bench/contenders").join(steps.folder)).unwrap();
            assert!(files.len() >= 2, "{}: an adapter and what it needs", steps.folder);
            assert!(!steps.install.is_empty() && !steps.needs.is_empty(), "{}", steps.folder);
        }
    }

    #[test]
    fn a_program_is_looked_for_on_the_path() {
        assert!(is_there("sh"));
        assert!(!is_there("no-such-program-of-any-machine"));
    }

    #[test]
    fn a_step_that_fails_says_why() {
        let failed =
            |script| succeed(Command::new("sh").args(["-c", script])).unwrap_err().to_string();
        let said = failed("echo so; echo Error: why >&2; echo then; exit 3");
        assert_eq!(said, "sh ended with exit status: 3: Error: why");
        assert_eq!(failed("echo why; echo more; exit 3"), "sh ended with exit status: 3: why");
    }
}
