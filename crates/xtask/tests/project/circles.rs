//! The engine's own files import each other in no circle.

use std::collections::{BTreeMap, BTreeSet};

use xtask::files;

/// The module that is held to this.
const MODULE: &str = "engine";

/// A type's methods are called without an import. So all of `Engine`'s stand in one file; all else
/// that the engine does is functions, which must be imported.
#[test]
fn the_engines_files_import_each_other_in_no_circle() {
    let folder = format!("crates/tenure/src/{MODULE}/");
    let of_engine =
        |path: String| Some(path.strip_prefix(&folder)?.strip_suffix(".rs")?.to_owned());
    let files: BTreeMap<_, _> = files()
        .into_iter()
        .filter_map(|file| {
            Some((of_engine(file.path.to_string_lossy().into_owned())?, code(&file.text)))
        })
        .collect();
    assert!(files.len() > 10, "the engine's files: {:?}", files.keys());
    let imports = imports_within(MODULE, &files);
    assert_eq!(circle(&imports), None, "of all imports {imports:#?}");
    for (file, code) in &files {
        let has_methods = file != "mod" && code.contains("impl Engine");
        assert!(!has_methods, "{MODULE}/{file}.rs has methods of the engine: make them functions");
    }
}

#[test]
fn a_circle_is_found() {
    let imports = |ways: [(&str, &[&str]); 4]| {
        let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        ways.map(|(file, names)| (file.to_owned(), named(names))).into()
    };
    let without = imports([("a", &["b", "c"]), ("b", &["c", "d"]), ("c", &["d"]), ("d", &[])]);
    assert_eq!(circle(&without), None);
    let with = imports([("a", &["b"]), ("b", &["c"]), ("c", &["d", "b"]), ("d", &[])]);
    assert_eq!(circle(&with).map(|way| way.join(" ")).as_deref(), Some("a b c b"));
}

#[test]
fn names_are_found_in_braces_and_alone() {
    let code = "use super::{Engine, a::{B, c}, d};\nuse super::e::F;\nfn g() -> super::h::I {}\n";
    let named = paths(code, "super::");
    assert_eq!(named.into_iter().collect::<Vec<_>>(), ["Engine", "a", "d", "e", "h"]);
    assert!(uses("use tables::X;", "tables") && !uses("pub(crate) use tables::X;", "tables"));
}

/// A source text without comments and unit tests.
fn code(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// The names that stand behind `root`, one by one or in braces.
fn paths(code: &str, root: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices(root) {
        let mut rest = &code[at + root.len()..];
        let in_braces = rest.starts_with('{');
        let mut depth = 0;
        loop {
            let name = rest.split(|c| !is_name(c)).next().unwrap_or_default();
            if !name.is_empty() && depth == i32::from(in_braces) {
                names.insert(name.to_owned());
            }
            // On to the next comma of the outermost braces.
            rest = &rest[name.len()..];
            let next = rest.char_indices().find(|(_, c)| {
                depth += i32::from(*c == '{') - i32::from(*c == '}');
                depth <= 0 || (depth == 1 && matches!(c, '{' | ','))
            });
            match next {
                Some((at, _)) if in_braces && depth > 0 => rest = rest[at + 1..].trim_start(),
                _ => break,
            }
        }
    }
    names
}

/// Which files of a module each of its files names. Names that are no file stand for `mod`, and
/// each must be an item of its own: what it shows of others is named where it is.
fn imports_within(module: &str, files: &BTreeMap<String, String>) -> BTreeMap<String, Vec<String>> {
    let top = &files["mod"];
    let is_own = |name: &str| {
        ["struct", "enum", "fn", "const"].iter().any(|kind| {
            top.match_indices(&format!("{kind} {name}"))
                .any(|(at, item)| !top[at + item.len()..].starts_with(char::is_alphanumeric))
        })
    };
    let mut imports = BTreeMap::new();
    for (file, code) in files {
        let mut named = paths(code, "super::");
        named.extend(paths(code, &format!("crate::{module}::")));
        if file == "mod" {
            named = files.keys().filter(|other| uses(code, other)).cloned().collect();
        }
        let named = named.into_iter().map(|name| {
            if files.contains_key(&name) {
                return name;
            }
            assert!(is_own(&name), "{module}/{file}.rs: name {name} where it is defined");
            "mod".to_owned()
        });
        imports.insert(file.clone(), named.collect());
    }
    imports
}

/// Whether the code names this module, other than to show what is in it.
fn uses(code: &str, module: &str) -> bool {
    let is_shown = |part: &str| {
        let mut lines = part.lines().map(str::trim_start).filter(|line| !line.is_empty());
        lines.find(|line| !line.starts_with('#')).is_some_and(|line| line.starts_with("pub"))
    };
    let is_part_of_a_name = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let path = format!("{module}::");
    let names = |part: &str| {
        part.match_indices(&path).any(|(at, _)| !part[..at].ends_with(is_part_of_a_name))
    };
    code.split(';').any(|part| !is_shown(part) && names(part))
}

/// A way from a file back to itself.
fn circle(imports: &BTreeMap<String, Vec<String>>) -> Option<Vec<String>> {
    fn walk(
        at: &str,
        imports: &BTreeMap<String, Vec<String>>,
        way: &mut Vec<String>,
        done: &mut BTreeSet<String>,
    ) -> bool {
        if way.iter().any(|before| before == at) {
            way.push(at.to_owned());
            return true;
        }
        if !done.insert(at.to_owned()) {
            return false;
        }
        way.push(at.to_owned());
        let found = imports[at].iter().any(|next| walk(next, imports, way, done));
        if !found {
            way.pop();
        }
        found
    }
    let mut done = BTreeSet::new();
    imports.keys().find_map(|file| {
        let mut way = Vec::new();
        walk(file, imports, &mut way, &mut done).then_some(way)
    })
}
