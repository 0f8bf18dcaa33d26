//! The tools as a client lists them: names, descriptions for the model, and the schemas of their
//! arguments and answers.

use std::sync::Arc;

use rmcp::handler::server::tool::{schema_for_input, schema_for_output};
use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use schemars::JsonSchema;

use super::{answer, arguments};

/// For the model, before it calls anything.
pub(super) const INSTRUCTIONS: &str = "\
Locks that all agents, people and programs on the same store share. Before you change something \
that others may change at the same time (a migration, a generated file, a branch, a deployment, a \
port), acquire its key; one that others use for the same thing. If the answer is a failure, you do \
not hold the lock: do not touch what it protects. Renew before \"until\" if the work takes longer, \
release as soon as it is done. If an answer says LOST, stop that work.";

/// One tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    Acquire,
    Renew,
    Release,
    Who,
    List,
    Wait,
}

impl Name {
    const ALL: [Self; 6] =
        [Self::Acquire, Self::Renew, Self::Release, Self::Who, Self::List, Self::Wait];

    pub(super) fn of(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|name| name.text() == text)
    }

    fn text(self) -> &'static str {
        match self {
            Self::Acquire => "acquire",
            Self::Renew => "renew",
            Self::Release => "release",
            Self::Who => "who",
            Self::List => "list",
            Self::Wait => "wait",
        }
    }

    /// Arguments as they may be, for a call that had others.
    pub(super) fn example(self) -> &'static str {
        match self {
            Self::Acquire => {
                r#"{"key": "migrations", "ttl": "10m", "wait": "30s", "purpose": "add a column"}"#
            }
            Self::Renew => r#"{"key": "migrations", "ttl": "10m"}"#,
            Self::Release => r#"{"key": "migrations"}"#,
            Self::Who => r#"{"key": "migrations"}"#,
            Self::List => r#"{"prefix": "file:"}"#,
            Self::Wait => r#"{"key": "migrations", "limit": "30s"}"#,
        }
    }

    fn description(self) -> &'static str {
        match self {
            Self::Acquire => {
                "Acquire the lock on a key, before you change what it protects. Success means that \
                 nobody else holds it until \"until\", unless you release it before. Every failure \
                 means that you do not hold it; it names the holder and since when. A second \
                 acquire of a key that this session holds fails as well."
            }
            Self::Renew => {
                "Hold a lock longer: by its key if this session acquired it, else by its ticket. A \
                 failure says whether you still hold it, and who does if you do not."
            }
            Self::Release => {
                "Give a lock back as soon as its work is done: by its key if this session acquired \
                 it, else by its ticket. It never takes a lock from another holder."
            }
            Self::Who => {
                "Who holds a key, since when and until when, and who waits for it. It changes \
                 nothing."
            }
            Self::List => "The keys in use, with their holders. It changes nothing.",
            Self::Wait => {
                "Wait until a key is free, without acquiring it. The answer says whether it is; \
                 acquire it then. It changes nothing."
            }
        }
    }

    fn tool(self) -> Tool {
        let (input, output) = match self {
            Self::Acquire => schemas::<arguments::Acquire, answer::Held>(),
            Self::Renew => schemas::<arguments::Renew, answer::Held>(),
            Self::Release => schemas::<arguments::Release, answer::Released>(),
            Self::Who => schemas::<arguments::Who, answer::Looked>(),
            Self::List => schemas::<arguments::List, answer::Listed>(),
            Self::Wait => schemas::<arguments::Wait, answer::Waited>(),
        };
        let looks = matches!(self, Self::Who | Self::List | Self::Wait);
        let hints = ToolAnnotations::new().read_only(looks).destructive(false).open_world(false);
        let tool = Tool::new(self.text(), self.description(), input);
        tool.with_raw_output_schema(output).with_annotations(hints)
    }
}

/// All tools.
pub(super) fn all() -> Vec<Tool> {
    Name::ALL.into_iter().map(Name::tool).collect()
}

/// The schemas of the arguments and of the answer.
fn schemas<I: JsonSchema + 'static, O: JsonSchema + 'static>() -> (Arc<JsonObject>, Arc<JsonObject>)
{
    let input = schema_for_input::<I>().expect("arguments are an object");
    (input, schema_for_output::<answer::Told<O>>())
}
