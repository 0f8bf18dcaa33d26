//! 16 waiters of four processes: the time from a release to the next holder in another process,
//! and the longest wait of any waiter.

use super::axis::LogAxis;
use super::strip::{ROW, strip};
use super::svg::{Anchor, Svg};
use super::{class, of_first_server};
use crate::peers::results::Results;

const WIDTH: f64 = 760.0;
const TOP: f64 = 76.0;

pub(super) fn plot(results: &Results) -> String {
    let (server, rows) = of_first_server(&results.waiters);
    let bottom = TOP + ROW * f64::from(u32::try_from(rows.len()).unwrap_or(0));
    let subtitle = format!("{server}; the number at the right: how many waiters never held");
    let title = "16 waiters in 4 processes, one key";
    let mut svg = Svg::new(WIDTH, bottom + 28.0, title, &subtitle);
    svg.text((160.0, TOP - 10.0), Anchor::Start, "soft", "handoff, us (p1 to p99, dot p50)");
    svg.text((450.0, TOP - 10.0), Anchor::Start, "soft", "longest wait, ms");
    let handoffs = rows.iter().flat_map(|row| row.quantiles_us.iter().copied());
    let handoffs = LogAxis::over(handoffs, (160.0, 420.0));
    let waits = LogAxis::over(rows.iter().map(|row| row.longest_wait_ms), (450.0, 660.0));
    handoffs.draw(&mut svg, (TOP, bottom));
    waits.draw(&mut svg, (TOP, bottom));
    let mut y = TOP + ROW / 2.0;
    for row in rows {
        let class = class(&row.contender);
        svg.text((150.0, y + 4.0), Anchor::End, "", &row.contender);
        strip(&mut svg, &handoffs, y, &row.quantiles_us, class);
        svg.dot((waits.place(row.longest_wait_ms), y), class);
        let never = format!("{} of {}", row.never, row.waiters);
        svg.text((750.0, y + 4.0), Anchor::End, "soft", never);
        y += ROW;
    }
    svg.done()
}
