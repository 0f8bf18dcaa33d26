//! Opening, calling, breaking, mending.

use tenure_testkit::{Flavour, Server as RealServer, wait_until};

use super::{ECHO, established, link, ping, run};
use crate::store::StoreErrorClass;
use crate::store::redis::client::resp::Value;

#[tokio::test]
async fn a_script_runs_by_its_digest_and_again_after_the_server_forgot_it() {
    for flavour in Flavour::ALL {
        let real = RealServer::of(flavour).start();
        let link = link(&real, "");
        let (key, arg) = ("key", "\0arg\r\n\u{ff}");
        let expected =
            Value::Array(vec![Value::BulkString(key.into()), Value::BulkString(arg.into())]);
        for _ in 0..2 {
            assert_eq!(run(&link, &ECHO, &[key], &[arg]).await, Ok(expected.clone()));
        }
        let calls = |name: &str| real.info(&format!("cmdstat_{name}"));
        assert!(calls("eval").is_some_and(|stat| stat.starts_with("calls=1,")), "one EVAL");
        assert_eq!(real.command(&["SCRIPT", "FLUSH"]).text().as_deref(), Some("OK"));
        assert_eq!(run(&link, &ECHO, &[key], &[arg]).await, Ok(expected));
        assert!(calls("eval").is_some_and(|stat| stat.starts_with("calls=2,")), "two EVALs");
        assert_eq!(link.links().borrow().made, 1);
    }
}

#[tokio::test]
async fn a_link_that_the_server_cut_is_made_anew_by_the_next_call() {
    let real = RealServer::redis().start();
    let link = link(&real, "");
    assert!(ping(&link).await.is_ok());
    real.command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    // The end of the connection is noticed without a call.
    let mut answered = ping(&link).await;
    while let Err(failure) = &answered {
        assert_eq!(failure.class(), StoreErrorClass::Transient, "{failure}");
        answered = ping(&link).await;
    }
    assert_eq!(link.links().borrow().made, 2);
    wait_until("one connection is left", || {
        real.command(&["CLIENT", "LIST"]).text().unwrap().matches("name=tenure-test").count() == 1
    });
}

#[test]
fn a_link_outlives_the_runtime_of_the_caller_who_opened_it() {
    let real = RealServer::redis().start();
    let link = link(&real, "");
    for _ in 0..3 {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        assert!(runtime.block_on(ping(&link)).is_ok());
        // Also with a call under way.
        let busy = Box::pin(ping(&link));
        runtime.block_on(async {
            tokio::select! { biased; _ = busy => {}, () = async {} => {} }
        });
    }
    assert_eq!(link.links().borrow().made, 1);
}

#[tokio::test]
async fn many_first_callers_share_one_connection() {
    let real = RealServer::redis().start();
    let link = std::sync::Arc::new(link(&real, ""));
    let callers: Vec<_> = (0..100)
        .map(|_| {
            let link = std::sync::Arc::clone(&link);
            tokio::spawn(async move { ping(&link).await.map(drop) })
        })
        .collect();
    for caller in callers {
        assert_eq!(caller.await.unwrap(), Ok(()));
    }
    assert_eq!(link.links().borrow().made, 1);
    let clients = real.command(&["CLIENT", "LIST"]).text().unwrap();
    assert_eq!(clients.matches("name=tenure-test ").count(), 1, "{clients}");
}

#[tokio::test]
async fn a_dropped_link_closes_its_connection_also_while_the_server_is_stopped() {
    let real = RealServer::redis().start();
    // Without the drop, it would be closed when the ping gives up at the earliest.
    let link = link(&real, "call_timeout=300s");
    assert!(ping(&link).await.is_ok());
    real.stop();
    {
        let mut call = Box::pin(ping(&link));
        tokio::select! { biased; _ = &mut call => panic!("it is stopped"), () = async {} => {} }
    }
    assert_eq!(established(&real), 1);
    drop(link);
    wait_until("the connection is closed on our side", || established(&real) == 0);
    real.cont();
}
