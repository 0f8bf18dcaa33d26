//! The least that a lock over Redis can do, with the same client and the same settings of the
//! link: `SET NX PX`, and a script that deletes the key if its value is still ours. No fence, no
//! queue, no renewal, no time limit.

use std::net::SocketAddr;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, ProtocolVersion, RedisConnectionInfo, Value};
use tenure_testkit::Server;
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use crate::Failure;
use crate::crew::block_on;

const COMPARE_AND_DELETE: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then \
                                  return redis.call('DEL', KEYS[1]) else return 0 end";
const TAKE: &str = "return redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])";
const TTL_MS: u32 = 30_000;

/// A link. Clones share it.
#[derive(Clone)]
pub(super) struct Bare {
    connection: MultiplexedConnection,
    script: String,
    take: String,
}

impl Bare {
    /// A link that is driven by the runtime of its caller.
    pub(super) async fn connect(server: &Server) -> Result<Self, Failure> {
        Self::connect_to(server.address()).await
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
        let (mut connection, driver) = made;
        tokio::spawn(driver);
        let mut load = redis::cmd("SCRIPT");
        load.arg("LOAD").arg(COMPARE_AND_DELETE);
        let script = load.query_async(&mut connection).await?;
        let mut load = redis::cmd("SCRIPT");
        load.arg("LOAD").arg(TAKE);
        let take = load.query_async(&mut connection).await?;
        Ok(Self { connection, script, take })
    }

    /// A link that is driven by a thread of its own, as Tenure's is, for the rest of the program.
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

    /// Acquires and releases. `owner` must be new.
    pub(super) async fn cycle(&mut self, key: &str, owner: &str) -> Result<(), Failure> {
        let mut set = redis::cmd("SET");
        set.arg(key).arg(owner).arg("NX").arg("PX").arg(TTL_MS);
        if self.send(&set).await? != Value::Okay {
            return Err("the key of a bare cycle is taken".into());
        }
        let mut delete = redis::cmd("EVALSHA");
        delete.arg(&self.script).arg(1).arg(key).arg(owner);
        if self.send(&delete).await? != Value::Int(1) {
            return Err("the key of a bare cycle was taken away".into());
        }
        Ok(())
    }

    /// Acquires by a script that does nothing else, in place of whoever has the key.
    pub(super) async fn acquire(&mut self, key: &str, owner: &str) -> Result<(), Failure> {
        let mut set = redis::cmd("EVALSHA");
        set.arg(&self.take).arg(1).arg(key).arg(owner).arg(TTL_MS);
        if self.send(&set).await? != Value::Okay {
            return Err("a bare acquire failed".into());
        }
        Ok(())
    }

    pub(super) async fn ping(&mut self) -> Result<(), Failure> {
        self.send(&redis::cmd("PING")).await.map(|_pong| ())
    }

    async fn send(&mut self, command: &Cmd) -> Result<Value, Failure> {
        Ok(self.connection.send_packed_command(command).await?)
    }
}
