//! The fenced blocks of a document.

/// A block of code between two lines of three backticks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The text behind the opening backticks.
    pub language: String,
    /// The line of the document on which the code begins.
    pub line: usize,
    /// The code.
    pub code: String,
}

/// The blocks of a document, in order.
#[must_use]
pub fn blocks(document: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (index, line) in document.lines().enumerate() {
        match (line.trim_start().strip_prefix("```"), open.take()) {
            (Some(language), None) => {
                let language = language.trim().to_owned();
                open = Some(Block { language, line: index + 2, code: String::new() });
            }
            (Some(_), Some(block)) => blocks.push(block),
            (None, Some(mut block)) => {
                block.code.push_str(line);
                block.code.push('\n');
                open = Some(block);
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed: {open:?}");
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_carry_language_line_and_code() {
        let found = blocks("one\n```sh\necho a\necho b\n```\nbetween\n```rust,no_run\nx\n```\n");
        let block = |language: &str, line, code: &str| Block {
            language: language.into(),
            line,
            code: code.into(),
        };
        assert_eq!(found, [block("sh", 3, "echo a\necho b\n"), block("rust,no_run", 8, "x\n")]);
    }
}
