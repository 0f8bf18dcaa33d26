//! The threads of a link: for each direction, one reads frames and one writes what has become of
//! them. They decide nothing.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use super::Direction::{self, ToClient, ToServer};
use super::shared::Shared;
use super::state::Step;
use crate::condition::LIMIT;
use crate::reply::Reply;

/// Makes links until the proxy is closed.
pub(super) fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        let (refused, closed, number) = shared.change(|state| {
            if !state.closed {
                state.links_seen += 1;
            }
            (state.refusing, state.closed, state.links_seen)
        });
        if closed {
            return;
        }
        let Ok(client) = client else { continue };
        if !refused {
            let shared = Arc::clone(shared);
            run(format!("link {number}"), move || open(number, client, &shared));
        }
    }
}

fn run(name: String, task: impl FnOnce() + Send + 'static) {
    thread::Builder::new().name(name).spawn(task).expect("a thread");
}

fn open(number: u64, client: TcpStream, shared: &Arc<Shared>) {
    // Without a server the client's link ends at once, as it would there.
    let Ok(server) = TcpStream::connect_timeout(&shared.upstream(), LIMIT) else { return };
    let again = |stream: &TcpStream| stream.try_clone().expect("a file descriptor");
    let nodelay = [&client, &server].map(|stream| stream.set_nodelay(true));
    assert!(nodelay.iter().all(Result::is_ok), "TCP can be told not to wait");
    let ends = [(ToServer, &client, &server), (ToClient, &server, &client)]
        .map(|(way, source, sink)| (way, again(source), again(sink)));
    if !shared.change(|state| state.open(number, client, server)) {
        return;
    }
    for (way, source, sink) in ends {
        let (reading, writing) = (Arc::clone(shared), Arc::clone(shared));
        run(format!("reader {number}"), move || read(number, way, source, &reading));
        run(format!("writer {number}"), move || write(number, way, sink, &writing));
    }
}

fn read(number: u64, way: Direction, mut source: TcpStream, shared: &Shared) {
    let mut understands = shared.understands;
    let mut buffer = Vec::new();
    let mut chunk = [0; 16 * 1024];
    // A broken link is an ended one.
    while let Ok(length @ 1..) = source.read(&mut chunk) {
        buffer.extend_from_slice(&chunk[..length]);
        while understands {
            match Reply::parse(&buffer) {
                Ok(Some((frame, length))) => {
                    let rest = buffer.split_off(length);
                    let bytes = std::mem::replace(&mut buffer, rest);
                    arrived(number, way, &frame, bytes, shared);
                }
                Ok(None) => break,
                Err(_) => understands = false,
            }
        }
        if !understands {
            let bytes = std::mem::take(&mut buffer);
            shared.change(|state| state.bytes_arrived(number, way, bytes));
        }
    }
    shared.change(|state| {
        // A frame that was not completed is passed on as it is.
        if !buffer.is_empty() {
            state.bytes_arrived(number, way, buffer);
        }
        state.end_arrived(number, way);
    });
}

fn arrived(number: u64, way: Direction, frame: &Reply, bytes: Vec<u8>, shared: &Shared) {
    shared.change(|state| match (way, frame) {
        (ToServer, Reply::Array(words)) => {
            let words = words.iter().map(|word| word.text().unwrap_or_default()).collect();
            state.call_arrived(number, words, bytes);
        }
        (ToServer, _) => state.bytes_arrived(number, way, bytes),
        (ToClient, _) => state.reply_arrived(number, frame, bytes),
    });
}

fn write(number: u64, way: Direction, mut sink: TcpStream, shared: &Shared) {
    while let Some(step) = shared.next(number, way) {
        // A receiver that has gone hears nothing; what it has sent goes on.
        match step {
            Step::Write(bytes) => drop(sink.write_all(&bytes)),
            Step::WriteAndCut(bytes) => {
                let _ = sink.write_all(&bytes);
                shared.change(|state| state.cut(number));
            }
            Step::Nothing => {}
            Step::End | Step::EndUntold => {
                if step == Step::End {
                    let _ = sink.shutdown(Shutdown::Write);
                }
                return shared.change(|state| state.ended(number, way));
            }
        }
    }
}
