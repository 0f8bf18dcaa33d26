//! The library's errors as exceptions of `tenure._errors`. The classes are Python's, so that people
//! can read them.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;
use tenure::{Error, ErrorKind};

/// The name of the exception's class.
fn class(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Invalid | ErrorKind::Config => "Invalid",
        ErrorKind::Busy => "Busy",
        ErrorKind::Mismatch => "Mismatch",
        ErrorKind::Lost => "LockLost",
        ErrorKind::Unavailable => "StoreUnavailable",
        ErrorKind::Refused => "StoreRefused",
        ErrorKind::Closed => "Closed",
        ErrorKind::Forked => "Forked",
        _ => "Error",
    }
}

/// Options that the library's messages name by their method.
const OPTIONS: [&str; 6] = ["ttl", "wait", "min_hold", "max_hold", "owner", "plain_value"];

/// The exception of `error`.
pub(crate) fn raised(py: Python<'_>, error: &Error) -> PyErr {
    let key = error.key().map(tenure::Key::as_str);
    let message = OPTIONS.iter().fold(error.to_string(), |message, option| {
        message.replace(&format!("with_{option}"), option)
    });
    exception(py, class(error.kind()), &message, key, error.store(), error.may_hold())
}

/// Bad input that the library has not seen yet.
pub(crate) fn invalid(py: Python<'_>, message: &str) -> PyErr {
    exception(py, "Invalid", message, None, None, false)
}

fn exception(
    py: Python<'_>,
    class: &str,
    message: &str,
    key: Option<&str>,
    store: Option<&str>,
    may_hold: bool,
) -> PyErr {
    static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let module = MODULE.get_or_try_init(py, || py.import("tenure._errors").map(Bound::unbind));
    let made = module.and_then(|module| {
        let class = module.bind(py).getattr(class)?.cast_into::<PyType>()?;
        class.call1((message, key, store, may_hold))
    });
    made.map_or_else(|failed| failed, PyErr::from_value)
}
