//! A distribution in one row: a line from p1 to p99, a bar from p25 to p75, a dot at the median.

use super::axis::LogAxis;
use super::svg::Svg;

use crate::peers::results::SHARES;

/// The height of a row.
pub(super) const ROW: f64 = 26.0;

/// Draws numbers at [`SHARES`] around the height `y`.
pub(super) fn strip(svg: &mut Svg, axis: &LogAxis, y: f64, quantiles: &[f64], class: &str) {
    let [p1, _, p25, p50, p75, _, p99] = quantiles else { return };
    debug_assert_eq!(quantiles.len(), SHARES.len());
    let [p1, p25, p50, p75, p99] = [p1, p25, p50, p75, p99].map(|number| axis.place(*number));
    svg.line((p1, y), (p99, y), class);
    svg.bar((p25, y - 4.0), ((p75 - p25).max(1.0), 8.0), class);
    svg.dot((p50, y), class);
}
