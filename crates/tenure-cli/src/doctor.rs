//! `tenure doctor`: what endangers locks in a store, with what follows from it and what to do. It
//! changes nothing.

use std::fmt::Write as _;
use std::sync::Arc;

use serde::Serialize;
use tenure::ErrorKind;
use tenure::store::{Finding, Severity};

use crate::args::DoctorArgs;
use crate::exit::{Exit, Refusal};
use crate::inspect::{failed, print, with_opened};

/// A finding in JSON. The fields are a contract; see `schema/doctor.json`.
#[derive(Debug, Serialize)]
struct FindingView<'a> {
    place: &'a str,
    about: &'a str,
    severity: &'a str,
    what: &'a str,
    consequence: Option<&'a str>,
    remedy: Option<&'a str>,
}

/// All findings in JSON.
#[derive(Debug, Serialize)]
struct Report<'a> {
    store: &'a str,
    worst: &'a str,
    findings: Vec<FindingView<'a>>,
}

impl<'a> FindingView<'a> {
    fn of(finding: &'a Finding) -> Self {
        let unless_empty = |text: &'a String| Some(&**text).filter(|text| !text.is_empty());
        Self {
            place: &finding.place,
            about: finding.about,
            severity: finding.severity.as_str(),
            what: &finding.what,
            consequence: unless_empty(&finding.consequence),
            remedy: unless_empty(&finding.remedy),
        }
    }
}

pub(crate) fn examine(args: &DoctorArgs) -> Result<Exit, Refusal> {
    let mut exit = Exit::SUCCESS;
    with_opened(&args.store, async |opened, store, _| {
        let (name, found): (Arc<str>, _) = match opened {
            Ok(locks) => (locks.store_name(), locks.examine(args.ttl).await.map_err(failed)?),
            Err(error) => {
                exit = Exit::of_error(error);
                let name: Arc<str> = store.identity().into();
                let found = Finding::new(&name, "reachable", Severity::Error, error.message())
                    .so("nothing can be locked there", remedy(error.kind(), store.is_file()));
                (name, vec![found])
            }
        };
        if exit == Exit::SUCCESS {
            exit = code(&found);
        }
        print(&if args.json { json(&name, &found) } else { text(&found) })
    })?;
    Ok(exit)
}

/// The next step for a store that cannot be opened.
fn remedy(kind: ErrorKind, is_file: bool) -> &'static str {
    match kind {
        ErrorKind::Refused if is_file => {
            "do what the message says, as a user with rights to the file and its directory, and \
             run tenure doctor again"
        }
        ErrorKind::Unavailable => {
            "start the server, or make it reachable from here, and run tenure doctor again"
        }
        ErrorKind::Refused => {
            "correct the user and the password in the store's URL, or give the user its rights \
             (tenure acl prints them), and run tenure doctor again"
        }
        _ => "correct the store's URL or file (tenure help stores), and run tenure doctor again",
    }
}

/// The exit code of findings about a store that could be opened.
fn code(found: &[Finding]) -> Exit {
    let reachable = |finding: &&Finding| matches!(finding.about, "reachable" | "nodes");
    let mut of_reach = found.iter().filter(reachable).map(|f| (f.about, f.severity));
    // A quorum says first whether it has a majority, and then which nodes it would refuse.
    let first = of_reach.next();
    if of_reach.any(|finding| finding == ("nodes", Severity::Error)) {
        Exit::CONFIG
    } else if first.is_some_and(|(_, severity)| severity == Severity::Error) {
        Exit::UNAVAILABLE
    } else if found.iter().any(|finding| finding.severity >= Severity::Warning) {
        Exit::FINDINGS
    } else {
        Exit::SUCCESS
    }
}

fn json(store: &str, found: &[Finding]) -> String {
    let worst = found.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Ok);
    let findings = found.iter().map(FindingView::of).collect();
    let report = Report { store, worst: worst.as_str(), findings };
    serde_json::to_string(&report).expect("text is JSON")
}

fn text(found: &[Finding]) -> String {
    let (mut text, mut place) = (String::new(), None);
    for finding in found {
        let Finding { about, severity, what, consequence, remedy, .. } = finding;
        if place != Some(&finding.place) {
            place = Some(&finding.place);
            // Writing to a text does not fail.
            let _ = writeln!(text, "{}", finding.place);
        }
        let _ = writeln!(text, "  {severity:<8} {about}: {what}");
        if !consequence.is_empty() {
            let _ = writeln!(text, "           so: {consequence}");
        }
        if !remedy.is_empty() {
            let _ = writeln!(text, "           do: {remedy}");
        }
    }
    let count = |severity| found.iter().filter(|finding| finding.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let unknown = count(Severity::Unknown);
    text + &format!("{}, {}, {unknown} unknown", many(errors, "error"), many(warnings, "warning"))
}

/// A number of things: `1 error`, `2 errors`.
fn many(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(about: &'static str, severity: Severity) -> Finding {
        Finding::new(&"redis://h".into(), about, severity, "it is so")
    }

    #[test]
    fn the_exit_code_tells_of_the_worst() {
        let ok = || found("reachable", Severity::Ok);
        let of = |severity| code(&[ok(), found("eviction", severity)]);
        assert_eq!(of(Severity::Note), Exit::SUCCESS);
        assert_eq!(of(Severity::Unknown), Exit::SUCCESS);
        assert_eq!(of(Severity::Warning), Exit::FINDINGS);
        assert_eq!(of(Severity::Error), Exit::FINDINGS);
        assert_eq!(code(&[found("reachable", Severity::Error)]), Exit::UNAVAILABLE);
        let quorum = [found("nodes", Severity::Ok), found("reachable", Severity::Error)];
        assert_eq!(code(&quorum), Exit::FINDINGS);
        let quorum = [found("nodes", Severity::Warning), found("nodes", Severity::Error)];
        assert_eq!(code(&quorum), Exit::CONFIG);
        assert_eq!(code(&[found("nodes", Severity::Error), ok()]), Exit::UNAVAILABLE);
    }

    #[test]
    fn a_finding_reads_as_fact_consequence_and_remedy() {
        let finding = found("eviction", Severity::Error).so("locks go", "CONFIG SET x y");
        let text = text(&[found("reachable", Severity::Ok), finding]);
        let expected = "redis://h\n  ok       reachable: it is so\n  error    eviction: it is so\n\
                        \x20          so: locks go\n           do: CONFIG SET x y\n\
                        1 error, 0 warnings, 0 unknown";
        assert_eq!(text, expected);
    }

    /// "see the message" said nothing.
    #[test]
    fn a_store_that_cannot_be_opened_has_a_remedy_of_its_own() {
        for (kind, is_file, word) in [
            (ErrorKind::Unavailable, false, "start the server"),
            (ErrorKind::Refused, false, "the password"),
            (ErrorKind::Refused, true, "rights to the file"),
            (ErrorKind::Config, true, "tenure help stores"),
        ] {
            let remedy = remedy(kind, is_file);
            assert!(remedy.contains(word) && remedy.contains("tenure doctor"), "{remedy}");
        }
    }
}
