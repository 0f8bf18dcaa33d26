//! CMD: it is found in PATH before anything is locked, and started without a shell in a process
//! group of its own. It is never looked up a second time.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::fs::{Access, AtFlags, CWD};
use rustix::io::Errno;

use crate::{shell, terminal};

/// The name under which `tenure` starts itself.
pub(crate) const OWN_NAME: &str = "tenure";

/// The program that a process runs, also after its file was replaced.
pub(crate) const OWN_PROGRAM: &str = "/proc/self/exe";

/// The variables that CMD gets beside ours; `None` removes one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment(pub(crate) Vec<(&'static str, Option<OsString>)>);

impl Environment {
    pub(crate) fn put_into(&self, command: &mut Command) {
        for (name, value) in &self.0 {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
    }
}

/// A command that can be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cmd {
    path: PathBuf,
    /// The name as it was typed, and the arguments.
    words: Vec<OsString>,
}

/// Why a command cannot be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoCmd {
    NotFound(String),
    NotExecutable(String),
}

impl Cmd {
    /// Looks for the program: in the directories of `path`, or at its place if it names one.
    pub(crate) fn find(words: Vec<OsString>, path: Option<&OsStr>) -> Result<Self, NoCmd> {
        let name = words.first().cloned().unwrap_or_default();
        let candidates: Vec<PathBuf> = if name.as_encoded_bytes().contains(&b'/') {
            vec![name.clone().into()]
        } else if name.is_empty() {
            vec![]
        } else {
            let path = path.unwrap_or(OsStr::new("/usr/local/bin:/usr/bin:/bin"));
            std::env::split_paths(path)
                .map(|directory| directory.join(&name))
                // An empty part of PATH means the current directory.
                .map(|file| if file.is_relative() { Path::new(".").join(file) } else { file })
                .collect()
        };
        let mut refused = None;
        for path in candidates {
            match look_at(&path) {
                Found::Executable => return Ok(Self { path, words }),
                Found::Refused(why) => {
                    refused.get_or_insert_with(|| {
                        NoCmd::NotExecutable(format!("cannot run {}: {why}", path.display()))
                    });
                }
                Found::Nothing => {}
            }
        }
        let is_path = name.as_encoded_bytes().contains(&b'/');
        let is_path = is_path && shell::instead_of(&words).is_none();
        let name = shell::name_of(&name.to_string_lossy());
        Err(match refused {
            Some(refused) => refused,
            None if name.is_empty() => NoCmd::NotFound(
                "CMD is an empty word; name a program, or leave out the word (an unset variable \
                 in quotes is one)"
                    .into(),
            ),
            None if is_path => NoCmd::NotFound(format!("{name}: no such file")),
            None => NoCmd::NotFound(format!("{name}: command not found")),
        })
    }

    /// The message when the system has refused to run it.
    pub(crate) fn not_started(&self, error: &io::Error) -> String {
        let name = self.name();
        let mut start = [0; 256];
        let count = File::open(&self.path).and_then(|mut file| file.read(&mut start));
        let start = String::from_utf8_lossy(&start[..count.unwrap_or_default()]).into_owned();
        let interpreter = start.strip_prefix("#!").and_then(|line| line.split('\n').next());
        let hint = match (error.raw_os_error().map(Errno::from_raw_os_error), interpreter) {
            (Some(Errno::NOEXEC), None) => {
                let script = shell::quoted(&self.path.to_string_lossy());
                format!("; it has no #! line, and no shell is involved: use sh {script}")
            }
            (Some(Errno::NOENT), Some(line)) => {
                format!("; its first line names {:?}", line.trim_start())
            }
            _ => String::new(),
        };
        format!("cannot run {name}: {error}{hint}")
    }

    /// The name as it was typed.
    pub(crate) fn name(&self) -> String {
        self.words.first().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// The arguments with which `tenure` starts itself as CMD's sentry or foreground step.
    pub(crate) fn to_arguments(&self) -> impl Iterator<Item = &OsStr> {
        std::iter::once(self.path.as_os_str()).chain(self.words.iter().map(OsString::as_os_str))
    }

    /// The reverse of [`Cmd::to_arguments`].
    pub(crate) fn from_arguments(arguments: Vec<OsString>) -> Option<Self> {
        let mut words = arguments.into_iter();
        let path = PathBuf::from(words.next()?);
        let words: Vec<_> = words.collect();
        (!words.is_empty()).then_some(Self { path, words })
    }

    /// Starts it in a group of its own. With `foreground` that group gets the terminal before
    /// CMD's first instruction, so that CMD is never stopped for reading too early.
    pub(crate) fn spawn(
        &self,
        foreground: bool,
        stdin: Option<OwnedFd>,
        env: &Environment,
    ) -> io::Result<Child> {
        let mut command = if foreground {
            let mut command = Command::new(OWN_PROGRAM);
            command.arg0(OWN_NAME).arg(terminal::WORD).args(self.to_arguments());
            command
        } else {
            self.command()
        };
        env.put_into(&mut command);
        if let Some(stdin) = stdin {
            command.stdin(Stdio::from(stdin));
        }
        command.process_group(0).spawn()
    }

    /// Becomes CMD; returns only if that fails.
    pub(crate) fn exec(&self) -> io::Error {
        self.command().exec()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.arg0(&self.words[0]).args(&self.words[1..]);
        command
    }
}

/// A place where the program was looked for.
enum Found {
    Executable,
    /// It is there, and cannot be run for this reason.
    Refused(String),
    Nothing,
}

fn look_at(path: &Path) -> Found {
    match std::fs::metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => Found::Refused(e.to_string()),
        Err(_) => Found::Nothing,
        Ok(file) if file.is_dir() => Found::Refused("it is a directory".into()),
        Ok(_) => match rustix::fs::accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS) {
            Ok(()) => Found::Executable,
            Err(_) => Found::Refused("it is not executable".into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(name: &str, path: &str) -> Result<Cmd, NoCmd> {
        Cmd::find(vec![name.into(), "x".into()], Some(OsStr::new(path)))
    }

    #[test]
    fn found_in_path_under_its_typed_name() {
        let cmd = find("sh", "/nowhere:/bin").expect("there is a shell");
        assert_eq!(cmd.path, Path::new("/bin/sh"));
        assert_eq!(cmd.words, ["sh", "x"]);
        let arguments = cmd.to_arguments().map(OsString::from).collect();
        assert_eq!(Cmd::from_arguments(arguments), Some(cmd));
    }

    #[test]
    fn not_found_and_not_executable_are_told_apart() {
        assert!(matches!(find("no-such-command", "/bin"), Err(NoCmd::NotFound(_))));
        assert!(matches!(find("", "/bin"), Err(NoCmd::NotFound(_))));
        assert!(matches!(find("/no/such/file", "/bin"), Err(NoCmd::NotFound(_))));
        assert!(matches!(find("/etc/passwd", "/bin"), Err(NoCmd::NotExecutable(_))));
        assert!(matches!(find("/bin", "/bin"), Err(NoCmd::NotExecutable(_))));
        assert!(matches!(find("passwd", "/etc"), Err(NoCmd::NotExecutable(_))));
    }
}
