//! A future within a span, like `tracing`'s own, but safe with forks and with subscribers that
//! panic. A subscriber may hold locks, so a forked child never enters or closes an inherited span.
//! A subscriber that panics never ends the future or its cleanup.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tracing::Span;
use tracing::span::Entered;

use crate::process::OfProcess;
use crate::runtime::shielded;

pin_project! {
    /// The future of [`within`].
    pub(crate) struct Within<F> {
        span: OfProcess<Closing>,
        #[pin]
        work: F,
    }
}

/// `work`, with each poll inside `span`.
pub(crate) fn within<F: Future>(span: Span, work: F) -> Within<F> {
    Within { span: OfProcess::new(Closing(Some(span))), work }
}

impl<F: Future> Future for Within<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let Ok(span) = this.span.here() else { return this.work.poll(cx) };
        let entered = span.enter();
        let polled = this.work.poll(cx);
        if !this.span.is_here() {
            // The work has forked, and this is the child.
            std::mem::forget(entered);
        }
        polled
    }
}

/// A span; closing it may panic.
struct Closing(Option<Span>);

impl Closing {
    fn enter(&self) -> Leaving<'_> {
        Leaving(self.0.as_ref().and_then(|span| shielded(|| span.enter())))
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        let span = self.0.take();
        shielded(|| drop(span));
    }
}

/// An entered span; leaving it may panic.
struct Leaving<'a>(Option<Entered<'a>>);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        let entered = self.0.take();
        shielded(|| drop(entered));
    }
}
