//! Plots of a comparison, as SVG: for the first server of the results. They are read on a light
//! and on a dark page, and need no script and no font.

mod axis;
mod handoff;
mod latency;
mod strip;
mod svg;
mod throughput;

use super::contender::{self, Role};
use super::results::{Results, Row};

/// The names and texts of all plots.
pub(crate) fn all(results: &Results) -> [(&'static str, String); 3] {
    [
        ("latency.svg", latency::plot(results)),
        ("throughput.svg", throughput::plot(results)),
        ("handoff.svg", handoff::plot(results)),
    ]
}

/// The rows of the server that was measured first.
fn of_first_server<R: Row>(rows: &[R]) -> (&str, Vec<&R>) {
    let server = rows.first().map_or("", Row::server);
    (server, rows.iter().filter(|row| row.server() == server).collect())
}

/// The class of what is drawn for a contender.
fn class(contender: &str) -> &'static str {
    match contender::role(contender) {
        Some(Role::Tenure | Role::Forced) => "ours",
        Some(Role::Reference) => "bare",
        Some(Role::Library | Role::OneThread) | None => "other",
    }
}
