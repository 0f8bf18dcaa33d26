//! Cargo under a test. It calls none.

use std::process::Command;

/// Lets a command that calls cargo, or a shell that does, begin as from a person's shell: without
/// what the outer cargo tells the test of its package.
///
/// Build scripts that look at it (that of ring does) run again when it changes. The cargo under
/// the test would compile them anew with all that stands on them, and so would the next one
/// outside.
pub fn as_from_a_shell(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        let of_the_package = ["CARGO_PKG_", "CARGO_MANIFEST_"];
        if name.to_str().is_some_and(|name| of_the_package.iter().any(|of| name.starts_with(of))) {
            command.env_remove(name);
        }
    }
    command
}
