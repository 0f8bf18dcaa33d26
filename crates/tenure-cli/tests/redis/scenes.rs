//! The scene of every fault: servers and wires prepared, and the URL that leads there.

use std::any::Any;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tenure_testkit::{
    Call, Certificates, ClientCertificates, Fate, Flavour, Port, Proxy, Server, ServerOptions,
    Which,
};

use crate::patience::unhurried;

/// The key that is locked in every scene.
pub(crate) const KEY: &str = "k";

/// A fault as it looks from outside; it goes with its value.
pub(crate) struct Scene {
    pub(crate) url: String,
    /// Whether a fault that comes in the middle has come; for the others there is nothing to ask.
    struck: Option<Box<dyn Fn() -> bool>>,
    /// In the order in which they have to end.
    _props: Vec<Box<dyn Any>>,
}

impl Scene {
    fn at(url: impl Into<String>, props: Vec<Box<dyn Any>>) -> Self {
        Self { url: url.into(), struck: None, _props: props }
    }

    fn that_strikes(self, struck: impl Fn() -> bool + 'static) -> Self {
        Self { struck: Some(Box::new(struck)), ..self }
    }

    /// The limit of the store is what ends it.
    fn unhurried(self) -> Self {
        Self { url: unhurried(&self.url), ..self }
    }

    /// Whether all faults have struck that were to.
    pub(crate) fn has_struck(&self) -> bool {
        self.struck.as_ref().is_none_or(|struck| struck())
    }

    fn of_server(server: Server) -> Self {
        Self::at(server.url(), vec![Box::new(server)])
    }

    fn through(proxy: Proxy, server: Server) -> Self {
        Self::at(proxy.url(), vec![Box::new(proxy), Box::new(server)])
    }
}

type Play = fn(Flavour) -> Scene;

/// Every fault by its name in the table.
pub(crate) const SCENES: &[(&str, Play)] = &[
    ("nobody listens", |_| {
        let port = Port::take();
        Scene::at(format!("redis://{}", port.address()), vec![Box::new(port)])
    }),
    ("black hole", |flavour| {
        let (proxy, server) = proxied(flavour);
        proxy.black_hole();
        Scene::through(proxy, server).unhurried()
    }),
    ("server stopped", |flavour| {
        let server = Server::of(flavour).start();
        server.stop();
        Scene::of_server(server).unhurried()
    }),
    ("server paused", |flavour| told(flavour, &["CLIENT", "PAUSE", "60000", "ALL"]).unhurried()),
    ("server paused for a moment", |flavour| told(flavour, &["CLIENT", "PAUSE", "500", "ALL"])),
    // Before the acquire and before the release.
    ("scripts flushed", |flavour| told_before(flavour, &["SCRIPT", "FLUSH"], "EVALSHA", 2)),
    // The server knows no script yet: it is the acquire that comes like this.
    ("client killed", |flavour| {
        told_before(flavour, &["CLIENT", "KILL", "TYPE", "normal"], "EVAL", 1)
    }),
    ("connections cut at once", |flavour| {
        let (proxy, server) = proxied(flavour);
        proxy.set_refusing(true);
        Scene::through(proxy, server)
    }),
    ("memory used up", |flavour| Scene::of_server(Server::of(flavour).with_maxmemory(1).start())),
    ("replica", |flavour| {
        let primary = Server::of(flavour).start();
        let replica = Server::of(flavour).with_primary(&primary).start();
        Scene::at(replica.url(), vec![Box::new(replica), Box::new(primary)])
    }),
    ("loading", |flavour| {
        let (proxy, server) = proxied(flavour);
        let loading = Fate::Refuse("LOADING Redis is loading the dataset in memory");
        proxy.on(Which::every(|_| true), loading);
        Scene::through(proxy, server)
    }),
    ("wrong password", |flavour| {
        with_login(Server::of(flavour).with_password("right"), ":secret@")
    }),
    ("no password", |flavour| with_login(Server::of(flavour).with_password("right"), "")),
    ("password in a file", |flavour| with_password_file(flavour, true)),
    ("password file missing", |flavour| with_password_file(flavour, false)),
    ("key beyond the rights", |flavour| {
        as_user(flavour, "on >secret ~other ~tenure:{other}:* &* +@all")
    }),
    ("no right to scripts", |flavour| as_user(flavour, "on >secret ~* &* +@all -eval -evalsha")),
    ("no right to channels", |flavour| {
        let rules = "on >secret ~* resetchannels +@all";
        let server = Arc::new(Server::of(flavour).with_user("somebody", rules).start());
        // A waiter would like to be told. The key is free once that was refused.
        server.command(&["SET", KEY, "other", "PX", "600000"]);
        let url = format!("redis://somebody:secret@{}", server.address());
        let is_refused = |server: &Server| {
            let asked = server.info("cmdstat_subscribe");
            asked.is_some_and(|stat| stat.contains("rejected_calls=1"))
        };
        let watched = Arc::downgrade(&server);
        std::thread::spawn(move || {
            while let Some(server) = watched.upgrade() {
                if is_refused(&server) {
                    server.command(&["DEL", KEY]);
                    return;
                }
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        });
        let asked = Arc::clone(&server);
        Scene::at(url, vec![Box::new(server)]).that_strikes(move || is_refused(&asked))
    }),
    ("scripting switched off", |flavour| {
        let options = Server::of(flavour).with("rename-command EVALSHA \"\"");
        Scene::of_server(options.with("rename-command EVAL \"\"").start())
    }),
    ("HELLO switched off", |flavour| {
        let options = Server::of(flavour).with_password("secret");
        with_login(options.with("rename-command HELLO \"\""), ":secret@")
    }),
    ("wrong authority", |_| {
        with_tls("127.0.0.1", ClientCertificates::Unasked, |_, other| other.ca())
    }),
    ("other name", |_| with_tls("else.test", ClientCertificates::Unasked, |own, _| own.ca())),
    ("certificate demanded", |_| {
        with_tls("127.0.0.1", ClientCertificates::Demanded, |own, _| own.ca())
    }),
    ("TLS to a plain port", |flavour| {
        let server = Server::of(flavour).start();
        // It waits for the end of a line.
        let url = format!("rediss://{}?connect_timeout=3s", server.address());
        Scene::at(url, vec![Box::new(server)])
    }),
    ("self-signed as an authority", |_| {
        with_certificates(Certificates::self_signed(&["127.0.0.1"], true), Trusted::Itself)
    }),
    ("self-signed, and named by ca", |_| {
        with_certificates(Certificates::self_signed(&["127.0.0.1"], false), Trusted::Itself)
    }),
    ("self-signed, and unknown", |_| {
        with_certificates(Certificates::self_signed(&["127.0.0.1"], false), Trusted::Another)
    }),
    ("self-signed as an authority, and unknown", |_| {
        with_certificates(Certificates::self_signed(&["127.0.0.1"], true), Trusted::Another)
    }),
    ("certificate run out", |_| {
        with_certificates(Certificates::run_out(&["127.0.0.1"]), Trusted::Itself)
    }),
    ("certificate without a name", |_| {
        with_certificates(Certificates::self_signed(&[], false), Trusted::Itself)
    }),
    ("old TLS only", |_| {
        let own = Arc::new(Certificates::for_names(&["127.0.0.1"]));
        let server = Server::redis().with_tls(&own, ClientCertificates::Unasked);
        let server = server.with("tls-protocols \"TLSv1.1\"").start();
        let url = format!("{}?ca={}", server.url(), own.ca().display());
        Scene::at(url, vec![Box::new(server), Box::new(own)])
    }),
    ("Sentinel", |flavour| Scene::of_server(Server::of(flavour).as_sentinel().start())),
    ("behind a Sentinel", |flavour| behind_sentinel(flavour, "")),
    ("Sentinels away", |_| {
        let (one, other) = (Port::take(), Port::take());
        let url = format!("redis+sentinel://{},{}/main", one.address(), other.address());
        Scene::at(url, vec![Box::new(one), Box::new(other)])
    }),
    ("service unknown to Sentinel", |flavour| {
        let sentinel = Server::of(flavour).as_sentinel().start();
        let url = format!("redis+sentinel://{}/main", sentinel.address());
        Scene::at(url, vec![Box::new(sentinel)])
    }),
    ("server in place of Sentinel", |flavour| {
        let server = Server::of(flavour).start();
        Scene::at(format!("redis+sentinel://{}/main", server.address()), vec![Box::new(server)])
    }),
    ("wrong password for Sentinel", |flavour| {
        behind_sentinel(flavour, "?sentinel_user=ada&sentinel_password=secret")
    }),
    ("node of a cluster", |flavour| {
        Scene::of_server(Server::of(flavour).as_cluster_node().start())
    }),
    ("plain text to a TLS port", |_| {
        let scene = with_tls("127.0.0.1", ClientCertificates::Unasked, |own, _| own.ca());
        let (url, _) = scene.url.split_once('?').expect("parameters");
        Scene { url: url.replace("rediss:", "redis:"), ..scene }
    }),
    ("web server", |_| Scene::at(format!("redis://{}", web_server()), vec![])),
    ("too many databases", |flavour| {
        let server = Server::of(flavour).start();
        Scene::at(format!("{}/99", server.url()), vec![Box::new(server)])
    }),
    ("unknown parameter", |flavour| {
        let server = Server::of(flavour).start();
        Scene::at(format!("{}?speed=high", server.url()), vec![Box::new(server)])
    }),
    ("hash under the name", |flavour| told(flavour, &["HSET", KEY, "uuid:1", "1"])),
    ("sorted set under the name", |flavour| told(flavour, &["ZADD", KEY, "1", "x"])),
    ("list under the name", |flavour| told(flavour, &["RPUSH", KEY, "x"])),
    ("string without a ttl", |flavour| told(flavour, &["SET", KEY, "x"])),
];

/// A server that one Sentinel watches.
fn behind_sentinel(flavour: Flavour, parameters: &str) -> Scene {
    let server = Server::of(flavour).start();
    let monitor = format!("sentinel monitor main 127.0.0.1 {} 1", server.port());
    let sentinel = Server::of(flavour).as_sentinel().with(monitor).start();
    let url = format!("redis+sentinel://{}/main{parameters}", sentinel.address());
    Scene::at(url, vec![Box::new(sentinel), Box::new(server)])
}

fn proxied(flavour: Flavour) -> (Proxy, Server) {
    let server = Server::of(flavour).start();
    (Proxy::to(server.address()), server)
}

/// A server that is told something right before each of the first so many calls of a name.
fn told_before(
    flavour: Flavour,
    words: &'static [&'static str],
    name: &'static str,
    times: usize,
) -> Scene {
    let (proxy, server) = proxied(flavour);
    let (server, told) = (Arc::new(server), Arc::new(AtomicUsize::new(0)));
    let (teller, tells) = (Arc::clone(&server), Arc::clone(&told));
    let tell = move |call: &Call| {
        if call.name() == name && tells.load(Ordering::Relaxed) < times {
            let answer = teller.command(words);
            tells.fetch_add(usize::from(!answer.is_error("")), Ordering::Relaxed);
        }
        // The call itself is left alone.
        false
    };
    proxy.on(Which::every(tell), Fate::CutBefore);
    Scene::at(proxy.url(), vec![Box::new(proxy), Box::new(server)])
        .that_strikes(move || told.load(Ordering::Relaxed) == times)
}

/// A server that was told something before.
fn told(flavour: Flavour, words: &[&str]) -> Scene {
    let server = Server::of(flavour).start();
    let answer = server.command(words);
    assert!(!answer.is_error(""), "{words:?}: {answer}");
    Scene::of_server(server)
}

fn with_login(options: ServerOptions, login: &str) -> Scene {
    let server = options.start();
    Scene::at(format!("redis://{login}{}", server.address()), vec![Box::new(server)])
}

fn with_password_file(flavour: Flavour, is_there: bool) -> Scene {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("password");
    if is_there {
        std::fs::write(&file, "secret\n").expect("it can be written");
    }
    let server = Server::of(flavour).with_password("secret").start();
    let url = format!("{}?password_file={}", server.url(), file.display());
    Scene::at(url, vec![Box::new(server), Box::new(directory)])
}

fn as_user(flavour: Flavour, rules: &str) -> Scene {
    with_login(Server::of(flavour).with_user("somebody", rules), "somebody:secret@")
}

/// A server with TLS, a certificate for `name`, and the authority that the client trusts: the
/// server's own or another one.
fn with_tls(
    name: &str,
    ask: ClientCertificates,
    trusted: fn(&Certificates, &Certificates) -> std::path::PathBuf,
) -> Scene {
    let own = Arc::new(Certificates::for_names(&[name]));
    let other = Certificates::for_names(&[name]);
    let server = Server::redis().with_tls(&own, ask).start();
    let url = format!("{}?ca={}", server.url(), trusted(&own, &other).display());
    Scene::at(url, vec![Box::new(server), Box::new(own), Box::new(other)])
}

/// The authority that a client trusts.
#[derive(Debug, Clone, Copy)]
enum Trusted {
    Itself,
    Another,
}

/// A server with a certificate that it has signed itself.
fn with_certificates(own: Certificates, trusted: Trusted) -> Scene {
    let (own, other) = (Arc::new(own), Certificates::for_names(&["127.0.0.1"]));
    let server = Server::redis().with_tls(&own, ClientCertificates::Unasked).start();
    let ca = match trusted {
        Trusted::Itself => own.ca(),
        Trusted::Another => other.ca(),
    };
    let url = format!("{}?ca={}", server.url(), ca.display());
    Scene::at(url, vec![Box::new(server), Box::new(own), Box::new(other)])
}

/// A server that knows HTTP alone. Its thread ends with the test's process.
fn web_server() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut asked = [0; 512];
            let _ = stream.read(&mut asked);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
        }
    });
    address
}
