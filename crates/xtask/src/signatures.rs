//! Functions of a source file with the types that their signatures name. It reads text alone: a
//! type is known by its last name.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use syn::visit::{self, Visit};
use syn::{Attribute, Block, Generics, Signature};

/// A function or method with a body.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) types: BTreeSet<String>,
    lines: RangeInclusive<usize>,
}

/// The functions of one file, and the types that it defines.
#[derive(Debug, Default)]
pub(crate) struct Source {
    functions: Vec<Function>,
    defined: BTreeSet<String>,
    /// Of the `impl` or `trait` that is being read.
    around: BTreeSet<String>,
}

/// All types that are defined in these files.
pub(crate) fn defined_types<'a>(sources: impl Iterator<Item = &'a Source>) -> BTreeSet<String> {
    sources.flat_map(|source| source.defined.iter().cloned()).collect()
}

impl Source {
    /// # Panics
    /// If it is not Rust.
    pub(crate) fn read(text: &str) -> Self {
        let mut source = Self::default();
        source.visit_file(&syn::parse_file(text).expect("Rust"));
        source
    }

    /// The innermost function around this line.
    pub(crate) fn function_at(&self, line: usize) -> Option<&Function> {
        let around = self.functions.iter().filter(|function| function.lines.contains(&line));
        around.min_by_key(|function| function.lines.end() - function.lines.start())
    }

    fn note(&mut self, signature: &Signature, body: &Block) {
        let mut types = self.around.clone();
        types.extend(named(|names| names.visit_signature(signature)));
        let begin = signature.fn_token.span.start().line;
        let lines = begin..=body.brace_token.span.close().end().line;
        self.functions.push(Function { name: signature.ident.to_string(), types, lines });
    }
}

/// The last names of the paths to types that `visit` comes by.
fn named(visit: impl FnOnce(&mut Names)) -> BTreeSet<String> {
    let mut names = Names::default();
    visit(&mut names);
    names.0
}

#[derive(Default)]
struct Names(BTreeSet<String>);

impl<'ast> Visit<'ast> for Names {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.0.extend(path.segments.last().map(|segment| segment.ident.to_string()));
        visit::visit_path(self, path);
    }

    /// Documentation names no type of a signature.
    fn visit_attribute(&mut self, _: &'ast Attribute) {}
}

fn is_test(attributes: &[Attribute]) -> bool {
    let is_cfg_test = |attribute: &Attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Ident>().is_ok_and(|name| name == "test")
    };
    attributes.iter().any(is_cfg_test)
}

impl<'ast> Visit<'ast> for Source {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !is_test(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.defined.insert(item.ident.to_string());
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.defined.insert(item.ident.to_string());
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        self.defined.insert(item.ident.to_string());
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.defined.insert(item.ident.to_string());
        self.around = BTreeSet::from([item.ident.to_string()]);
        visit::visit_item_trait(self, item);
        self.around.clear();
    }

    /// A method's own type belongs to its signature.
    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        self.around = named(|names| names.visit_type(&item.self_ty));
        visit::visit_item_impl(self, item);
        self.around.clear();
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.note(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.note(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(body) = &item.default {
            self.note(&item.sig, body);
        }
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_generics(&mut self, _: &'ast Generics) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_belongs_to_the_innermost_function_around_it() {
        let source = Source::read(
            "struct Key;\n\
             impl Store for Memory {\n\
             fn call(&self, steps: Vec<Request>) -> Answer<Reply> {\n\
             fn inner(key: &crate::Key) {}\n\
             todo!()\n\
             }\n\
             }\n\
             #[derive(Clone)]\nenum Op {}\n\
             #[cfg(test)]\nmod tests {\nfn f() {}\n}\n",
        );
        let at = |line| source.function_at(line).map(|function| function.name.as_str());
        assert_eq!(
            [3, 4, 5, 8, 12].map(at),
            [Some("call"), Some("inner"), Some("call"), None, None]
        );
        let types: Vec<_> = source.functions[0].types.iter().map(String::as_str).collect();
        assert_eq!(types, ["Answer", "Memory", "Reply", "Request", "Vec"]);
        let known = defined_types([&source].into_iter());
        assert_eq!(known.into_iter().collect::<Vec<_>>(), ["Key", "Op"]);
    }
}
