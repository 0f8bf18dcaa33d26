//! The least that a lock over Redis can do: `SET NX PX`, and a script that deletes the key if its
//! value is still ours. No fence, no queue, no renewal, no time limit.

use std::net::SocketAddr;

use tenure_testkit::{Client, Reply};

use crate::Failure;

use super::library::TTL_MS;
use super::wire::{Calls, pack};

const COMPARE_AND_DELETE: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then \
                                  return redis.call('DEL', KEYS[1]) else return 0 end";

#[derive(Debug)]
pub(super) struct Bare {
    key: String,
    /// Counts the owners: each cycle is another's.
    number: u64,
    /// The digest of the script that releases.
    sha1: String,
    ttl_ms: String,
}

impl Bare {
    fn owner(&self) -> String {
        format!("{:040x}", self.number)
    }
}

impl Calls for Bare {
    const NAME: &str = "SET NX PX and compare-and-delete";

    async fn prepare(address: SocketAddr, key: String) -> Result<Self, Failure> {
        let loaded = Client::connect(address)?.call(&["SCRIPT", "LOAD", COMPARE_AND_DELETE])?;
        let sha1 = loaded.text().ok_or("the server did not load a script")?;
        Ok(Self { key, number: 0, sha1, ttl_ms: TTL_MS.to_string() })
    }

    fn acquire(&mut self, packed: &mut Vec<u8>) {
        self.number += 1;
        let owner = self.owner();
        let words = ["SET", &self.key, &owner, "NX", "PX", &self.ttl_ms];
        pack(packed, words.iter().map(|word| word.as_bytes()));
    }

    fn release(&mut self, packed: &mut Vec<u8>) {
        let owner = self.owner();
        let words = ["EVALSHA", &self.sha1, "1", &self.key, &owner];
        pack(packed, words.iter().map(|word| word.as_bytes()));
    }

    fn is_acquired(reply: &Reply) -> bool {
        *reply == Reply::Simple("OK".into())
    }

    fn is_released(reply: &Reply) -> bool {
        *reply == Reply::Int(1)
    }
}
