//! From a function to the same function under a lock.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Ident, ItemFn, Result, ReturnType, Type, parse_quote};

use super::options::Options;
use super::template;

pub(crate) fn expand(options: Options, mut function: ItemFn) -> Result<TokenStream> {
    let answer = checked_answer(&function)?;
    let ItemFn { sig, block, .. } = &function;
    let Options { key, tries, reentrant, store, permits, lease, settings } = options;
    let name = &sig.ident;
    let key = match key {
        Some(key) => template::key(&key)?,
        None => quote!(::core::concat!(::core::module_path!(), "::", ::core::stringify!(#name))),
    };
    let (verb, number) = match &permits {
        Some(permits) => (quote!(semaphore), quote!(, #permits)),
        None => (quote!(mutex), quote!()),
    };
    let lock = match store {
        Some(store) => quote!((#store).#verb(#key #number)),
        None => quote!(::tenure::#verb(#key #number)),
    };
    let (kind, enters) = match permits {
        Some(_) => (quote!(Semaphore), quote!()),
        None if reentrant => (quote!(ReentrantMutex), quote!(.reentrant())),
        None => (quote!(Mutex), quote!()),
    };
    let lease = lease.unwrap_or_else(|| Ident::new("_lease", name.span()));
    let run = Ident::new(if tries { "try_run" } else { "run" }, answer.span());
    let body = if sig.asyncness.is_some() {
        // A type that does not fit is reported at the function's return type.
        quote_spanned! {answer.span()=>
            __tenure_lock.#run(move |#lease: ::tenure::Lease| async move #block).await
        }
    } else {
        quote_spanned! {answer.span()=>
            ::tenure::blocking::#kind::from(__tenure_lock)
                .#run(move |#lease: ::tenure::Lease| #block)
        }
    };
    let body = if tries {
        quote_spanned!(answer.span()=> (#body).map(::core::option::Option::flatten))
    } else {
        body
    };
    function.block = parse_quote!({
        let __tenure_lock = #lock #(#settings)* #enters;
        #body
    });
    Ok(quote!(#function))
}

/// The answer's type, if the function can be run under a lock.
fn checked_answer(function: &ItemFn) -> Result<&Type> {
    let sig = &function.sig;
    if let Some(constant) = &sig.constness {
        return Err(syn::Error::new(constant.span(), "a const fn cannot wait for a lock"));
    }
    if sig.asyncness.is_none() && !cfg!(feature = "blocking") {
        let message = "a plain function needs the feature `blocking` of `tenure`; or make it async";
        return Err(syn::Error::new(sig.fn_token.span(), message));
    }
    match &sig.output {
        ReturnType::Type(_, answer) => Ok(answer),
        ReturnType::Default => {
            let message = "acquiring can fail: the function must answer a Result<_, E> with \
                           E: From<tenure::Error>";
            Err(syn::Error::new(sig.ident.span(), message))
        }
    }
}
