//! A table in Markdown, which a terminal shows as well.

use std::fmt::Write;

/// A table with aligned columns. The first column stands left, numbers stand right.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(head: &[&str]) -> Self {
        Self { rows: vec![head.iter().map(|&word| word.to_owned()).collect()] }
    }

    /// Adds a row, which has as many cells as the head.
    pub(crate) fn push(&mut self, row: Vec<String>) {
        debug_assert_eq!(row.len(), self.rows[0].len());
        self.rows.push(row);
    }

    pub(crate) fn text(&self) -> String {
        let columns = self.rows[0].len();
        let width = |column: usize| {
            let widths = self.rows.iter().map(|row| row[column].chars().count());
            widths.max().unwrap_or_default().max(3)
        };
        let widths: Vec<_> = (0..columns).map(width).collect();
        let mut text = String::new();
        for (number, row) in self.rows.iter().enumerate() {
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let _ = match column {
                    0 => write!(text, "| {cell:<width$} |"),
                    _ => write!(text, " {cell:>width$} |"),
                };
            }
            text.push('\n');
            if number == 0 {
                for (column, width) in widths.iter().enumerate() {
                    let dashes = "-".repeat(width - usize::from(column > 0));
                    let _ = match column {
                        0 => write!(text, "| {dashes} |"),
                        _ => write!(text, " {dashes}: |"),
                    };
                }
                text.push('\n');
            }
        }
        text
    }
}

impl Table {
    /// The same without blanks that align the columns: documents have lines of limited length.
    pub(crate) fn narrow(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let mut text = String::new();
        for (number, row) in self.rows.iter().enumerate() {
            text.push_str(&line(row));
            if number == 0 {
                let _ = writeln!(text, "|---|{}", "---:|".repeat(row.len() - 1));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrow_table_has_no_blanks_but_one_on_each_side() {
        let mut table = Table::new(&["redis", "us"]);
        table.push(vec!["a".into(), "1234".into()]);
        assert_eq!(table.narrow(), "| redis | us |\n|---|---:|\n| a | 1234 |\n");
    }

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(&["redis", "us"]);
        table.push(vec!["a".into(), "1234".into()]);
        let lines = ["| redis |   us |", "| ----- | ---: |", "| a     | 1234 |", ""];
        assert_eq!(table.text(), lines.join("\n"));
    }
}
