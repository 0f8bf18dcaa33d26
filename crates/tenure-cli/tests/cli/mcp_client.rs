//! `tenure mcp` and the client of the protocol's own library, which knows nothing of Tenure: both
//! must agree on the handshake, the schemas and the answers.

use std::os::fd::OwnedFd;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use rmcp::model::{CallToolRequestParams, CallToolResult, JsonObject};
use rmcp::service::RunningService;
use rmcp::{RoleClient, ServiceExt};
use serde_json::{Value, json};
use tokio::net::unix::pipe::{Receiver, Sender};

use crate::place::{Home, Place, on_every_store, until};

/// A session of the library's client with a `tenure mcp` of its own.
struct Client {
    session: RunningService<RoleClient, ()>,
    child: Child,
}

impl Client {
    async fn of(place: &Place) -> Self {
        let mut command = place.tenure(&["mcp"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().expect("it starts");
        let stdin: ChildStdin = child.stdin.take().expect("a pipe");
        let stdout: ChildStdout = child.stdout.take().expect("a pipe");
        let write = Sender::from_owned_fd(OwnedFd::from(stdin)).expect("a pipe");
        let read = Receiver::from_owned_fd(OwnedFd::from(stdout)).expect("a pipe");
        let session = ().serve((read, write)).await.expect("both agree on a session");
        Self { session, child }
    }

    async fn call(&self, tool: &'static str, arguments: Value) -> CallToolResult {
        let arguments: JsonObject = serde_json::from_value(arguments).expect("an object");
        let asked = CallToolRequestParams::new(tool).with_arguments(arguments);
        self.session.call_tool(asked).await.unwrap_or_else(|e| panic!("{tool}: {e}"))
    }

    /// The structured answer of a call that succeeds.
    async fn ok(&self, tool: &'static str, arguments: Value) -> Value {
        let result = self.call(tool, arguments).await;
        assert_eq!(result.is_error, Some(false), "{tool}: {result:?}");
        result.structured_content.expect("it is structured")
    }

    /// The structured answer of a call that fails.
    async fn fails(&self, tool: &'static str, arguments: Value) -> Value {
        let result = self.call(tool, arguments).await;
        assert_eq!(result.is_error, Some(true), "{tool}: {result:?}");
        result.structured_content.expect("it is structured")
    }

    /// Ends the session as the library does, and waits for the server's end.
    async fn end(mut self) {
        self.session.close().await.expect("it ends");
        let status = until("the server ends", || self.child.try_wait().expect("it is our child"));
        assert!(status.success(), "{status}");
    }
}

on_every_store! {
    the_library_s_client_uses_every_tool
}

fn the_library_s_client_uses_every_tool(home: Home) {
    let place = Place::at(home);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let (one, other) = (Client::of(&place).await, Client::of(&place).await);
        let server = one.session.peer_info().expect("it says who it is");
        assert_eq!(server.server_info.as_ref().expect("its name").name, "tenure");
        let tools = one.session.list_all_tools().await.expect("tools");
        let names: Vec<_> = tools.iter().map(|tool| &*tool.name).collect();
        assert_eq!(names, ["acquire", "renew", "release", "who", "list", "wait"]);
        assert!(tools.iter().all(|tool| tool.output_schema.is_some()));

        let held = one.ok("acquire", json!({ "key": "k", "purpose": "a test" })).await;
        let busy = other.fails("acquire", json!({ "key": "k" })).await;
        assert_eq!((&busy["error"], &busy["you_hold_it"]), (&json!("busy"), &json!(false)));
        let seen = other.ok("who", json!({ "key": "k" })).await;
        assert_eq!(seen["holders"][0]["fence"], held["fence"], "{seen}");
        let listed = other.ok("list", json!({})).await;
        assert_eq!(listed["keys"][0]["key"], "k", "{listed}");
        let renewed = one.ok("renew", json!({ "key": "k", "ttl": "1h" })).await;
        assert_eq!(renewed["fence"], held["fence"]);
        assert!(renewed["until"].as_str() > held["until"].as_str(), "{renewed}");

        // A call that waits holds up no other of its session.
        let waits = other.ok("wait", json!({ "key": "k", "limit": "1m" }));
        let releases = async {
            let asked = other.ok("who", json!({ "key": "k" })).await;
            assert_eq!(asked["state"], "held");
            one.ok("release", json!({ "key": "k" })).await
        };
        let (waited, released) = tokio::join!(waits, releases);
        assert_eq!((&waited["is_free"], &released["released"]), (&json!(true), &json!(true)));

        other.ok("acquire", json!({ "key": "k" })).await;
        let unknown = one.session.call_tool(CallToolRequestParams::new("steal")).await;
        assert!(unknown.is_err(), "{unknown:?}");
        other.end().await;
        let seen = one.ok("who", json!({ "key": "k" })).await;
        assert_eq!(seen["state"], "free", "the end of a session gives its locks back: {seen}");
        one.end().await;
    });
}
