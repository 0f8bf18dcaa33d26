//! The rules that `tenure acl` prints, on real servers: each is enough for what it is for, and for
//! nothing else.

use std::process::{Command, Output, Stdio};

use tenure_testkit::{Cluster, Flavour, Server, clean};

use crate::patience::unhurried;

fn tenure(store: Option<&str>, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenure"));
    clean(&mut command).args(words);
    if let Some(store) = store {
        command.env("TENURE_STORE", unhurried(store));
    }
    command.stdin(Stdio::null()).output().expect("it starts")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&*output.stdout, &*output.stderr].concat()).into_owned()
}

/// Gives a server the user of the line that these options print; the URL of that user.
fn with_user(server: &Server, words: &[&str]) -> String {
    let printed = tenure(None, &[&["acl", "--user", "somebody"], words].concat());
    assert!(printed.status.success(), "{printed:?}");
    let line = text(&printed);
    let line: Vec<_> = line.lines().next().expect("a line").split(' ').collect();
    assert_eq!(server.command(&line).to_string(), "OK", "{line:?}");
    format!("redis://somebody:PASSWORD@{}", server.address())
}

#[test]
fn the_rule_is_enough_and_less_is_enough_for_less() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let all = with_user(&server, &["--prefix", "jobs:"]);
        let run = |store: &str, key: &str| tenure(Some(store), &["run", key, "--", "true"]);
        let guarded = format!("{all}/3?restart_guard=3s");
        let begun = tenure(Some(&guarded), &["run", "--ttl", "3s", "jobs:a", "--", "true"]);
        assert!(begun.status.success(), "{flavour}: {}", text(&begun));
        let other = run(&all, "payroll");
        assert_eq!(other.status.code(), Some(77), "{flavour}: {}", text(&other));
        let less = ["--without", "ack", "--without", "restart-guard", "--without", "database"];
        let less = with_user(&server, &less);
        assert!(run(&less, "any").status.success(), "{flavour}: {}", text(&run(&less, "any")));
        for refused in ["/3", "?restart_guard=1s", "?ack=1"] {
            let refused = run(&format!("{less}{refused}"), "any");
            assert_eq!(refused.status.code(), Some(77), "{flavour}: {}", text(&refused));
        }
    }
}

#[test]
fn who_may_only_look_sees_everything_and_locks_nothing() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let watcher = with_user(&server, &["--read-only", "--prefix", "jobs:"]);
        let script = r#"
            "$0" status jobs:plain > /dev/null || exit 1
            "$0" run --permits 2 jobs:shares -- sh -c '
                "$0" run --wait 30s -k jobs:a -k jobs:b -- sh -c "
                    TENURE_STORE=\"$1\" \"$0\" status jobs:shares &&
                    TENURE_STORE=\"$1\" \"$0\" status jobs:a &&
                    TENURE_STORE=\"$1\" \"$0\" list jobs:" "$0" "$1"' "$0" "$1"
        "#;
        let mut command = Command::new("sh");
        clean(&mut command).args(["-c", script, env!("CARGO_BIN_EXE_tenure"), &watcher]);
        command.env("TENURE_STORE", unhurried(&server.url()));
        let looked = command.output().expect("it starts");
        let seen = text(&looked);
        assert!(looked.status.success(), "{flavour}: {seen}");
        for words in ["jobs:shares: held", "jobs:a: held", "jobs:b: held"] {
            assert!(seen.contains(words), "{words} is missing in {flavour}: {seen}");
        }
        let refused = tenure(Some(&watcher), &["run", "jobs:x", "--", "true"]);
        assert_eq!(refused.status.code(), Some(77), "{flavour}: {}", text(&refused));
        let other = tenure(Some(&watcher), &["status", "payroll"]);
        assert_eq!(other.status.code(), Some(77), "{flavour}: {}", text(&other));
    }
}

/// The commands that are needed for a look were named, though the user had them.
#[test]
fn a_key_beyond_the_rights_is_answered_with_the_prefix_and_not_with_rights_that_are_there() {
    let script = r#"
        for words in list watch "status payroll" "wait payroll"; do
            TENURE_STORE=$1 "$0" $words
            echo "$words ended with $?"
        done
        TENURE_STORE=$1 "$0" list jobs:
    "#;
    for flavour in Flavour::ALL {
        for rights in [&["--prefix", "jobs:"][..], &["--prefix", "jobs:", "--read-only"]] {
            let server = Server::of(flavour).start();
            let limited = with_user(&server, rights);
            let cmd = ["sh", "-c", script, env!("CARGO_BIN_EXE_tenure"), &limited];
            let run = ["run", "--permits", "2", "payroll", "--"];
            let looked = tenure(Some(&server.url()), &[&run[..], &cmd].concat());
            let seen = text(&looked);
            assert!(looked.status.success(), "{flavour}: {seen}");
            for words in ["list", "watch", "status payroll", "wait payroll"] {
                let ended = format!("{words} ended with 77\n");
                assert!(seen.contains(&ended), "{flavour} {words}: {seen}");
            }
            let told = seen.matches("lacks a right to a key: use keys that").count();
            assert_eq!(told, 4, "{flavour}: {seen}");
            assert!(seen.contains("(tenure list PREFIX)") && !seen.contains("+eval"), "{seen}");
        }
    }
}

/// Nothing told that a list was short.
#[test]
fn keys_that_may_not_be_read_are_left_out_and_counted() {
    let script = r#"
        for words in list "list zz" "list jobs:" "list none"; do
            echo "begin $words"
            TENURE_STORE=$1 "$0" $words
            echo "ended with $?"
        done
    "#;
    let program = env!("CARGO_BIN_EXE_tenure");
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let limited = with_user(&server, &["--prefix", "jobs:", "--read-only"]);
        let of = |key| ["run", key, "--", program];
        let last = ["run", "zz", "--", "sh", "-c", &format!("({script}) 2>&1"), program, &limited];
        let words = [&of("jobs:a")[..], &of("payroll"), &last].concat();
        let looked = tenure(Some(&server.url()), &words);
        let seen = text(&looked);
        let part = |words: &str| {
            let (_, part) = seen.split_once(&format!("begin {words}\n")).expect("it was listed");
            let (part, _) = part.split_once("ended with 0\n").expect("it is not refused");
            part.to_owned()
        };
        let hidden = |part: &str| part.contains("not shown, since this user lacks the right");
        let all = part("list");
        assert!(all.contains("jobs:a: held") && !all.contains("payroll"), "{flavour}: {seen}");
        assert!(all.contains("2 keys that may be locks") && hidden(&all), "{flavour}: {seen}");
        let one = part("list zz");
        assert!(one.contains("1 key that may be a lock") && hidden(&one), "{flavour}: {seen}");
        for none in ["list jobs:", "list none"] {
            assert!(!hidden(&part(none)), "{flavour}: {seen}");
        }
    }
}

/// "No locks" was said of a server that may not know of any.
#[test]
fn what_hinders_a_server_is_not_passed_over_since_the_user_has_a_prefix() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let limited = with_user(&server, &["--prefix", "jobs:"]);
        let guarded = format!("{limited}?restart_guard=5m");
        let listed = |store: &str, words: &[&str]| {
            let listed = tenure(Some(store), &[&["list"], words].concat());
            assert!(listed.status.success(), "{flavour}: {listed:?}");
            text(&listed)
        };
        for store in [&limited, &guarded] {
            let none = listed(store, &[]);
            assert!(none.contains("this user may not read whether"), "{flavour}: {none}");
            assert!(!none.contains("no locks"), "{flavour}: {none}");
        }
        let none = listed(&limited, &["jobs:"]);
        assert!(none.contains("no locks") && !none.contains("may not read"), "{flavour}: {none}");
        let none = listed(&guarded, &["jobs:"]);
        assert!(none.contains("nothing new is granted until"), "{flavour}: {none}");
        // A key that it may read tells it as well.
        let kept = tenure(Some(&limited), &["run", "--min-hold", "1h", "jobs:a", "--", "true"]);
        assert!(kept.status.success(), "{flavour}: {kept:?}");
        let all = listed(&guarded, &[]);
        assert!(all.contains("nothing new is granted until"), "{flavour}: {all}");
        let all = listed(&limited, &[]);
        assert!(all.starts_with("jobs:a: ") && !all.contains("may not read"), "{flavour}: {all}");
    }
}

/// Each rule is enough for what it is for, and each of its words about a cluster is needed.
#[test]
fn the_rules_of_a_cluster_are_enough_and_none_is_too_many() {
    for flavour in Flavour::ALL {
        let cluster = Cluster::of(flavour).start();
        let all_nodes = |words: &[&str]| {
            for node in cluster.nodes() {
                with_user(node, &[&["--cluster", "--prefix", "jobs:"], words].concat());
                // A server that knows a script is not sent it.
                node.command(&["SCRIPT", "FLUSH"]);
            }
        };
        let url = cluster.url().replace("://", "://somebody:PASSWORD@");
        let code = |url: &str, words: &[&str]| {
            let ended = tenure(Some(url), words);
            (ended.status.code(), text(&ended))
        };
        let run = ["run", "--ttl", "3s", "jobs:a", "--", "true"];
        let guarded = format!("{url}?restart_guard=3s");
        all_nodes(&[]);
        assert_eq!(code(&guarded, &run).0, Some(0), "{flavour}: {:?}", code(&guarded, &run));
        all_nodes(&["--without", "ack", "--without", "restart-guard"]);
        assert_eq!(code(&url, &run).0, Some(0), "{flavour}: {:?}", code(&url, &run));
        assert_eq!(code(&guarded, &run).0, Some(77), "{flavour}: {:?}", code(&guarded, &run));
        all_nodes(&["--read-only"]);
        for look in [&["status", "jobs:a"][..], &["list", "jobs:"]] {
            assert_eq!(code(&url, look).0, Some(0), "{flavour}: {:?}", code(&url, look));
        }
        assert_eq!(code(&url, &run).0, Some(77), "{flavour}: {:?}", code(&url, &run));
        for right in ["eval", "evalsha", "cluster|slots"] {
            all_nodes(&["--read-only"]);
            for node in cluster.nodes() {
                node.command(&["ACL", "SETUSER", "somebody", &format!("-{right}")]);
            }
            let (ended, said) = code(&url, &["status", "jobs:never"]);
            assert_eq!(ended, Some(77), "{flavour}, {right}: {said}");
        }
    }
}

#[test]
fn a_name_that_no_rule_can_have_is_refused() {
    for words in [["--user", "a b"], ["--prefix", "a\"b"], ["--user", ""]] {
        let refused = tenure(None, &[&["acl"][..], &words].concat());
        assert_eq!(refused.status.code(), Some(64), "{}", text(&refused));
    }
}
