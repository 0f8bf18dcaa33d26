//! The dangers to locks in the Sentinels of a service: too few that answer, or that agree. They are
//! asked over connections of their own, and nothing is changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::store::{Finding, Severity};

use super::super::carrier;
use super::super::client::{Failure, Value};
use super::super::question;
use super::super::topology::{Address, Directory, Sentinel};

/// The number of Sentinels in a URL below which the way to the primary hangs on one of them.
const SEVERAL: usize = 2;

/// The answers of one Sentinel.
struct Told {
    place: Arc<str>,
    named: Result<Address, String>,
    /// The reason why no failover is possible, as it says itself.
    no_quorum: Option<String>,
}

/// The finding about the Sentinels that the URL names.
pub(super) async fn finding(store: &Arc<str>, directory: &Directory) -> Finding {
    let asked = directory.sentinels.iter();
    let asked = asked.map(|sentinel| Box::pin(ask(sentinel, &directory.service)));
    // Side by side: one that is away takes its time.
    judge(store, &carrier::all(asked.collect()).await)
}

async fn ask(sentinel: &Sentinel, service: &str) -> Told {
    let server = &*sentinel.server;
    let named = question::answer(server, &["SENTINEL", "GET-MASTER-ADDR-BY-NAME", service]).await;
    let named = match named {
        Ok(Value::Nil) => Err(format!("it knows no service {service}")),
        Ok(answer) => Address::in_answer(&answer)
            .ok_or_else(|| "it has answered with something else".to_owned()),
        Err(failure) => Err(failure.to_string()),
    };
    let no_quorum = match &named {
        // The right to it is not needed for locks.
        Ok(_) => question::answer(server, &["SENTINEL", "CKQUORUM", service]).await.err(),
        Err(_) => None,
    };
    let no_quorum = no_quorum.filter(Failure::is_no_quorum).map(|failure| failure.to_string());
    Told { place: Arc::clone(&sentinel.place), named, no_quorum }
}

fn judge(store: &Arc<str>, told: &[Told]) -> Finding {
    let say = |severity, what: String| Finding::new(store, "sentinels", severity, what);
    let mut by_address: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let mut away = Vec::new();
    for Told { place, named, .. } in told {
        match named {
            Ok(address) => by_address.entry(address.to_string()).or_default().push(place),
            Err(why) => away.push(format!("{place} ({why})")),
        }
    }
    let (all, away_count) = (told.len(), away.len());
    if by_address.len() > 1 {
        let named = by_address.iter().map(|(named, by)| format!("{} name {named}", by.join(", ")));
        let what = format!("they do not agree: {}", named.collect::<Vec<_>>().join("; "));
        return say(Severity::Warning, what).so(
            "programs that ask different ones lock at different servers, unless a failover is \
             just under way",
            "look again in some seconds; then SENTINEL MASTER NAME at each, and SENTINEL MONITOR \
             at those that watch another server",
        );
    }
    let primary = by_address.keys().next().map(|named| format!(", and name {named}"));
    let what = format!("{} of {all} answer{}", all - away_count, primary.unwrap_or_default());
    if !away.is_empty() {
        let consequence = if (all - away_count) * 2 <= all {
            "without a majority of them nobody takes the primary's place if it fails, and nothing \
             can be locked then"
        } else {
            "the primary is found by those that are left; without a majority of them nobody would \
             take its place"
        };
        let remedy = "start them again, or mend what each of them says; the URL names all of them";
        return say(Severity::Warning, format!("{what}; not: {}", away.join("; ")))
            .so(consequence, remedy);
    }
    if let Some((place, why)) = told.iter().find_map(|t| Some((&t.place, t.no_quorum.as_ref()?))) {
        return say(Severity::Warning, format!("{what}; {place} says: {why}")).so(
            "nobody takes the primary's place if it fails, and nothing can be locked then",
            "start the other Sentinels again; SENTINEL CKQUORUM NAME says whether they suffice",
        );
    }
    if all < SEVERAL {
        return say(Severity::Note, format!("{what}; the URL names no other")).so(
            "while it is away, no new connection finds the primary",
            "name all Sentinels in the URL: redis+sentinel://S1,S2,S3/NAME",
        );
    }
    say(Severity::Ok, what)
}
