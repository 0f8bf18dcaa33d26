//! All nodes together: lists, data beside the locks, servers that are no nodes.

use tenure::{DataCommand, ErrorKind};
use tenure_testkit::{Flavour, Server};

use super::cluster;
use crate::world::{connect, take, unhurried};

#[tokio::test]
async fn a_list_has_the_locks_of_all_nodes_in_order() {
    for flavour in Flavour::ALL {
        let cluster = cluster(flavour).await;
        let locks = connect(&cluster.url()).await;
        let mut guards = Vec::new();
        for number in 10..40 {
            guards.push(take(&locks, &format!("list {number}")).await);
        }
        let listed = locks.list("list ", None, 100).await.expect("a list");
        let keys: Vec<_> = listed.iter().map(|(key, _)| key.as_str().to_owned()).collect();
        assert_eq!(keys, (10..40).map(|number| format!("list {number}")).collect::<Vec<_>>());
        for guard in guards {
            guard.release().await.expect("released");
        }
    }
}

/// The other way about a cluster's node is named by redis://, which says so.
#[tokio::test]
async fn a_server_that_is_no_node_of_a_cluster_is_refused_with_the_right_url() {
    let server = Server::redis().start();
    let url = server.url().replace("redis://", "redis+cluster://");
    let error = tenure::connect(&unhurried(&url)).await.expect_err("no cluster");
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert!(error.to_string().contains("no node of a cluster"), "{error}");
    let cluster = cluster(Flavour::Redis).await;
    let node = cluster.nodes()[0].url();
    let error = tenure::connect(&unhurried(&node)).await.expect_err("a node of a cluster");
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert!(error.to_string().contains("redis+cluster://"), "{error}");
}

/// A node of which nothing is known yet, and one that forgets the script.
#[tokio::test]
async fn a_node_that_does_not_know_the_script_is_sent_it() {
    for flavour in Flavour::ALL {
        let cluster = cluster(flavour).await;
        let locks = connect(&cluster.url()).await;
        take(&locks, "script").await.release().await.expect("released");
        cluster.master_for("script").command(&["SCRIPT", "FLUSH"]);
        take(&locks, "script").await.release().await.expect("released");
    }
}

#[tokio::test]
async fn data_beside_a_lock_is_written_while_it_is_held() {
    for flavour in Flavour::ALL {
        let cluster = cluster(flavour).await;
        let locks = connect(&cluster.url()).await;
        for number in 0..10 {
            let guard = take(&locks, &format!("{{data {number}}}")).await;
            let name = format!("{{data {number}}}:value");
            guard.write([DataCommand::from(["SET", &*name, "7"])]).await.expect("written");
            let written = cluster.master_for(&name).command(&["GET", &name]).text();
            assert_eq!(written.as_deref(), Some("7"));
            guard.release().await.expect("released");
        }
    }
}
