//! The options in the parentheses of the attribute. They are checked here, never expanded.

use proc_macro2::TokenStream;
use quote::quote;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::{Expr, ExprLit, Ident, Lit, LitStr, Result, Token};

const KNOWN: &str = "try, reentrant, store, shared, permits, every, retry_failed, ttl, wait, \
                     renewal, min_hold, max_hold, owner, label, lease";
/// Options that make another lock each; at most one of them is given.
const KINDS: [&str; 4] = ["reentrant", "shared", "permits", "every"];
/// Options that a job does not have: it never waits, and a tick has one run whatever else is said.
const NOT_OF_JOBS: [&str; 4] = ["try", "wait", "min_hold", "owner"];
const SUCH_AS: &str = "\"500ms\", \"30s\", \"5m\", \"2h\" or \"1h30m\"";

/// The options, as written; `settings` are the calls that set them on a lock.
pub(crate) struct Options {
    pub(crate) key: Option<LitStr>,
    pub(crate) tries: bool,
    pub(crate) reentrant: bool,
    pub(crate) store: Option<Expr>,
    /// As one of many readers.
    pub(crate) shared: bool,
    /// How many may hold it at a time; `None`: one, by a mutex.
    pub(crate) permits: Option<Expr>,
    /// The length of a tick, for a job that runs once in each.
    pub(crate) every: Option<TokenStream>,
    pub(crate) lease: Option<Ident>,
    pub(crate) settings: Vec<TokenStream>,
}

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut options = Self {
            key: None,
            tries: false,
            reentrant: false,
            store: None,
            shared: false,
            permits: None,
            every: None,
            lease: None,
            settings: Vec::new(),
        };
        let mut seen: Vec<Ident> = Vec::new();
        if input.peek(LitStr) {
            options.key = Some(input.parse()?);
            comma(input)?;
        }
        while !input.is_empty() {
            if input.peek(LitStr) {
                return Err(input.error("the key stands first, and there is one"));
            }
            let name = input.call(Ident::parse_any)?;
            if seen.contains(&name) {
                return Err(syn::Error::new(name.span(), format!("`{name}` is given twice")));
            }
            options.take(&name, input)?;
            seen.push(name);
            comma(input)?;
        }
        let mut kinds = seen.iter().filter(|name| KINDS.iter().any(|kind| *name == kind));
        if let (Some(one), Some(other)) = (kinds.next(), kinds.next()) {
            let message = format!("`{one}` and `{other}` exclude each other: each is another lock");
            return Err(syn::Error::new(other.span(), message));
        }
        options.check_job(&seen)?;
        Ok(options)
    }
}

impl Options {
    fn check_job(&self, seen: &[Ident]) -> Result<()> {
        let refused =
            |name: &Ident, why: &str| Err(syn::Error::new(name.span(), format!("`{name}` {why}")));
        if self.every.is_none() {
            let retries = seen.iter().find(|name| *name == "retry_failed");
            return retries.map_or(Ok(()), |name| refused(name, "needs `every`"));
        }
        let other = seen.iter().find(|name| NOT_OF_JOBS.iter().any(|other| *name == other));
        other.map_or(Ok(()), |name| {
            refused(name, "and `every` exclude each other: a job never waits, and each run is new")
        })
    }

    fn take(&mut self, name: &Ident, input: ParseStream<'_>) -> Result<()> {
        if name == "try" {
            self.tries = true;
            return Ok(());
        }
        if name == "reentrant" {
            self.reentrant = true;
            return Ok(());
        }
        if name == "shared" {
            self.shared = true;
            return Ok(());
        }
        if name == "retry_failed" {
            self.settings.push(quote!(.retry_failed()));
            return Ok(());
        }
        let known = KNOWN.split(", ").any(|known| name == known);
        if !known {
            let message = format!("`{name}` is no option; there are: {KNOWN}");
            return Err(syn::Error::new(name.span(), message));
        }
        input.parse::<Token![=]>()?;
        if name == "lease" {
            self.lease = Some(input.parse()?);
            return Ok(());
        }
        let value: Expr = input.parse()?;
        match name.to_string().as_str() {
            "store" => self.store = Some(value),
            "permits" => self.permits = Some(permits(value)?),
            "every" => self.every = Some(duration(&value)?),
            "renewal" => {
                let renewal = renewal(&value)?;
                self.settings.push(quote!(.with_renewal(#renewal)));
            }
            "owner" => self.settings.push(quote!(.with_owner(#value))),
            "label" => self.settings.push(quote!(.with_label(#value))),
            _ => {
                let setter = Ident::new(&format!("with_{name}"), name.span());
                let span = duration(&value)?;
                self.settings.push(quote!(.#setter(#span)));
            }
        }
        Ok(())
    }
}

fn comma(input: ParseStream<'_>) -> Result<()> {
    if !input.is_empty() {
        input.parse::<Token![,]>()?;
    }
    Ok(())
}

/// A text such as `"30s"`, read here, or any expression.
fn duration(value: &Expr) -> Result<TokenStream> {
    let Expr::Lit(ExprLit { lit, .. }) = value else { return Ok(quote!(#value)) };
    let refused = |message: String| Err(syn::Error::new(lit.span(), message));
    match lit {
        Lit::Str(text) => match humantime::parse_duration(&text.value()) {
            Ok(span) if !span.is_zero() => {
                let (secs, nanos) = (span.as_secs(), span.subsec_nanos());
                Ok(quote!(::core::time::Duration::new(#secs, #nanos)))
            }
            _ => refused(format!("{:?} is no duration, such as {SUCH_AS}", text.value())),
        },
        other => {
            refused(format!("{} has no unit; write a duration such as {SUCH_AS}", quote!(#other)))
        }
    }
}

/// A number of permits, of which none makes no sense.
fn permits(value: Expr) -> Result<Expr> {
    if let Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) = &value
        && number.base10_parse::<u64>()? == 0
    {
        return Err(syn::Error::new(number.span(), "with 0 permits it would never run"));
    }
    Ok(value)
}

fn renewal(value: &Expr) -> Result<TokenStream> {
    if let Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) = value {
        if text.value() == "off" {
            return Ok(quote!(::tenure::Renewal::Off));
        }
        let every = duration(value)?;
        return Ok(quote!(::tenure::Renewal::Every(#every)));
    }
    Ok(quote!(#value))
}
