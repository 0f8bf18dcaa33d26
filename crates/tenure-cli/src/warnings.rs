//! The warnings of the stores as lines of ours: that nobody is told of a grant, that a file was
//! moved. Other events of the library are not shown: `tenure` tells of the lock itself.

use std::fmt::{Debug, Write};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::output::Output;

/// The part of the library that is listened to.
const STORES: &str = "tenure::store";

/// Shows them from here on.
pub(crate) fn tell(output: Output) {
    // Nobody else listens in this program.
    let _ = tracing::subscriber::set_global_default(Warnings(output));
}

struct Warnings(Output);

/// A message, and behind it its fields.
#[derive(Default)]
struct Line {
    message: String,
    about: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let done = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            let gap = if self.about.is_empty() { "" } else { "; " };
            write!(self.about, "{gap}{}: {value:?}", field.name())
        };
        debug_assert!(done.is_ok(), "a string takes everything");
    }
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN && metadata.target().starts_with(STORES)
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        self.0.notice(format!("{} ({})", line.message, line.about));
    }

    // Spans are never enabled.
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}
