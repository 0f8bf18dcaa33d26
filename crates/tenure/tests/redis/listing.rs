//! `list` scans the keyspace of a real server: keys in use, in order, by pages.

use tenure::protocol::State;
use tenure_testkit::{Flavour, Server};

use crate::world::{connect, take, until_waiting, waiting};

#[tokio::test]
async fn list_pages_through_keys_in_use_among_many_others() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let locks = connect(&server.url()).await;
        server.command(&["DEBUG", "POPULATE", "20000", "bystander"]);
        let mut held = Vec::new();
        for number in 0..30 {
            held.push(take(&locks, &format!("job:{number:02}")).await);
            take(&locks, &format!("job:{number:02}:done")).await.release().await.expect("freed");
        }
        held.push(take(&locks, "other").await);
        let waiter = waiting(locks.mutex("job:07"));
        until_waiting(&locks, "job:07", 1).await;

        let (mut names, mut after) = (Vec::new(), None);
        loop {
            let page = locks.list("job:", after.as_ref(), 7).await.expect("a page");
            assert!(page.len() <= 7);
            for (key, seen) in &page {
                assert_eq!((&seen.state, seen.holders.len()), (&State::Held, 1), "{key}");
                assert_eq!(seen.waiters.len(), usize::from(key.as_str() == "job:07"), "{key}");
                names.push(key.as_str().to_owned());
            }
            if page.len() < 7 {
                break;
            }
            after = page.last().map(|(key, _)| key.clone());
        }
        let wanted: Vec<_> = (0..30).map(|number| format!("job:{number:02}")).collect();
        assert_eq!(names, wanted, "{flavour}");
        assert_eq!(locks.list("", None, 100).await.expect("a page").len(), 31);
        assert_eq!(locks.list("job:3", None, 100).await.expect("a page").len(), 0);
        waiter.abort();
    }
}

#[tokio::test]
async fn list_knows_the_keys_of_its_own_template_alone() {
    let server = Server::redis().start();
    let plain = connect(&server.url()).await;
    let named = connect(&format!("{}?key_template=lock:{{name}}", server.url())).await;
    let _one = take(&plain, "one").await;
    let _two = take(&named, "two").await;
    let names = async |locks: &tenure::Locks| {
        let page = locks.list("", None, 100).await.expect("a page");
        page.iter().map(|(key, _)| key.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(&named).await, ["two"]);
    // Under the plain template every name is a key, also what another template made of one.
    assert_eq!(names(&plain).await, ["lock:two", "one"]);
}
