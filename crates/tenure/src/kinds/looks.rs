//! The state of one key, asked for again and again while somebody polls for it. It changes nothing
//! and knows no change: what of it is news, its user decides.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::process::OfProcess;
use crate::protocol::Inspection;
use crate::types::{Key, Operation, Result};

use super::options::Options;

/// Default time between two looks.
const INTERVAL: Duration = Duration::from_millis(500);
/// Minimum time between two looks. Without a pause, a store that answers at once would keep its
/// caller in one poll for ever.
const INTERVAL_MIN: Duration = Duration::from_millis(10);

type Coming = OfProcess<Pin<Box<dyn Future<Output = Result<Inspection>> + Send>>>;

/// Looks at one key, the first at once and each later one after a pause.
pub(crate) struct Looks {
    options: Options,
    interval: Duration,
    /// The next look. It begins with the pause before it.
    coming: Option<Coming>,
}

impl Looks {
    pub(super) fn new(options: Options) -> Self {
        Self { options, interval: INTERVAL, coming: None }
    }

    /// Sets the pause; less than 10 ms counts as 10 ms.
    pub(crate) fn with_interval(mut self, interval: Duration) -> Self {
        self.interval = interval.max(INTERVAL_MIN);
        self
    }

    pub(crate) fn key(&self) -> Option<&Key> {
        self.options.key(Operation::Inspect).ok()
    }

    /// The next look. After each answer, also after an error, comes another one.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Inspection>> {
        let coming = match &mut self.coming {
            Some(coming) => coming,
            none => none.insert(look(self.options.clone(), Duration::ZERO)),
        };
        let seen = ready!(Pin::new(coming).poll(cx));
        self.coming = Some(look(self.options.clone(), self.interval));
        Poll::Ready(seen.unwrap_or_else(|_| Err(self.options.by_fork(Operation::Inspect))))
    }
}

fn look(options: Options, pause: Duration) -> Coming {
    OfProcess::new(Box::pin(async move {
        if !pause.is_zero() {
            options.pause(pause).await;
        }
        options.inspect().await
    }))
}
