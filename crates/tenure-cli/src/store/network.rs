//! The refusal of a store that other hosts cannot reach: for those who named the wrong one, or
//! none. It opens nothing.

use tenure::StoreEntry;

use super::{Place, url};
use crate::exit::Refusal;
use crate::variables::{FILE, REQUIRE_NETWORK, URL};

/// Refuses the store if other hosts cannot reach it. `typed`: the command line names it;
/// `by_option`: so does `--require-network`; `hint`: a variable that may have been meant.
pub(super) fn check(
    place: &Place,
    typed: bool,
    by_option: bool,
    hint: Option<&str>,
) -> Result<(), Refusal> {
    let (store, reason) = match place {
        Place::Url(text) => {
            let reason = StoreEntry::of(text).ok().and_then(|entry| entry.own_host(text));
            let Some(reason) = reason else { return Ok(()) };
            (format!("the store {},", url::identity(text)), reason)
        }
        Place::File(path) => {
            (format!("the store sqlite:{},", path.display()), "is a file of this host".to_owned())
        }
        Place::Embedded => {
            ("the store,".to_owned(), "is a file of this user on this host".to_owned())
        }
    };
    let chosen = match place {
        _ if typed => "which the command line names,".to_owned(),
        Place::Url(_) => format!("which {URL} names,"),
        Place::File(_) => format!("which {FILE} names,"),
        Place::Embedded => format!("since neither --store nor {URL} names another,"),
    };
    let (rule, without) = if by_option {
        ("--require-network", "leave --require-network out".to_owned())
    } else {
        (REQUIRE_NETWORK, format!("unset {REQUIRE_NETWORK}"))
    };
    let line = if typed {
        "type --store redis://HOST:6379".to_owned()
    } else {
        format!("type export {URL}=redis://HOST:6379")
    };
    let hint = hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
    Err(Refusal::config(format!(
        "{store} {chosen} {reason}{hint}, and {rule} refuses a store that other hosts cannot \
         reach: {line}, with the server for all hosts, or {without}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    #[test]
    fn the_refusal_says_which_store_and_why_and_the_line_to_type() {
        let url = |text: &str| Place::Url(text.into());
        for (place, typed, parts) in [
            (
                Place::Embedded,
                false,
                [
                    "the store, since neither --store nor TENURE_STORE names another, is",
                    "this user",
                ],
            ),
            (Place::File("/f".into()), false, ["sqlite:/f, which TENURE_STORE_FILE", "a file of"]),
            (url("memory:"), true, ["which the command line names", "memory of one process"]),
            (
                url("redis://ada:s3cret@localhost/1"),
                false,
                ["redis://localhost:6379/1, which TENURE_STORE names", "of this host alone"],
            ),
            (
                url("quorum:redis://a redis://b redis://:s3cret@127.0.0.1"),
                true,
                ["the store quorum:", "has a node (redis://127.0.0.1:6379/0)"],
            ),
        ] {
            let refusal = check(&place, typed, typed, None).expect_err("no store for other hosts");
            assert_eq!(refusal.exit, Exit::CONFIG);
            let message = refusal.message;
            for part in parts {
                assert!(message.contains(part), "{part}: {message}");
            }
            let line =
                if typed { "type --store redis://HOST" } else { "type export TENURE_STORE=" };
            assert!(message.contains(line) && !message.contains("s3cret"), "{message}");
        }
        assert_eq!(check(&url("redis://locks.internal"), false, true, None), Ok(()));
        assert_eq!(check(&url("quorum:redis://a redis://b redis://c"), true, true, None), Ok(()));
    }
}
