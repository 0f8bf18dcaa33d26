//! Tables in Markdown, which a terminal shows as well. They hold nothing but what a comparison's
//! results say.

use std::fmt::Write;

use crate::table::Table;

use super::cores::Cores;
use super::protocol::Workload;
use super::results::{LoneRow, Results, Row, Skipped, TasksRow, WaitersRow, of};

/// The number of tasks of the table; the others are a plot.
const TASKS: u32 = 64;

/// The names of the servers, in the order in which they were measured.
fn servers<R: Row>(rows: &[R]) -> Vec<&str> {
    let mut servers: Vec<_> = rows.iter().map(Row::server).collect();
    servers.dedup();
    servers
}

/// One row for each contender, with some cells for each server.
fn by_server<R: Row + Clone>(
    rows: &[R],
    columns: &[&str],
    cells: impl Fn(&R) -> Vec<String>,
) -> String {
    let servers = servers(rows);
    let mut head = vec!["contender".to_owned()];
    for server in &servers {
        head.extend(columns.iter().map(|column| format!("{server}: {column}")));
    }
    let mut table = Table::new(&head.iter().map(String::as_str).collect::<Vec<_>>());
    let mut names: Vec<&str> = Vec::new();
    for row in rows {
        if !names.contains(&row.contender()) {
            names.push(row.contender());
        }
    }
    for name in names {
        let mut line = vec![name.to_owned()];
        for server in &servers {
            let at_server: Vec<_> =
                rows.iter().filter(|r| r.server() == *server).cloned().collect();
            let found = of(&at_server, name).map(&cells);
            line.extend(found.unwrap_or_else(|| vec![String::new(); columns.len()]));
        }
        table.push(line);
    }
    table.text()
}

pub(crate) fn lone(results: &Results, cores: Cores) -> String {
    let rows: Vec<_> = results.lone.iter().filter(|row| row.cores == cores).cloned().collect();
    by_server(&rows, &["p50, us", "p99, us"], |row: &LoneRow| {
        vec![format!("{:.0}", row.p50_us), format!("{:.0}", row.p99_us)]
    })
}

fn of_many_tasks(rows: &[TasksRow]) -> Vec<TasksRow> {
    let is_of = |row: &&TasksRow| (row.workload, row.tasks) == (Workload::Tasks, TASKS);
    rows.iter().filter(is_of).cloned().collect()
}

pub(crate) fn tasks(results: &Results) -> String {
    let columns = ["cycles/s", "CPU, us"];
    by_server(&of_many_tasks(&results.tasks), &columns, |row: &TasksRow| {
        vec![format!("{:.0}", row.cycles_per_second), row.server_cpu_us.to_string()]
    })
}

/// Every point of the curve, of every contender.
pub(crate) fn curve(results: &Results) -> String {
    let head = ["server", "contender", "tasks", "cycles/s", "server CPU, us", "connections"];
    let mut table = Table::new(&head);
    for row in &results.tasks {
        let tasks = match row.workload {
            Workload::Runtimes => format!("{} runtimes", row.tasks),
            _ => row.tasks.to_string(),
        };
        table.push(vec![
            row.server.clone(),
            row.contender.clone(),
            tasks,
            format!("{:.0}", row.cycles_per_second),
            row.server_cpu_us.to_string(),
            row.connections.to_string(),
        ]);
    }
    table.text()
}

fn handoff(row: &WaitersRow) -> String {
    match row.handoffs {
        0 => "none".into(),
        _ => format!("{:.0} / {:.0}", row.handoff_p50_us, row.handoff_p99_us),
    }
}

fn longest(row: &WaitersRow) -> String {
    format!("{:.0} ({} x)", row.longest_wait_ms, row.longest_wait_rounds)
}

pub(crate) fn waiters(results: &Results) -> String {
    let mut text = String::new();
    for server in servers(&results.waiters) {
        let mut table = Table::new(&[
            server,
            "handoff p50 / p99, us",
            "longest wait, ms (x mean round)",
            "never held",
        ]);
        for row in results.waiters.iter().filter(|row| row.server == server) {
            let never = format!("{} of {}", row.never, row.waiters);
            table.push(vec![row.contender.clone(), handoff(row), longest(row), never]);
        }
        text.push_str(&table.text());
        text.push('\n');
    }
    let of = |server| results.waiters.iter().find(|row| row.server == server);
    let ping = |server| of(server).map(|row| format!("{server} {} us", row.ping_us));
    let pings: Vec<_> = servers(&results.waiters).into_iter().filter_map(ping).collect();
    text + &format!("PING over a blocking socket in the same run, p50: {}.\n", pings.join(", "))
}

/// All tables that have rows, for a terminal.
pub(crate) fn report(results: &Results) -> String {
    let parts = [
        ("One caller, all on one core", results.lone.is_empty(), lone(results, Cores::One)),
        ("One caller, on any core", results.lone.is_empty(), lone(results, Cores::All)),
        ("64 tasks, 64 keys", results.tasks.is_empty(), tasks(results)),
        ("Each number of tasks", results.tasks.is_empty(), curve(results)),
        ("16 waiters in 4 processes, one key", results.waiters.is_empty(), waiters(results)),
    ];
    let mut text = String::new();
    for (title, _, table) in parts.into_iter().filter(|(_, is_empty, _)| !is_empty) {
        let _ = write!(text, "\n{title}\n\n{table}");
    }
    for skipped in &results.skipped {
        let Skipped { contender, workload, reason } = skipped;
        let _ = write!(text, "\nskipped: {contender}, {workload}: {reason}");
    }
    text
}

/// The most important numbers of those that did every workload, at the first server.
pub(crate) fn summary(results: &Results) -> String {
    let Some(server) = servers(&results.lone).first().copied() else { return String::new() };
    let mut table = Table::new(&[
        server,
        "one caller, us",
        "64 tasks, /s",
        "handoff, us",
        "longest wait, ms",
        "never held",
    ]);
    let at = |row: &dyn Row| row.server() == server;
    let many = of_many_tasks(&results.tasks);
    let tasks: Vec<_> = many.into_iter().filter(|row| at(row)).collect();
    let waiters: Vec<_> = results.waiters.iter().filter(|row| at(*row)).cloned().collect();
    for row in results.lone.iter().filter(|row| at(*row) && row.is_on_one_core()) {
        let name = &row.contender;
        let (Some(tasks), Some(waiters)) = (of(&tasks, name), of(&waiters, name)) else { continue };
        table.push(vec![
            name.clone(),
            format!("{:.0}", row.p50_us),
            format!("{:.0}", tasks.cycles_per_second),
            format!("{:.0}", waiters.handoff_p50_us),
            format!("{:.0}", waiters.longest_wait_ms),
            format!("{} of {}", waiters.never, waiters.waiters),
        ]);
    }
    table.text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contender_that_is_missing_at_one_server_has_empty_cells_there() {
        let row = |server: &str, contender: &str, p50_us| LoneRow {
            server: server.into(),
            contender: contender.into(),
            cores: Cores::One,
            p50_us,
            p99_us: 9.4,
            quantiles_us: Vec::new(),
            rounds_p50_us: Vec::new(),
        };
        let lone = vec![row("redis", "a", 1.0), row("redis", "b", 2.0), row("valkey", "a", 3.0)];
        let text = super::lone(&Results { lone, ..Results::default() }, Cores::One);
        let cells = |line: usize| -> Vec<&str> {
            text.lines().nth(line).unwrap().split('|').map(str::trim).collect()
        };
        assert_eq!(cells(2), ["", "a", "1", "9", "3", "9", ""]);
        assert_eq!(cells(3), ["", "b", "2", "9", "", "", ""]);
    }
}
