//! A key with expressions in it: `"order:{order.id}:payment"`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Expr, LitStr, Result};

/// The expression that makes the key.
pub(crate) fn key(template: &LitStr) -> Result<TokenStream> {
    let text = template.value();
    let refused = |message: String| syn::Error::new(template.span(), message);
    if text.is_empty() {
        return Err(refused("a key cannot be empty".into()));
    }
    let mut format = String::new();
    let mut values: Vec<Expr> = Vec::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find(['{', '}']) {
        format.push_str(&rest[..at]);
        let (brace, after) = rest[at..].split_at(1);
        if after.starts_with(brace) {
            format.push_str(&brace.repeat(2));
            rest = &after[1..];
            continue;
        }
        if brace == "}" {
            return Err(refused("`}` closes nothing; write `}}` for a brace".into()));
        }
        let Some(end) = after.find('}') else {
            return Err(refused("`{` is not closed; write `{{` for a brace".into()));
        };
        let value = LitStr::new(&after[..end], template.span());
        let value: Expr = value
            .parse()
            .map_err(|e| refused(format!("`{{{}}}` holds no expression: {e}", &after[..end])))?;
        format.push_str("{}");
        values.push(value);
        rest = &after[end + 1..];
    }
    format.push_str(rest);
    let format = LitStr::new(&format, template.span());
    Ok(quote!(::std::format!(#format #(, #values)*)))
}
