//! The quorums of the table: what their nodes are, and what is wrong with one of them.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tenure::Locks;
use tenure::runtime::{self, Runtime};
use tenure::store::{
    Memory, Quorum, QuorumOptions, Redis, RedisOptions, Sqlite, Store, StoreError, StoreErrorClass,
};
use tenure_testkit::{Direction, Flavour, Proxy, Server};

use crate::world::{World, patient, patiently};

/// The nodes of a quorum.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Nodes {
    Memories,
    Files,
    /// Servers, the first of which is as it should not be.
    Servers(&'static [Flavour], Trouble),
}

/// The trouble of the first server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    None,
    Dead,
    Stopped,
    /// Behind a proxy that takes its time.
    Slow,
}

/// The things that are dropped with the world.
#[derive(Debug, Default)]
struct Ground {
    dir: Option<TempDir>,
    servers: Vec<Server>,
    proxies: Vec<Proxy>,
}

/// How much slower the slow node is; less than others wait for it.
const SLOWNESS: Duration = Duration::from_millis(150);

/// Makes handles of one quorum, as many as are wanted.
struct Maker {
    nodes: Nodes,
    runtime: Arc<dyn Runtime>,
    memories: Vec<Memory>,
    urls: Vec<String>,
    ground: Ground,
}

impl Maker {
    fn of(nodes: Nodes) -> Self {
        let runtime = runtime::machine().expect("a clock and timers");
        let (mut ground, mut urls) = (Ground::default(), Vec::new());
        match nodes {
            Nodes::Memories => {}
            Nodes::Files => {
                let dir = tempfile::tempdir().expect("a directory");
                let file = |n| dir.path().join(format!("{n}.db")).display().to_string();
                urls.extend((0..3).map(file));
                ground.dir = Some(dir);
            }
            Nodes::Servers(flavours, trouble) => {
                for (index, flavour) in flavours.iter().enumerate() {
                    let server = Server::of(*flavour).start();
                    let mut url = server.url();
                    if index == 0 {
                        match trouble {
                            Trouble::None => {}
                            Trouble::Dead => server.kill9(),
                            Trouble::Stopped => server.stop(),
                            Trouble::Slow => {
                                let proxy = Proxy::to(server.address());
                                proxy.set_delay(Direction::ToClient, SLOWNESS);
                                url = proxy.url();
                                ground.proxies.push(proxy);
                            }
                        }
                    }
                    urls.push(url);
                    ground.servers.push(server);
                }
            }
        }
        let memories = (0..3).map(|_| Memory::new(Arc::clone(&runtime))).collect();
        Self { nodes, runtime, memories, urls, ground }
    }

    /// So long that no busy machine comes near it. A call that was not won waits for a stopped node
    /// until then.
    fn node_timeout(&self) -> Duration {
        let is_waited_for = matches!(self.nodes, Nodes::Servers(_, Trouble::Stopped));
        Duration::from_secs(if is_waited_for { 3 } else { 15 })
    }

    async fn handle(&self) -> Arc<dyn Store> {
        let open = async || self.open().await;
        patiently(open, |error| error.class == StoreErrorClass::Transient).await
    }

    async fn open(&self) -> Result<Arc<dyn Store>, StoreError> {
        let mut stores: Vec<Arc<dyn Store>> = Vec::new();
        // Servers of tests are young: without this they would grant nothing for an hour.
        let old =
            RedisOptions { up_for: Some(Duration::from_secs(86_400)), ..RedisOptions::default() };
        match self.nodes {
            Nodes::Memories => {
                for memory in &self.memories {
                    stores.push(Arc::new(memory.clone()));
                }
            }
            Nodes::Files => {
                for path in &self.urls {
                    let opened = Sqlite::open(path.as_ref(), Arc::clone(&self.runtime)).await;
                    stores.push(Arc::new(opened.expect("a good file")));
                }
            }
            Nodes::Servers(..) => {
                for url in &self.urls {
                    let limit = self.node_timeout().as_secs();
                    let limits = format!("connect_timeout={limit}s&call_timeout={limit}s");
                    let url = format!("{url}?restart_guard=60m&{limits}");
                    let opened = Redis::unopened(&url, &self.runtime, &old);
                    stores.push(Arc::new(opened.expect("a good URL")));
                }
            }
        }
        let options = QuorumOptions::default().with_max_ttl(Duration::from_secs(3_600));
        let options = options.with_node_timeout(self.node_timeout());
        Ok(Arc::new(Quorum::open(stores, Arc::clone(&self.runtime), options).await?))
    }
}

impl World {
    pub(crate) async fn quorum(nodes: Nodes, handles: usize) -> Self {
        let maker = Maker::of(nodes);
        let over = async || {
            let (store, runtime) = (maker.handle().await, Arc::clone(&maker.runtime));
            Locks::over(store, runtime, patient())
        };
        let locks = over().await;
        let rival = if handles == 1 { locks.clone() } else { over().await };
        let store = maker.handle().await;
        Self::on(Box::new(maker.ground), [locks, rival], handles, store)
    }
}
