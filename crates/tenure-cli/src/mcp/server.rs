//! The protocol: the names of the server and its tools, and one call. If something is wrong with a
//! call, its answer says so to the model. An error of the protocol would be hidden by many clients.

use std::sync::Arc;
use std::time::Duration;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CancelledNotificationParam,
    CustomRequest, CustomResult, ErrorCode, Implementation, JsonObject, ListToolsResult,
    PaginatedRequestParams, ProgressNotificationParam, RequestId, ServerCapabilities, ServerConfig,
    SetLevelRequestParams,
};
use rmcp::service::{NotificationContext, RequestContext};
use rmcp::{ErrorData, RoleServer, ServerHandler};

use super::acquire::acquire;
use super::answer::{self, Answer, Failure};
use super::arguments::read;
use super::session::Session;
use super::tools::{self, Name};
use super::{give_back, look};

/// Interval of the signs of life of a call that waits, for clients that ask for them.
const PROGRESS: Duration = Duration::from_secs(10);

/// The server of one session.
pub(super) struct Server(Arc<Session>);

/// A call, beside its arguments.
pub(super) struct Call {
    /// The client's program, as it names itself.
    pub(super) client: Option<String>,
    pub(super) id: RequestId,
}

impl Server {
    pub(super) fn new(session: Arc<Session>) -> Self {
        Self(session)
    }

    async fn answer(
        &self,
        name: Name,
        arguments: Option<JsonObject>,
        context: &RequestContext<RoleServer>,
    ) -> CallToolResult {
        let session = &self.0;
        let client = context.client_info().map(|client| client.name);
        let call = Call { client, id: context.id.clone() };
        let given = (arguments, name.example());
        match name {
            Name::Acquire => {
                self.finish(context, async { acquire(session, &call, read(given)?).await }).await
            }
            Name::Renew => {
                self.finish(context, async { give_back::renew(session, read(given)?).await }).await
            }
            Name::Release => {
                self.finish(context, async { give_back::release(session, read(given)?).await })
                    .await
            }
            Name::Who => {
                self.finish(context, async { look::who(session, read(given)?).await }).await
            }
            Name::List => {
                self.finish(context, async { look::list(session, read(given)?).await }).await
            }
            Name::Wait => {
                self.finish(context, async { look::wait(session, read(given)?).await }).await
            }
        }
    }

    /// Works until the client cancels the call or the session ends.
    async fn finish<T: Answer>(
        &self,
        context: &RequestContext<RoleServer>,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> CallToolResult {
        let over = self.0.over();
        let answered = tokio::select! {
            biased;
            () = over.reached() => Err(Failure::ended()),
            () = context.ct.cancelled() => Err(Failure::ended()),
            answered = work => answered,
            () = self.show_life(context) => unreachable!("it shows life without end"),
        };
        answer::result(answered, self.0.take_untold())
    }

    /// Tells a client that wants it that the call goes on. It never ends.
    async fn show_life(&self, context: &RequestContext<RoleServer>) {
        let Some(token) = context.meta.get_progress_token() else {
            return std::future::pending().await;
        };
        let runtime = self.0.runtime();
        let mut count = 0.0;
        loop {
            runtime.sleep_until(runtime.now() + PROGRESS).await;
            count += 1.0;
            let life = ProgressNotificationParam::new(token.clone(), count);
            // A client that is gone ends the session elsewhere.
            let _gone = context.peer.notify_progress(life.with_message("still waiting")).await;
        }
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let abilities = ServerCapabilities::builder().enable_tools().enable_logging().build();
        let name = Implementation::new("tenure", env!("CARGO_PKG_VERSION"));
        ServerConfig::new(abilities).with_server_info(name).with_instructions(tools::INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult { tools: tools::all(), ..ListToolsResult::default() })
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        self.0.met(&context.peer);
        let Some(name) = Name::of(&request.name) else {
            let message = format!("there is no tool {:?}; tools/list names them", request.name);
            return Err(ErrorData::invalid_params(message, None));
        };
        Ok(self.answer(name, request.arguments, &context).await.into())
    }

    /// Requests that could not be read: of a method that there is, or of none.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        _: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        let CustomRequest { method, .. } = request;
        Err(match &*method {
            "initialize" | "tools/call" | "tools/list" | "logging/setLevel" => {
                ErrorData::invalid_params(format!("wrong params for {method:?}"), None)
            }
            _ => {
                let message = format!("there is no method {method:?}");
                ErrorData::new(ErrorCode::METHOD_NOT_FOUND, message, None)
            }
        })
    }

    async fn set_level(
        &self,
        request: SetLevelRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.0.set_level(&context.peer, request.level);
        Ok(())
    }

    /// A client ignores the answer to a call that it has cancelled: the lock of such a call is held
    /// by nobody who knows of it.
    async fn on_cancelled(
        &self,
        cancelled: CancelledNotificationParam,
        _: NotificationContext<RoleServer>,
    ) {
        if let Some(id) = cancelled.request_id {
            give_back::cancelled(&self.0, &id).await;
        }
    }
}
