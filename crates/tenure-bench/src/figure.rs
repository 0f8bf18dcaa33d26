//! One figure: what it is, its value, its limit, and the raw data behind it.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

/// How thoroughly to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Seconds in all; figures mean nothing.
    Short,
    /// As long as the figures need.
    Full,
}

impl Scale {
    /// One of two sizes.
    pub(crate) fn pick<T>(self, short: T, full: T) -> T {
        match self {
            Self::Short => short,
            Self::Full => full,
        }
    }
}

/// The limit of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Limit {
    AtLeast(f64),
    AtMost(f64),
}

#[derive(Debug, Clone)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    pub(crate) limit: Limit,
    /// A remark for the reader.
    pub(crate) note: String,
    pub(crate) raw: Value,
}

impl Figure {
    pub(crate) fn is_met(&self) -> bool {
        match self.limit {
            Limit::AtLeast(limit) => self.value >= limit,
            Limit::AtMost(limit) => self.value <= limit,
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = match self.limit {
            Limit::AtLeast(limit) => format!(">= {}", number(limit)),
            Limit::AtMost(limit) => format!("<= {}", number(limit)),
        };
        let verdict = if self.is_met() { "ok" } else { "MISSED" };
        let Self { name, unit, note, .. } = self;
        let value = number(self.value);
        write!(f, "{name:<62} {value:>10} {unit:<6} {limit:>10} {verdict:<6} {note}")
    }
}

fn number(value: f64) -> String {
    match value {
        v if v.fract() == 0.0 || v >= 1_000.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_kept_from_its_side() {
        let figure = |value, limit| Figure {
            name: "x".into(),
            value,
            unit: "ms",
            limit,
            note: String::new(),
            raw: Value::Null,
        };
        assert!(figure(2.0, Limit::AtLeast(2.0)).is_met());
        assert!(!figure(1.9, Limit::AtLeast(2.0)).is_met());
        assert!(figure(2.0, Limit::AtMost(2.0)).is_met());
        assert!(!figure(2.1, Limit::AtMost(2.0)).is_met());
        assert!(figure(2.1, Limit::AtMost(2.0)).to_string().contains("MISSED"));
    }
}
