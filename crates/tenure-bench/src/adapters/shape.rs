//! The very calls that Tenure makes, sent by nobody but a socket: the same script, the same number
//! of words and bytes, the same work in the server. They are read off the wire of a Tenure of this
//! build, so that they are what it really sends.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tenure_testkit::{Client, Reply};

use crate::Failure;

use super::wire::{Calls, pack};

/// Cycles that are recorded. A Tenure that chooses its connection has chosen by then.
const CYCLES: usize = 10;

type Words = Vec<Vec<u8>>;

#[derive(Debug)]
pub(super) struct Shape {
    acquire: Words,
    release: Words,
    /// The word of `acquire` that is the number of the call: the server carries out only those
    /// with a number above the last.
    number_at: usize,
    number: u64,
}

impl Calls for Shape {
    const NAME: &str = "Tenure's scripts";

    async fn prepare(address: SocketAddr, key: String) -> Result<Self, Failure> {
        let recorder = Recorder::to(address)?;
        let locks = tenure::connect(&format!("redis://{}", recorder.address)).await?;
        let lock = locks.mutex(&key);
        for _ in 0..CYCLES {
            lock.acquire().await?.release().await?;
        }
        locks.close(Duration::from_secs(5)).await?;
        let mut shape = Self::of(&recorder.calls())?;
        shape.check(address)?;
        Ok(shape)
    }

    fn acquire(&mut self, packed: &mut Vec<u8>) {
        self.number += 1;
        self.acquire[self.number_at] = self.number.to_string().into_bytes();
        pack(packed, self.acquire.iter().map(Vec::as_slice));
    }

    fn release(&mut self, packed: &mut Vec<u8>) {
        pack(packed, self.release.iter().map(Vec::as_slice));
    }

    fn is_acquired(reply: &Reply) -> bool {
        !matches!(reply, Reply::Error(_) | Reply::Nil)
    }

    fn is_released(reply: &Reply) -> bool {
        Self::is_acquired(reply)
    }
}

impl Shape {
    /// From the calls of some cycles.
    fn of(calls: &[Words]) -> Result<Self, Failure> {
        let scripts: Vec<_> =
            calls.iter().filter(|words| words.first().is_some_and(|w| w == b"EVALSHA")).collect();
        if scripts.len() < 4 {
            return Err("too few script calls were recorded".into());
        }
        // On a busy machine it may change its connection once more, and the calls of each have
        // numbers of their own.
        let cycle = |four: &[&Words]| match four {
            [before, _, acquire, release] => Self::of_cycle(before, acquire, release),
            _ => None,
        };
        scripts.windows(4).rev().find_map(cycle).ok_or_else(|| "no word counts the calls".into())
    }

    /// From the acquire of one cycle, and the calls of the next.
    fn of_cycle(before: &Words, acquire: &Words, release: &Words) -> Option<Self> {
        let number = |word: &[u8]| str::from_utf8(word).ok()?.parse::<u64>().ok();
        let counts = |place: &usize| {
            let now = number(&acquire[*place]);
            let then = before.get(*place).and_then(|word| number(word));
            now.zip(then).is_some_and(|(now, then)| now == then + 1)
        };
        let number_at = (0..acquire.len()).find(counts)?;
        let number = number(&acquire[number_at])?;
        Some(Self { acquire: acquire.clone(), release: release.clone(), number_at, number })
    }

    /// Whether the calls do what they did when they were recorded: a lock is there after the first
    /// and gone after the second.
    fn check(&mut self, address: SocketAddr) -> Result<(), Failure> {
        let count = str::from_utf8(&self.acquire[2])?.parse::<usize>()?;
        let mut exists = vec![b"EXISTS".to_vec()];
        exists.extend_from_slice(self.acquire.get(3..3 + count).ok_or("too few keys")?);
        let mut asked = Vec::new();
        pack(&mut asked, exists.iter().map(Vec::as_slice));
        let (mut acquire, mut release) = (Vec::new(), Vec::new());
        self.acquire(&mut acquire);
        self.release(&mut release);
        let mut client = Client::connect(address)?;
        let mut answer = |packed: &[u8]| -> Result<Reply, Failure> {
            client.send_bytes(packed)?;
            match client.reply()? {
                Reply::Error(error) => Err(format!("a recorded call was refused: {error}").into()),
                reply => Ok(reply),
            }
        };
        answer(&acquire)?;
        let held = answer(&asked)?.int();
        answer(&release)?;
        let free = answer(&asked)?.int();
        if held > free { Ok(()) } else { Err("the recorded calls lock nothing".into()) }
    }
}

/// Stands between a client and a server and keeps the client's calls.
#[derive(Debug)]
struct Recorder {
    address: SocketAddr,
    calls: Arc<Mutex<Vec<Words>>>,
}

impl Recorder {
    fn to(server: SocketAddr) -> Result<Self, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let calls = Arc::default();
        let kept = Arc::clone(&calls);
        // Its threads end with this process, or with the connections.
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(server) else { continue };
                let kept = Arc::clone(&kept);
                let (Ok(from), Ok(to)) = (server.try_clone(), client.try_clone()) else { continue };
                std::thread::spawn(move || copy(from, to, |_| ()));
                std::thread::spawn(move || {
                    let mut bytes = Vec::new();
                    copy(client, server, |more| {
                        bytes.extend_from_slice(more);
                        keep_calls(&mut bytes, &kept);
                    });
                });
            }
        });
        Ok(Self { address, calls })
    }

    fn calls(&self) -> Vec<Words> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Copies until one side ends; `see` sees what goes by before it is sent on.
fn copy(mut from: TcpStream, mut to: TcpStream, mut see: impl FnMut(&[u8])) {
    let mut bytes = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut bytes) {
        see(&bytes[..length]);
        if to.write_all(&bytes[..length]).is_err() {
            break;
        }
    }
    // The other side may have ended it before.
    let _ = to.shutdown(Shutdown::Both);
}

/// Moves the complete calls out of `bytes`.
fn keep_calls(bytes: &mut Vec<u8>, kept: &Mutex<Vec<Words>>) {
    while let Ok(Some((call, length))) = Reply::parse(bytes) {
        bytes.drain(..length);
        if let Reply::Array(words) = call {
            let words = words.into_iter().filter_map(|word| match word {
                Reply::Bulk(word) => Some(word),
                _ => None,
            });
            kept.lock().unwrap_or_else(PoisonError::into_inner).push(words.collect());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(words: &[&str]) -> Words {
        words.iter().map(|word| word.as_bytes().to_vec()).collect()
    }

    #[test]
    fn the_number_of_a_call_counts_on_from_the_last_that_was_recorded() {
        let acquire = |number| call(&["EVALSHA", "sha", "1", "key", "8", number, "owner"]);
        let release = || call(&["EVALSHA", "sha", "1", "key", "9", "owner"]);
        let calls = [call(&["HELLO", "3"]), acquire("41"), release(), acquire("42"), release()];
        let mut shape = Shape::of(&calls).unwrap();
        let (mut packed, mut expected) = (Vec::new(), Vec::new());
        shape.acquire(&mut packed);
        pack(&mut expected, acquire("43").iter().map(Vec::as_slice));
        assert_eq!(packed, expected);
        assert!(Shape::of(&calls[2..]).is_err());
        // Over another connection it counts anew.
        let moved = [&calls[..], &[acquire("1"), release()]].concat();
        let mut shape = Shape::of(&moved).unwrap();
        packed.clear();
        shape.acquire(&mut packed);
        assert_eq!(packed, expected);
    }

    #[test]
    fn calls_that_lock_nothing_are_refused() {
        let server = tenure_testkit::Server::redis().start();
        let echo = || call(&["EVAL", "return 1", "1", "key", "7"]);
        let mut shape = Shape { acquire: echo(), release: echo(), number_at: 4, number: 7 };
        let refused = shape.check(server.address()).unwrap_err().to_string();
        assert_eq!(refused, "the recorded calls lock nothing");
    }
}
