//! A call that failed as a whole, is repeated key by key, and finds no server any more.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use super::steps::{acquire, carrier_at, step};
use crate::protocol::{FenceRule, Op};
use crate::store::redis::client::tests::fake::HELLO;

/// Answers one client's login, turns its next call away with a text that nobody knows, and is gone.
fn server_that_fails_and_goes() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        let (mut client, _) = listener.accept().expect("a client");
        drop(listener);
        let mut request = [0; 65536];
        for reply in [HELLO, "-ERR something odd\r\n"] {
            let _read = client.read(&mut request).expect("a request");
            client.write_all(reply.as_bytes()).expect("an open connection");
        }
    });
    format!("redis://{address}")
}

#[tokio::test]
async fn a_repetition_that_was_not_sent_does_not_hide_that_the_first_try_may_have_run() {
    let carrier = carrier_at(&server_that_fails_and_goes());
    let claim = |number| Op::Acquire(acquire(number, FenceRule::Mint));
    let steps = [step("one", claim(1)), step("two", claim(2))];
    for answer in carrier.carry(&steps).await.each(steps.len()) {
        let failure = answer.expect_err("nobody has answered");
        assert!(failure.may_have_run, "{failure}");
    }
}
