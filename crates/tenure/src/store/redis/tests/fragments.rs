//! The text of the scripts: what each fragment says of itself is true, and servers take the whole
//! with room to spare.

use std::collections::{BTreeMap, BTreeSet};

use tenure_testkit::{Flavour, Server as RealServer};

use crate::store::redis::keys::Scope;
use crate::store::redis::scripts::{self, FRAGMENTS};

/// A function has fewer lines than this.
const FUNCTION_LINES_MAX: usize = 70;
/// A fifth of what a function may have: 200 variables of its own, and 60 of others around it.
const LOCALS_SPARE: usize = 40;
const UPVALUES_SPARE: usize = 12;

/// The text in front of the script of all steps.
const PREFACE: &str = "local retention, before, behind = '1000', 0, 0\n\
                       local has_guard, in_slots, others_max = false, false, 8\n";
/// The names that Lua and the server give.
const BUILTIN: [&str; 16] = [
    "redis", "struct", "cmsgpack", "string", "math", "table", "KEYS", "ARGV", "ipairs", "pairs",
    "unpack", "tonumber", "tostring", "type", "pcall", "error",
];
const KEYWORDS: [&str; 21] = [
    "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "if", "in", "local",
    "nil", "not", "or", "repeat", "return", "then", "true", "until", "while",
];

type Names<'a> = BTreeSet<&'a str>;

/// A word or sign of a fragment, and the line that it stands in.
type Token<'a> = (&'a str, usize);

/// Without comments; a text is a quote.
fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    for (number, line) in source.lines().enumerate() {
        let mut rest = line.trim_start();
        while !rest.is_empty() && !rest.starts_with("--") {
            let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let length = match rest.as_bytes()[0] {
                b'\'' => 2 + rest[1..].find('\'').expect("the end of a text"),
                first if is_word(first.into()) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
                _ if rest.starts_with("..") => 2,
                _ => 1,
            };
            let token = &rest[..length];
            tokens.push((if token.starts_with('\'') { "'" } else { token }, number));
            rest = rest[length..].trim_start();
        }
    }
    tokens
}

fn is_name(token: &str) -> bool {
    let is_word = token.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    is_word && token != "_" && !KEYWORDS.contains(&token)
}

/// The names that stand behind a `local`, a `for` or a `function`.
fn declared<'a>(tokens: &[Token<'a>]) -> Names<'a> {
    let mut names = Names::new();
    for (at, &(token, _)) in tokens.iter().enumerate() {
        let mut rest = tokens[at + 1..].iter().map(|(token, _)| *token);
        match token {
            "local" | "for" => {
                let list = rest.skip_while(|token| *token == "function");
                let mut was_name = false;
                names.extend(
                    list.take_while(|token| {
                        let goes_on = (*token == ",") == was_name;
                        was_name = !was_name;
                        goes_on
                    })
                    .filter(|token| is_name(token)),
                );
            }
            "function" => {
                let _its_name = rest.find(|token| *token == "(");
                names.extend(rest.take_while(|token| *token != ")").filter(|t| is_name(t)));
            }
            _ => {}
        }
    }
    names
}

/// The names that a fragment uses and does not declare.
fn free<'a>(tokens: &[Token<'a>]) -> Names<'a> {
    let declared = declared(tokens);
    let (mut names, mut brackets) = (Names::new(), Vec::new());
    for (at, &(token, _)) in tokens.iter().enumerate() {
        let before = at.checked_sub(1).map_or("", |before| tokens[before].0);
        let next = tokens.get(at + 1).map_or("", |next| next.0);
        match token {
            "(" | "{" | "[" => brackets.push(token),
            ")" | "}" | "]" => _ = brackets.pop(),
            _ => {}
        }
        let is_field = matches!(before, "." | ":")
            || (brackets.last() == Some(&"{") && next == "=" && matches!(before, "{" | ","));
        if is_name(token) && !is_field && !declared.contains(token) && !BUILTIN.contains(&token) {
            names.insert(token);
        }
    }
    names
}

/// The names that the head of a fragment lists behind a word.
fn listed<'a>(source: &'a str, word: &str) -> Names<'a> {
    let lines = source.lines().map_while(|line| line.strip_prefix("--"));
    let mut lines = lines.skip_while(|line| line.trim().split(' ').next() != Some(word));
    let Some(first) = lines.next() else { return Names::new() };
    let first = first.trim_start().strip_prefix(word).expect("the word");
    let more = lines.take_while(|line| line.starts_with("        "));
    let names = std::iter::once(first).chain(more).flat_map(|line| line.split(','));
    names.map(str::trim).filter(|name| !name.is_empty()).collect()
}

/// The fragments that one includes, and those that these include.
fn included(name: &str) -> Names<'static> {
    let own = scripts::includes(scripts::fragment(name));
    own.flat_map(|name| included(name).into_iter().chain([name])).collect()
}

#[test]
fn every_fragment_says_what_it_needs_and_gives() {
    let mut gives: BTreeMap<_, _> =
        FRAGMENTS.iter().map(|(name, source)| (*name, listed(source, "gives"))).collect();
    gives.insert("preface", declared(&tokens(PREFACE)));
    let mut used = BTreeMap::<_, Names<'_>>::new();
    for (name, source) in FRAGMENTS {
        let tokens = tokens(source);
        let (declared, free) = (declared(&tokens), free(&tokens));
        let missing: Vec<_> = gives[name].difference(&declared).collect();
        assert!(missing.is_empty(), "{name} does not give {missing:?}");
        let (needs, includes) = (listed(source, "needs"), included(name));
        let mut known = Names::new();
        for giver in needs.union(&includes) {
            let given = gives.get(giver).unwrap_or_else(|| panic!("{name} needs {giver}"));
            let wanted: Names<'_> = given.intersection(&free).copied().collect();
            assert!(includes.contains(giver) || !wanted.is_empty(), "{name} uses no {giver}");
            used.entry(*giver).or_default().extend(&wanted);
            known.extend(given);
        }
        let unknown: Vec<_> = free.difference(&known).collect();
        assert!(unknown.is_empty(), "{name} does not say where {unknown:?} come from");
    }
    for (name, given) in gives {
        let unused: Vec<_> = given.difference(used.entry(name).or_default()).collect();
        assert!(unused.is_empty(), "nobody needs {unused:?} of {name}");
    }
}

/// The bytes of locks and records are known by names.
#[test]
fn fragments_of_the_layout_alone_know_it() {
    for (name, source) in FRAGMENTS.iter().filter(|(name, _)| !name.ends_with("layout")) {
        let literals =
            ["'1'", "'1S", "'1Q", "'1G", "'1H", "'1J", "'1R", "'>d", "%016d", "%x%x", "\\1"];
        for literal in literals {
            let is_there = source
                .lines()
                .any(|line| !line.trim_start().starts_with("--") && line.contains(literal));
            assert!(!is_there, "{name} has {literal}");
        }
    }
}

#[test]
fn functions_are_short() {
    for (name, source) in FRAGMENTS {
        let mut open = Vec::new();
        for (token, line) in tokens(source) {
            match token {
                "function" | "if" | "do" | "repeat" => open.push((token, line)),
                "end" | "until" => {
                    let (what, begun) = open.pop().expect("a beginning");
                    let lines = line - begun + 1;
                    let is_short = what != "function" || lines < FUNCTION_LINES_MAX;
                    assert!(is_short, "{name}:{}: {lines} lines", begun + 1);
                }
                _ => {}
            }
        }
        assert!(open.is_empty(), "{name}: {open:?}");
    }
}

/// The script, whose functions have so many variables of their own more, and use so many more of
/// the script's.
fn padded(source: &str, locals: usize, upvalues: usize) -> String {
    let list = |prefix: &str, count: usize| {
        let names: Vec<_> = (0..count).map(|number| format!("{prefix}{number}")).collect();
        names.join(", ")
    };
    let mut text = format!("local {}\n", list("spare", locals));
    for line in source.lines() {
        text += line;
        text.push('\n');
        let begins = line.trim_start();
        let is_whole = begins.starts_with("function ") || begins.starts_with("local function ");
        if is_whole && !line.trim_end().ends_with("end") {
            text += &format!("local {} = {}\n", list("own", locals), list("spare", upvalues));
        }
    }
    text
}

#[test]
fn the_script_keeps_away_from_the_limits_of_lua() {
    for flavour in Flavour::ALL {
        let server = RealServer::of(flavour).start();
        let takes = |source: &str| {
            matches!(server.command(&["SCRIPT", "LOAD", source]), tenure_testkit::Reply::Bulk(_))
        };
        assert!(takes(&scripts::MEET));
        for scope in [Scope::Server, Scope::Slot] {
            let source = &scripts::steps(PREFACE, scope).source;
            assert!(takes(source));
            let what = format!("{scope:?} on {flavour:?}");
            assert!(takes(&padded(source, LOCALS_SPARE, UPVALUES_SPARE)), "{what}");
            for (locals, upvalues) in [(190, 1), (61, 61)] {
                assert!(!takes(&padded(source, locals, upvalues)), "{what}: it is not padded");
            }
        }
    }
}
