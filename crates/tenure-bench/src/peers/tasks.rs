//! Tasks of one process, each on a key of its own: cycles per second, and what one costs the
//! server. With one task to 256 it is a curve, on which Tenure must not be much below the better
//! of its two ways to the server.

use serde_json::json;
use tenure_testkit::{Flavour, Server};

use crate::Failure;
use crate::figure::{Figure, Limit, Scale};
use crate::measures::redis::server_cpu;

use super::connections;
use super::contender::{Contender, Role, TENURE};
use super::field::{Entrant, Field};
use super::protocol::{Cycles, Request, Work, Workload};
use super::results::{Results, Row, TasksRow, best, median, of, tenths};

/// The number of tasks that has limits of its own.
const MANY: u32 = 64;
const CURVE: &[u32] = &[1, 2, 4, 8, 16, MANY, 256];
const RUNTIMES: u32 = 16;

#[derive(Debug)]
struct Rounds {
    contender: &'static Contender,
    per_second: Vec<f64>,
    cpu_us: Vec<f64>,
    connections: usize,
}

pub(crate) fn measure(
    server: &Server,
    scale: Scale,
    results: &mut Results,
) -> Result<Vec<Figure>, Failure> {
    let (rounds, millis) = scale.pick((1, 100), (7, 200));
    let mut field = Field::start(server, Workload::Tasks, 1, scale, results)?;
    let mut rows = Vec::new();
    // One curve is enough: servers differ in what a cycle costs them, not in its shape.
    let curve: &[u32] = match (scale, server.flavour()) {
        (Scale::Short, _) => &[2, MANY],
        (Scale::Full, Flavour::Redis) => CURVE,
        (Scale::Full, Flavour::Valkey) => &[MANY],
    };
    for &tasks in curve {
        let work = Work::Tasks { tasks, millis };
        rows.extend(point(server, &mut field, work, rounds, results)?);
    }
    drop(field);
    let mut field = Field::start(server, Workload::Runtimes, 1, scale, results)?;
    let work = Work::Runtimes { runtimes: RUNTIMES, millis };
    rows.extend(point(server, &mut field, work, rounds, results)?);
    let figures = figures(&rows)?;
    results.tasks.extend(rows);
    Ok(figures)
}

/// All contenders with one number of tasks.
fn point(
    server: &Server,
    field: &mut Field,
    work: Work,
    rounds: usize,
    results: &mut Results,
) -> Result<Vec<TasksRow>, Failure> {
    let mut found: Vec<Rounds> = Vec::new();
    // The first round opens connections and is not counted.
    for round in 0..=rounds {
        field.each(work.workload(), results, |entrant| {
            let (per_second, cpu_us) = one_round(server, entrant, work)?;
            let connections = connections::to(server, entrant.adapter().id());
            if round == 0 {
                let contender = entrant.contender;
                let (per_second, cpu_us) = (Vec::new(), Vec::new());
                found.push(Rounds { contender, per_second, cpu_us, connections });
                return Ok(());
            }
            let name = entrant.contender.name;
            let of = found.iter_mut().find(|of| of.contender.name == name);
            let of = of.ok_or("it was not in the first round")?;
            of.per_second.push(per_second);
            of.cpu_us.push(cpu_us);
            of.connections = connections;
            Ok(())
        })?;
    }
    found.retain(|of| of.per_second.len() == rounds);
    Ok(found.into_iter().map(|of| row(server, work, of)).collect())
}

fn one_round(server: &Server, entrant: &mut Entrant, work: Work) -> Result<(f64, f64), Failure> {
    let cpu = server_cpu(server)?;
    let done: Cycles = entrant.adapter().ask(&Request::Run(work))?;
    let cpu = server_cpu(server)? - cpu;
    let cycles = f64::from(u32::try_from(done.cycles)?);
    if cycles == 0.0 {
        return Err("it did no cycle".into());
    }
    Ok((cycles / done.elapsed_us * 1e6, cpu * 1e6 / cycles))
}

fn row(server: &Server, work: Work, rounds: Rounds) -> TasksRow {
    let (Work::Tasks { tasks, .. } | Work::Runtimes { runtimes: tasks, .. }) = work else {
        unreachable!("a point of the curve has tasks or runtimes")
    };
    let Rounds { contender, per_second, cpu_us, connections } = rounds;
    TasksRow {
        server: server.flavour().to_string(),
        contender: contender.name.into(),
        workload: work.workload(),
        tasks,
        cycles_per_second: median(per_second.iter().copied()).round(),
        server_cpu_us: tenths(median(cpu_us.iter().copied())),
        connections,
        rounds_per_second: per_second.into_iter().map(f64::round).collect(),
        rounds_cpu_us: cpu_us.into_iter().map(tenths).collect(),
    }
}

fn figures(rows: &[TasksRow]) -> Result<Vec<Figure>, Failure> {
    let many: Vec<_> = rows
        .iter()
        .filter(|row| (row.workload, row.tasks) == (Workload::Tasks, MANY))
        .cloned()
        .collect();
    let ours = of(&many, TENURE).ok_or("Tenure was not measured")?;
    let quickest = best(&many, |row| -row.cycles_per_second).ok_or("no library was measured")?;
    let cheapest = best(&many, |row| row.server_cpu_us).ok_or("no library was measured")?;
    let mut figures = vec![
        Figure {
            name: "64 tasks, cycles per second / quickest library".into(),
            value: ratio(&ours.rounds_per_second, &quickest.rounds_per_second),
            unit: "x",
            limit: Limit::AtLeast(1.5),
            note: format!(
                "{}/s against {}/s of {} (medians)",
                ours.cycles_per_second, quickest.cycles_per_second, quickest.contender
            ),
            raw: json!({
                "per_second": ours.rounds_per_second,
                "other_per_second": quickest.rounds_per_second,
            }),
        },
        Figure {
            name: "64 tasks, server CPU per cycle / cheapest library".into(),
            value: ratio(&ours.rounds_cpu_us, &cheapest.rounds_cpu_us),
            unit: "x",
            limit: Limit::AtMost(0.85),
            note: format!(
                "{} us against {} us of {} (medians)",
                ours.server_cpu_us, cheapest.server_cpu_us, cheapest.contender
            ),
            raw: json!({ "us": ours.rounds_cpu_us, "other_us": cheapest.rounds_cpu_us }),
        },
    ];
    figures.extend(adaptive(rows, |row| row.is_of(Role::Forced)));
    Ok(figures)
}

/// The point of the curve at which Tenure lies lowest below the better of its ways, each forced.
fn adaptive(rows: &[TasksRow], is_forced: impl Fn(&TasksRow) -> bool) -> Option<Figure> {
    let ours = rows.iter().filter(|row| row.contender == TENURE);
    let ratios = ours.filter_map(|ours| {
        let is_same = |row: &&TasksRow| {
            (row.workload, row.tasks) == (ours.workload, ours.tasks) && is_forced(row)
        };
        let forced = rows.iter().filter(is_same);
        let better = forced
            .max_by(|one, other| one.cycles_per_second.total_cmp(&other.cycles_per_second))?;
        Some((ratio(&ours.rounds_per_second, &better.rounds_per_second), ours, better))
    });
    let (value, ours, better) = ratios.min_by(|one, other| one.0.total_cmp(&other.0))?;
    let (tasks, workload) = (ours.tasks, ours.workload);
    Some(Figure {
        name: "tasks, lowest point / better of two ways forced".into(),
        value,
        unit: "x",
        limit: Limit::AtLeast(0.9),
        note: format!(
            "with {tasks} {workload}: {}/s over {} connections against {}/s over {} of {}",
            ours.cycles_per_second,
            ours.connections,
            better.cycles_per_second,
            better.connections,
            better.contender
        ),
        raw: json!({
            "per_second": ours.rounds_per_second,
            "other_per_second": better.rounds_per_second,
        }),
    })
}

/// The median of the rounds' ratios.
fn ratio(ours: &[f64], other: &[f64]) -> f64 {
    median(ours.iter().zip(other).map(|(ours, other)| ours / other))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(contender: &str, tasks: u32, per_second: f64) -> TasksRow {
        TasksRow {
            server: "redis".into(),
            contender: contender.into(),
            workload: Workload::Tasks,
            tasks,
            cycles_per_second: per_second,
            server_cpu_us: 5.0,
            connections: 1,
            rounds_per_second: vec![per_second],
            rounds_cpu_us: vec![5.0],
        }
    }

    #[test]
    fn the_lowest_point_counts_against_the_better_way_with_as_many_tasks() {
        let mut rows = vec![row(TENURE, 1, 95.0), row("one", 1, 100.0), row("other", 1, 60.0)];
        let forced = |row: &TasksRow| row.contender != TENURE;
        assert!(adaptive(&rows, forced).unwrap().is_met());
        rows.extend([row(TENURE, 64, 95.0), row("one", 64, 50.0), row("other", 64, 200.0)]);
        let figure = adaptive(&rows, forced).unwrap();
        assert!(!figure.is_met());
        assert!(figure.note.contains("64 tasks") && figure.note.ends_with("other"), "{figure}");
        assert!(adaptive(&rows, |_| false).is_none(), "no way was forced");
    }

    #[test]
    fn libraries_count_and_bare_sockets_do_not() {
        let rows =
            [row(TENURE, MANY, 160.0), row("rslock", MANY, 100.0), row("bare-tokio", MANY, 900.0)];
        let figures = figures(&rows).unwrap();
        let [throughput, cpu] = &figures[..] else { panic!("{figures:?}") };
        assert!(throughput.is_met() && throughput.note.contains("rslock"), "{throughput}");
        assert!(!cpu.is_met(), "{cpu}");
        assert!(figures.iter().all(|figure| !figure.note.contains("bare")));
        assert!(super::figures(&rows[..1]).is_err(), "without a library there is no ratio");
    }
}
