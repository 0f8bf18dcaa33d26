//! Something on a port that is no healthy Redis: it says what the test gives it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread;

/// The answer of a healthy server to HELLO.
pub(in crate::store::redis) const HELLO: &str =
    "%2\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.0.0\r\n";

/// Listens until the test's process ends. To every client it says `first`, and then one of
/// `replies` for each thing that the client sends; at their end it closes the connection.
pub(super) fn fake(first: &'static str, replies: &'static [&'static str]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for client in listener.incoming() {
            let Ok(mut client) = client else { return };
            thread::spawn(move || -> std::io::Result<()> {
                client.write_all(first.as_bytes())?;
                let mut request = [0; 4096];
                for reply in replies {
                    if client.read(&mut request)? == 0 {
                        return Ok(());
                    }
                    client.write_all(reply.as_bytes())?;
                }
                Ok(())
            });
        }
    });
    address
}
