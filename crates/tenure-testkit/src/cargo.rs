//! Cargo under a test. It calls none.

use std::process::Command;

use crate::clean::clean_signals;

/// Lets a command that calls cargo, or a shell that does, begin as from a person's shell: without
/// what the outer cargo tells the test of its package, and without the caller's own store.
///
/// Build scripts that look at it (that of ring does) run again when it changes. The cargo under
/// the test would compile them anew with all that stands on them, and so would the next one
/// outside.
pub fn as_from_a_shell(command: &mut Command) -> &mut Command {
    clean_signals();
    for (name, _) in std::env::vars_os() {
        let others = ["CARGO_PKG_", "CARGO_MANIFEST_", "TENURE_", "REDIS_"];
        if name.to_str().is_some_and(|name| others.iter().any(|of| name.starts_with(of))) {
            command.env_remove(name);
        }
    }
    command
}
