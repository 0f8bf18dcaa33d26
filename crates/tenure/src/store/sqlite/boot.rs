//! The boot of the machine, and whether this process has the machine's clock. The moments in a file
//! never count under another boot or clock.

use std::fs;
use std::sync::Arc;

use super::error;
use crate::store::{StoreError, StoreErrorClass};

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
const OFFSETS: &str = "/proc/self/timens_offsets";

/// The name of this boot, the same for all processes and containers of a kernel.
///
/// A process in a time namespace with another boot-time clock is refused: its leases would end at
/// other moments than those of all other processes.
pub(super) fn id() -> Result<String, StoreError> {
    let text = fs::read_to_string(BOOT_ID).map_err(|error| StoreError {
        class: StoreErrorClass::Config,
        message: format!(
            "cannot read {BOOT_ID}, which tells locks of before a reboot apart ({error}): mount \
             /proc"
        ),
        may_have_run: false,
        source: Some(Arc::new(error)),
    })?;
    match fs::read_to_string(OFFSETS) {
        Ok(offsets) if is_shifted(&offsets) => Err(error::plain(
            StoreErrorClass::Config,
            "this process runs in a time namespace with a boot-time clock of its own, so that its \
             locks would end at other moments than those of the machine's other processes: run \
             it without an offset (see `unshare --boottime`)"
                .to_owned(),
        )),
        // A kernel without time namespaces has one clock.
        Ok(_) | Err(_) => Ok(text.trim().to_owned()),
    }
}

/// Whether the boot-time clock has an offset. The text has lines of `clock seconds nanoseconds`
/// (time_namespaces(7)).
fn is_shifted(offsets: &str) -> bool {
    offsets.lines().any(|line| {
        let mut words = line.split_whitespace();
        words.next() == Some("boottime") && words.any(|number| number != "0")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_shifted_boot_clock_matters() {
        let offsets = |boot| format!("monotonic  -3  7\nboottime    {boot}\n");
        assert!(!is_shifted(&offsets("0         0")));
        assert!(is_shifted(&offsets("1000      0")));
        assert!(is_shifted(&offsets("0 5")));
        assert!(is_shifted(&offsets("-1 0")));
        assert!(!is_shifted(""));
    }

    #[test]
    fn this_boot_has_a_name() -> Result<(), StoreError> {
        assert_eq!(id()?.len(), 36);
        Ok(())
    }
}
