//! The names of all variables of Tenure, and a warning about others: a name with a letter wrong
//! would be ignored, and another store would be used in its place. It looks at no value.

use std::ffi::OsString;

use crate::store::spelling::distance;

pub use super::environment::{FILE, URL, WITHHELD};
pub use super::network::REQUIRE;

/// Begins the names of Tenure's variables.
pub const PREFIX: &str = "TENURE_";

/// The variables that people set.
pub const READ: [&str; 3] = [URL, FILE, REQUIRE];

/// The variables that `tenure` sets for CMD, and those that it prints for a shell.
pub const SET: [&str; 9] = [
    WITHHELD,
    "TENURE_STORE_NAME",
    "TENURE_KEY",
    "TENURE_FENCE",
    "TENURE_OWNER",
    "TENURE_HELD",
    "TENURE_LOST_REASON",
    "TENURE_TICKET",
    "TENURE_KEEPER",
];

/// The number of names in a warning.
const SHOWN: usize = 3;

/// The names in this process's environment.
pub fn names() -> impl Iterator<Item = OsString> {
    std::env::vars_os().map(|(name, _)| name)
}

/// The warning about variables that look like Tenure's and are not, in one line. `None` if there
/// are none.
#[must_use]
pub fn warning(names: impl Iterator<Item = OsString>) -> Option<String> {
    let names = names.filter_map(|name| name.into_string().ok());
    let mut unknown: Vec<_> = names.filter(|name| is_unknown(name)).collect();
    unknown.sort_unstable();
    let shown: Vec<_> = unknown.iter().take(SHOWN).map(|name| with_hint(name)).collect();
    let rest = unknown.len().saturating_sub(SHOWN);
    let rest = if rest == 0 { String::new() } else { format!(" and {rest} more") };
    (!shown.is_empty())
        .then(|| format!("not read, since tenure has no such variable: {}{rest}", shown.join(", ")))
}

/// Whether `name` looks like a variable of Tenure and is none.
#[must_use]
pub fn is_unknown(name: &str) -> bool {
    name.starts_with(PREFIX)
        && !READ.contains(&name)
        && !SET.contains(&name)
        && !is_of_a_service(name)
        && !name.contains(char::is_control)
}

/// Whether Kubernetes or Docker sets it for a service that is called tenure, or tenure-something.
fn is_of_a_service(name: &str) -> bool {
    let parts = ["_SERVICE_HOST", "_SERVICE_PORT", "_PORT_"];
    name.ends_with("_PORT") || parts.iter().any(|part| name.contains(part))
}

fn with_hint(name: &str) -> String {
    match meant(name) {
        Some(meant) => format!("{name} (did you mean {meant}?)"),
        None => name.to_owned(),
    }
}

/// The variable that is spelled nearly so, or is about the same.
fn meant(name: &str) -> Option<&'static str> {
    let near = READ.into_iter().map(|known| (distance(name, known), known)).min();
    if let Some((_, known)) = near.filter(|(distance, _)| *distance <= 2) {
        return Some(known);
    }
    let about = [
        (&["NETWORK"][..], REQUIRE),
        (&["FILE", "PATH", "DB"], FILE),
        (&["STORE", "URL", "URI", "REDIS", "VALKEY", "HOST", "SERVER"], URL),
    ];
    let found = about.iter().find(|(parts, _)| parts.iter().any(|part| name.contains(part)));
    found.map(|(_, known)| *known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &[&str]) -> Option<String> {
        warning(names.iter().map(OsString::from))
    }

    #[test]
    fn a_name_that_is_nearly_right_is_answered_with_the_right_one() {
        for (name, meant) in [
            ("TENURE_STOER", "TENURE_STORE"),
            ("TENURE_STOR", "TENURE_STORE"),
            ("TENURE_STORES", "TENURE_STORE"),
            ("TENURE_URL", "TENURE_STORE"),
            ("TENURE_REDIS_URL", "TENURE_STORE"),
            ("TENURE_STORE_URL", "TENURE_STORE"),
            ("TENURE_STOREFILE", "TENURE_STORE_FILE"),
            ("TENURE_STORE_PATH", "TENURE_STORE_FILE"),
            ("TENURE_NETWORK", "TENURE_REQUIRE_NETWORK"),
        ] {
            let warning = of(&[name]).unwrap_or_else(|| panic!("{name}"));
            let hint = format!("{name} (did you mean {meant}?)");
            assert!(warning.contains(&hint) && !warning.contains('\n'), "{warning}");
        }
        let far = of(&["TENURE_COLOUR"]).expect("a warning");
        assert!(far.contains("TENURE_COLOUR") && !far.contains("did you mean"), "{far}");
    }

    #[test]
    fn names_that_are_right_or_of_others_are_no_mistake() {
        let right = [&READ[..], &SET].concat();
        assert_eq!(of(&right), None);
        let others = ["TENURE", "TENUREX_STORE", "STORE", "TENURE_SERVICE_HOST", "TENURE_PORT"];
        assert_eq!(of(&others), None);
        assert_eq!(of(&["TENURE_REDIS_PORT_6379_TCP_ADDR", "TENURE_SERVICE_PORT_REDIS"]), None);
    }

    #[test]
    fn many_names_are_one_line() {
        let names: Vec<_> = (0..20).map(|n| format!("TENURE_X{n}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let warning = of(&names).expect("a warning");
        assert!(warning.contains(" and 17 more") && warning.len() < 200, "{warning}");
    }
}
