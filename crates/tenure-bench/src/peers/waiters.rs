//! 16 waiters in four processes on one key: the time from a release to the grant to another
//! process, how long the unluckiest waits, and how many never hold.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use serde_json::json;
use tenure_testkit::Server;

use crate::Failure;
use crate::figure::{Figure, Limit, Scale};
use crate::sample::Sample;

use super::contender::{Contender, TENURE};
use super::field::{Entrant, Field};
use super::protocol::{Request, Turn, Turns, Work, Workload};
use super::results::{Results, WaitersRow, median, of, quantiles, tenths};

const PROCESSES: u32 = 4;
const TASKS: u32 = 4;
const WAITERS: usize = (PROCESSES * TASKS) as usize;

/// One round of one contender.
#[derive(Debug, Default)]
struct Round {
    /// To another process.
    handoffs_us: Vec<f64>,
    /// To any other task.
    all_handoffs_us: Vec<f64>,
    longest_wait_us: f64,
    /// The time in which each waiter would have had one turn.
    mean_round_us: f64,
    turns_per_second: f64,
    never: usize,
}

#[derive(Debug)]
struct Rounds {
    contender: &'static Contender,
    rounds: Vec<Round>,
}

pub(crate) fn measure(
    server: &Server,
    scale: Scale,
    results: &mut Results,
) -> Result<Vec<Figure>, Failure> {
    let (rounds, millis) = scale.pick((1, 200), (5, 2_000));
    let mut field = Field::start(server, Workload::Waiters, PROCESSES, scale, results)?;
    let (mut found, mut pings): (Vec<Rounds>, _) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        pings.extend(pings_us(server, scale.pick(20, 500))?);
        field.each(Workload::Waiters, results, |entrant| {
            let round = one_round(entrant, millis)?;
            let contender = entrant.contender;
            match found.iter_mut().find(|of| of.contender.name == contender.name) {
                Some(of) => of.rounds.push(round),
                None => found.push(Rounds { contender, rounds: vec![round] }),
            }
            Ok(())
        })?;
    }
    found.retain(|of| of.rounds.len() == rounds);
    let ping_us = Sample::new(pings).median();
    let rows: Vec<_> = found.iter().map(|of| row(server, of, ping_us)).collect();
    let figures = figures(of(&rows, TENURE).ok_or("Tenure was not measured")?);
    results.waiters.extend(rows);
    Ok(figures)
}

/// PING over a blocking socket, again and again: the least that a message there and back takes.
fn pings_us(server: &Server, count: u32) -> Result<Vec<f64>, Failure> {
    let mut stream = TcpStream::connect(server.address())?;
    stream.set_nodelay(true)?;
    let mut pings = Vec::new();
    for _ in 0..count {
        let begun = Instant::now();
        stream.write_all(b"*1\r\n$4\r\nPING\r\n")?;
        stream.read_exact(&mut [0; b"+PONG\r\n".len()])?;
        pings.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    Ok(pings)
}

fn one_round(entrant: &mut Entrant, millis: u64) -> Result<Round, Failure> {
    let request = Request::Run(Work::Waiters { tasks: TASKS, millis });
    for adapter in &mut entrant.adapters {
        adapter.send(&request)?;
    }
    let mut processes = Vec::new();
    for adapter in &mut entrant.adapters {
        processes.push(adapter.reply::<Turns>()?);
    }
    round(&processes)
}

/// A turn, with the place of its process.
type Placed = (usize, Turn);

/// The result of the turns of all processes that were granted while all competed.
fn round(processes: &[Turns]) -> Result<Round, Failure> {
    let began = processes.iter().map(|of| of.began_us).max().ok_or("no process")?;
    let ended = processes.iter().map(|of| of.ended_us).min().ok_or("no process")?;
    let all = processes.iter().enumerate();
    let mut turns: Vec<Placed> =
        all.flat_map(|(place, of)| of.turns.iter().map(move |turn| (place, *turn))).collect();
    turns.sort_by_key(|(_, turn)| turn.granted_us);
    let waits = turns.iter().filter(|(_, turn)| turn.asked_us < ended);
    let longest = waits.map(|(_, turn)| turn.granted_us.min(ended) - turn.asked_us).max();
    let in_time: Vec<_> =
        turns.into_iter().filter(|(_, t)| (began..ended).contains(&t.granted_us)).collect();
    if in_time.is_empty() {
        return Err("nobody was granted".into());
    }
    let lucky: HashSet<_> = in_time.iter().map(|(place, turn)| (*place, turn.task)).collect();
    let span = micros(ended.saturating_sub(began));
    let handoffs = || in_time.windows(2).filter_map(|pair| handoff_us(pair[0], pair[1]));
    let mean_us = span / in_time.len() as f64;
    Ok(Round {
        handoffs_us: handoffs().filter(|(is_far, _)| *is_far).map(|(_, us)| us).collect(),
        all_handoffs_us: handoffs().map(|(_, us)| us).collect(),
        longest_wait_us: micros(longest.unwrap_or_default()),
        mean_round_us: mean_us * WAITERS as f64,
        turns_per_second: 1e6 / mean_us,
        never: WAITERS - lucky.len(),
    })
}

/// The time between a release and the next grant, if that went to another task, which had asked
/// before; and whether it went to another process.
fn handoff_us((from, before): Placed, (to, after): Placed) -> Option<(bool, f64)> {
    let is_far = from != to;
    let is_other = is_far || before.task != after.task;
    let waited = after.asked_us < before.released_us;
    let took = micros(after.granted_us.saturating_sub(before.released_us));
    (is_other && waited).then_some((is_far, took))
}

#[allow(clippy::cast_precision_loss, reason = "no run takes 2^52 microseconds")]
fn micros(number: u64) -> f64 {
    number as f64
}

fn row(server: &Server, Rounds { contender, rounds }: &Rounds, ping_us: f64) -> WaitersRow {
    let handoffs: Vec<_> = rounds.iter().flat_map(|round| round.handoffs_us.clone()).collect();
    let all: Vec<_> = rounds.iter().flat_map(|round| round.all_handoffs_us.clone()).collect();
    let count = handoffs.len();
    // A contender with which one process keeps everything has none: its plot is empty.
    let sample = (count > 0).then(|| Sample::new(handoffs));
    let at = |share| sample.as_ref().map_or(0.0, |sample| tenths(sample.quantile(share)));
    WaitersRow {
        server: server.flavour().to_string(),
        contender: contender.name.into(),
        handoff_p50_us: at(0.5),
        handoff_p99_us: at(0.99),
        quantiles_us: sample.as_ref().map_or_else(Vec::new, quantiles),
        handoffs: count,
        all_handoffs_p50_us: if all.is_empty() { 0.0 } else { tenths(median(all)) },
        ping_us: tenths(ping_us),
        longest_wait_ms: tenths(median(rounds.iter().map(|r| r.longest_wait_us)) / 1e3),
        longest_wait_rounds: tenths(median(
            rounds.iter().map(|r| r.longest_wait_us / r.mean_round_us),
        )),
        never: rounds.iter().map(|round| round.never).sum(),
        waiters: WAITERS * rounds.len(),
        turns_per_second: median(rounds.iter().map(|r| r.turns_per_second)).round(),
    }
}

fn figures(ours: &WaitersRow) -> Vec<Figure> {
    let WaitersRow { handoff_p50_us, handoff_p99_us, ping_us, handoffs, .. } = ours;
    vec![
        Figure {
            name: "handoff between processes, 16 waiters, p50 / PING".into(),
            value: handoff_p50_us / ping_us,
            unit: "x",
            limit: Limit::AtMost(6.0),
            note: format!(
                "of {handoffs}: p50 {handoff_p50_us} us, p99 {handoff_p99_us} us; within processes \
                 too: p50 {} us; PING over a blocking socket {ping_us} us",
                ours.all_handoffs_p50_us
            ),
            raw: json!({ "quantiles_us": ours.quantiles_us }),
        },
        Figure {
            name: "16 waiters, longest wait / mean round".into(),
            value: ours.longest_wait_rounds,
            unit: "x",
            limit: Limit::AtMost(4.0),
            note: format!("{} ms; {} never held", ours.longest_wait_ms, ours.never),
            raw: json!({ "turns_per_second": ours.turns_per_second }),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(task: u32, asked_us: u64, granted_us: u64, released_us: u64) -> Turn {
        Turn { task, asked_us, granted_us, released_us }
    }

    #[test]
    fn a_handoff_is_from_one_process_to_another_that_waited() {
        let of = |turns| Turns { began_us: 0, ended_us: 1_000, turns };
        let one = of(vec![turn(0, 0, 1, 100), turn(1, 0, 110, 200), turn(1, 690, 990, 995)]);
        let other =
            of(vec![turn(0, 0, 230, 300), turn(0, 650, 660, 700), turn(1, 0, 1_200, 1_200)]);
        let round = round(&[one, other]).unwrap();
        // The first goes to a task of the same process, the third to one that came later.
        assert_eq!(round.handoffs_us, [30.0, 290.0]);
        assert_eq!(round.all_handoffs_us, [10.0, 30.0, 290.0]);
        // It was still waiting when the round ended.
        assert_eq!(round.longest_wait_us, 1_000.0);
        assert_eq!(round.mean_round_us, 1_000.0 / 5.0 * 16.0);
        assert_eq!(round.never, 16 - 3);
    }

    #[test]
    fn without_a_grant_there_is_no_round() {
        assert!(round(&[Turns { began_us: 0, ended_us: 9, turns: Vec::new() }]).is_err());
        assert!(round(&[]).is_err());
    }
}
