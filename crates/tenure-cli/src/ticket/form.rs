//! Lines for a shell that reads them by `eval`: variables that it exports, or a failure. They are
//! right in every POSIX shell, whatever is in the values.

use std::ffi::OsString;

use crate::exit::Exit;

/// The option that asks for them.
const OPTION: &str = "--shell";

/// Lines that export variables.
pub(crate) fn exports(variables: &[(&str, &str)]) -> String {
    let line = |(name, value): &(&str, &str)| format!("export {name}={};", quoted(value));
    variables.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A line that fails with `exit`. Without it, `eval` would succeed: it was given nothing to do. An
/// earlier ticket must not be taken for this one.
pub(crate) fn failure(exit: Exit) -> String {
    format!("unset TENURE_TICKET; (exit {})", exit.0)
}

/// Tells the shell of a failure, if it waits for lines.
pub(crate) fn fail(words: &[OsString], exit: Exit) {
    let asks = words.iter().take_while(|word| *word != "--").any(|word| word == OPTION);
    if asks && exit != Exit::SUCCESS {
        // A reader that went away gets nothing, and needs nothing.
        let _ = crate::inspect::print(&failure(exit));
    }
}

/// A word in single quotes, between which a shell changes nothing.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_back_any_value_and_the_failure() {
        for value in ["a", "it's", "", "a b  $HOME `id` \"x\" \\ !! * é", "-n", "=x", "~"] {
            let script =
                format!("{}\nprintf %s \"$TENURE_KEY\"", exports(&[("TENURE_KEY", value)]));
            let shown = std::process::Command::new("sh").args(["-c", &script]).output();
            assert_eq!(String::from_utf8_lossy(&shown.expect("sh runs").stdout), value);
        }
        let script = format!("{} || echo $?-$TENURE_TICKET", failure(Exit::BUSY));
        let mut shell = std::process::Command::new("sh");
        let shown = shell.args(["-c", &script]).env("TENURE_TICKET", "old").output();
        assert_eq!(shown.expect("sh runs").stdout, b"75-\n");
    }
}
