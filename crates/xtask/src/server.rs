//! A Redis of this process's own, which the kit of the tests runs as another program: Cargo packs
//! no crate that depends on one that is never published.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::tree::root;

/// It ends with this value.
pub(crate) struct Server {
    program: Child,
    url: String,
}

impl Server {
    pub(crate) fn start() -> Result<Self, String> {
        let mut program = Command::new(env!("CARGO"));
        // Build scripts run again where Cargo tells them of another package, here and next time.
        for (name, _) in std::env::vars_os() {
            let ours = ["CARGO_PKG_", "CARGO_MANIFEST_"];
            if name.to_str().is_some_and(|name| ours.iter().any(|of| name.starts_with(of))) {
                program.env_remove(name);
            }
        }
        let mut program = program
            .args(["run", "--quiet", "--locked", "--package", "tenure-testkit"])
            .args(["--example", "server"])
            .current_dir(root())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("the server does not start: {e}"))?;
        let mut url = String::new();
        let printed =
            program.stdout.take().map(|printed| BufReader::new(printed).read_line(&mut url));
        let server = Self { program, url: url.trim_end().to_owned() };
        match printed {
            Some(Ok(1..)) => Ok(server),
            _ => Err("the server does not start".into()),
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It stops at the end of its input, which waiting closes.
        let _ = self.program.wait();
    }
}
