//! Axes: from a number to a place. They draw their own grid.

use super::svg::{Anchor, Svg};

/// An axis on which equal steps are equal factors.
#[derive(Debug, Clone, Copy)]
pub(super) struct LogAxis {
    least: f64,
    most: f64,
    from: f64,
    to: f64,
}

impl LogAxis {
    /// Covers all numbers, between the places `from` and `to`.
    pub(super) fn over(numbers: impl IntoIterator<Item = f64>, (from, to): (f64, f64)) -> Self {
        let numbers: Vec<_> = numbers.into_iter().filter(|number| *number > 0.0).collect();
        let least = numbers.iter().copied().fold(f64::INFINITY, f64::min).min(1e9);
        let most = numbers.iter().copied().fold(least, f64::max);
        Self { least: least * 0.9, most: most * 1.1, from, to }
    }

    pub(super) fn place(&self, number: f64) -> f64 {
        let share = (number.max(self.least) / self.least).ln() / (self.most / self.least).ln();
        self.from + share * (self.to - self.from)
    }

    /// The round numbers on it: 1, 2 and 5 times powers of ten, or the powers alone.
    fn marks(&self) -> Vec<f64> {
        let steps: &[f64] = if self.most / self.least > 200.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let powers = (-3..12).map(|power| 10_f64.powi(power));
        let marks = powers.flat_map(|power| steps.iter().map(move |step| step * power));
        marks.filter(|mark| (self.least..=self.most).contains(mark)).collect()
    }

    /// Lines upright through a plot, with their numbers below.
    pub(super) fn draw(&self, svg: &mut Svg, (top, bottom): (f64, f64)) {
        for mark in self.marks() {
            let x = self.place(mark);
            svg.line((x, top), (x, bottom), "grid");
            svg.text((x, bottom + 16.0), Anchor::Middle, "soft", number(mark));
        }
    }
}

/// A number as people write it on an axis.
pub(super) fn number(value: f64) -> String {
    match value {
        v if v >= 1e6 => format!("{} M", v / 1e6),
        v if v >= 1e3 => format!("{} k", v / 1e3),
        v => v.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_factors_are_equal_steps() {
        let axis = LogAxis::over([10.0, 0.0, 1_000.0], (100.0, 300.0));
        let step = axis.place(100.0) - axis.place(10.0);
        assert!((axis.place(1_000.0) - axis.place(100.0) - step).abs() < 1e-9);
        assert!(axis.place(10.0) > 100.0 && axis.place(1_000.0) < 300.0);
        assert_eq!(axis.marks(), [10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0]);
    }

    #[test]
    fn nothing_is_no_failure() {
        assert!(LogAxis::over([], (0.0, 1.0)).place(5.0).is_finite());
    }

    #[test]
    fn numbers_are_short() {
        let said = [0.5, 20.0, 1_000.0, 50_000.0, 2_000_000.0].map(number);
        assert_eq!(said, ["0.5", "20", "1 k", "50 k", "2 M"]);
    }
}
