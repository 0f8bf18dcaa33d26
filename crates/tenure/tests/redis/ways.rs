//! Every way to a server that a URL names: over each of them a lock is held, renewed, waited for by
//! push and handed on. A password that changes is read anew.

use std::time::Duration;

use tenure::{ErrorKind, Renewal};
use tenure_testkit::{Flavour, Reply, Server};

use crate::world::{
    acquire, channels, connect, exists, granted, ms, take, until, until_waiting, waiting, within,
};

const USER: &str = "on >secret ~* &* +@all";

/// A life over one way, at its end in the database 3, under a name of the template's making.
async fn live(server: &Server, url: &str) {
    let (locks, rival) = (connect(url).await, connect(url).await);
    let store = locks.store_name();
    assert!(!store.contains("secret") && !store.contains("somebody"), "{store}");
    let mutex = locks.mutex("job").with_ttl(ms(6000)).with_renewal(Renewal::Every(ms(100)));
    let guard = acquire(&mutex).await;
    within("a renewal", guard.renewed(guard.deadline())).await;
    guard.check().unwrap_or_else(|e| panic!("{url}: {e}"));
    assert!(server.info("db3").is_some(), "{url}: another database");
    let script = "redis.call('SELECT', 3) return redis.call('EXISTS', 'lock:job')";
    assert_eq!(server.command(&["EVAL", script, "0"]), Reply::Int(1), "{url}: another name");

    let waiter = waiting(rival.mutex("job").with_ttl(Duration::from_secs(30)));
    until_waiting(&locks, "job", 1).await;
    assert_eq!(channels(server), 1, "{url}: it is told, not polling");
    guard.release().await.unwrap_or_else(|e| panic!("{url}: {e}"));
    granted(waiter).await.release().await.unwrap_or_else(|e| panic!("{url}: {e}"));
    for handle in [locks, rival] {
        handle.close(ms(60_000)).await.unwrap_or_else(|e| panic!("{url}: {e}"));
    }
}

#[tokio::test]
async fn a_life_over_tcp_and_over_a_socket_with_every_way_to_log_in() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("password");
    std::fs::write(&file, "secret\n").expect("it can be written");
    let file = format!("password_file={}", file.display());
    for flavour in Flavour::ALL {
        let open = Server::of(flavour).start();
        let closed = Server::of(flavour).with_password("secret").with_user("somebody", USER);
        let closed = closed.start();
        let named = "key_template=lock:{name}";
        let (socket, shut) = (open.unix_path(), closed.unix_path());
        let (socket, shut, at) = (socket.display(), shut.display(), closed.address());
        for (server, url) in [
            (&open, format!("redis://{}/3?{named}", open.address())),
            (&open, format!("redis+unix://{socket}?db=3&{named}")),
            (&closed, format!("redis://:secret@{at}/3?{named}")),
            (&closed, format!("redis://{at}/3?{named}&{file}")),
            (&closed, format!("redis://somebody:secret@{at}?db=3&{named}")),
            (&closed, format!("redis://somebody@{at}/3?{named}&{file}")),
            (&closed, format!("redis+unix://somebody:secret@localhost{shut}?db=3&{named}")),
        ] {
            live(server, &url).await;
        }
    }
}

/// Also the link for pushes shows our certificate and asks for the server's name.
#[cfg(feature = "tls")]
#[tokio::test]
async fn a_life_over_tls_with_an_authority_a_certificate_and_a_name_of_ones_own() {
    use tenure_testkit::{Certificates, ClientCertificates};
    let certificates = std::sync::Arc::new(Certificates::for_names(&["redis.test"]));
    let ask = ClientCertificates::Demanded;
    let server = Server::redis().with_tls(&certificates, ask).with_user("somebody", USER).start();
    let (cert, key) = certificates.client();
    let files =
        format!("ca={}&cert={}&key={}", certificates.ca().display(), cert.display(), key.display());
    let at = server.address();
    let named = "server_name=redis.test&key_template=lock:{name}";
    live(&server, &format!("rediss://somebody:secret@{at}/3?{files}&{named}")).await;
}

#[tokio::test]
async fn a_password_that_was_changed_is_read_from_its_file_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("password");
    std::fs::write(&file, "old").expect("it can be written");
    let server = Server::redis().with_password("old").start();
    let locks = connect(&format!("{}?password_file={}", server.url(), file.display())).await;
    let held = acquire(&locks.mutex("held").with_ttl(Duration::from_secs(30))).await;
    server.command(&["CONFIG", "SET", "requirepass", "new"]);
    server.command(&["CLIENT", "KILL", "TYPE", "normal"]);
    until("the old one is refused", async || {
        let tried = locks.mutex("job").try_acquire().await;
        tried.is_err_and(|error| error.kind() == ErrorKind::Refused)
    })
    .await;
    std::fs::write(&file, "new\r\n").expect("it can be written");
    until("the new one is accepted", async || {
        locks.mutex("job").inspect().await.is_ok_and(|seen| seen.holders.is_empty())
    })
    .await;
    take(&locks, "job").await.release().await.expect("released");
    held.check().expect("its renewals go on");
    held.release().await.expect("released");
    assert!(!exists(&server, "held"));
}
