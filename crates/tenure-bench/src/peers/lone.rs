//! One caller that acquires and releases a free lock: how long a cycle takes.

use serde_json::json;
use tenure_testkit::Server;

use crate::Failure;
use crate::figure::{Figure, Limit, Scale};
use crate::sample::Sample;

use super::contender::{
    Contender, SCRIPTS_BLOCKING, SCRIPTS_CURRENT, SCRIPTS_TOKIO, TENURE, TENURE_BLOCKING,
    TENURE_CURRENT,
};
use super::cores::Cores;
use super::field::Field;
use super::protocol::{Lone, Request, Work, Workload};
use super::results::{LoneRow, Results, best, median, of, quantiles, tenths};

#[derive(Debug)]
struct Rounds {
    contender: &'static Contender,
    rounds: Vec<Sample>,
}

/// Server and caller share one core.
pub(super) fn measure(
    server: &Server,
    scale: Scale,
    results: &mut Results,
) -> Result<Vec<Figure>, Failure> {
    let rows = rows(server, scale, Cores::One, results)?;
    let figures = figures(&rows)?;
    results.lone.extend(rows);
    Ok(figures)
}

/// They have all cores. Where their threads happen to be says as much as how they work, so there
/// is no limit.
pub(super) fn measure_free(
    server: &Server,
    scale: Scale,
    results: &mut Results,
) -> Result<Vec<Figure>, Failure> {
    let rows = rows(server, scale, Cores::All, results)?;
    results.lone.extend(rows);
    Ok(Vec::new())
}

fn rows(
    server: &Server,
    scale: Scale,
    cores: Cores,
    results: &mut Results,
) -> Result<Vec<LoneRow>, Failure> {
    let (rounds, cycles) = scale.pick((1, 20), (15, 500));
    let mut field = Field::start(server, Workload::Lone, 1, scale, results)?;
    let mut found: Vec<Rounds> = Vec::new();
    for _ in 0..rounds {
        field.each(Workload::Lone, results, |entrant| {
            let request = Request::Run(Work::Lone { cycles });
            let lone: Lone = entrant.adapter().ask(&request)?;
            if lone.cycle_us.len() != cycles as usize {
                return Err("it did another number of cycles".into());
            }
            let (contender, sample) = (entrant.contender, Sample::new(lone.cycle_us));
            match found.iter_mut().find(|of| of.contender.name == contender.name) {
                Some(of) => of.rounds.push(sample),
                None => found.push(Rounds { contender, rounds: vec![sample] }),
            }
            Ok(())
        })?;
    }
    // One that failed on the way has too few rounds to stand beside the others.
    found.retain(|of| of.rounds.len() == rounds);
    Ok(found.iter().map(|of| row(server, cores, of)).collect())
}

fn row(server: &Server, cores: Cores, Rounds { contender, rounds }: &Rounds) -> LoneRow {
    let all = Sample::of_all(rounds);
    LoneRow {
        server: server.flavour().to_string(),
        contender: contender.name.into(),
        cores,
        p50_us: tenths(median(rounds.iter().map(Sample::median))),
        p99_us: tenths(median(rounds.iter().map(|round| round.quantile(0.99)))),
        quantiles_us: quantiles(&all),
        rounds_p50_us: rounds.iter().map(|round| tenths(round.median())).collect(),
    }
}

fn figures(rows: &[LoneRow]) -> Result<Vec<Figure>, Failure> {
    let row = |name| of(rows, name).ok_or_else(|| format!("{name} was not measured"));
    let (ours, blocking) = (row(TENURE)?, row(TENURE_BLOCKING)?);
    let best = best(rows, |row| row.p50_us).ok_or("no library was measured")?;
    Ok(vec![
        against("one caller, p50 / scripts over a tokio socket", ours, row(SCRIPTS_TOKIO)?, 1.15),
        against(
            "one caller on a current-thread runtime, p50 / scripts",
            row(TENURE_CURRENT)?,
            row(SCRIPTS_CURRENT)?,
            1.15,
        ),
        against("one caller, p50 / quickest library", ours, best, 1.0),
        Figure {
            name: "one caller, p99 / p50".into(),
            value: ours.p99_us / ours.p50_us,
            unit: "x",
            limit: Limit::AtMost(2.5),
            note: format!("{} us against {} us (medians)", ours.p99_us, ours.p50_us),
            raw: json!({ "quantiles_us": ours.quantiles_us }),
        },
        against(
            "one blocking caller, p50 / scripts over a socket",
            blocking,
            row(SCRIPTS_BLOCKING)?,
            1.15,
        ),
    ])
}

/// The median of the rounds' ratios.
fn against(name: &str, ours: &LoneRow, other: &LoneRow, limit: f64) -> Figure {
    let pairs = ours.rounds_p50_us.iter().zip(&other.rounds_p50_us);
    let (mine, its) = (ours.p50_us, other.p50_us);
    Figure {
        name: name.into(),
        value: median(pairs.map(|(ours, other)| ours / other)),
        unit: "x",
        limit: Limit::AtMost(limit),
        note: format!("{mine} us against {its} us of {} (medians)", other.contender),
        raw: json!({ "p50_us": ours.rounds_p50_us, "other_p50_us": other.rounds_p50_us }),
    }
}
