//! The options of a lock as Python gives them: seconds as numbers or `timedelta`.

use std::time::Duration;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use tenure::Renewal;

use crate::error;

/// A time in seconds, or a `timedelta`.
pub(crate) struct Span(pub(crate) Duration);

impl Span {
    /// The time that `value` is; `name` is its name in the error.
    fn of(value: &Bound<'_, PyAny>, name: &str) -> PyResult<Self> {
        let number = value.extract::<f64>();
        let total = || value.call_method0("total_seconds").and_then(|total| total.extract::<f64>());
        let Ok(seconds) = number.or_else(|_| total()) else {
            let message = format!("{name} is seconds or a timedelta, not {}", value.repr()?);
            return Err(PyTypeError::new_err(message));
        };
        // A time beyond all limits stays beyond them, and the library says which limit that is.
        let micros = (seconds * 1e6).round();
        if !(0.0..=1e18).contains(&micros) {
            let message = format!("{name} of {seconds} s cannot be; give seconds or a timedelta");
            return Err(error::invalid(value.py(), &message));
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
        Ok(Self(Duration::from_micros(micros as u64)))
    }
}

impl<'py> FromPyObject<'_, 'py> for Span {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        Self::of(&value, "a time")
    }
}

/// The options of one lock, as the tuple that `tenure._options` makes.
pub(crate) struct Options(
    Option<Span>,
    Option<Span>,
    Option<(u32, Span)>,
    Option<Span>,
    Option<Span>,
    Option<Span>,
    Option<String>,
    Option<String>,
    bool,
);

impl<'py> FromPyObject<'_, 'py> for Options {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let fields = value.cast::<PyTuple>()?;
        let span = |index, name| given(fields, index, |value| Span::of(value, name));
        let text = |index, name| given(fields, index, |value| text_of(value, name));
        Ok(Self(
            span(0, "ttl")?,
            span(1, "wait")?,
            given(fields, 2, retries_of)?,
            span(3, "renew")?,
            span(4, "min_hold")?,
            span(5, "max_hold")?,
            text(6, "owner")?,
            text(7, "label")?,
            fields.get_item(8)?.extract()?,
        ))
    }
}

/// Reads a field unless it is `None`.
fn given<T>(
    fields: Borrowed<'_, '_, PyTuple>,
    index: usize,
    read: impl FnOnce(&Bound<'_, PyAny>) -> PyResult<T>,
) -> PyResult<Option<T>> {
    let field = fields.get_item(index)?;
    if field.is_none() { Ok(None) } else { read(&field).map(Some) }
}

fn text_of(value: &Bound<'_, PyAny>, name: &str) -> PyResult<String> {
    let error = |_| PyTypeError::new_err(format!("{name} is a text, not {value:?}"));
    value.extract().map_err(error)
}

fn retries_of(value: &Bound<'_, PyAny>) -> PyResult<(u32, Span)> {
    let Ok((tries, delay)) = value.extract::<(u32, Bound<'_, PyAny>)>() else {
        let message = format!("retries is (tries, delay), not {}", value.repr()?);
        return Err(PyTypeError::new_err(message));
    };
    Ok((tries, Span::of(&delay, "the delay of retries")?))
}

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
    /// Whether the key of a mutex has the owner's value and nothing else.
    pub(crate) plain_value: bool,
}

impl From<Options> for Chosen {
    fn from(options: Options) -> Self {
        let Options(ttl, wait, retries, renewal, min_hold, max_hold, owner, label, plain_value) =
            options;
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
            plain_value,
        }
    }
}
