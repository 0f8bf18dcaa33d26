//! How long to wait before the next try: exponential, capped, with jitter (Marc Brooker,
//! *Exponential Backoff And Jitter*, AWS 2015). It never sleeps itself.

use std::time::Duration;

/// The waits between tries.
#[derive(Debug, Clone)]
pub struct Backoff {
    next: Duration,
    cap: Duration,
}

impl Backoff {
    /// Starts at `first` and doubles up to `cap`.
    #[must_use]
    pub fn new(first: Duration, cap: Duration) -> Self {
        Self { next: first.min(cap), cap }
    }

    /// The next wait: between half of the present step and all of it. `random` chooses.
    pub fn next(&mut self, random: u32) -> Duration {
        let step = self.step();
        step / 2 + part(step / 2, random)
    }

    /// The next wait of a client that contends with others: between zero and all of the present
    /// step ("full jitter"), so that their tries spread out.
    pub fn apart(&mut self, random: u32) -> Duration {
        part(self.step(), random)
    }

    fn step(&mut self) -> Duration {
        let step = self.next;
        self.next = (step * 2).min(self.cap);
        step
    }
}

fn part(step: Duration, random: u32) -> Duration {
    step.mul_f64(f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_double_up_to_the_cap_and_stay_within_half_to_all() {
        let ms = Duration::from_millis;
        let mut low = Backoff::new(ms(10), ms(35));
        let mut high = low.clone();
        let steps = [ms(10), ms(20), ms(35), ms(35)];
        for step in steps {
            assert_eq!(low.next(0), step / 2);
            assert_eq!(high.next(u32::MAX), step);
        }
        assert_eq!((low.apart(0), high.apart(u32::MAX)), (ms(0), ms(35)));
    }
}
