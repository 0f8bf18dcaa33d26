//! Imports of the library point one way: a module names only those that stand before it here.

use std::collections::BTreeSet;

use xtask::files;

/// Bottom first. `mutants` are faults that tests build in; they stand below all others.
const LAYERS: [&str; 18] = [
    "mutants", "process", "types", "fencing", "runtime", "observe", "protocol", "store", "engine",
    "guard", "ticket", "scope", "kinds", "locks", "connect", "default", "blocking", "testing",
];

const SOURCES: &str = "crates/tenure/src/";

/// The client of a Redis server. It knows neither locks nor the scripts for them, so it may name
/// nothing of the crate that does not begin like this.
const CLIENT: &str = "store/redis/client/";
const CLIENT_NAMES: [&str; 6] = [
    "observe::",
    "protocol::Backoff;",
    "runtime::",
    "store::Links;",
    "store::StoreError",
    "store::{StoreError",
];

/// A source text without its comments and its tests.
fn code_of(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// Where a text names something of the crate: all that stands behind each `crate::`.
fn paths(code: &str) -> impl Iterator<Item = &str> {
    code.match_indices("crate::").map(|(at, path)| &code[at + path.len()..])
}

/// The modules of the crate that a source text names, with the items that the crate's root shows
/// left out.
fn named(text: &str) -> BTreeSet<String> {
    let code = code_of(text);
    let modules = paths(&code).filter_map(|rest| {
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let is_module = rest.starts_with(|c: char| c.is_lowercase());
        is_module.then(|| rest[..end].to_owned())
    });
    modules.collect()
}

fn layer(module: &str) -> usize {
    let found = LAYERS.iter().position(|layer| *layer == module);
    found.unwrap_or_else(|| panic!("{module} stands in no layer: add it to LAYERS"))
}

#[test]
fn imports_point_one_way() {
    let mut against = Vec::new();
    let mut seen = BTreeSet::new();
    for file in files() {
        let path = file.path.to_string_lossy();
        let Some(below) = path.strip_prefix(SOURCES).filter(|path| path.ends_with(".rs")) else {
            continue;
        };
        let module = below.split(['/', '.']).next().unwrap_or_default().to_owned();
        if module == "lib" || below.contains("/tests/") {
            continue;
        }
        let own = layer(&module);
        for other in named(&file.text) {
            // A macro or function of the crate's root, such as `crate::connect(url)`, is the
            // module of that name as well.
            if layer(&other) > own {
                against.push(format!("{path} ({module}) names {other}"));
            }
        }
        seen.insert(module);
    }
    assert!(against.is_empty(), "imports against the layers:\n{}", against.join("\n"));
    let missing: Vec<_> = LAYERS.iter().filter(|layer| !seen.contains(**layer)).collect();
    assert!(missing.is_empty(), "no such module: {missing:?}");
}

#[test]
fn the_client_of_a_server_knows_no_locks() {
    let mut against = Vec::new();
    let mut seen = 0;
    for file in files() {
        let path = file.path.to_string_lossy();
        let below = path.strip_prefix(SOURCES).and_then(|path| path.strip_prefix(CLIENT));
        let Some(below) = below.filter(|below| !below.starts_with("tests/")) else { continue };
        seen += 1;
        let code = code_of(&file.text);
        let mut names: Vec<_> = paths(&code).collect();
        names.retain(|name| !CLIENT_NAMES.iter().any(|begin| name.starts_with(begin)));
        names.extend(code.match_indices("super::super").map(|(at, _)| &code[at..]));
        let lines = names.iter().filter_map(|name| name.lines().next());
        against.extend(lines.map(|line| format!("{below} names {line}")));
    }
    assert!(seen > 10, "the client is not at {CLIENT}");
    assert!(against.is_empty(), "the client of a server knows too much:\n{}", against.join("\n"));
}

#[test]
fn an_import_is_found_wherever_it_stands() {
    let text = "use crate::store::X;\n// crate::locks\nfn f() { crate::engine::g(crate::Key) }\n\
                #[cfg(test)]\nmod tests { use crate::testing::Y; }\n";
    assert_eq!(named(text).into_iter().collect::<Vec<_>>(), ["engine", "store"]);
}
