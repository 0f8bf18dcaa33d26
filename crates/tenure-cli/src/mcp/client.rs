//! The client, for a message that it did not ask for: a lock is lost.

use rmcp::model::{LoggingLevel, LoggingMessageNotificationParam};
use rmcp::service::ClientSink;

use super::answer::Loss;

/// The client of a session.
#[derive(Clone)]
pub(super) struct Client {
    sink: ClientSink,
    /// The least level that it wants.
    level: LoggingLevel,
}

impl Client {
    pub(super) fn new(sink: &ClientSink, level: LoggingLevel) -> Self {
        Self { sink: sink.clone(), level }
    }

    /// Tells a loss, as a log message. The next answer tells it too.
    pub(super) async fn tell(&self, loss: &Loss) {
        use LoggingLevel::{Alert, Critical, Emergency};
        if matches!(self.level, Critical | Alert | Emergency) || self.sink.peer_info().is_none() {
            // Since 2026-07-28 each request would have to ask for such messages.
            return;
        }
        let mut data = serde_json::to_value(loss).expect("text and numbers are JSON");
        data["message"] = loss.text().into();
        let message = LoggingMessageNotificationParam::new(LoggingLevel::Error, data);
        // A client that is gone ends the session elsewhere.
        let _gone = self.sink.notify_logging_message(message.with_logger("tenure")).await;
    }
}
