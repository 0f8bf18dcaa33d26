//! The time of one cycle (an acquire and a release) of one caller, against the bare cycle over the
//! very same link, and against the bare cycle over links of the crate `redis`. All take turns.

use std::time::{Duration, Instant};

use serde_json::json;
use tenure::Mutex;
use tenure_testkit::Server;

use crate::Failure;
use crate::figure::{Figure, Limit, Scale};
use crate::sample::Sample;
use crate::worker::block_on;

use super::bare::Bare;
use super::{on_each, open};

/// The first cycles of a round find everything cold.
const WARM_UP: u32 = 20;

pub(crate) fn measure(scale: Scale) -> Result<Vec<Figure>, Failure> {
    let (rounds, cycles) = scale.pick((1, 20), (31, 300));
    on_each(|server| block_on(on(server, rounds, cycles)))
}

async fn on(server: &Server, rounds: u32, cycles: u32) -> Result<Vec<Figure>, Failure> {
    let (store, locks) = open(server).await?;
    let lock = locks.mutex("lone");
    let mut bare = Bare::over(&store).await?;
    let mut within = Bare::connect(server).await?;
    let mut apart = Bare::connect_apart(server).await?;
    let (mut ours, mut theirs) = (Vec::new(), [const { Vec::new() }; 3]);
    for _ in 0..rounds {
        ours.push(cycle_us(&lock, cycles).await?);
        for (link, found) in [&mut bare, &mut within, &mut apart].into_iter().zip(&mut theirs) {
            found.push(bare_cycle_us(link, cycles).await?);
        }
    }
    locks.close(Duration::from_secs(5)).await?;
    let [bare, within, apart] = &theirs;
    let median = |values: &[f64]| Sample::new(values.to_vec()).median();
    let note = format!(
        "{:.0} us against {:.0} us (medians); with the crate redis in the caller's thread \
         {:.0} us, on another {:.0} us",
        median(&ours),
        median(bare),
        median(within),
        median(apart)
    );
    let ratios = ours.iter().zip(bare).map(|(ours, bare)| ours / bare).collect();
    Ok(vec![Figure {
        name: "one caller, cycle / bare cycle, p50".into(),
        value: Sample::new(ratios).median(),
        unit: "x",
        limit: Limit::AtMost(1.3),
        note,
        raw: json!({
            "p50_us": ours,
            "bare_p50_us": bare,
            "crate_p50_us": { "callers_thread": within, "another_thread": apart },
        }),
    }])
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
