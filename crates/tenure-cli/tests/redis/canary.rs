//! A canary in each place where a password can stand, and every verb of the command: nothing that
//! `tenure` writes has it, no process that it starts has it in its command line, and none in its
//! environment unless it was there before.

use std::io::Read;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tenure_testkit::{Fate, Flavour, Proxy, Server, Which};

/// The passwords of the two tests, the same in every spelling: each test sees all processes.
const CANARIES: [&str; 2] = ["c4n4ry5ecret", "r3d5ecretb1rd"];

/// CMD: prints the command line of every process of this machine, and its own environment.
const LOOK: &str = "for p in /proc/[0-9]*; do \
                        tr '\\0' ' ' <$p/cmdline 2>/dev/null && echo \" pid ${p#/proc/}\"; \
                    done; env | sed 's/^/env /'";

/// A verb and its words. `@` is the key, `%` a directory of the test.
const VERBS: [(&str, &[&str]); 20] = [
    ("run", &["-v", "--report", "%/report", "@", "--", "sh", "-c", LOOK]),
    ("once", &["--every", "1h", "-v", "@", "--", "sh", "-c", LOOK]),
    ("elect", &["-v", "@", "--", "sh", "-c", LOOK]),
    ("acquire", &["--try", "--json", "@"]),
    ("renew", &["tenure-ticket:1:ff:7:3:abc:@"]),
    ("extend", &["tenure-ticket:1:ff:7:3:abc:@", "--by", "1s"]),
    ("check", &["--json", "tenure-ticket:1:ff:7:3:abc:@"]),
    ("release", &["tenure-ticket:1:ff:7:3:abc:@"]),
    ("hold", &["@", "--while", "false"]),
    ("force-release", &["--yes", "@"]),
    ("wait", &["--timeout", "10s", "@"]),
    ("watch", &["--json", "@"]),
    ("status", &["--json", "@"]),
    ("list", &["--all", "--json"]),
    ("permits", &["@", "3"]),
    ("doctor", &["--json"]),
    ("acl", &[]),
    ("top", &[]),
    ("mcp", &[]),
    ("help", &["stores"]),
];

/// How the password is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Variable,
    CommandLine,
    File,
}

/// A server, or what stands before it, and its password.
#[derive(Debug, Clone, Copy)]
struct Place {
    at: SocketAddr,
    canary: &'static str,
}

/// Runs a verb as users do, and looks at all that comes of it.
fn try_verb(Place { at, canary }: Place, way: Way, verb: &str, words: &[&str]) {
    let home = tempfile::tempdir().expect("a directory");
    let home = home.path();
    let file = home.join("password");
    std::fs::write(&file, canary).expect("it can be written");
    let url = match way {
        Way::File => format!("redis://ada@{at}?password_file={}", file.display()),
        _ => format!("redis://ada:{canary}@{at}"),
    };
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenure"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TENURE_") {
            command.env_remove(name);
        }
    }
    command.env("HOME", home).env("XDG_STATE_HOME", home).env("RUST_LOG", "trace").arg(verb);
    if way == Way::CommandLine && verb != "help" {
        command.args(["--store", &url]);
    } else {
        command.env("TENURE_STORE", &url);
    }
    let key = format!("{verb}-{way:?}");
    let directory = home.display().to_string();
    command.args(words.iter().map(|word| word.replace('@', &key).replace('%', &directory)));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let (own, mut more) = (child.id(), Vec::new());
    // A candidate goes on as long as the server fails.
    if verb == "watch" || verb == "elect" && canary == CANARIES[1] {
        // A signal ends it, once it has said something or has had the time to.
        let mut stderr = child.stderr.take().expect("piped");
        let (said, hears) = mpsc::channel();
        let reader = thread::spawn(move || {
            let mut text = Vec::new();
            let mut part = [0; 4096];
            while let Ok(1..) = stderr.read(&mut part).inspect(|n| text.extend(&part[..*n])) {
                let _ = said.send(());
            }
            text
        });
        // On the command line the password is warned about, which takes its time on a busy machine.
        let patience = if way == Way::CommandLine { 60 } else { 2 };
        let _ = hears.recv_timeout(Duration::from_secs(patience));
        child.kill().expect("it can be killed");
        more = reader.join().expect("no panic");
    }
    let output = child.wait_with_output().expect("it ends");
    let texts = [&more, &output.stdout, &output.stderr];
    let texts = texts.map(|text| String::from_utf8_lossy(text));
    for line in texts.iter().flat_map(|text| text.lines()).filter(|line| line.contains(canary)) {
        // Its own command line is the user's, who is warned; its variable is passed on.
        let typed = way == Way::CommandLine && line.ends_with(&format!(" pid {own}"));
        let passed_on = way == Way::Variable && line == format!("env TENURE_STORE={url}");
        assert!(typed || passed_on, "tenure {verb}, {way:?}, gives the password away: {line}");
    }
    if let Ok(report) = std::fs::read_to_string(home.join("report")) {
        assert!(!report.contains(canary), "{verb}, {way:?}: {report}");
    }
    if way == Way::CommandLine && !["help", "acl", "top"].contains(&verb) {
        let warned = texts.iter().any(|text| text.contains("visible in the list of processes"));
        assert!(warned, "{verb}: {texts:?}");
    }
}

fn verbs_of_the_program() -> Vec<String> {
    let help = Command::new(env!("CARGO_BIN_EXE_tenure")).arg("--help").output().expect("help");
    let help = String::from_utf8(help.stdout).expect("text");
    let commands = help.split("Commands:\n").nth(1).expect("the verbs");
    let names = commands.lines().take_while(|line| !line.is_empty());
    let names = names.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[test]
fn every_verb_keeps_a_password_to_itself() {
    let known: Vec<_> = VERBS.iter().map(|(verb, _)| *verb).collect();
    for verb in verbs_of_the_program() {
        assert!(known.contains(&&*verb), "no words for tenure {verb} in this test");
    }
    let canary = CANARIES[0];
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).with_user("ada", &format!("on >{canary} ~* &* +@all"));
        let server = server.start();
        let place = Place { at: server.address(), canary };
        for way in [Way::Variable, Way::CommandLine, Way::File] {
            VERBS.iter().for_each(|(verb, words)| try_verb(place, way, verb, words));
        }
    }
}

#[test]
fn every_verb_keeps_a_password_to_itself_at_a_server_that_repeats_it() {
    let canary = CANARIES[1];
    let rules = format!("on >{canary} ~* &* +@all");
    let server = Server::redis().with_user("ada", &rules).start();
    for command in ["HELLO", "EVALSHA"] {
        let proxy = Proxy::to(server.address());
        let echo = "ERR unknown command, with args beginning with: 'ada' 'r3d5ecretb1rd'";
        assert!(echo.contains(canary));
        proxy.on(Which::every_named(command), Fate::Refuse(echo));
        let place = Place { at: proxy.address(), canary };
        for way in [Way::Variable, Way::File] {
            VERBS.iter().for_each(|(verb, words)| try_verb(place, way, verb, words));
        }
    }
}
