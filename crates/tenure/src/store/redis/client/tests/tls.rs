//! TLS with an authority of one's own, and what is wrong with it.

use std::path::Path;
use std::sync::Arc;

use tenure_testkit::{Certificates, ClientCertificates, Server as RealServer};

use super::fake::fake;
use super::{link_to, ping, server};
use crate::runtime;
use crate::store::StoreErrorClass::{Config, Refused, Transient};
use crate::store::redis::client::failure::Failure;
use crate::store::redis::client::resp::Value;
use crate::store::redis::client::server::Server;
use crate::store::redis::client::url::ServerUrl;

const LOOPBACK: &[&str] = &["127.0.0.1", "localhost"];

fn start(names: &[&str], ask: ClientCertificates) -> (RealServer, Arc<Certificates>) {
    let certificates = Arc::new(Certificates::for_names(names));
    (RealServer::redis().with_tls(&certificates, ask).start(), certificates)
}

fn ca(certificates: &Certificates) -> String {
    format!("ca={}", certificates.ca().display())
}

fn ours((cert, key): (std::path::PathBuf, std::path::PathBuf)) -> String {
    format!("cert={}&key={}", cert.display(), key.display())
}

async fn at(url: &str) -> Result<Value, Failure> {
    ping(&link_to(&server(url))).await
}

#[track_caller]
fn expect(answer: Result<Value, Failure>, class: crate::store::StoreErrorClass, words: &[&str]) {
    let failure = answer.expect_err("a failure");
    let text = failure.to_string();
    for word in words {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
    assert_eq!((failure.class(), failure.may_have_run), (class, false), "{failure:?}");
}

#[tokio::test]
async fn an_authority_of_ones_own() {
    let (real, certificates) = start(LOOPBACK, ClientCertificates::Unasked);
    let url = real.url();
    assert_eq!(at(&format!("{url}?{}", ca(&certificates))).await.map(drop), Ok(()));
    expect(at(&url).await, Config, &["signed by nobody", "ca=PATH"]);
    let stranger = Certificates::for_names(LOOPBACK);
    let wrong = at(&format!("{url}?{}", ca(&stranger))).await;
    expect(wrong, Config, &["signed by nobody", "ca=PATH"]);
}

#[tokio::test]
async fn a_certificate_of_ours() {
    let (real, certificates) = start(LOOPBACK, ClientCertificates::Demanded);
    let url = format!("{}?{}", real.url(), ca(&certificates));
    let mine = at(&format!("{url}&{}", ours(certificates.client()))).await;
    assert_eq!(mine.map(drop), Ok(()));
    expect(at(&url).await, Refused, &["certificate from us", "cert=PATH"]);
    let stranger = Certificates::for_names(LOOPBACK);
    let theirs = at(&format!("{url}&{}", ours(stranger.client()))).await;
    expect(theirs, Refused, &["certificate from us"]);
}

#[tokio::test]
async fn a_certificate_for_another_name() {
    let (real, certificates) = start(&["redis.test"], ClientCertificates::Unasked);
    let url = format!("{}?{}", real.url(), ca(&certificates));
    expect(at(&url).await, Config, &["not for \"127.0.0.1\"", "server_name"]);
    assert_eq!(at(&format!("{url}&server_name=redis.test")).await.map(drop), Ok(()));
}

#[tokio::test]
async fn plain_text_and_tls_mixed_up() {
    let (secret, certificates) = start(LOOPBACK, ClientCertificates::Unasked);
    let plain = RealServer::redis().start();
    let limit = "connect_timeout=500ms";
    let with_ca = ca(&certificates);
    let to_plain = at(&format!("rediss://{}?{with_ca}&{limit}", plain.address())).await;
    let failure = to_plain.expect_err("no TLS there");
    assert!(failure.to_string().contains("redis://"), "{failure}");
    let to_secret = at(&format!("redis://{}?{limit}", secret.address())).await;
    let failure = to_secret.expect_err("TLS there");
    assert!(failure.to_string().contains("rediss://"), "{failure}");
    let to_web = fake("", &["HTTP/1.1 400 Bad Request\r\n\r\n"]);
    let to_web = at(&format!("rediss://{to_web}?{with_ca}&{limit}")).await;
    expect(to_web, Config, &["does not speak TLS"]);
    let to_mute = at(&format!("rediss://{}?{with_ca}&{limit}", fake("", &["", ""]))).await;
    expect(to_mute, Transient, &["no answer to TLS", "redis://"]);
}

#[test]
fn files_that_are_none_are_refused_when_the_store_is_opened() {
    let directory = tempfile::tempdir().expect("a directory");
    let empty = directory.path().join("empty.pem");
    std::fs::write(&empty, "").expect("it can be written");
    let open = |parameters: String| {
        let text = format!("rediss://127.0.0.1?{parameters}");
        let (url, _) = ServerUrl::parse(&text, &[]).expect("a good URL");
        let error = Server::of_url(&url, runtime::machine().expect("threads"));
        error.map(drop).expect_err("no such file").message
    };
    let certificates = Certificates::for_names(LOOPBACK);
    let (cert, key) = certificates.client();
    let (_, another_key) = certificates.server();
    let pair = |cert: &Path, key: &Path| ours((cert.to_owned(), key.to_owned()));
    let trusted = ca(&certificates);
    for (parameters, word) in [
        ("ca=/nowhere/ca.pem".to_owned(), "/nowhere/ca.pem"),
        (format!("ca={}", empty.display()), "empty.pem"),
        (format!("{trusted}&{}", pair(&empty, &key)), "empty.pem"),
        (format!("{trusted}&{}", pair(&cert, &empty)), "empty.pem"),
        (format!("{trusted}&{}", pair(&cert, &another_key)), "cannot be used together"),
    ] {
        let message = open(parameters);
        assert!(message.contains(word), "{word:?} is not in: {message}");
    }
}
