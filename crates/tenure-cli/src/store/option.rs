//! The options that name the store, for a line to type. They have no secret.

use super::url::has_secret;
use crate::args::StoreArgs;
use crate::shell::quoted;

/// The options as they were typed, with a blank before each; empty if the environment names the
/// store, as it will for the line too. A URL with a password is left out.
pub(crate) fn typed(args: &StoreArgs) -> String {
    if args.store.iter().any(|url| has_secret(url)) {
        return " --store …".into();
    }
    let urls = args.store.iter().map(|url| format!(" --store {}", quoted(url)));
    let file = args.store_file.iter();
    let file = file.map(|file| format!(" --store-file {}", quoted(&file.to_string_lossy())));
    urls.chain(file).collect()
}
