//! The least that a lock over Redis can do: `SET NX PX`, and a script that deletes the key if its
//! value is still ours. No fence, no queue, no renewal, no time limit. It goes over the very link
//! of the locks that it is compared with, or over one of the crate `redis` with the same settings.

use std::net::SocketAddr;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ProtocolVersion, RedisConnectionInfo, Value};
use tenure::store::Redis;
use tenure_testkit::Server;
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use crate::Failure;
use crate::worker::block_on;

const COMPARE_AND_DELETE: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then \
                                  return redis.call('DEL', KEYS[1]) else return 0 end";
const TAKE: &str = "return redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])";
const TTL_MS: &str = "30000";

/// A link. Clones share it.
#[derive(Clone)]
pub(super) struct Bare {
    client: Client,
    script: String,
    take: String,
}

#[derive(Clone)]
enum Client {
    /// That of the locks.
    Same(Redis),
    Crate(MultiplexedConnection),
}

impl Bare {
    /// Over the link of some locks' store.
    pub(super) async fn over(store: &Redis) -> Result<Self, Failure> {
        Self::with(Client::Same(store.clone())).await
    }

    /// A link of the crate `redis` that is driven by the runtime of its caller.
    pub(super) async fn connect(server: &Server) -> Result<Self, Failure> {
        Self::connect_to(server.address()).await
    }

    /// The same, driven by a thread of its own, as Tenure's is, for the rest of the program.
    pub(super) async fn connect_apart(server: &Server) -> Result<Self, Failure> {
        let address = server.address();
        let (made, link) = oneshot::channel();
        std::thread::spawn(move || {
            block_on(async {
                // Nobody waits for it any more if the measurement has ended.
                let _ = made.send(Self::connect_to(address).await);
                std::future::pending::<Result<(), Failure>>().await
            })
        });
        link.await?
    }

    async fn connect_to(address: SocketAddr) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let info = RedisConnectionInfo::default()
            .set_protocol(ProtocolVersion::RESP3)
            .set_skip_set_lib_name();
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(None)
            .set_connection_timeout(None)
            .set_pipeline_buffer_size(1024);
        let made = MultiplexedConnection::new_with_config(&info, stream, config).await?;
        let (connection, driver) = made;
        tokio::spawn(driver);
        Self::with(Client::Crate(connection)).await
    }

    async fn with(mut client: Client) -> Result<Self, Failure> {
        let script = client.ask(&["SCRIPT", "LOAD", COMPARE_AND_DELETE]).await?;
        let take = client.ask(&["SCRIPT", "LOAD", TAKE]).await?;
        Ok(Self { client, script, take })
    }

    /// Acquires and releases. `owner` must be new.
    pub(super) async fn cycle(&mut self, key: &str, owner: &str) -> Result<(), Failure> {
        let set = ["SET", key, owner, "NX", "PX", TTL_MS];
        if self.client.ask(&set).await? != "OK" {
            return Err("the key of a bare cycle is taken".into());
        }
        let delete = ["EVALSHA", &self.script, "1", key, owner];
        if self.client.ask(&delete).await? != "1" {
            return Err("the key of a bare cycle was taken away".into());
        }
        Ok(())
    }

    /// Acquires by a script that does nothing else, in place of whoever has the key.
    pub(super) async fn acquire(&mut self, key: &str, owner: &str) -> Result<(), Failure> {
        let set = ["EVALSHA", &self.take, "1", key, owner, TTL_MS];
        if self.client.ask(&set).await? != "OK" {
            return Err("a bare acquire failed".into());
        }
        Ok(())
    }

    pub(super) async fn ping(&mut self) -> Result<(), Failure> {
        self.client.ask(&["PING"]).await.map(|_pong| ())
    }
}

impl Client {
    /// The answer, a word; none is nothing.
    async fn ask(&mut self, words: &[&str]) -> Result<String, Failure> {
        match self {
            Self::Same(store) => {
                let answer = store.command(words).await.map_err(|error| format!("{error:?}"))?;
                Ok(answer.unwrap_or_default())
            }
            Self::Crate(connection) => {
                let mut command = redis::Cmd::new();
                words.iter().for_each(|word| _ = command.arg(word));
                Ok(match connection.send_packed_command(&command).await? {
                    Value::Okay => "OK".to_owned(),
                    Value::SimpleString(word) => word,
                    Value::BulkString(word) => String::from_utf8(word)?,
                    Value::Int(number) => number.to_string(),
                    _ => String::new(),
                })
            }
        }
    }
}
