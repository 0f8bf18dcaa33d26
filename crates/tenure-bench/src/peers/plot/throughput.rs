//! Tasks of one process against cycles per second of all of them.

use super::axis::{LogAxis, number};
use super::of_first_server;
use super::svg::{Anchor, Svg};
use crate::peers::contender::{self, Role};
use crate::peers::protocol::Workload;
use crate::peers::results::{Results, TasksRow};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 380.0;
const TOP: f64 = 60.0;
const BOTTOM: f64 = 330.0;
/// Between two labels, so that both can be read.
const LABEL: f64 = 16.0;

/// The curve of one contender.
struct Curve<'a> {
    contender: &'a str,
    class: String,
    points: Vec<(f64, f64)>,
}

pub(super) fn plot(results: &Results) -> String {
    let (server, rows) = of_first_server(&results.tasks);
    let is_shown = |row: &&TasksRow| {
        row.workload == Workload::Tasks && contender::role(&row.contender) != Some(Role::Forced)
    };
    let rows: Vec<_> = rows.into_iter().filter(is_shown).collect();
    let tasks = LogAxis::over(rows.iter().map(|row| f64::from(row.tasks)), (70.0, 600.0));
    let most = rows.iter().map(|row| row.cycles_per_second).fold(1.0, f64::max) * 1.05;
    let height = |cycles: f64| BOTTOM - cycles / most * (BOTTOM - TOP);
    let subtitle = format!("{server}, cycles per second (acquire and release) of all tasks");
    let mut svg = Svg::new(WIDTH, HEIGHT, "Tasks, each with a key of its own", &subtitle);
    grid(&mut svg, &rows, &tasks, most, height);
    for curve in labelled(curves(&rows, &tasks, height)) {
        let Labelled { curve: Curve { contender, class, points }, y } = curve;
        svg.curve(&points, &class);
        let x = points.last().map_or(600.0, |last| last.0) + 8.0;
        svg.text((x, y + 4.0), Anchor::Start, &format!("{class} label"), contender);
    }
    svg.done()
}

fn grid(
    svg: &mut Svg,
    rows: &[&TasksRow],
    tasks: &LogAxis,
    most: f64,
    height: impl Fn(f64) -> f64,
) {
    let step = [1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5].into_iter().find(|step| most / step < 7.0);
    let step = step.unwrap_or(2e5);
    let mut cycles = 0.0;
    while cycles < most {
        let y = height(cycles);
        svg.line((70.0, y), (610.0, y), "grid");
        svg.text((62.0, y + 4.0), Anchor::End, "soft", number(cycles));
        cycles += step;
    }
    let mut counts: Vec<_> = rows.iter().map(|row| row.tasks).collect();
    counts.sort_unstable();
    counts.dedup();
    for count in counts {
        svg.text((tasks.place(count.into()), BOTTOM + 18.0), Anchor::Middle, "soft", count);
    }
    svg.text((340.0, BOTTOM + 38.0), Anchor::Middle, "soft", "tasks");
}

fn curves<'a>(
    rows: &[&'a TasksRow],
    tasks: &LogAxis,
    height: impl Fn(f64) -> f64,
) -> Vec<Curve<'a>> {
    let mut curves: Vec<Curve<'a>> = Vec::new();
    for row in rows {
        let point = (tasks.place(row.tasks.into()), height(row.cycles_per_second));
        match curves.iter_mut().find(|curve| curve.contender == row.contender) {
            Some(curve) => curve.points.push(point),
            None => {
                let others = curves.iter().filter(|curve| curve.class != "ours").count();
                let class = match contender::role(&row.contender) {
                    Some(Role::Tenure) => "ours".into(),
                    _ => format!("c{}", others % 7),
                };
                curves.push(Curve { contender: &row.contender, class, points: vec![point] });
            }
        }
    }
    curves
}

/// A curve with the height of its label.
struct Labelled<'a> {
    curve: Curve<'a>,
    y: f64,
}

/// Labels stand where the curves end, and far enough from each other.
fn labelled(mut curves: Vec<Curve<'_>>) -> Vec<Labelled<'_>> {
    let end = |curve: &Curve<'_>| curve.points.last().map_or(BOTTOM, |point| point.1);
    // From below, since most curves end near the bottom.
    curves.sort_by(|one, other| end(other).total_cmp(&end(one)));
    let mut lowest = BOTTOM;
    let place = |curve| {
        let y = end(&curve).min(lowest);
        lowest = y - LABEL;
        Labelled { curve, y }
    };
    curves.into_iter().map(place).collect()
}
