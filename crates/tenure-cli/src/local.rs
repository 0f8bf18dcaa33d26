//! The processes of this host, of which some holders are no more. Labels are shown and never
//! trusted: a dead process is a hint for people.

use std::path::Path;

use tenure::protocol::HolderView;

use crate::label::{self, Parts};

/// This host, if its processes are seen.
#[derive(Debug, Clone)]
pub(crate) struct Local {
    /// Empty if /proc does not tell of processes: then none is known to be dead.
    host: String,
}

impl Local {
    pub(crate) fn here() -> Self {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let has_proc = Path::new("/proc/self/stat").exists();
        Self { host: if has_proc { host } else { String::new() } }
    }

    /// Whether the holder was a process of this host that is there no more. A ticket needs none.
    pub(crate) fn is_dead(&self, label: &str) -> bool {
        let Some(Parts { host, pid: Some(pid), .. }) = label::parse(label) else { return false };
        let is_here = !self.host.is_empty() && host == self.host;
        is_here && !Path::new(&format!("/proc/{pid}")).exists()
    }
}

/// The end of a line about a holder: that its process is gone, if that is known.
pub(crate) fn gone(holder: &HolderView) -> &'static str {
    let is_dead = !holder.kept && Local::here().is_dead(holder.label.as_str());
    if is_dead { "; its process is gone from this host" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_processes_of_this_host_are_known_to_be_dead() {
        let local = Local::here();
        let host = local.host.clone();
        assert!(!local.is_dead(&format!("{host}:{}:x", std::process::id())));
        // Larger than any process number of Linux.
        assert!(local.is_dead(&format!("{host}:4194305:x")));
        assert!(local.is_dead(&format!("x (ada@{host}, pid 4194305)")));
        assert!(!local.is_dead("elsewhere.test:4194305:x"));
        assert!(!local.is_dead("somebody"));
        assert!(!local.is_dead(&format!("x (ada@{host}, ticket)")));
        let blind = Local { host: String::new() };
        assert!(!blind.is_dead(&format!("{host}:4194305:x")));
    }
}
