//! Plots of a comparison, as SVG: for the first server of the results. They are read on a light
//! and on a dark page, and need no script and no font.

mod axis;
mod handoff;
mod latency;
mod strip;
mod svg;
mod throughput;

use super::contender::{self, Role};
use super::results::{Results, Row};

/// The names and texts of all plots.
pub(crate) fn all(results: &Results) -> [(&'static str, String); 3] {
    [
        ("latency.svg", latency::plot(results)),
        ("throughput.svg", throughput::plot(results)),
        ("handoff.svg", handoff::plot(results)),
    ]
}

/// The rows of the server that was measured first.
fn of_first_server<R: Row>(rows: &[R]) -> (&str, Vec<&R>) {
    let server = rows.first().map_or("", Row::server);
    (server, rows.iter().filter(|row| row.server() == server).collect())
}

/// The class of what is drawn for a contender.
fn class(contender: &str) -> &'static str {
    match contender::role(contender) {
        Some(Role::Tenure | Role::Forced) => "ours",
        Some(Role::Reference) => "bare",
        Some(Role::Library | Role::OneThread) | None => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::cores::Cores;
    use crate::peers::protocol::Workload;
    use crate::peers::results::{LoneRow, TasksRow, WaitersRow};

    fn results(contenders: &[&str]) -> Results {
        let mut results = Results::default();
        for (server, contender) in ["redis", "valkey"]
            .iter()
            .flat_map(|server| contenders.iter().map(move |c| (server, c)))
        {
            let (server, contender) = ((*server).to_owned(), (*contender).to_owned());
            results.lone.push(LoneRow {
                server: server.clone(),
                contender: contender.clone(),
                cores: Cores::One,
                p50_us: 50.0,
                p99_us: 99.0,
                quantiles_us: vec![1.0, 10.0, 25.0, 50.0, 75.0, 90.0, 99.0],
                rounds_p50_us: vec![50.0],
            });
            for tasks in [1, 64] {
                results.tasks.push(TasksRow {
                    server: server.clone(),
                    contender: contender.clone(),
                    workload: Workload::Tasks,
                    tasks,
                    cycles_per_second: 1_000.0 * f64::from(tasks),
                    server_cpu_us: 5.0,
                    connections: 1,
                    rounds_per_second: vec![1_000.0],
                    rounds_cpu_us: vec![5.0],
                });
            }
            // A contender without a handoff has no distribution.
            results.waiters.push(WaitersRow {
                server,
                contender,
                handoff_p50_us: 0.0,
                handoff_p99_us: 0.0,
                quantiles_us: Vec::new(),
                handoffs: 0,
                all_handoffs_p50_us: 0.0,
                ping_us: 20.0,
                longest_wait_ms: 2_000.0,
                longest_wait_rounds: 30.0,
                never: 12,
                waiters: 16,
                turns_per_second: 200.0,
            });
        }
        results
    }

    #[test]
    fn every_contender_is_in_every_plot_once_and_each_is_read_on_both_kinds_of_page() {
        for (name, text) in all(&results(&["tenure", "rslock", "redis-py"])) {
            for contender in ["tenure", "rslock", "redis-py"] {
                assert_eq!(text.matches(&format!(">{contender}<")).count(), 1, "{name}");
            }
            assert!(text.contains("prefers-color-scheme:dark"), "{name}");
            assert!(!text.contains("NaN") && !text.contains("inf"), "{name}: {text}");
        }
    }

    #[test]
    fn without_results_there_is_an_empty_plot() {
        for (name, text) in all(&Results::default()) {
            assert!(!text.contains("NaN") && !text.contains("inf"), "{name}: {text}");
        }
    }
}
