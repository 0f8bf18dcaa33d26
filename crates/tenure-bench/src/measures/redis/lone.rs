//! What one caller waits for a cycle, an acquire and a release, against the bare cycle over the
//! same kind of link, and over the quickest there is. The three take turns.

use std::time::{Duration, Instant};

use serde_json::json;
use tenure::Mutex;
use tenure_testkit::Server;

use crate::Failure;
use crate::crew::block_on;
use crate::figure::{Figure, Limit, Scale};
use crate::sample::Sample;

use super::bare::Bare;
use super::on_each;

/// The first cycles of a round find everything cold.
const WARM_UP: u32 = 20;

pub(crate) fn measure(scale: Scale) -> Result<Vec<Figure>, Failure> {
    let (rounds, cycles) = scale.pick((1, 20), (31, 300));
    on_each(|server| block_on(on(server, rounds, cycles)))
}

async fn on(server: &Server, rounds: u32, cycles: u32) -> Result<Vec<Figure>, Failure> {
    let locks = tenure::connect(&server.url()).await?;
    let lock = locks.mutex("lone");
    let mut apart = Bare::connect_apart(server).await?;
    let mut within = Bare::connect(server).await?;
    let (mut ours, mut bare_apart, mut bare_within) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        bare_apart.push(bare_cycle_us(&mut apart, cycles).await?);
        ours.push(cycle_us(&lock, cycles).await?);
        bare_within.push(bare_cycle_us(&mut within, cycles).await?);
    }
    locks.close(Duration::from_secs(5)).await?;
    Ok(vec![
        // The same link: it outlives the caller's runtime, and costs two changes of threads.
        figure("one caller, cycle / bare cycle, p50", &ours, &bare_apart),
        figure("the same, bare link in the caller's thread", &ours, &bare_within),
    ])
}

fn figure(name: &str, ours: &[f64], bare: &[f64]) -> Figure {
    let ratios = ours.iter().zip(bare).map(|(ours, bare)| ours / bare).collect();
    let median = |values: &[f64]| Sample::new(values.to_vec()).median();
    Figure {
        name: name.into(),
        value: Sample::new(ratios).median(),
        unit: "x",
        limit: Limit::AtMost(1.3),
        note: format!("{:.0} us against {:.0} us (medians)", median(ours), median(bare)),
        raw: json!({ "p50_us": ours, "bare_p50_us": bare }),
    }
}

/// The median of some cycles, in microseconds.
async fn cycle_us(lock: &Mutex, cycles: u32) -> Result<f64, Failure> {
    let mut spans = Vec::new();
    for number in 0..WARM_UP + cycles {
        let begun = Instant::now();
        lock.acquire().await?.release().await?;
        if number >= WARM_UP {
            spans.push(micros_since(begun));
        }
    }
    Ok(Sample::new(spans).median())
}

async fn bare_cycle_us(link: &mut Bare, cycles: u32) -> Result<f64, Failure> {
    let mut spans = Vec::new();
    for number in 0..WARM_UP + cycles {
        let begun = Instant::now();
        link.cycle("bare", &format!("{number:040x}")).await?;
        if number >= WARM_UP {
            spans.push(micros_since(begun));
        }
    }
    Ok(Sample::new(spans).median())
}

fn micros_since(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1e6
}
