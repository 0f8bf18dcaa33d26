//! The options of a lock as Python gives them: seconds as numbers or `timedelta`.

use std::time::Duration;

use pyo3::prelude::*;
use tenure::Renewal;

use crate::error;

/// A time in seconds, or a `timedelta`.
pub(crate) struct Span(pub(crate) Duration);

impl<'py> FromPyObject<'_, 'py> for Span {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let seconds = match value.extract::<f64>() {
            Ok(seconds) => seconds,
            Err(_) => value.call_method0("total_seconds")?.extract::<f64>()?,
        };
        // A time beyond all limits stays beyond them, and the library says which limit that is.
        let micros = (seconds * 1e6).round();
        if !(0.0..=1e18).contains(&micros) {
            let message = format!("a time of {seconds} s cannot be; give seconds or a timedelta");
            return Err(error::invalid(value.py(), &message));
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
        Ok(Self(Duration::from_micros(micros as u64)))
    }
}

/// The options of one lock, as the tuple that `tenure._options` makes.
#[derive(FromPyObject)]
pub(crate) struct Options(
    Option<Span>,
    Option<Span>,
    Option<(u32, Span)>,
    Option<Span>,
    Option<Span>,
    Option<Span>,
    Option<String>,
    Option<String>,
);

/// Gives each option that was given to the method of its name.
macro_rules! with_options {
    ($lock:expr, $options:expr; $($with:ident $name:ident)+) => {{
        let mut lock = $lock;
        let options: $crate::options::Chosen = $options;
        $(
            if let Some(value) = options.$name {
                lock = lock.$with(value);
            }
        )+
        lock
    }};
    ($lock:expr, $options:expr) => {
        $crate::options::with_options!($lock, $options;
            with_ttl ttl with_wait wait with_renewal renewal with_min_hold min_hold
            with_max_hold max_hold with_owner owner with_label label)
    };
}

pub(crate) use with_options;

/// The options that were given.
#[derive(Clone)]
pub(crate) struct Chosen {
    pub(crate) ttl: Option<Duration>,
    pub(crate) wait: Option<Duration>,
    pub(crate) renewal: Option<Renewal>,
    pub(crate) min_hold: Option<Duration>,
    pub(crate) max_hold: Option<Duration>,
    pub(crate) owner: Option<String>,
    pub(crate) label: Option<String>,
}

impl From<Options> for Chosen {
    fn from(options: Options) -> Self {
        let Options(ttl, wait, retries, renewal, min_hold, max_hold, owner, label) = options;
        let span = |span: Option<Span>| span.map(|Span(span)| span);
        Self {
            ttl: span(ttl),
            // The product is what `with_retry` waits for.
            wait: span(wait).or(retries.map(|(tries, Span(delay))| delay.saturating_mul(tries))),
            renewal: span(renewal).map(|every| match every {
                Duration::ZERO => Renewal::Off,
                every => Renewal::Every(every),
            }),
            min_hold: span(min_hold),
            max_hold: span(max_hold),
            owner,
            label,
        }
    }
}
