//! Every public async fn says what its caller must know: cancel safety, errors, an example, and
//! where it claims, extends or gives back, what happens if the reply is lost.

use std::fs;
use std::path::{Path, PathBuf};

use syn::{Attribute, Expr, ImplItem, Item, Lit, Meta, ReturnType, Signature, Visibility};

/// Verbs whose request changes what is held: its reply may be lost.
const CLAIMING: [&str; 9] = [
    "acquire",
    "try_acquire",
    "extend",
    "release",
    "steal",
    "transfer",
    "campaign",
    "try_campaign",
    "resign",
];

/// A public async fn and its documentation.
struct Documented {
    name: String,
    fallible: bool,
    docs: String,
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

fn docs(attributes: &[Attribute]) -> String {
    let line = |attribute: &Attribute| {
        let Meta::NameValue(pair) = &attribute.meta else { return None };
        let Expr::Lit(value) = &pair.value else { return None };
        match &value.lit {
            Lit::Str(text) if pair.path.is_ident("doc") => Some(text.value().trim().to_owned()),
            _ => None,
        }
    };
    attributes.iter().filter_map(line).collect::<Vec<_>>().join("\n")
}

fn public_async_fns(items: &[Item], found: &mut Vec<Documented>) {
    let mut note = |visibility: &Visibility, signature: &Signature, attributes: &[Attribute]| {
        if matches!(visibility, Visibility::Public(_)) && signature.asyncness.is_some() {
            found.push(Documented {
                name: signature.ident.to_string(),
                fallible: answers_a_result(&signature.output),
                docs: docs(attributes),
            });
        }
    };
    for item in items {
        match item {
            Item::Fn(function) => note(&function.vis, &function.sig, &function.attrs),
            Item::Impl(block) if block.trait_.is_none() => {
                for inner in &block.items {
                    if let ImplItem::Fn(function) = inner {
                        note(&function.vis, &function.sig, &function.attrs);
                    }
                }
            }
            _ => {}
        }
    }
    for item in items {
        if let Item::Mod(module) = item {
            let inner = module.content.as_ref().map_or(&[][..], |(_, items)| items);
            public_async_fns(inner, found);
        }
    }
}

fn answers_a_result(output: &ReturnType) -> bool {
    let ReturnType::Type(_, answer) = output else { return false };
    let syn::Type::Path(path) = &**answer else { return false };
    path.path.segments.last().is_some_and(|segment| segment.ident == "Result")
}

/// The sections that are missing in the documentation of one function.
fn missing(function: &Documented) -> Vec<&'static str> {
    let mut wanted = vec!["# Cancel safety", "# Examples"];
    if function.fallible {
        wanted.push("# Errors");
    }
    if CLAIMING.iter().any(|verb| function.name.starts_with(verb)) {
        wanted.push("# If the reply is lost");
    }
    let has = |section: &str| function.docs.lines().any(|line| line == section);
    wanted.retain(|section| !has(section));
    let summary = function.docs.lines().next().unwrap_or_default();
    if summary.is_empty() || summary.starts_with('#') {
        wanted.push("a first line that says what it does");
    }
    wanted
}

/// The methods that a macro defines for each kind of lock, as those of one type. The macro has one
/// rule, whose body is methods.
fn methods_of_macro(item: &syn::ItemMacro) -> Vec<Item> {
    let tokens = item.mac.tokens.to_string().replace('$', "");
    let body = tokens.split_once("=>").map(|(_, body)| body.trim_start());
    let body = body.and_then(|body| Some(&body[..=body.rfind('}')?]));
    let methods = body.and_then(|body| syn::parse_str(&format!("impl Kind {body}")).ok());
    methods.into_iter().collect()
}

fn read(source: &str) -> Vec<Documented> {
    let mut items = syn::parse_file(source).expect("Rust").items;
    let methods = items.iter().flat_map(|item| match item {
        Item::Macro(item) => methods_of_macro(item),
        _ => Vec::new(),
    });
    items.extend(methods.collect::<Vec<_>>());
    let mut found = Vec::new();
    public_async_fns(&items, &mut found);
    found
}

#[test]
fn public_async_fns_carry_their_sections() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let (mut count, mut faults) = (0, Vec::new());
    for file in files {
        for function in read(&fs::read_to_string(&file).expect("a source file")) {
            count += 1;
            for section in missing(&function) {
                let file = file.strip_prefix(&root).unwrap_or(&file).display();
                faults.push(format!("{file}: {} has no {section:?}", function.name));
            }
        }
    }
    assert!(count >= 30, "only {count} public async fns were found: this test is half blind");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn what_is_missing_is_found() {
    let source = "
        /// Takes it.
        ///
        /// # Errors
        /// None.
        pub async fn acquire() -> Result<()> { Ok(()) }
        pub(crate) async fn inner() {}
        mod inside {
            impl Guard {
                /// # Cancel safety
                /// # Examples
                pub async fn hold(&self) {}
            }
        }
        macro_rules! control {
            ($example:literal) => {
                /// Looks.
                #[doc = concat!(\"let seen = \", $example, \";\")]
                pub async fn inspect(&self) -> Result<Inspection> { self.0.inspect().await }
            };
        }
    ";
    let found: Vec<_> = read(source).iter().map(|f| (f.name.clone(), missing(f))).collect();
    let wanted = [
        ("acquire".into(), vec!["# Cancel safety", "# Examples", "# If the reply is lost"]),
        ("inspect".into(), vec!["# Cancel safety", "# Examples", "# Errors"]),
        ("hold".into(), vec!["a first line that says what it does"]),
    ];
    assert_eq!(found, wanted);
}
