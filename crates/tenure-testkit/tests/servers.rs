//! The kit's servers: they are real, apart from each other, break when told to, and leave nothing
//! behind.

#![allow(clippy::disallowed_methods, reason = "real servers, real time")]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, ErrorKind};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tenure_testkit::{
    Certificates, Client, ClientCertificates, Flavour, Port, Reply, Server, is_running, redis_cli,
    redis_py, wait_until,
};

fn word(text: &str) -> Reply {
    Reply::Simple(text.to_owned())
}

fn bytes(text: &str) -> Reply {
    Reply::Bulk(text.as_bytes().to_vec())
}

#[test]
fn they_are_the_versions_that_are_promised() {
    let redis = Server::redis().start();
    let version = redis.info("redis_version").expect("a version");
    assert!(version.starts_with("7.0."), "{version}");
    let valkey = Server::valkey().start();
    let version = valkey.info("valkey_version").expect("a version");
    assert!(version.starts_with("9."), "{version}");
}

#[test]
fn they_run_side_by_side_without_seeing_each_other() {
    let servers: Vec<_> =
        [Flavour::ALL, Flavour::ALL].concat().into_iter().map(|f| Server::of(f).start()).collect();
    let ports: BTreeSet<_> = servers.iter().map(Server::port).collect();
    assert_eq!(ports.len(), servers.len(), "{ports:?}");
    for server in &servers {
        let port = server.port().to_string();
        assert_eq!(server.client().call(&["SET", &port, "x"]).unwrap(), word("OK"));
        assert_eq!(server.command(&["KEYS", "*"]), Reply::Array(vec![bytes(&port)]));
        let mut unix = Client::connect_unix(&server.unix_path()).unwrap();
        assert_eq!(unix.call(&["GET", &port]).unwrap(), bytes("x"));
    }
}

#[test]
fn ports_are_held_once_and_are_nobodys_default() {
    let ports: Vec<_> = (0..300).map(|_| Port::take()).collect();
    let numbers: BTreeSet<_> = ports.iter().map(Port::number).collect();
    assert_eq!(numbers.len(), ports.len());
    // Beyond 6379 and its bus, and below what Linux gives to outgoing connections.
    assert!(numbers.iter().all(|number| (20_000..32_768).contains(number)), "{numbers:?}");
}

#[test]
fn a_killed_one_comes_back_on_its_port_empty_or_with_what_it_wrote() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).with_aof("always").start();
        let (port, first) = (server.port(), server.id().unwrap());
        server.command(&["SET", "k", "v"]);
        server.kill9();
        assert!(!is_running(first));
        let refused = Client::connect(server.address()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        server.restart();
        assert_ne!(server.id().unwrap(), first);
        assert_eq!(server.client().call(&["GET", "k"]).unwrap(), bytes("v"), "the AOF is read");
        server.restart_empty();
        assert_eq!(server.command(&["DBSIZE"]), Reply::Int(0));
        assert_eq!(server.port(), port);

        let saved = Server::of(flavour).start();
        saved.command(&["SET", "k", "v"]);
        saved.restart();
        assert_eq!(saved.command(&["GET", "k"]), bytes("v"), "an orderly restart saves");
        saved.kill9();
        saved.restart_empty();
        assert_eq!(saved.command(&["DBSIZE"]), Reply::Int(0));
    }
}

#[test]
fn a_stopped_one_accepts_and_answers_when_it_runs_on() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        server.stop();
        let mut client = server.client();
        client.set_patience(Duration::from_millis(100));
        assert_eq!(client.call(&["INCR", "n"]).unwrap_err().kind(), ErrorKind::TimedOut);
        server.cont();
        client.set_patience(None);
        assert_eq!(client.receive().unwrap(), Reply::Int(1), "the call was executed late");
    }
}

#[test]
fn users_and_passwords_bind_all_but_the_kit() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour)
            .with_password("open")
            .with_user("reader", "on >look ~mine:* +get -@write")
            .start();
        let mut client = server.client();
        assert!(client.call(&["GET", "k"]).unwrap().is_error("NOAUTH"));
        assert!(client.call(&["AUTH", "wrong"]).unwrap().is_error("WRONGPASS"));
        assert_eq!(client.call(&["AUTH", "open"]).unwrap(), word("OK"));
        assert_eq!(client.call(&["SET", "mine:k", "v"]).unwrap(), word("OK"));
        assert_eq!(client.call(&["AUTH", "reader", "look"]).unwrap(), word("OK"));
        assert_eq!(client.call(&["GET", "mine:k"]).unwrap(), bytes("v"));
        assert!(client.call(&["GET", "k"]).unwrap().is_error("NOPERM"));
        assert!(client.call(&["SET", "mine:k", "w"]).unwrap().is_error("NOPERM"));
        assert_eq!(server.command(&["GET", "mine:k"]), bytes("v"));
    }
}

#[test]
fn a_replica_is_linked_when_it_starts() {
    for flavour in Flavour::ALL {
        let primary = Server::of(flavour).with_password("secret").start();
        primary.command(&["SET", "k", "v"]);
        let replica = Server::of(flavour).with_primary(&primary).start();
        assert_eq!(replica.command(&["GET", "k"]), bytes("v"));
        assert!(replica.client().call(&["SET", "k", "w"]).unwrap().is_error("READONLY"));
        primary.command(&["SET", "k", "w"]);
        assert_eq!(primary.command(&["WAIT", "1", "50000"]), Reply::Int(1));
        assert_eq!(replica.command(&["GET", "k"]), bytes("w"));
    }
}

#[test]
fn a_full_one_refuses_to_write() {
    let server = Server::redis().with_maxmemory(1_500_000).start();
    let mut client = server.client();
    let value = "x".repeat(100_000);
    let full = (0..100).map(|n| client.call(&["SET", &n.to_string(), &value]).unwrap());
    assert!(full.into_iter().any(|reply| reply.is_error("OOM")));
}

/// The output of `redis-cli PING` over TLS, with and without the client's certificate.
fn ping_over_tls(server: &Server, trust: &Certificates, name: &str, with_own: bool) -> String {
    let mut cli = redis_cli();
    cli.args(["-h", "127.0.0.1", "-p", &server.port().to_string(), "--tls", "--sni", name]);
    cli.arg("--cacert").arg(trust.ca());
    if with_own {
        let (certificate, key) = trust.client();
        cli.arg("--cert").arg(certificate).arg("--key").arg(key);
    }
    let output = cli.arg("PING").output().expect("redis-cli runs");
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

#[test]
fn tls_wants_the_right_authority_and_the_clients_certificate() {
    let ours = Arc::new(Certificates::for_names(&["store.test", "127.0.0.1"]));
    let others = Certificates::for_names(&["store.test"]);
    let server = Server::redis().with_tls(&ours, ClientCertificates::Demanded).start();
    assert!(server.url().starts_with("rediss://"));
    assert_eq!(ping_over_tls(&server, &ours, "store.test", true).trim(), "PONG");
    let refused = ping_over_tls(&server, &others, "store.test", true);
    assert!(refused.contains("certificate verify failed"), "{refused}");
    assert!(!ping_over_tls(&server, &ours, "store.test", false).contains("PONG"));
    let plain = server.client().call(&["PING"]);
    assert!(plain.is_err(), "plain text is not understood: {plain:?}");

    let lenient = Server::redis().with_tls(&ours, ClientCertificates::Unasked).start();
    assert_eq!(ping_over_tls(&lenient, &ours, "store.test", false).trim(), "PONG");
}

#[test]
fn redis_py_is_there_and_speaks_to_both() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let program = "import redis, sys; redis.Redis(port=int(sys.argv[1])).set('k', 'py')";
        let done = Command::new("python3")
            .args(["-c", program, &server.port().to_string()])
            .env("PYTHONPATH", redis_py())
            .output()
            .expect("python3 runs");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        assert_eq!(server.command(&["GET", "k"]), bytes("py"));
    }
}

#[test]
fn none_outlives_its_value_nor_a_panic() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let id = server.id().unwrap();
        assert!(is_running(id));
        // A process that is stopped has to go as well.
        server.stop();
        drop(server);
        assert!(!is_running(id));

        let panicking = thread::spawn(move || {
            let server = Server::of(flavour).start();
            std::panic::panic_any(server.id().unwrap());
        });
        let id = *panicking.join().unwrap_err().downcast::<u32>().unwrap();
        assert!(!is_running(id));
    }
}

#[test]
fn none_outlives_a_test_that_is_killed() {
    // All of its files are in a directory that is removed.
    let directory = tempfile::tempdir().unwrap();
    // But for the locks of ports, which it has in common with all other tests.
    drop(Port::take());
    let ports = format!("tenure-ports-{}", rustix::process::getuid().as_raw());
    let shared = std::env::temp_dir().join(&ports);
    std::os::unix::fs::symlink(shared, directory.path().join(ports)).unwrap();
    let mut test = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "waits_with_a_server_to_be_killed", "--ignored", "--nocapture"])
        .env("TMPDIR", directory.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(test.stdout.take().unwrap()).lines();
    let id: u32 = said
        .map_while(Result::ok)
        .find_map(|line| line.split_once("server=")?.1.parse().ok())
        .expect("the number of the server's process");
    assert!(is_running(id));
    test.kill().unwrap();
    test.wait().unwrap();
    wait_until("the server of a killed test has ended", || !is_running(id));
}

#[test]
#[ignore = "it is the process that none_outlives_a_test_that_is_killed kills"]
#[allow(clippy::print_stdout, reason = "the other test reads it")]
fn waits_with_a_server_to_be_killed() {
    let server = Server::redis().start();
    server.stop();
    println!("\nserver={}", server.id().unwrap());
    // Ends at once for somebody who runs it by hand, without a pipe.
    let _ = std::io::stdin().lines().count();
}
