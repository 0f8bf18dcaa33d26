//! Every example runs on every store that processes can share, and prints what its header says.

use std::fs;
use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use tempfile::TempDir;
use tenure_testkit::{Flavour, Running, Server, clean};

use crate::example_programs::example;

/// Each of them takes less than two seconds on a machine that has nothing else to do.
const PATIENCE: Duration = Duration::from_secs(180);

/// A test of each example on a fresh store of each sort.
macro_rules! each_example {
    ($($name:ident: $processes:literal),+ $(,)?) => {
        mod embedded {
            $(#[test] fn $name() { super::Fresh::file().runs(stringify!($name), $processes); })+
        }
        mod redis {
            use super::{Flavour, Fresh};
            $(#[test] fn $name() {
                Fresh::server(Flavour::Redis).runs(stringify!($name), $processes);
            })+
        }
        mod valkey {
            use super::{Flavour, Fresh};
            $(#[test] fn $name() {
                Fresh::server(Flavour::Valkey).runs(stringify!($name), $processes);
            })+
        }
        const TESTED: &[&str] = &[$(stringify!($name)),+];
    };
}

each_example! {
    cache: 1,
    catalogue: 1,
    compensation: 1,
    cron: 3,
    hand_over: 1,
    hourly: 3,
    leader: 1,
    paused_writer: 1,
    permits: 1,
    reentrant: 1,
    stock: 1,
    tour: 1,
    transfer: 1,
    workers: 1,
}

/// A store that nobody has used.
enum Fresh {
    File(TempDir),
    Server(Server),
}

impl Fresh {
    fn file() -> Self {
        Self::File(tempfile::tempdir().expect("a directory"))
    }

    fn server(flavour: Flavour) -> Self {
        Self::Server(Server::of(flavour).start())
    }

    /// The example as a user starts it, who says in the environment where the locks are.
    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(example(name));
        clean(&mut command);
        match self {
            Self::File(dir) => command.env("TENURE_STORE_FILE", dir.path().join("locks.db")),
            Self::Server(server) => command.env("TENURE_STORE", server.url()),
        };
        command
    }

    /// Runs the example so many times: the last one late, after the end of the others, which run
    /// at once. Their common output is compared.
    fn runs(&self, name: &str, processes: usize) {
        let wanted = printed_by_header(name, matches!(self, Self::Server(_)));
        let at_once: Vec<_> = (1..processes).map(|_| start(self.command(name))).collect();
        let mut printed: Vec<_> = at_once.into_iter().flat_map(lines).collect();
        printed.extend(lines(start(self.command(name))));
        if processes > 1 {
            printed.sort_by_key(|line| wanted.iter().position(|wanted| wanted == line));
        }
        assert_eq!(printed, wanted, "{name}: not what its header says");
    }
}

/// In a group of its own: if it is killed, a child that it has stopped is woken and ended by the
/// kernel.
fn start(mut command: Command) -> Running {
    let command = command.process_group(0).stdin(Stdio::null());
    Running::start(command.stdout(Stdio::piped()).stderr(Stdio::piped()))
}

/// The lines that an example printed, once it has ended well.
fn lines(mut example: Running) -> Vec<String> {
    let mut out = example.stdout.take().expect("a pipe");
    let mut err = example.stderr.take().expect("a pipe");
    let (send, read) = mpsc::channel();
    std::thread::spawn(move || {
        let (mut printed, mut said) = (String::new(), String::new());
        let read = out.read_to_string(&mut printed).and(err.read_to_string(&mut said));
        // Nobody listens any more if the time is over.
        let _ = send.send(read.map(|_| (printed, said)));
    });
    let read = read.recv_timeout(PATIENCE).expect("it ends in time");
    let (printed, said) = read.expect("UTF-8");
    let status = example.wait().expect("its end");
    assert!(status.success(), "{status}: {printed}{said}");
    printed.lines().map(str::to_owned).collect()
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

/// The `text` block of the example's header; on a server the second one, if there is one.
fn printed_by_header(name: &str, on_a_server: bool) -> Vec<String> {
    let (file, folder) = (directory().join(format!("{name}.rs")), directory().join(name));
    let source = fs::read_to_string(file).or_else(|_| fs::read_to_string(folder.join("main.rs")));
    let source = source.expect("the example's source");
    let header: Vec<_> = source.lines().map_while(|line| line.strip_prefix("//!")).collect();
    let blocks: Vec<_> = header
        .split(|line| line.trim().starts_with("```"))
        .skip(1)
        .step_by(2)
        .map(|block| block.iter().map(|line| line.trim().to_owned()).collect::<Vec<_>>())
        .collect();
    let [commands, printed, rest @ ..] = &blocks[..] else {
        panic!("{name}: its header says how it is run, and what it prints");
    };
    assert!(commands.iter().all(|line| line.starts_with(&format!("cargo run --example {name}"))));
    rest.first().filter(|_| on_a_server).unwrap_or(printed).clone()
}

#[test]
fn every_example_is_run_and_every_use_is_explained() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("../../README.md")).expect("the README");
    let uses = fs::read_to_string(root.join("docs/uses.md")).expect("the page of uses");
    for entry in fs::read_dir(directory()).expect("the examples") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().and_then(|stem| stem.to_str()).expect("a name");
        // `counter` is run by the test of processes, and writes a file.
        if name == "counter" {
            continue;
        }
        assert!(TESTED.contains(&name), "{name} is not run");
        let path = path.strip_prefix(root).expect("below the root").display();
        let link = format!("[{name}]: crates/tenure/{path}");
        assert!(readme.contains(&link), "README has no {link}");
        assert!(uses.contains(&format!("`{name}`")), "docs/uses.md does not name {name}");
    }
}

/// "Ten lines" is a promise, too.
#[test]
fn the_programs_of_the_uses_have_ten_lines() {
    let uses = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/uses.md");
    let uses = fs::read_to_string(uses).expect("the page of uses");
    let lines: Vec<_> = uses.lines().collect();
    let blocks: Vec<_> = lines.split(|line| line.starts_with("```")).skip(1).step_by(2).collect();
    assert!(blocks.len() >= TESTED.len(), "{} programs", blocks.len());
    for block in blocks {
        assert!(block.len() <= 10, "{} lines: {}", block.len(), block.join("\n"));
    }
}
