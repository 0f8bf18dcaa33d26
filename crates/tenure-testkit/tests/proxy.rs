//! The kit's proxy: each fault, shown between a client that knows nothing of it and real servers.

#![allow(clippy::disallowed_methods, reason = "real servers, real time")]

use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tenure_testkit::{
    Certificates, Client, ClientCertificates, Direction, Fate, Flavour, Flow, Proxy, Pushes, Reply,
    Server, Which, call, lateness, wait_until,
};

/// How long a client waits for what must not come.
const SILENCE: Duration = Duration::from_millis(60);

/// Runs a scene before a server of each flavour.
fn on_each(scene: impl Fn(&Server, &Proxy)) {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let proxy = Proxy::to(server.address());
        scene(&server, &proxy);
    }
}

fn dial(proxy: &Proxy) -> Client {
    Client::connect(proxy.address()).expect("the proxy accepts")
}

fn ok() -> Reply {
    Reply::Simple("OK".to_owned())
}

fn bulk(text: &str) -> Reply {
    Reply::Bulk(text.as_bytes().to_vec())
}

/// The value of `n` at the server, behind the proxy's back.
#[track_caller]
fn n(server: &Server) -> i64 {
    server.command(&["GET", "n"]).text().map_or(0, |text| text.parse().expect("a number"))
}

#[track_caller]
fn is_silent(client: &mut Client) {
    client.set_patience(SILENCE);
    let kind = client.receive().map_err(|e| e.kind());
    assert_eq!(kind, Err(ErrorKind::TimedOut), "the link is open and silent");
    client.set_patience(None);
}

#[track_caller]
fn is_cut<T: std::fmt::Debug>(answer: io::Result<T>) {
    let kind = answer.map_err(|e| e.kind()).expect_err("the link was to be cut");
    let ends = [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
    assert!(ends.contains(&kind), "{kind:?}");
}

#[test]
fn without_faults_all_passes_and_is_counted() {
    on_each(|_, proxy| {
        let mut client = dial(proxy);
        let value = "x".repeat(300_000);
        assert_eq!(client.call(&["SET", "k", &value]).unwrap(), ok());
        assert_eq!(client.call(&["get", "k"]).unwrap(), bulk(&value));
        assert_eq!(client.call(&["HELLO", "3"]).unwrap().list()[0], bulk("server"));
        client.send_bytes(&[call(&["INCR", "n"]), call(&["INCR", "n"])].concat()).unwrap();
        assert_eq!(client.reply().unwrap(), Reply::Int(1));
        assert_eq!(client.reply().unwrap(), Reply::Int(2));
        assert_eq!(dial(proxy).call(&["PING"]).unwrap(), Reply::Simple("PONG".to_owned()));
        assert_eq!((proxy.count(), proxy.count_of("INCR"), proxy.links()), (6, 2, 2));
        let counts: Vec<_> = proxy.counts().into_iter().collect();
        let expected = [("GET", 1), ("HELLO", 1), ("INCR", 2), ("PING", 1), ("SET", 1)];
        assert_eq!(counts, expected.map(|(name, count)| (name.to_owned(), count)));
        let calls = proxy.calls();
        assert_eq!((calls[1].number, calls[1].link, calls[1].name()), (2, 1, "GET".to_owned()));
        assert_eq!(calls[5].link, 2);
        drop(client);
        wait_until("both links have ended", || proxy.open_links() == 0);
    });
}

#[test]
fn an_eaten_reply_is_of_a_call_that_was_executed() {
    on_each(|server, proxy| {
        let mut client = dial(proxy);
        let fault = proxy.on(Which::nth(2), Fate::EatReply);
        assert_eq!(client.call(&["INCR", "n"]).unwrap(), Reply::Int(1));
        client.send(&["INCR", "n"]).unwrap();
        assert_eq!(fault.reply(), Reply::Int(2));
        assert_eq!(fault.wait().number, 2);
        is_silent(&mut client);
        client.send(&["INCR", "n"]).unwrap();
        wait_until("the calls behind it are executed as well", || n(server) == 3);
        is_silent(&mut client);
        assert_eq!(dial(proxy).call(&["INCR", "n"]).unwrap(), Reply::Int(4), "others go on");
        assert_eq!(fault.strikes(), 1);
    });
}

#[test]
fn a_lost_request_is_never_executed() {
    on_each(|server, proxy| {
        let mut client = dial(proxy);
        let fault = proxy.on(Which::nth_named(1, "INCR"), Fate::LoseRequest);
        assert_eq!(client.call(&["GET", "n"]).unwrap(), Reply::Nil);
        client.send(&["INCR", "n"]).unwrap();
        client.send(&["INCR", "n"]).unwrap();
        assert_eq!(fault.wait().name(), "INCR");
        is_silent(&mut client);
        assert_eq!(dial(proxy).call(&["GET", "n"]).unwrap(), Reply::Nil, "others go on");
        assert_eq!(n(server), 0);
        assert_eq!(proxy.count_of("INCR"), 2, "lost calls are counted");
    });
}

#[test]
fn a_link_is_cut_before_within_or_after_a_call() {
    let whole = call(&["INCR", "n"]).len();
    let executed = [
        (Fate::CutBefore, false),
        (Fate::CutRequest(whole - 1), false),
        (Fate::CutRequest(whole), true),
        (Fate::CutAfter, true),
        (Fate::CutReply(0), true),
        (Fate::CutReply(2), true),
    ];
    on_each(|server, proxy| {
        for (fate, executes) in &executed {
            let before = n(server);
            let mut client = dial(proxy);
            let fault = proxy.on(Which::nth(2), fate.clone());
            client.call(&["PING"]).unwrap();
            is_cut(client.call(&["INCR", "n"]));
            let begun = if *fate == Fate::CutReply(2) { 2 } else { 0 };
            assert_eq!(client.begun().len(), begun, "{fate:?}");
            fault.wait();
            wait_until("the server has read what came", || {
                n(server) == before + i64::from(*executes)
            });
            assert_eq!(fault.strikes(), 1);
            wait_until("the link is gone", || proxy.open_links() == 0);
        }
        // One that must not have been executed is not executed late either.
        let sum = executed.iter().filter(|(_, executes)| *executes).count();
        assert_eq!(n(server), i64::try_from(sum).unwrap());
    });
}

#[test]
fn a_held_call_comes_late_even_if_its_client_has_gone() {
    on_each(|server, proxy| {
        server.command(&["ACL", "SETUSER", "late", "on", ">late", "~*", "+@all"]);
        for forced in [false, true] {
            let mut client = dial(proxy);
            client.call(&["AUTH", "late", "late"]).unwrap();
            let fault = proxy.on(Which::nth(1), Fate::Hold);
            client.send(&["APPEND", "late", "1"]).unwrap();
            assert_eq!(fault.wait().name(), "APPEND");
            is_silent(&mut client);
            if forced {
                proxy.cut();
                is_cut(client.receive());
            }
            drop(client);
            assert_eq!(dial(proxy).call(&["SET", "late", "0"]).unwrap(), ok(), "others go on");
            assert_eq!(fault.deliver(), Reply::Int(2));
            assert_eq!(server.command(&["GET", "late"]), bulk("01"));
            wait_until("nothing is left of the link", || proxy.open_links() == 0);
        }
    });
}

#[test]
fn a_held_call_is_answered_if_its_client_waits() {
    on_each(|server, proxy| {
        let mut client = dial(proxy);
        let fault = proxy.on(Which::nth(1), Fate::Hold);
        client.send(&["INCR", "n"]).unwrap();
        client.send(&["INCR", "n"]).unwrap();
        fault.wait();
        assert_eq!(n(server), 0);
        assert_eq!(fault.deliver(), Reply::Int(1));
        assert_eq!(client.reply().unwrap(), Reply::Int(1));
        assert_eq!(client.reply().unwrap(), Reply::Int(2), "those behind it follow");
    });
}

#[test]
fn a_copied_call_comes_twice() {
    on_each(|server, proxy| {
        server.command(&["ACL", "SETUSER", "twice", "on", ">twice", "~*", "+@all"]);
        server.command(&["ACL", "SETUSER", "default", "off"]);
        let mut client = dial(proxy);
        client.call(&["AUTH", "twice", "twice"]).unwrap();
        client.call(&["SELECT", "3"]).unwrap();
        let fault = proxy.on(Which::nth(1), Fate::Copy);
        assert_eq!(client.call(&["INCR", "n"]).unwrap(), Reply::Int(1));
        assert_eq!(client.call(&["DEL", "n"]).unwrap(), Reply::Int(1));
        drop(client);
        assert_eq!(fault.deliver(), Reply::Int(1), "in the same database, by the same user");
        assert_eq!(fault.deliver(), Reply::Int(2), "as often as one likes");
    });
}

#[test]
fn a_refused_call_is_not_executed_and_a_replaced_reply_is_of_one_that_was() {
    on_each(|server, proxy| {
        let mut client = dial(proxy);
        let refusing = proxy.on(Which::every_named("INCR"), Fate::Refuse("LOADING later"));
        // In one piece, so that the refusal has to wait for its turn.
        let batch = [call(&["SET", "k", "v"]), call(&["INCR", "n"]), call(&["GET", "k"])].concat();
        client.send_bytes(&batch).unwrap();
        assert_eq!(client.reply().unwrap(), ok());
        assert_eq!(client.reply().unwrap(), Reply::Error("LOADING later".to_owned()));
        assert_eq!(client.reply().unwrap(), bulk("v"));
        assert!(client.call(&["INCR", "n"]).unwrap().is_error("LOADING"));
        assert_eq!((refusing.strikes(), n(server)), (2, 0));
        refusing.lift();
        let _fault = proxy.on(Which::nth(1), Fate::Replace("READONLY no"));
        assert!(client.call(&["INCR", "n"]).unwrap().is_error("READONLY"));
        assert_eq!(client.call(&["INCR", "n"]).unwrap(), Reply::Int(2));
    });
}

#[test]
fn calls_are_chosen_by_what_they_say() {
    on_each(|_, proxy| {
        let mut client = dial(proxy);
        let second_b = Which::nth_where(2, |call| call.words.get(1).is_some_and(|key| key == "b"));
        let fault = proxy.on(second_b, Fate::Refuse("ERR chosen"));
        let refused = ["b", "a", "a", "b", "b"]
            .map(|key| client.call(&["INCR", key]).unwrap().is_error("ERR chosen"));
        assert_eq!(refused, [false, false, false, true, false]);
        assert_eq!(fault.wait().number, 4);
    });
}

#[test]
fn a_black_hole_accepts_and_is_silent() {
    on_each(|server, proxy| {
        let mut before = dial(proxy);
        before.call(&["PING"]).unwrap();
        proxy.black_hole();
        let mut during = dial(proxy);
        for client in [&mut before, &mut during] {
            client.send(&["INCR", "n"]).unwrap();
        }
        wait_until("both calls have come", || proxy.count_of("INCR") == 2);
        proxy.heal();
        is_silent(&mut during);
        is_silent(&mut before);
        before.send(&["INCR", "n"]).unwrap();
        is_silent(&mut before);
        assert_eq!(dial(proxy).call(&["INCR", "n"]).unwrap(), Reply::Int(1), "as new");
        proxy.cut();
        is_cut(before.receive());
        assert_eq!(n(server), 1);
    });
}

#[test]
fn a_one_way_link_executes_and_is_silent() {
    on_each(|server, proxy| {
        let mut client = dial(proxy);
        client.call(&["PING"]).unwrap();
        proxy.set_flow(Direction::ToClient, Flow::Lost);
        client.send(&["INCR", "n"]).unwrap();
        wait_until("the call is executed", || n(server) == 1);
        is_silent(&mut client);
        server.kill9();
        is_silent(&mut client);
    });
}

#[test]
fn a_stalled_link_delivers_when_it_is_open_again() {
    on_each(|server, proxy| {
        let mut client = dial(proxy);
        proxy.set_flow(Direction::ToServer, Flow::Stalled);
        client.send(&["INCR", "n"]).unwrap();
        wait_until("the call has come", || proxy.count() == 1);
        is_silent(&mut client);
        assert_eq!(n(server), 0);
        proxy.set_flow(Direction::ToServer, Flow::Open);
        assert_eq!(client.reply().unwrap(), Reply::Int(1));
        proxy.set_flow(Direction::ToClient, Flow::Stalled);
        client.send(&["INCR", "n"]).unwrap();
        wait_until("the call is executed", || n(server) == 2);
        is_silent(&mut client);
        proxy.heal();
        assert_eq!(client.reply().unwrap(), Reply::Int(2));
    });
}

#[test]
fn a_delay_is_of_one_direction_and_does_not_add_up() {
    const DELAY: Duration = Duration::from_millis(200);
    let _from_here_on = lateness();
    on_each(|server, proxy| {
        let mut client = dial(proxy);
        for (direction, early) in [(Direction::ToServer, 0), (Direction::ToClient, 20)] {
            server.command(&["SET", "n", "0"]);
            proxy.set_delay(direction, DELAY);
            let begun = Instant::now();
            for _ in 0..20 {
                client.send(&["INCR", "n"]).unwrap();
            }
            if early > 0 {
                wait_until("all are executed", || n(server) == early);
            }
            client.reply().unwrap();
            assert!(begun.elapsed() >= DELAY, "{:?}", begun.elapsed());
            for _ in 1..20 {
                client.reply().unwrap();
            }
            // One after the other they would take 20 delays.
            assert!(begun.elapsed() < DELAY * 18 + lateness(), "{:?}", begun.elapsed());
            proxy.heal();
        }
    });
}

#[test]
fn a_half_closed_link_still_carries_the_other_way() {
    on_each(|server, proxy| {
        let mut client = dial(proxy);
        client.call(&["PING"]).unwrap();
        proxy.half_close(Direction::ToClient);
        is_cut(client.receive());
        client.send(&["INCR", "n"]).unwrap();
        wait_until("the call is executed", || n(server) == 1);

        let mut client = dial(proxy);
        client.send(&["INCR", "n"]).unwrap();
        client.shutdown(Shutdown::Write);
        assert_eq!(client.reply().unwrap(), Reply::Int(2), "an end that the client makes");
        is_cut(client.receive());
    });
}

#[test]
fn a_link_is_cut_behind_the_nth_byte() {
    on_each(|server, proxy| {
        let length = call(&["INCR", "n"]).len();
        let mut client = dial(proxy);
        proxy.cut_after(Direction::ToServer, length + 3);
        assert_eq!(client.call(&["INCR", "n"]).unwrap(), Reply::Int(1));
        is_cut(client.call(&["INCR", "n"]));
        let mut client = dial(proxy);
        proxy.cut_after(Direction::ToClient, 2);
        is_cut(client.call(&["INCR", "n"]));
        assert_eq!(client.begun(), b":2");
        assert_eq!(n(server), 2);
        let mut client = dial(proxy);
        proxy.cut_after(Direction::ToServer, 0);
        is_cut(client.call(&["INCR", "n"]));
        assert_eq!((n(server), proxy.links()), (2, 3));
    });
}

#[test]
fn a_refusing_proxy_counts_who_comes() {
    on_each(|server, proxy| {
        proxy.set_refusing(true);
        for _ in 0..3 {
            is_cut(dial(proxy).call(&["PING"]));
        }
        assert_eq!((proxy.links(), proxy.count()), (3, 0));
        proxy.heal();
        dial(proxy).call(&["PING"]).unwrap();
        server.kill9();
        is_cut(dial(proxy).call(&["PING"]));
        server.restart_empty();
        dial(proxy).call(&["PING"]).unwrap();
        assert_eq!(proxy.links(), 6);
    });
}

/// Subscribed to two channels and ready, with the wire's protocol of that version.
fn subscriber(proxy: &Proxy, version: &str) -> Client {
    let mut client = dial(proxy);
    client.call(&["HELLO", version]).unwrap();
    client.send(&["SUBSCRIBE", "one", "two"]).unwrap();
    for count in [1, 2] {
        assert_eq!(client.receive().unwrap().list()[2], Reply::Int(count));
    }
    client
}

#[test]
fn pushes_are_dropped_or_held_and_replies_are_not() {
    on_each(|server, proxy| {
        for version in ["2", "3"] {
            proxy.heal();
            let before = proxy.pushes();
            let mut client = subscriber(proxy, version);
            let publish = |text: &str| server.command(&["PUBLISH", "one", text]).int();
            assert_eq!(publish("passes"), 1);
            assert_eq!(client.receive().unwrap().list()[2], bulk("passes"));
            proxy.set_pushes(Pushes::Drop);
            publish("dropped");
            wait_until("the push has come", || proxy.pushes() == before + 2);
            proxy.set_pushes(Pushes::Hold);
            publish("held");
            wait_until("the push has come", || proxy.pushes() == before + 3);
            // The answer to a ping overtakes it; with RESP2 it is a list on this link.
            client.send(&["PING"]).unwrap();
            let pong = client.receive().unwrap();
            assert!(!matches!(pong, Reply::Push(_)) && format!("{pong:?}") != "Nil", "{pong:?}");
            is_silent(&mut client);
            proxy.set_pushes(Pushes::Pass);
            assert_eq!(client.receive().unwrap().list()[2], bulk("held"));
            client.send(&["UNSUBSCRIBE"]).unwrap();
            client.receive().unwrap();
            client.receive().unwrap();
            // Calls and replies still belong together.
            let fault = proxy.on(Which::nth(1), Fate::Replace("ERR other"));
            assert!(client.call(&["GET", "n"]).unwrap().is_error("ERR other"));
            assert_eq!(fault.reply(), Reply::Nil);
        }
    });
}

#[test]
fn a_list_that_looks_like_a_message_is_a_reply() {
    on_each(|_, proxy| {
        let mut client = dial(proxy);
        client.call(&["RPUSH", "list", "message", "a", "b"]).unwrap();
        proxy.set_pushes(Pushes::Drop);
        let list = client.call(&["LRANGE", "list", "0", "-1"]).unwrap();
        assert_eq!((list.list().len(), proxy.pushes()), (3, 0));
    });
}

#[test]
fn what_is_no_resp_passes_as_it_is() {
    on_each(|_, proxy| {
        let mut client = dial(proxy);
        client.send_bytes(b"PING\r\n").unwrap();
        assert_eq!(client.reply().unwrap(), Reply::Simple("PONG".to_owned()));
        assert_eq!(proxy.count(), 0);
    });
}

/// A client that, other than redis-cli, never tries again.
const PING_OVER_TLS: &str = "
import socket, ssl, sys
trust = ssl.create_default_context(cafile=sys.argv[2])
link = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
link = trust.wrap_socket(link, server_hostname='store.test')
link.sendall(b'PING\\r\\n')
print(link.recv(100).decode())
";

#[test]
fn bytes_of_tls_pass_and_are_cut() {
    let certificates = Arc::new(Certificates::for_names(&["store.test"]));
    let server = Server::redis().with_tls(&certificates, ClientCertificates::Unasked).start();
    let proxy = Proxy::of_bytes(server.address());
    let ping = || {
        let mut python = Command::new("python3");
        python.arg("-c").arg(PING_OVER_TLS).arg(proxy.port().to_string()).arg(certificates.ca());
        String::from_utf8(python.output().expect("python3 runs").stdout).unwrap()
    };
    assert_eq!(ping().trim(), "+PONG");
    for cut in [(Direction::ToServer, 0), (Direction::ToServer, 100), (Direction::ToClient, 700)] {
        proxy.cut_after(cut.0, cut.1);
        assert_eq!(ping(), "", "{cut:?}");
    }
    assert_eq!(ping().trim(), "+PONG");
    assert_eq!((proxy.links(), proxy.count()), (5, 0));
}

#[test]
fn a_proxy_that_is_gone_leaves_no_link_and_no_port() {
    let server = Server::redis().start();
    let clients = || server.command(&["CLIENT", "LIST", "TYPE", "normal"]).text().unwrap();
    let proxy = Proxy::to(server.address());
    let mut client = dial(&proxy);
    client.call(&["CLIENT", "SETNAME", "behind-the-proxy"]).unwrap();
    assert!(clients().contains("behind-the-proxy"));
    let address = proxy.address();
    drop(proxy);
    is_cut(client.receive());
    wait_until("the server has no such client", || !clients().contains("behind-the-proxy"));
    assert_eq!(Client::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}
