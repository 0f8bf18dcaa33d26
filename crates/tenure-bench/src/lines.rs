//! JSON for a repository: the outer two levels have a line for each entry, what lies deeper stands
//! in that line. A change of one figure is a change of one line.

use std::io::{Result, Write};

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;

use crate::Failure;

/// Levels with a line for each entry.
const LEVELS: usize = 2;

#[derive(Debug, Default)]
struct ByLine {
    depth: usize,
    /// Whether the list or object that ends next has entries.
    has_entries: bool,
}

pub(crate) fn lines(value: &impl Serialize) -> std::result::Result<String, Failure> {
    let mut text = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut text, ByLine::default()))?;
    text.push(b'\n');
    Ok(String::from_utf8(text)?)
}

impl ByLine {
    fn begin(&mut self, to: &mut (impl Write + ?Sized), sign: &[u8]) -> Result<()> {
        self.depth += 1;
        self.has_entries = false;
        to.write_all(sign)
    }

    fn entry(&mut self, to: &mut (impl Write + ?Sized), is_first: bool) -> Result<()> {
        if !is_first {
            to.write_all(b",")?;
        }
        match self.depth {
            1..=LEVELS => self.line(to),
            _ if is_first => Ok(()),
            _ => to.write_all(b" "),
        }
    }

    fn end(&mut self, to: &mut (impl Write + ?Sized), sign: &[u8]) -> Result<()> {
        self.depth -= 1;
        if self.depth < LEVELS && self.has_entries {
            self.line(to)?;
        }
        self.has_entries = true;
        to.write_all(sign)
    }

    fn line(&self, to: &mut (impl Write + ?Sized)) -> Result<()> {
        to.write_all(b"\n")?;
        (0..self.depth).try_for_each(|_| to.write_all(b"  "))
    }
}

impl Formatter for ByLine {
    fn begin_array<W: ?Sized + Write>(&mut self, to: &mut W) -> Result<()> {
        self.begin(to, b"[")
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, to: &mut W, first: bool) -> Result<()> {
        self.entry(to, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, _: &mut W) -> Result<()> {
        self.has_entries = true;
        Ok(())
    }

    fn end_array<W: ?Sized + Write>(&mut self, to: &mut W) -> Result<()> {
        self.end(to, b"]")
    }

    fn begin_object<W: ?Sized + Write>(&mut self, to: &mut W) -> Result<()> {
        self.begin(to, b"{")
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, to: &mut W, first: bool) -> Result<()> {
        self.entry(to, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, to: &mut W) -> Result<()> {
        to.write_all(b": ")
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, _: &mut W) -> Result<()> {
        self.has_entries = true;
        Ok(())
    }

    fn end_object<W: ?Sized + Write>(&mut self, to: &mut W) -> Result<()> {
        self.end(to, b"}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_of_a_list_is_a_line() {
        let value = serde_json::json!({
            "a": 1, "b": [{ "x": [1, 2], "y": {} }, { "x": [] }], "c": [], "d": { "e": [3], "f": 4 }
        });
        let expected = "{\n  \"a\": 1,\n  \"b\": [\n    {\"x\": [1, 2], \"y\": {}},\n    \
                        {\"x\": []}\n  ],\n  \"c\": [],\n  \"d\": {\n    \"e\": [3],\n    \
                        \"f\": 4\n  }\n}\n";
        assert_eq!(lines(&value).unwrap(), expected);
        assert_eq!(serde_json::from_str::<serde_json::Value>(expected).unwrap(), value);
    }
}
