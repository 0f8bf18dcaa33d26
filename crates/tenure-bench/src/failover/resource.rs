//! The resource that contenders write to: a server of its own, which no fault reaches. It is two
//! resources in one. Both see every write at the same instant: one takes them all, the other
//! refuses those with a fence below the largest that it has seen for the key.

use std::path::{Path, PathBuf};

use tenure_testkit::{Client, Reply, Server};

use crate::Failure;

use super::judge::Write;

/// Atomic, as a resource must be.
const WRITE: &str = "
local key, lease, fence = ARGV[1], ARGV[2], tonumber(ARGV[3])
local largest = tonumber(redis.call('HGET', 'largest', key) or '0')
local taken = fence >= largest
if taken then redis.call('HSET', 'largest', key, ARGV[3]) end
redis.call('SADD', 'leases', lease)
redis.call('RPUSH', 'writes', key .. ' ' .. lease .. ' ' .. (taken and '1' or '0'))
return taken and 1 or 0
";

/// The server.
#[derive(Debug)]
pub(crate) struct Resource(Server);

impl Resource {
    pub(crate) fn start() -> Self {
        Self(Server::redis().with_user("default", "on nopass ~* +@all").start())
    }

    /// Where contenders of every host reach it: no cut is between.
    pub(crate) fn path(&self) -> PathBuf {
        self.0.unix_path()
    }

    /// How many leases have written.
    pub(crate) fn leases(&self) -> i64 {
        self.0.command(&["SCARD", "leases"]).int()
    }

    /// All writes, in their order.
    pub(crate) fn writes(&self) -> Result<Vec<Write>, Failure> {
        let reply = self.0.command(&["LRANGE", "writes", "0", "-1"]);
        reply.list().iter().map(read).collect()
    }
}

fn read(entry: &Reply) -> Result<Write, Failure> {
    let text = entry.text().unwrap_or_default();
    let mut words = text.split(' ');
    let (Some(key), Some(lease), Some(taken)) = (words.next(), words.next(), words.next()) else {
        return Err(format!("the resource has kept {text:?}").into());
    };
    Ok(Write { key: key.to_owned(), lease: lease.parse()?, was_taken: taken == "1" })
}

/// A contender's link to it.
#[derive(Debug)]
pub(crate) struct Link(Client);

impl Link {
    pub(crate) fn to(path: &Path) -> Result<Self, Failure> {
        Ok(Self(Client::connect_unix(path)?))
    }

    /// Writes to both. Whether the resource that looks at fences took it.
    pub(crate) fn write(&mut self, key: &str, lease: u64, fence: u64) -> Result<bool, Failure> {
        let (lease, fence) = (lease.to_string(), fence.to_string());
        match self.0.call(&["EVAL", WRITE, "0", key, &lease, &fence])? {
            Reply::Int(taken) => Ok(taken == 1),
            other => Err(format!("the resource answers {other}").into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_below_the_largest_is_refused_and_all_writes_are_kept_in_order() {
        let resource = Resource::start();
        let mut link = Link::to(&resource.path()).unwrap();
        // Microseconds since 1970, as fences are.
        let fence = 1_796_000_000_000_000;
        let mut write = |lease, fence| link.write("k", lease, fence).unwrap();
        assert!(write(1, fence) && write(1, fence), "the same holder writes again");
        assert!(write(2, fence + 1));
        assert!(!write(1, fence));
        let kept: Vec<_> = resource.writes().unwrap();
        let kept: Vec<_> = kept.iter().map(|write| (write.lease, write.was_taken)).collect();
        assert_eq!(kept, [(1, true), (1, true), (2, true), (1, false)]);
        assert_eq!(resource.leases(), 2);
    }
}
