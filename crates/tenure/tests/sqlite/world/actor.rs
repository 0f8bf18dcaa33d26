//! One more process of a test, in a role. It listens to lines, and speaks in lines that begin
//! with `@`.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

use tenure_testkit::Running;

use super::PLACE;

/// A process in a role.
pub(crate) struct Actor {
    pub(crate) child: Running,
    tell: ChildStdin,
    said: BufReader<ChildStdout>,
}

impl Actor {
    pub(crate) fn start(mut role: Command, place: &Path) -> Self {
        let role = role.env(PLACE, place).stdin(Stdio::piped());
        let mut child = Running::start(role.stdout(Stdio::piped()));
        let tell = child.stdin.take().expect("its stdin");
        let said = BufReader::new(child.stdout.take().expect("its stdout"));
        Self { child, tell, said }
    }

    pub(crate) fn tell(&mut self, line: &str) {
        writeln!(self.tell, "{line}").expect("it listens");
    }

    /// Its next line, without the `@`.
    pub(crate) fn hear(&mut self) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert!(self.said.read_line(&mut line).expect("a line") > 0, "it ended in silence");
            if let Some((_, said)) = line.split_once('@') {
                return said.trim_end().to_owned();
            }
        }
    }
}

/// The next line of the test that plays this role's counterpart; `None` at its end.
pub(crate) fn told() -> Option<String> {
    let mut line = String::new();
    let length = std::io::stdin().read_line(&mut line).expect("a line");
    (length > 0).then(|| line.trim_end().to_owned())
}
