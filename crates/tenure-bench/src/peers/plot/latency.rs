//! One caller: how long an acquire and release of a free lock takes.

use super::axis::LogAxis;
use super::strip::{ROW, strip};
use super::svg::{Anchor, Svg};
use super::{class, of_first_server};
use crate::peers::results::Results;

const WIDTH: f64 = 760.0;
const TOP: f64 = 56.0;

pub(super) fn plot(results: &Results) -> String {
    let (server, mut rows) = of_first_server(&results.lone);
    rows.retain(|row| row.is_on_one_core());
    rows.sort_by(|one, other| one.p50_us.total_cmp(&other.p50_us));
    let bottom = TOP + ROW * f64::from(u32::try_from(rows.len()).unwrap_or(0));
    let mut svg = Svg::new(
        WIDTH,
        bottom + 28.0,
        "One caller: acquire and release of a free lock",
        &format!(
            "{server}, all on one core, microseconds; line p1 to p99, bar p25 to p75, dot p50"
        ),
    );
    let numbers = rows.iter().flat_map(|row| row.quantiles_us.iter().copied());
    let axis = LogAxis::over(numbers, (170.0, 680.0));
    axis.draw(&mut svg, (TOP, bottom));
    let mut y = TOP + ROW / 2.0;
    for row in rows {
        svg.text((160.0, y + 4.0), Anchor::End, "", &row.contender);
        strip(&mut svg, &axis, y, &row.quantiles_us, class(&row.contender));
        svg.text((750.0, y + 4.0), Anchor::End, "soft", format!("{:.0}", row.p50_us));
        y += ROW;
    }
    svg.done()
}
