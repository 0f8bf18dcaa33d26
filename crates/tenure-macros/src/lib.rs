//! The attribute `#[tenure::locked]`. Use it through the crate `tenure`, with its feature
//! `macros`; what it expands to names that crate.

mod expand;
mod options;
mod template;

use proc_macro::TokenStream;
use syn::{ItemFn, parse_macro_input};

use options::Options;

/// Runs a function or method under a lock: acquire, run, release, as `Mutex::run` does.
///
/// ```
/// # #[derive(Debug)] struct Order { id: u64 }
/// # struct Shop { locks: tenure::Locks }
/// # impl Shop {
/// #[tenure::locked("order:{order.id}:payment", store = self.locks, ttl = "30s", wait = "10s")]
/// async fn pay(&self, order: &Order) -> tenure::Result<String> {
///     Ok(format!("paid {order:?}"))
/// }
/// # }
/// #[tenure::locked(try)]
/// async fn nightly() -> tenure::Result<Option<u32>> {
///     Ok(Some(42)) // None without a run if another instance is at it
/// }
/// #[tenure::locked("geocoder", permits = 3)] // three at a time
/// async fn locate(place: &str) -> tenure::Result<usize> {
///     Ok(place.len())
/// }
/// #[tenure::locked("poll", every = "5m")] // once in each 5 minutes, on one of the hosts
/// async fn poll() -> tenure::Result<Option<u32>> {
///     Ok(Some(7)) // None without a run if another host had this one
/// }
/// # async fn f() -> tenure::Result<()> {
/// # tenure::set_default(tenure::connect("memory:").await?);
/// # let shop = Shop { locks: tenure::connect("memory:").await? };
/// assert_eq!(shop.pay(&Order { id: 7 }).await?, "paid Order { id: 7 }");
/// assert_eq!(nightly().await?, Some(42));
/// assert_eq!(locate("Ulm").await?, 3);
/// assert_eq!(poll().await?.or(poll().await?), Some(7));
/// # Ok(()) }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(f()).unwrap();
/// ```
///
/// **The key** is the first argument: a text, in which `{…}` holds an expression over the
/// function's arguments (`{{` and `}}` are braces). Without it the key is the function's path:
/// `my_crate::jobs::nightly`. *The trap*: move or rename the function, and old and new instances
/// no longer exclude each other while both run; two methods of one name in one module share a
/// key. Name the key where that matters.
///
/// **Options**, each at most once:
///
/// | option | meaning |
/// |---|---|
/// | `try` | do not wait: answer `Ok(None)` if it is held; needs `Result<Option<_>, E>` |
/// | `reentrant` | it may call itself, or others with its key; not with `shared` or `permits` |
/// | `store = expr` | the `Locks` to use; default: those of `tenure::mutex` |
/// | `shared` | many may run at a time, as readers of a read-write lock |
/// | `permits = 3`, or an expression | three may run at a time, by a semaphore of three permits |
/// | `every = "5m"`, or an expression | once per tick, as `Once`; `Ok(None)` where it skips |
/// | `retry_failed` | with `every`: also in the tick of a run that failed |
/// | `ttl`, `wait`, `min_hold`, `max_hold` | as `with_ttl` and so on: `"30s"`, or an expression |
/// | `renewal = "off"`, or an interval | as `with_renewal` |
/// | `owner = expr`, `label = expr` | as `with_owner`, `with_label` |
/// | `lease = name` | gives the body its `Lease` under this name |
///
/// Durations are written `"500ms"`, `"30s"`, `"5m"`, `"2h"`, `"1h30m"`.
///
/// **The function** is async, or plain with the feature `blocking` of `tenure`. It answers a
/// `Result<_, E>` with `E: From<tenure::Error>`, since acquiring can fail; `return` and `?` mean
/// what they always mean. If the lock is lost, an async body is dropped at its next await and
/// the answer is an error of kind `Lost`; a plain one runs to its end first. Arguments are
/// dropped before the lock is given back.
///
/// With `#[async_trait]`, put this attribute on the methods inside, which it then sees as
/// they are written.
#[proc_macro_attribute]
pub fn locked(options: TokenStream, function: TokenStream) -> TokenStream {
    let options = parse_macro_input!(options as Options);
    let function = parse_macro_input!(function as ItemFn);
    expand::expand(options, function).unwrap_or_else(syn::Error::into_compile_error).into()
}
