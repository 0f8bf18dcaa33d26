//! `tenure mcp` as an agent's client sees it: two sessions are two processes.

use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::agent::Agent;
use crate::place::{Home, Place, on_every_store, signal, until};

/// The tools as a client lists them.
const TOOLS: &str = include_str!("../../schema/mcp-tools.json");

fn agent(place: &Place) -> Agent {
    Agent::of(&mut place.tenure(&["mcp"]))
}

fn acquire(agent: &mut Agent, key: &str) -> Value {
    agent.call("acquire", &json!({ "key": key })).ok()
}

fn pid(agent: &Agent) -> i32 {
    i32::try_from(agent.child.id()).expect("a process number")
}

/// Whether nobody holds the key.
fn is_free(agent: &mut Agent, key: &str) -> bool {
    agent.call("who", &json!({ "key": key })).ok()["state"] == "free"
}

fn until_free(agent: &mut Agent, key: &str) {
    until("the key is free", || is_free(agent, key).then_some(()));
}

on_every_store! {
    two_sessions_exclude_each_other_and_name_the_holder
    a_waiting_session_gets_the_lock_and_the_wait_tool_wakes
    the_end_of_a_session_gives_its_locks_back
    a_killed_session_has_its_locks_until_their_ttl
    a_lock_that_stays_is_renewed_and_released_by_its_ticket
    a_loss_is_told_in_the_next_answer_and_at_once
    a_cancelled_acquire_holds_nothing
    a_hundred_calls_in_flight_are_all_answered
}

fn two_sessions_exclude_each_other_and_name_the_holder(home: Home) {
    let place = Place::at(home);
    let (mut first, mut second) = (agent(&place), agent(&place));
    let asked = json!({ "key": "k", "as": "reviewer", "purpose": "the schema", "ttl": "5m" });
    let held = first.call("acquire", &asked).ok();
    let name = held["name"].as_str().expect("a name").to_owned();
    assert!(name.starts_with("test-agent/reviewer: the schema ("), "{name}");
    assert!(name.ends_with(&format!(", pid {})", first.child.id())), "{name}");

    let busy = second.call("acquire", &asked).fails("busy").holds_nothing();
    let holder = &busy.data["seen"]["holders"][0];
    assert_eq!((&holder["name"], &holder["fence"]), (&held["name"], &held["fence"]));
    for part in [&name, "since 20", "until 20", "do not touch what it protects"] {
        assert!(busy.text.contains(part), "{part} is missing: {busy:?}");
    }
    let limited = json!({ "key": "k", "wait": "50ms" });
    let busy = second.call("acquire", &limited).fails("busy").holds_nothing();
    assert!(busy.text.contains("was busy for 50ms"), "{busy:?}");
    let again = first.call("acquire", &asked).fails("busy");
    assert_eq!(again.data["you_hold_it"], true, "{again:?}");

    // Neither of these touches the lock of another.
    for tool in ["renew", "release"] {
        second.call(tool, &json!({ "key": "k" })).fails("not_held").holds_nothing();
    }
    for (agent, is_theirs) in [(&mut first, true), (&mut second, false)] {
        let seen = agent.call("who", &json!({ "key": "k" })).ok();
        assert_eq!(seen["holders"][0]["is_this_session"], is_theirs, "{seen}");
        let listed = agent.call("list", &json!({ "prefix": "k" })).ok();
        assert_eq!(listed["keys"][0]["holders"][0]["name"], held["name"], "{listed}");
    }
    let renewed = first.call("renew", &json!({ "key": "k", "ttl": "1h" })).ok();
    assert_eq!(renewed["fence"], held["fence"]);
    assert!(renewed["until"].as_str() > held["until"].as_str(), "{renewed}");
    first.call("release", &json!({ "key": "k" })).ok();
    first.call("release", &json!({ "key": "k" })).fails("not_held");
    let next = acquire(&mut second, "k");
    assert!(next["fence"].as_u64() > held["fence"].as_u64(), "{next}");
}

fn a_waiting_session_gets_the_lock_and_the_wait_tool_wakes(home: Home) {
    let place = Place::at(home);
    let (mut first, mut second) = (agent(&place), agent(&place));
    let fence = acquire(&mut first, "k")["fence"].as_u64();
    let looking = second.start("wait", &json!({ "key": "k", "limit": "10m" }));
    let waiting = second.start("acquire", &json!({ "key": "k", "ttl": "5m", "wait": "10m" }));
    until("it waits", || {
        let seen = first.call("who", &json!({ "key": "k" })).ok();
        seen["waiters"][0].is_object().then_some(())
    });
    first.call("release", &json!({ "key": "k" })).ok();
    let held = second.answer("acquire", waiting).ok();
    assert!(held["fence"].as_u64() > fence, "{held}");
    // A grant from the queue is short before it is confirmed.
    assert!(held["time_left"].as_str().expect("a text").starts_with("4m"), "{held}");
    // By now the key is held again: the tool never saw it free.
    second.call("release", &json!({ "key": "k" })).ok();
    let woken = second.answer("wait", looking).ok();
    assert_eq!((&woken["is_free"], &woken["state"]), (&true.into(), &"free".into()), "{woken}");
    acquire(&mut first, "k");
    let limited = second.call("wait", &json!({ "key": "k", "limit": "50ms" })).ok();
    assert_eq!((&limited["is_free"], &limited["state"]), (&false.into(), &"held".into()));
}

fn the_end_of_a_session_gives_its_locks_back(home: Home) {
    let place = Place::at(home);
    let mut other = agent(&place);
    for end in [None, Some(Signal::TERM), Some(Signal::INT), Some(Signal::HUP)] {
        let mut ending = agent(&place);
        acquire(&mut ending, "a");
        acquire(&mut ending, "b");
        // A call that waits ends with the session, and does not hold it up.
        acquire(&mut other, "c");
        let waiting = ending.start("acquire", &json!({ "key": "c", "wait": "10m" }));
        until("it waits", || {
            let seen = other.call("who", &json!({ "key": "c" })).ok();
            seen["waiters"][0].is_object().then_some(())
        });
        match end {
            None => {
                ending.close();
                ending.answer("acquire", waiting).fails("ended").holds_nothing();
            }
            Some(number) => signal(pid(&ending), number),
        }
        let (status, stderr) = ending.end();
        let expected = match end {
            None => (Some(0), None),
            Some(Signal::INT) => (None, Some(2)),
            Some(signal) => (Some(128 + signal.as_raw()), None),
        };
        assert_eq!((status.code(), status.signal()), expected, "{stderr}");
        assert_eq!(stderr, "", "{end:?}");
        assert!(is_free(&mut other, "a") && is_free(&mut other, "b"), "{end:?}");
        other.call("release", &json!({ "key": "c" })).ok();
        assert!(is_free(&mut other, "c"), "{end:?}");
    }
}

fn a_killed_session_has_its_locks_until_their_ttl(home: Home) {
    let place = Place::at(home);
    let (mut killed, mut other) = (agent(&place), agent(&place));
    acquire(&mut killed, "long");
    killed.call("acquire", &json!({ "key": "short", "ttl": "3s" })).ok();
    signal(pid(&killed), Signal::KILL);
    killed.end();
    until_free(&mut other, "short");
    assert!(!is_free(&mut other, "long"));
}

fn a_lock_that_stays_is_renewed_and_released_by_its_ticket(home: Home) {
    let place = Place::at(home);
    let kept = json!({ "key": "k", "ttl": "1h", "keep_after_session": true });
    let (mut first, mut other) = (agent(&place), agent(&place));
    let held = first.call("acquire", &kept).ok();
    let name = held["name"].as_str().expect("a name");
    assert!(name.ends_with(", ticket)"), "it outlives the session's process: {name}");
    // In its own session the key is enough.
    let again = first.call("renew", &json!({ "key": "k" })).ok();
    assert_eq!(again["ticket"], held["ticket"]);
    first.close();
    assert!(first.end().0.success());

    let mut later = agent(&place);
    let busy = other.call("acquire", &kept).fails("busy").holds_nothing();
    assert_eq!(busy.data["seen"]["holders"][0]["name"], held["name"], "{busy:?}");
    let ticket = &held["ticket"];
    let renewed = later.call("renew", &json!({ "ticket": ticket, "ttl": "2h" })).ok();
    for field in ["fence", "name", "key", "ticket"] {
        assert_eq!(renewed[field], held[field], "{renewed}");
    }
    assert!(renewed["until"].as_str() > held["until"].as_str(), "{renewed}");
    // Another session knows the ttl by the ticket.
    let ticket_of_hours = json!({ "key": "hours", "ttl": "3h", "keep_after_session": true });
    let hours = other.call("acquire", &ticket_of_hours).ok();
    let renewed = later.call("renew", &json!({ "ticket": hours["ticket"] })).ok();
    let left = renewed["time_left"].as_str().expect("a text");
    assert!(left.starts_with("2h59m") || left.starts_with("3h"), "{renewed}");
    for tool in ["renew", "release"] {
        for ticket in ["x", "tenure-ticket:1:7:7:1:o:k"] {
            let failed = later.call(tool, &json!({ "ticket": ticket }));
            assert!(failed.is_error, "{failed:?}");
        }
        later.call(tool, &json!({})).fails("invalid");
        later.call(tool, &json!({ "key": "k", "ticket": ticket })).fails("invalid");
    }
    assert!(!is_free(&mut other, "k"));
    other.call("release", &json!({ "ticket": ticket })).ok();
    assert!(is_free(&mut other, "k"));
    later.call("release", &json!({ "ticket": ticket })).fails("lost").holds_nothing();
}

/// Takes a key away, as an operator would.
fn force_release(place: &Place, key: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let locks = tenure::connect(&place.store_url()).await.expect("the store");
        assert_eq!(locks.mutex(key).force_release().await.expect("it is forced"), 1);
    });
}

fn a_loss_is_told_in_the_next_answer_and_at_once(home: Home) {
    let place = Place::at(home);
    let (mut loser, mut other) = (agent(&place), agent(&place));
    // Forced: the store is asked every five seconds whether it still has the lease.
    let held = loser.call("acquire", &json!({ "key": "k", "ttl": "1h" })).ok();
    force_release(&place, "k");
    acquire(&mut other, "k");
    let told = loser.notice("notifications/message");
    let data = &told["params"]["data"];
    assert_eq!((&told["params"]["level"], &data["key"]), (&"error".into(), &"k".into()), "{told}");
    assert_eq!(data["fence"], held["fence"]);
    let listed = loser.call("list", &json!({}));
    assert!(listed.text.starts_with("LOST: you do not hold \"k\""), "{listed:?}");
    let lost = listed.ok()["lost"].clone();
    assert_eq!((&lost[0]["key"], &lost[0]["fence"]), (&"k".into(), &held["fence"]), "{lost}");
    assert_eq!(loser.call("list", &json!({})).ok()["lost"], json!([]), "it is told once");
    for tool in ["renew", "release"] {
        let failed = loser.call(tool, &json!({ "key": "k" })).fails("lost").holds_nothing();
        let holders = &failed.data["seen"]["holders"];
        assert_eq!(holders[0]["is_this_session"], false, "it names the new holder: {failed:?}");
    }
    // A lock that stays is watched as well.
    let kept = json!({ "key": "kept", "ttl": "1h", "keep_after_session": true });
    let held = loser.call("acquire", &kept).ok();
    force_release(&place, "kept");
    let told = loser.notice("notifications/message");
    assert_eq!(told["params"]["data"]["fence"], held["fence"], "{told}");
    loser.call("renew", &json!({ "key": "kept" })).fails("lost").holds_nothing();
    // Over: it was not renewed.
    loser.call("acquire", &json!({ "key": "short", "ttl": "3s" })).ok();
    let told = loser.notice("notifications/message");
    let reason = told["params"]["data"]["reason"].as_str().expect("a reason");
    assert_eq!(reason, "its time was over (3s without a renewal)");
    until_free(&mut other, "short");
    let renewed = loser.call("renew", &json!({ "key": "short" })).fails("lost").holds_nothing();
    assert!(renewed.text.contains("its time was over"), "{renewed:?}");
    assert_eq!(renewed.data["lost"][0]["key"], "short");
}

fn a_cancelled_acquire_holds_nothing(home: Home) {
    let place = Place::at(home);
    let (mut holder, mut waiter) = (agent(&place), agent(&place));
    acquire(&mut holder, "k");
    let waiting = waiter.start("acquire", &json!({ "key": "k", "wait": "10m" }));
    until("it waits", || {
        let seen = holder.call("who", &json!({ "key": "k" })).ok();
        seen["waiters"][0].is_object().then_some(())
    });
    let cancel = |id: u64| {
        let params = json!({ "requestId": id, "reason": "the client has waited long enough" });
        json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params })
    };
    waiter.send(&cancel(waiting));
    until("its place is gone", || {
        let seen = holder.call("who", &json!({ "key": "k" })).ok();
        seen["waiters"][0].is_null().then_some(())
    });
    holder.call("release", &json!({ "key": "k" })).ok();
    assert!(is_free(&mut holder, "k"));
    // The answer and the cancellation have crossed: the client ignores that answer.
    for kept in [false, true] {
        let asked = json!({ "key": "k", "keep_after_session": kept });
        let granted = waiter.start("acquire", &asked);
        waiter.answer("acquire", granted).ok();
        waiter.send(&cancel(granted));
        until_free(&mut holder, "k");
        let told = waiter.call("list", &json!({})).ok();
        assert_eq!(told["lost"][0]["key"], "k", "{told}");
    }
}

fn a_hundred_calls_in_flight_are_all_answered(home: Home) {
    let place = Place::at(home);
    let (mut agent, mut other) = (agent(&place), agent(&place));
    // Twenty keys, and five calls that want each of them.
    let asked: Vec<_> = (0..100)
        .map(|n| agent.start("acquire", &json!({ "key": format!("k{}", n % 20) })))
        .collect();
    let answers = asked.into_iter().map(|id| agent.answer("acquire", id));
    let (busy, held): (Vec<_>, Vec<_>) = answers.partition(|answer| answer.is_error);
    assert_eq!((held.len(), busy.len()), (20, 80));
    for answer in busy {
        answer.fails("busy");
    }
    let listed = other.call("list", &json!({})).ok();
    assert_eq!(listed["keys"].as_array().map(Vec::len), Some(20));
    let asked: Vec<_> =
        (0..20).map(|n| agent.start("release", &json!({ "key": format!("k{n}") }))).collect();
    for id in asked {
        agent.answer("release", id).ok();
    }
    assert_eq!(other.call("list", &json!({})).ok()["keys"], json!([]));
}

#[test]
fn the_tools_are_listed_with_their_schemas() {
    let listed = agent(&Place::new()).ask("tools/list", &json!({}));
    let listed = serde_json::to_string_pretty(&listed["result"]["tools"]).expect("JSON") + "\n";
    let lines = || listed.lines().zip(TOOLS.lines());
    if listed != TOOLS {
        let actual = std::env::temp_dir().join("mcp-tools.json");
        std::fs::write(&actual, &listed).expect("it can be written");
        let other = lines().find(|(listed, kept)| listed != kept);
        panic!("schema/mcp-tools.json is not as {}: {other:?}", actual.display());
    }
}

#[test]
fn arguments_that_are_wrong_are_refused_and_shown_right() {
    let place = Place::new();
    let mut agent = agent(&place);
    let long = "k".repeat(513);
    for (tool, arguments, says) in [
        ("acquire", json!({}), "missing field `key`"),
        ("acquire", json!({ "key": "k", "tttl": "1m" }), "unknown field `tttl`"),
        ("acquire", json!({ "key": "k", "ttl": 60 }), "did you mean 60s or 60ms?"),
        ("acquire", json!({ "key": "k", "ttl": "soon" }), "\"soon\" is no duration"),
        ("acquire", json!({ "key": "k", "ttl": true }), "a duration with its unit"),
        ("acquire", json!({ "key": "k", "ttl": "1ms" }), "below the limit of 10ms"),
        ("acquire", json!({ "key": "k", "ttl": "31d" }), "above the limit of 30 days"),
        ("acquire", json!({ "key": "" }), "a key cannot be empty"),
        ("acquire", json!({ "key": "a\nb" }), "control character"),
        ("acquire", json!({ "key": long }), "513 bytes"),
        ("acquire", json!({ "key": ["k"] }), "invalid type"),
        ("acquire", json!({ "key": "k", "keep_after_session": "yes" }), "invalid type"),
        ("who", json!({ "prefix": "k" }), "unknown field `prefix`"),
        ("list", json!({ "after": "" }), "a key cannot be empty"),
        ("wait", json!({ "key": "k", "limit": "1" }), "1 has no unit"),
        ("release", json!({ "ticket": "k" }), "this is no ticket"),
    ] {
        let refused = agent.call(tool, &arguments).fails("invalid").holds_nothing();
        assert!(refused.text.contains(says), "{says:?} is missing: {refused:?}");
    }
    assert_eq!(agent.call("list", &json!({})).ok()["keys"], json!([]));
    assert!(is_free(&mut agent, "never used"), "an unknown key is free");
    let unknown = agent.ask("tools/call", &json!({ "name": "steal", "arguments": {} }));
    assert_eq!(unknown["error"]["code"], -32602, "{unknown}");
}

#[test]
fn a_long_list_comes_in_parts() {
    let place = Place::new();
    let mut agent = agent(&place);
    for n in 0..70 {
        acquire(&mut agent, &format!("k{n:02}"));
    }
    let first = agent.call("list", &json!({})).ok();
    assert_eq!(first["more_after"], "k49");
    let rest = agent.call("list", &json!({ "after": "k49" })).ok();
    let keys = |page: &Value| page["keys"].as_array().map(Vec::len);
    assert_eq!((keys(&first), keys(&rest)), (Some(50), Some(20)));
    assert!(rest["more_after"].is_null());
}

#[test]
fn a_client_of_the_revision_without_a_handshake_is_served() {
    let place = Place::new();
    let mut agent = Agent::without_session(&mut place.tenure(&["mcp"]));
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "newer", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let found = agent.ask("server/discover", &json!({ "_meta": meta }));
    assert_eq!(found["result"]["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "tenure");
    let asked = json!({ "name": "acquire", "arguments": { "key": "k" }, "_meta": meta });
    let held = agent.ask("tools/call", &asked);
    let name = held["result"]["structuredContent"]["name"].as_str().expect("a name").to_owned();
    assert!(name.starts_with("newer ("), "{held}");
    agent.close();
    assert!(agent.end().0.success());
    assert_eq!(place.status("k")["state"], "free");
}

#[test]
fn something_else_than_the_protocol_is_refused() {
    let place = Place::new();
    let mut agent = Agent::without_session(&mut place.tenure(&["mcp"]));
    agent.write("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n");
    let (status, stderr) = agent.end();
    assert_eq!(status.code(), Some(64), "{stderr}");
    assert!(stderr.contains("no \"initialize\" of the Model Context Protocol"), "{stderr}");
    let mut silent = Agent::without_session(&mut place.tenure(&["mcp"]));
    silent.close();
    let (status, stderr) = silent.end();
    assert_eq!((status.code(), &*stderr), (Some(0), ""));
}

/// The answer to a line that is no message.
fn refusal(agent: &mut Agent) -> Value {
    agent.hear("answer to a line that is no message", |told| told["error"].is_object())
}

/// Lines that are no messages, and the code of JSON-RPC 2.0 for each.
fn no_messages() -> Vec<(Vec<u8>, i64)> {
    let deep = "[".repeat(100_000);
    let texts = [
        ("hello", -32700),
        (r#"{"jsonrpc":"2.0","id":1"#, -32700),
        (&deep, -32700),
        (r#""text""#, -32600),
        ("[]", -32600),
        ("{}", -32600),
        (r#"{"jsonrpc":"2.0","method":7}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, -32600),
    ];
    let bytes = [
        &b"\xff\xfe{}"[..],
        b"{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"ping\",\"x\":\"\xc3\x28\"}",
    ];
    let texts = texts.map(|(text, code)| (text.as_bytes().to_vec(), code));
    texts.into_iter().chain(bytes.map(|bytes| (bytes.to_vec(), -32700))).collect()
}

#[test]
fn a_line_that_is_no_message_is_answered_and_the_session_goes_on() {
    let place = Place::new();
    let early = Agent::without_session(&mut place.tenure(&["mcp"]));
    for mut agent in [early, agent(&place)] {
        for (line, code) in no_messages() {
            agent.write_bytes(&[&line, &b"\n"[..]].concat());
            let refused = refusal(&mut agent);
            let fields = refused.as_object().expect("an object");
            assert!(fields.contains_key("id") && refused["id"].is_null(), "{refused}");
            assert_eq!(refused["error"]["code"], code, "{refused}");
            assert!(refused["error"]["message"].is_string(), "{refused}");
        }
        // Nobody waits for an answer to these.
        for silent in [
            "",
            "  ",
            r#"{"jsonrpc":"2.0","method":"textDocument/didOpen"}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":7}"#,
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"an echo"}}"#,
        ] {
            agent.write(&format!("{silent}\n"));
        }
        assert!(agent.told.is_empty(), "{:?}", agent.told);
    }
}

#[test]
fn a_call_that_is_wrong_is_answered_under_its_number() {
    let place = Place::new();
    let mut agent = agent(&place);
    for (number, (version, method, code)) in
        [("2.0", "tools/call", -32602), ("1.0", "ping", -32600), ("2.0", "no/such", -32601)]
            .into_iter()
            .enumerate()
    {
        let number = 7_000 + number as u64;
        let params = json!({ "name": 5 });
        agent
            .send(&json!({ "jsonrpc": version, "id": number, "method": method, "params": params }));
        let refused = agent.response(number);
        assert_eq!(refused["error"]["code"], code, "{method}: {refused}");
    }
    acquire(&mut agent, "k");
    agent.close();
    assert!(agent.end().0.success());
}

#[test]
fn a_line_without_an_end_fills_no_memory_and_ends_nothing() {
    let place = Place::new();
    let mut agent = agent(&place);
    let peak = |agent: &Agent| -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", pid(agent)));
        let status = status.expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let line = line.expect("it is there").trim().trim_end_matches(" kB");
        line.parse().expect("a number")
    };
    let before = peak(&agent);
    let part = vec![b'x'; 1 << 20];
    for _ in 0..100 {
        agent.write_bytes(&part);
    }
    agent.write("\n");
    assert_eq!(refusal(&mut agent)["error"]["code"], -32700);
    acquire(&mut agent, "k");
    let grown = peak(&agent) - before;
    assert!(grown < 32 << 10, "{grown} kB more for a line of 100 MiB");
}

/// Its answers fill the pipe, and then what may wait for it.
#[test]
fn a_client_that_reads_no_answer_fills_no_memory() {
    use std::io::Write;

    let place = Place::new();
    let mut command = place.tenure(&["mcp"]);
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let stdout = child.stdout.take().expect("a pipe");
    let asked = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&asked);
    let client = std::thread::spawn(move || {
        let params = json!({
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": { "name": "deaf", "version": "1" },
        });
        let begin = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params });
        let _ended = stdin.write_all(format!("{begin}\n").as_bytes());
        let ready = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        let mut line = ready.to_string();
        while stdin.write_all(format!("{line}\n").as_bytes()).is_ok() {
            let id = count.fetch_add(1, Ordering::Relaxed);
            line = json!({ "jsonrpc": "2.0", "id": id + 1, "method": "tools/list" }).to_string();
        }
    });
    // It stops reading, so that the client cannot go on.
    let (mut before, mut stands) = (0, 0);
    until("the client is held up", || {
        let now = asked.load(Ordering::Relaxed);
        // An answer has 30 kB: more than these would be in its memory.
        assert!(now < 4_000, "{now} requests were taken");
        stands = if now == before && now > 1 { stands + 1 } else { 0 };
        before = now;
        (stands > 300).then_some(())
    });
    // A client that is gone ends the session.
    drop(stdout);
    let status = until("it ends", || child.try_wait().expect("it is our child"));
    assert!(status.success(), "{status}");
    client.join().expect("it ends with the pipe");
}

#[test]
fn a_wrong_store_ends_it_before_a_session_begins() {
    let place = Place::new();
    for (words, code) in [
        (&["--store", "nosql:x"][..], 78),
        (&["--store-timeout", "0s"], 64),
        (&["--no-such-option"], 64),
    ] {
        let ended = place.run(&[&["mcp"], words].concat());
        assert_eq!((ended.code, &*ended.stdout), (Some(code), ""), "{}", ended.stderr);
    }
}

/// The blocks of JSON in a document.
fn configurations(text: &str) -> Vec<Value> {
    let blocks = text.split("```json\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.map(|block| serde_json::from_str(block).expect("JSON")).collect()
}

#[test]
fn the_configurations_of_the_documents_start_a_server_that_serves() {
    let readme = configurations(include_str!("../../../../README.md"));
    let page = configurations(include_str!("../../../../docs/coding-agents.md"));
    let help = Place::new().run(&["mcp", "--help"]).stdout;
    let line = help.lines().find(|line| line.contains("mcpServers")).expect("it is in the help");
    let help = vec![serde_json::from_str(line).expect("JSON")];
    assert_eq!((readme.len(), page.len()), (1, 2));
    for configuration in [readme, page, help].concat() {
        let server = &configuration["mcpServers"]["tenure"];
        assert_eq!(server["command"], "tenure");
        let words = server["args"].as_array().expect("a list").iter().filter_map(Value::as_str);
        let place = Place::new();
        let mut command = place.tenure(&words.collect::<Vec<_>>());
        for (name, value) in server["env"].as_object().into_iter().flatten() {
            command.env_remove("TENURE_STORE_FILE").env(name, value.as_str().expect("a text"));
        }
        let mut agent = Agent::of(&mut command);
        let answer = agent.call("list", &json!({}));
        // The example's server is nowhere.
        assert_eq!(answer.is_error, !server["env"].is_null(), "{answer:?}");
    }
}
