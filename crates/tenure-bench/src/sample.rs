//! A set of measured values and what is said of them.

use serde::{Deserialize, Serialize};

/// Values in ascending order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Sample(Vec<f64>);

impl Sample {
    /// There must be at least one value.
    pub(crate) fn new(mut values: Vec<f64>) -> Self {
        assert!(!values.is_empty(), "nothing was measured");
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    /// The values of several together.
    pub(crate) fn of_all(samples: &[Self]) -> Self {
        Self::new(samples.iter().flat_map(|sample| sample.0.iter().copied()).collect())
    }

    /// The value below which a share of all lies; `share` from 0 to 1.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let last = self.0.len() - 1;
        #[allow(clippy::cast_precision_loss, reason = "no sample has 2^52 values")]
        let index = (last as f64 * share).round();
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and `last`"
        )]
        self.0[(index as usize).min(last)]
    }

    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    pub(crate) fn worst(&self) -> f64 {
        self.quantile(1.0)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// At most 200 of the values, evenly spaced, for the record.
    pub(crate) fn outline(&self) -> Vec<f64> {
        let step = self.0.len().div_ceil(200);
        let thinned = self.0.iter().step_by(step).copied();
        thinned.chain(std::iter::once(self.worst())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_of_the_sample() {
        let sample = Sample::new(vec![3.0, 1.0, 2.0]);
        assert_eq!((sample.quantile(0.0), sample.median(), sample.worst()), (1.0, 2.0, 3.0));
        assert_eq!(sample.outline(), [1.0, 2.0, 3.0, 3.0]);
    }
}
