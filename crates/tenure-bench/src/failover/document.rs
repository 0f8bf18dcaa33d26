//! The block of SAFETY.md that quotes the experiment. It is made from `bench/failover.json`, never
//! by hand.

use std::path::PathBuf;

use crate::Failure;
use crate::block::{replaced, wrapped};
use crate::record::{root, write};

use super::results::{self, Results};
use super::table;
use super::topology::Kind;

/// SAFETY.md and its text, as it is when it agrees with some results.
fn document(results: &Results) -> Result<(PathBuf, String), Failure> {
    let path = root().join("SAFETY.md");
    let text = std::fs::read_to_string(&path)?;
    let text = replaced(&text, &block(results)).map_err(|e| format!("SAFETY.md: {e}"))?;
    Ok((path, text))
}

/// Makes SAFETY.md agree with the committed results, if there are any.
pub(crate) fn rewrite() -> Result<(), Failure> {
    let Some(results) = Results::read(&results::file())? else { return Ok(()) };
    let (path, text) = document(&results)?;
    write(&path, &text)?;
    println!("written: {}", path.display());
    Ok(())
}

fn block(results: &Results) -> String {
    let mut text = occasion(results);
    for topology in Kind::THAT_FAIL_OVER {
        if results.rows.iter().any(|row| row.topology == topology) {
            text.push_str(&format!(
                "\n{}:\n\n{}",
                title(topology),
                table::table(results, topology).narrow()
            ));
        }
    }
    text
}

fn title(topology: Kind) -> &'static str {
    match topology {
        Kind::Single => "One server",
        Kind::Sentinel => "Sentinel: a master, two replicas, three Sentinels",
        Kind::Cluster => "Cluster: three masters with a replica each",
    }
}

/// When, where and of what, in one paragraph.
fn occasion(results: &Results) -> String {
    let occasion = &results.occasion;
    let machine = &occasion.machine;
    let runs = results.rows.iter().map(|row| row.runs.len()).max().unwrap_or_default();
    let text = format!(
        "Measured on {} at commit {}: {} with {} cores, {}, {}. Each row is {runs} runs.",
        occasion.date.split('T').next().unwrap_or_default(),
        occasion.commit,
        machine.cpu,
        machine.cores,
        machine.kernel,
        results.servers.join(", "),
    );
    wrapped(&text, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_says_what_the_results_say() {
        let Some(results) = Results::read(&results::file()).unwrap() else { return };
        let (path, text) = document(&results).unwrap();
        let committed = std::fs::read_to_string(path).unwrap();
        assert!(committed == text, "SAFETY.md differs: run cargo figures documents");
    }

    #[test]
    fn every_row_of_the_committed_results_kept_its_promises() {
        let results = Results::read(&results::file()).unwrap().unwrap_or_default();
        let broken: Vec<_> = results.rows.iter().filter(|row| !row.is_kept()).collect();
        assert!(broken.is_empty(), "{broken:?}");
    }
}
