//! The script for nodes of a cluster is the machine as well: for keys of one slot, of several, and
//! with braces in their names. A call that names its keys touches no others.

use std::collections::HashSet;

use tenure::Key;
use tenure_testkit::{Client, Cluster, Flavour, Server};

use super::redis::{ALL, equal_at, sequence};
use super::scene::{CLOCK, Home, Scene};

/// How many sequences each name of keys is tried with.
const CASES: u32 = 40;
/// Ends the records of a monitor.
const END: &str = "end of the records";

/// Each key is in a slot of its own, and its parts have names of another kind.
fn apart(key: &Key) -> String {
    match key.as_str() {
        "key-0" => "key-0}x{".into(),
        "key-1" => "{tag}key-1".into(),
        other => format!("{{{other}"),
    }
}

/// All keys are in one slot.
fn together(key: &Key) -> String {
    format!("{{tag}}{}", key.as_str())
}

fn equal_in_a_cluster(flavour: Flavour) {
    for name in [apart, together] {
        for company in [0, 9] {
            let cluster = Cluster::of(flavour).with_masters(1).start();
            let scene = Scene::at(Home::Cluster(cluster), company, name);
            let monitor = Monitor::start(scene.server());
            equal_at(&scene, &sequence(&ALL), CASES);
            let calls = monitor.check(scene.server());
            assert!(calls > 0 || company > 0, "no call has named its keys");
        }
    }
}

#[test]
fn redis_in_a_cluster_answers_as_the_machine_does() {
    equal_in_a_cluster(Flavour::Redis);
}

#[test]
fn valkey_in_a_cluster_answers_as_the_machine_does() {
    equal_in_a_cluster(Flavour::Valkey);
}

/// Everything that a server carries out, in order: each script call before its own commands.
struct Monitor(Client);

impl Monitor {
    fn start(server: &Server) -> Self {
        let mut client = server.client();
        client.call(&["MONITOR"]).expect("it is allowed");
        Self(client)
    }

    /// Demands that no call touched a key beside those that it named, if it named any. Answers how
    /// many calls named some.
    fn check(mut self, server: &Server) -> usize {
        server.command(&["ECHO", END]);
        let (mut named, mut calls): (Option<HashSet<String>>, _) = (None, 0);
        loop {
            let line = self.0.reply().expect("the next record").text().expect("a line");
            if line.contains(END) {
                return calls;
            }
            let (head, rest) = line.split_once("] ").expect("a client, and a command");
            let words = words(rest);
            let is_in_script = head.ends_with(" lua");
            if is_in_script && let Some(named) = &named {
                for key in keys(&words) {
                    assert!(
                        named.contains(key) || key == CLOCK,
                        "{key:?} was not named: {words:?}"
                    );
                }
            } else if !is_in_script {
                let names = || words[3..].iter().take(words[2].parse().expect("a number"));
                let is_script = words[0].starts_with("EVAL");
                named = is_script.then(|| names().cloned().collect::<HashSet<_>>());
                named = named.filter(|named| !named.is_empty());
                calls += usize::from(named.is_some());
            }
        }
    }
}

/// The keys of a command that our scripts call.
fn keys(words: &[String]) -> &[String] {
    match &*words[0] {
        "MGET" | "DEL" => &words[1..],
        "TIME" | "PUBLISH" => &[],
        _ => &words[1..2],
    }
}

/// The words of a command, each in quotation marks.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut chars) = (Vec::new(), text.chars());
    while chars.any(|c| c == '"') {
        let mut word = String::new();
        while let Some(c) = chars.next().filter(|c| *c != '"') {
            word.push(if c == '\\' { escaped(&mut chars) } else { c });
        }
        words.push(word);
    }
    words
}

/// A character behind a backslash.
fn escaped(chars: &mut std::str::Chars<'_>) -> char {
    match chars.next().expect("a character") {
        'x' => {
            let digits: String = chars.take(2).collect();
            u8::from_str_radix(&digits, 16).expect("two digits").into()
        }
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        other => other,
    }
}
