//! A Sentinel of the test's own, which says what the test wants, and counts those who come.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// It listens until the test's process ends.
#[derive(Debug, Clone)]
pub(super) struct FakeSentinel {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// The host and port that it names; `None`: it knows no such service.
    named: Mutex<Option<(String, u16)>>,
    links: AtomicUsize,
    lookups: AtomicUsize,
    /// The links that have subscribed.
    subscribers: Mutex<Vec<TcpStream>>,
}

impl FakeSentinel {
    pub(super) fn naming(host: &str, port: u16) -> Self {
        let named = Mutex::new(Some((host.to_owned(), port)));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (links, lookups) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let subscribers = Mutex::default();
        let shared = Arc::new(Shared { named, links, lookups, subscribers });
        let answering = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                answering.links.fetch_add(1, Ordering::SeqCst);
                let shared = Arc::clone(&answering);
                thread::spawn(move || shared.serve(client));
            }
        });
        Self { address, shared }
    }

    pub(super) fn name(&self, named: Option<(&str, u16)>) {
        let named = named.map(|(host, port)| (host.to_owned(), port));
        *self.shared.named.lock().expect("no panic") = named;
    }

    /// Tells those who have subscribed of a switch from one port to another.
    pub(super) fn announce(&self, old: u16, new: u16) {
        let message = format!("main 127.0.0.1 {old} 127.0.0.1 {new}");
        let push = [bulk("message"), bulk("+switch-master"), bulk(&message)].concat();
        for subscriber in &*self.shared.subscribers.lock().expect("no panic") {
            let mut subscriber: &TcpStream = subscriber;
            // Some may have gone.
            let _ = subscriber.write_all(format!(">3\r\n{push}").as_bytes());
        }
    }

    /// How many have subscribed.
    pub(super) fn subscribers(&self) -> usize {
        self.shared.subscribers.lock().expect("no panic").len()
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn url(&self) -> String {
        format!("redis+sentinel://{}/main", self.address)
    }

    /// How many connections were made to it.
    pub(super) fn links(&self) -> usize {
        self.shared.links.load(Ordering::SeqCst)
    }

    /// How often it was asked.
    pub(super) fn lookups(&self) -> usize {
        self.shared.lookups.load(Ordering::SeqCst)
    }
}

impl Shared {
    /// Each read is one command: its client waits for the answer before it sends the next.
    fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        let mut command = [0; 4096];
        loop {
            let length = client.read(&mut command)?;
            if length == 0 {
                // A subscriber's other handle keeps the link open.
                return client.shutdown(Shutdown::Both);
            }
            let command = String::from_utf8_lossy(&command[..length]);
            client.write_all(self.answer(&command).as_bytes())?;
            if command.contains("SUBSCRIBE") {
                self.subscribers.lock().expect("no panic").push(client.try_clone()?);
            }
        }
    }

    fn answer(&self, command: &str) -> String {
        if command.contains("HELLO") {
            let parts = ["server", "redis", "version", "7.0.0", "mode", "sentinel"].map(bulk);
            return format!("%3\r\n{}", parts.concat());
        }
        if command.contains("GET-MASTER-ADDR-BY-NAME") {
            self.lookups.fetch_add(1, Ordering::SeqCst);
            return match &*self.named.lock().expect("no panic") {
                Some((host, port)) => format!("*2\r\n{}{}", bulk(host), bulk(&port.to_string())),
                None => "_\r\n".to_owned(),
            };
        }
        if command.contains("SUBSCRIBE") {
            return format!(">3\r\n{}{}:1\r\n", bulk("subscribe"), bulk("+switch-master"));
        }
        "+PONG\r\n".to_owned()
    }
}

fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}
