//! A future within a span: `tracing`'s own, but for forks. A subscriber may hold locks, so the
//! child neither enters nor closes a span that it inherited.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tracing::Span;

use crate::process::OfProcess;

pin_project! {
    /// What [`within`] answers.
    pub(super) struct Within<F> {
        span: OfProcess<Span>,
        #[pin]
        work: F,
    }
}

/// `work`, whose every poll is within `span`.
pub(super) fn within<F: Future>(span: Span, work: F) -> Within<F> {
    Within { span: OfProcess::new(span), work }
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
