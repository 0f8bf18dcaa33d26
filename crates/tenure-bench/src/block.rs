//! The block of a document that the program writes, between two lines that mark it.

use crate::Failure;

pub(crate) const BEGIN: &str = "<!-- The bench command writes from here ... -->\n";
pub(crate) const END: &str = "<!-- ... to here. -->\n";

/// The document with another block.
pub(crate) fn replaced(text: &str, block: &str) -> Result<String, Failure> {
    let markers = || "the markers of the bench are missing";
    let (before, rest) = text.split_once(BEGIN).ok_or_else(markers)?;
    let (_, behind) = rest.split_once(END).ok_or_else(markers)?;
    Ok([before, BEGIN, "\n", block, "\n", END, behind].concat())
}

/// Text in lines that a document may have.
pub(crate) fn wrapped(text: &str, indent: &str) -> String {
    const COLUMNS: usize = 100;
    let (mut lines, mut line) = (String::new(), String::new());
    for word in text.split(' ') {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > COLUMNS {
            lines.push_str(line.trim_end());
            lines.push('\n');
            line = indent.to_owned();
        } else if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines + &line + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_replaced_and_the_rest_stays() {
        let text = format!("before\n{BEGIN}old\n{END}behind\n");
        let expected = format!("before\n{BEGIN}\nnew\n\n{END}behind\n");
        assert_eq!(replaced(&text, "new\n").unwrap(), expected);
        assert_eq!(replaced(&expected, "new\n").unwrap(), expected);
        assert!(replaced("no markers", "new\n").is_err());
    }

    #[test]
    fn text_is_wrapped_between_words() {
        let word = "x".repeat(60);
        assert_eq!(wrapped(&format!("{word} {word} y"), "  "), format!("{word}\n  {word} y\n"));
    }
}
