//! A client of the Model Context Protocol, as far as an agent needs it: lines of JSON over the
//! pipes of `tenure mcp`. Every line on stdout must be a message of the protocol, and every success
//! must be as the schema of its tool says.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::schema;

/// For what happens at once on an idle machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The answer of a tool.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) is_error: bool,
    pub(crate) text: String,
    pub(crate) data: Value,
}

impl Answer {
    /// The answer, which must be a success.
    pub(crate) fn ok(self) -> Value {
        assert!(!self.is_error, "a success is expected: {self:?}");
        self.data
    }

    /// The answer, which must be this failure, and say so in both forms.
    pub(crate) fn fails(self, error: &str) -> Self {
        assert!(self.is_error && self.data["error"] == error, "{error:?} is expected: {self:?}");
        assert!(self.text.contains("FAILED: "), "{self:?}");
        self
    }

    /// A failure after which the agent must know that it has nothing.
    pub(crate) fn holds_nothing(self) -> Self {
        assert_eq!(self.data["you_hold_it"], false, "{self:?}");
        self
    }
}

/// A session of an agent with a `tenure mcp` of its own. That ends with the test.
pub(crate) struct Agent {
    pub(crate) child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    /// Answers that came before they were asked for.
    early: HashMap<u64, Value>,
    /// Notifications, in order.
    pub(crate) told: Vec<Value>,
    /// The schema of each tool's answer.
    schemas: HashMap<String, Value>,
    last: u64,
}

impl Agent {
    /// Starts the program, and begins a session.
    pub(crate) fn of(command: &mut Command) -> Self {
        let mut agent = Self::without_session(command);
        let params = json!({
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": { "name": "test-agent", "version": "1" },
        });
        let begun = agent.ask("initialize", &params);
        assert_eq!(begun["result"]["serverInfo"]["name"], "tenure", "{begun}");
        agent.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        for tool in
            agent.ask("tools/list", &json!({}))["result"]["tools"].as_array().expect("tools")
        {
            let name = tool["name"].as_str().expect("a name").to_owned();
            agent.schemas.insert(name, tool["outputSchema"].clone());
        }
        agent
    }

    pub(crate) fn without_session(command: &mut Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take().expect("a pipe"));
        let (read, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                let Ok(line) = line else { return };
                let _test_is_over = read.send(line);
            }
        });
        let (early, told, schemas) = Default::default();
        Self { child, stdin, lines, early, told, schemas, last: 0 }
    }

    pub(crate) fn send(&mut self, message: &Value) {
        self.write(&format!("{message}\n"));
    }

    pub(crate) fn write(&mut self, text: &str) {
        self.write_bytes(text.as_bytes());
    }

    pub(crate) fn write_bytes(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().expect("it is open");
        stdin.write_all(bytes).expect("the server reads");
    }

    /// Sends a request; its number.
    pub(crate) fn begin(&mut self, method: &str, params: &Value) -> u64 {
        self.last += 1;
        let id = self.last;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        id
    }

    pub(crate) fn ask(&mut self, method: &str, params: &Value) -> Value {
        let id = self.begin(method, params);
        self.response(id)
    }

    /// Begins to call a tool; the number of the request.
    pub(crate) fn start(&mut self, tool: &str, arguments: &Value) -> u64 {
        self.begin("tools/call", &json!({ "name": tool, "arguments": arguments }))
    }

    pub(crate) fn call(&mut self, tool: &str, arguments: &Value) -> Answer {
        let id = self.start(tool, arguments);
        self.answer(tool, id)
    }

    /// The answer to a call that was begun.
    pub(crate) fn answer(&mut self, tool: &str, id: u64) -> Answer {
        let response = self.response(id);
        let result = &response["result"];
        let text = result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{response}"));
        let data = result["structuredContent"].clone();
        let is_error = result["isError"].as_bool().expect("it says whether it is an error");
        if !is_error && let Some(schema) = self.schemas.get(tool) {
            schema::check(schema, &data).unwrap_or_else(|e| panic!("{tool}: {e} in {data}"));
        }
        Answer { is_error, text: text.to_owned(), data }
    }

    /// The response to a request.
    pub(crate) fn response(&mut self, id: u64) -> Value {
        let limit = Instant::now() + PATIENCE;
        loop {
            if let Some(response) = self.early.remove(&id) {
                return response;
            }
            assert!(self.take(limit), "no answer to request {id}");
        }
    }

    /// Waits for a notification of this method.
    pub(crate) fn notice(&mut self, method: &str) -> Value {
        self.hear(method, |told| told["method"] == method)
    }

    /// Waits for a message without a number.
    pub(crate) fn hear(&mut self, what: &str, is_meant: impl Fn(&Value) -> bool) -> Value {
        let limit = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.told.iter().position(&is_meant) {
                return self.told.remove(at);
            }
            assert!(self.take(limit), "no {what}");
        }
    }

    /// Takes the next message; `false` at the end of stdout, or at the limit.
    fn take(&mut self, limit: Instant) -> bool {
        let rest = limit.saturating_duration_since(Instant::now());
        let Ok(line) = self.lines.recv_timeout(rest) else { return false };
        let message: Value = serde_json::from_str(&line)
            .unwrap_or_else(|e| panic!("stdout has something else than the protocol: {e}: {line}"));
        assert_eq!(message["jsonrpc"], "2.0", "{message}");
        match message["id"].as_u64() {
            Some(id) => drop(self.early.insert(id, message)),
            None => self.told.push(message),
        }
        true
    }

    /// Ends stdin, as a client does that ends.
    pub(crate) fn close(&mut self) {
        self.stdin = None;
    }

    /// Waits for the end of the program; its status, and all of its stderr. The rest of stdout is
    /// checked.
    pub(crate) fn end(mut self) -> (ExitStatus, String) {
        let limit = Instant::now() + PATIENCE;
        while self.take(limit) {}
        assert!(Instant::now() < limit, "the program does not end");
        let stderr = self.child.stderr.take().expect("a pipe");
        let stderr = std::io::read_to_string(stderr).expect("text on stderr");
        (self.child.wait().expect("it is our child"), stderr)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
