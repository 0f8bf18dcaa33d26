//! A script that takes a key and does nothing else, over a link of the crate `redis`: what an
//! acquire over a quorum is compared with.

use std::net::SocketAddr;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ProtocolVersion, RedisConnectionInfo, Value};
use tenure_testkit::Server;
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use crate::Failure;
use crate::worker::block_on;

const TAKE: &str = "return redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])";
const TTL_MS: &str = "30000";

/// A link. Clones share it.
#[derive(Clone)]
pub(super) struct Bare {
    connection: MultiplexedConnection,
    /// The digest of the script.
    take: String,
}

impl Bare {
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
        let load = redis::cmd("SCRIPT").arg("LOAD").arg(TAKE).to_owned();
        let Value::BulkString(take) = connection.send_packed_command(&load).await? else {
            return Err("the server did not load a script".into());
        };
        Ok(Self { connection, take: String::from_utf8(take)? })
    }

    /// Takes the key, in place of whoever has it.
    pub(super) async fn acquire(&mut self, key: &str, owner: &str) -> Result<(), Failure> {
        let mut command = redis::cmd("EVALSHA");
        command.arg(&self.take).arg(1).arg(key).arg(owner).arg(TTL_MS);
        match self.connection.send_packed_command(&command).await? {
            Value::Okay => Ok(()),
            other => Err(format!("a bare acquire was answered with {other:?}").into()),
        }
    }
}
