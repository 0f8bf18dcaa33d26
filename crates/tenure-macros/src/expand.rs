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
    let Options { key, tries, reentrant, store, shared, permits, every, lease, settings } = options;
    let name = &sig.ident;
    let key = match key {
        Some(key) => template::key(&key)?,
        None => quote!(::core::concat!(::core::module_path!(), "::", ::core::stringify!(#name))),
    };
    let (verb, number) = match &permits {
        Some(permits) => (quote!(semaphore), quote!(, #permits)),
        None if shared => (quote!(rwlock), quote!()),
        None if every.is_some() => (quote!(once), quote!()),
        None => (quote!(mutex), quote!()),
    };
    let lock = match store {
        Some(store) => quote!((#store).#verb(#key #number)),
        None => quote!(::tenure::#verb(#key #number)),
    };
    let (kind, enters) = match permits {
        Some(_) => (quote!(Semaphore), quote!()),
        None if shared => (quote!(RwLock), quote!()),
        None if reentrant => (quote!(ReentrantMutex), quote!(.reentrant())),
        None if every.is_some() => (quote!(Once), quote!(.every(#every))),
        None => (quote!(Mutex), quote!()),
    };
    let lease = lease.unwrap_or_else(|| Ident::new("_lease", name.span()));
    // A type that does not fit is reported at the function's return type.
    let span = answer.span();
    let (handle, work, wait) = if sig.asyncness.is_some() {
        let work = quote_spanned!(span=> move |#lease: ::tenure::Lease| async move #block);
        (quote_spanned!(span=> __tenure_lock), work, quote_spanned!(span=> .await))
    } else {
        let work = quote_spanned!(span=> move |#lease: ::tenure::Lease| #block);
        (quote_spanned!(span=> ::tenure::blocking::#kind::from(__tenure_lock)), work, quote!())
    };
    let body = match (shared, tries) {
        // `Ok(None)` where another had the tick.
        _ if every.is_some() => quote_spanned! {span=>
            #handle.run(#work) #wait.map(::tenure::Ran::done)
        },
        (false, false) => quote_spanned!(span=> #handle.run(#work) #wait),
        (false, true) => quote_spanned!(span=> #handle.try_run(#work) #wait),
        (true, false) => quote_spanned!(span=> #handle.read() #wait?.run(#work) #wait),
        (true, true) => quote_spanned! {span=>
            match #handle.try_read() #wait? {
                ::core::option::Option::Some(__tenure_reader) => {
                    __tenure_reader.run(#work) #wait.map(::core::option::Option::Some)
                }
                ::core::option::Option::None => {
                    ::core::result::Result::Ok(::core::option::Option::None)
                }
            }
        },
    };
    let body = if tries || every.is_some() {
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
