//! The dependencies of the workspace, by `cargo metadata`: licences, sources, one TLS stack; and
//! the metadata of every published crate. `deny.toml` has the same rules for cargo-deny.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;
use xtask::root;

/// TLS implementations, by the crates that only they bring along.
const TLS_STACKS: [(&str, &str); 8] = [
    ("rustls", "rustls"),
    ("native-tls", "native-tls"),
    ("openssl", "openssl"),
    ("openssl-sys", "openssl"),
    ("boring", "boring"),
    ("boring-sys", "boring"),
    ("mbedtls", "mbedtls"),
    ("s2n-tls", "s2n"),
];

static METADATA: LazyLock<Value> = LazyLock::new(|| {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--all-features"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata writes JSON")
});

fn packages() -> &'static [Value] {
    METADATA["packages"].as_array().expect("a list of packages")
}

fn text<'a>(package: &'a Value, field: &str) -> &'a str {
    package[field].as_str().unwrap_or_default()
}

/// The crates of this workspace that are not marked `publish = false`.
fn published() -> Vec<&'static Value> {
    packages()
        .iter()
        .filter(|p| p["source"].is_null())
        .filter(|p| p["publish"].as_array().is_none_or(|registries| !registries.is_empty()))
        .collect()
}

/// The list `allow` of `deny.toml`, so that there is one list.
fn allowed_licences() -> BTreeSet<String> {
    let rules = std::fs::read_to_string(root().join("deny.toml")).expect("deny.toml");
    let (_, list) = rules.split_once("allow = [").expect("deny.toml has a list `allow`");
    let (list, _) = list.split_once(']').expect("the list is closed");
    list.split(',')
        .map(|item| item.trim().trim_matches('"').to_owned())
        .filter(|item| !item.is_empty())
        .collect()
}

fn is_allowed(licence: &str, allowed: &BTreeSet<String>) -> bool {
    let expression = spdx::Expression::parse_mode(licence, spdx::ParseMode::LAX)
        .unwrap_or_else(|e| panic!("{licence}: {e}"));
    // With its exception, if it has one.
    expression.evaluate(|wanted| allowed.contains(wanted.to_string().as_str()))
}

#[test]
fn every_licence_is_on_the_list() {
    let allowed = allowed_licences();
    let refused: Vec<_> = packages()
        .iter()
        .filter(|p| !is_allowed(text(p, "license"), &allowed))
        .map(|p| format!("{} {}: {:?}", text(p, "name"), text(p, "version"), p["license"]))
        .collect();
    assert!(refused.is_empty(), "not on the list in deny.toml:\n{}", refused.join("\n"));
}

#[test]
fn a_licence_counts_by_its_expression() {
    let allowed = BTreeSet::from(["MIT".to_owned(), "Unicode-3.0".to_owned()]);
    for good in ["MIT", "GPL-3.0 OR MIT", "MIT/GPL-3.0", "(MIT OR Apache-2.0) AND Unicode-3.0"] {
        assert!(is_allowed(good, &allowed), "{good}");
    }
    for bad in ["GPL-3.0", "MIT AND GPL-3.0", "Apache-2.0 WITH LLVM-exception"] {
        assert!(!is_allowed(bad, &allowed), "{bad}");
    }
}

#[test]
fn everything_comes_from_one_registry_or_from_this_workspace() {
    let mut sources = BTreeMap::<&str, Vec<&str>>::new();
    for package in packages().iter().filter(|p| !p["source"].is_null()) {
        sources.entry(text(package, "source")).or_default().push(text(package, "name"));
    }
    assert!(sources.keys().all(|source| source.starts_with("registry+")), "{sources:#?}");
    assert!(sources.len() <= 1, "more than one registry: {sources:#?}");
}

#[test]
fn there_is_at_most_one_tls_stack() {
    let stacks: BTreeSet<_> = packages()
        .iter()
        .filter_map(|p| TLS_STACKS.iter().find(|(name, _)| *name == text(p, "name")))
        .map(|(_, stack)| stack)
        .collect();
    assert!(stacks.len() <= 1, "TLS stacks: {stacks:?}");
}

#[test]
fn published_crates_say_what_they_are() {
    assert!(published().iter().any(|p| text(p, "name") == "tenure"), "tenure is published");
    for package in published() {
        let name = text(package, "name");
        for field in ["description", "license", "rust_version"] {
            assert!(!text(package, field).is_empty(), "{name} does not state its {field}");
        }
        assert_eq!(text(package, "license"), "MIT OR Apache-2.0", "{name}");
    }
}

/// The public features of a crate: those that are not internal.
fn public_features(package: &Value) -> BTreeSet<&str> {
    let features = package["features"].as_object().expect("a table of features");
    let names = features.keys().map(String::as_str);
    names.filter(|name| *name != "default" && !name.starts_with("__")).collect()
}

#[test]
fn the_pages_of_published_crates_show_every_feature() {
    for package in published().into_iter().filter(|p| !public_features(p).is_empty()) {
        let (name, public) = (text(package, "name"), public_features(package));
        let shown = package["metadata"]["docs"]["rs"]["features"].as_array();
        let shown = shown.unwrap_or_else(|| panic!("{name}: [package.metadata.docs.rs] features"));
        let shown: BTreeSet<_> = shown.iter().filter_map(Value::as_str).collect();
        assert_eq!(shown, public, "{name}: [package.metadata.docs.rs]");
    }
}

#[test]
fn the_documentation_of_the_library_has_every_feature_in_its_table() {
    let package = published().into_iter().find(|p| text(p, "name") == "tenure").expect("tenure");
    let source = std::fs::read_to_string(root().join("crates/tenure/src/lib.rs")).expect("lib.rs");
    let rows = source.lines().filter_map(|line| line.strip_prefix("//! | `"));
    let rows: BTreeMap<_, _> = rows.filter_map(|row| row.split_once("` | ")).collect();
    assert_eq!(rows.keys().copied().collect::<BTreeSet<_>>(), public_features(package));
    let default = package["features"]["default"].as_array().expect("default features");
    for (name, row) in rows {
        let is_default = default.iter().any(|feature| feature == name);
        assert_eq!(row.starts_with("yes |"), is_default, "{name}: default");
    }
}

#[test]
fn published_crates_forbid_unsafe_code() {
    let workspace = std::fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    assert!(workspace.contains("\nunsafe_code = \"forbid\"\n"), "the workspace's lints");
    for package in published() {
        let manifest = text(package, "manifest_path");
        let manifest = std::fs::read_to_string(manifest).expect("a manifest can be read");
        let name = text(package, "name");
        assert!(manifest.contains("[lints]\nworkspace = true\n"), "{name} has lints of its own");
    }
}

/// Its macros' text is not ours, so the lint cannot be on there.
#[test]
fn the_python_package_has_no_unsafe_code_of_its_own() {
    let place = root().join("crates/tenure-python/src");
    let files = std::fs::read_dir(place).expect("the folder is there");
    let mut count = 0;
    for file in files {
        let path = file.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("a file of text");
        assert!(!text.contains("unsafe"), "{}", path.display());
        count += 1;
    }
    assert!(count > 5, "the sources are looked at");
}
