//! How many connections a process has to a server, by the kernel's own tables. Nothing is asked of
//! the server or the process.

use std::collections::HashSet;
use std::fs;

use tenure_testkit::Server;

/// The state of an established connection in `/proc/net/tcp`.
const ESTABLISHED: &str = "01";

pub(crate) fn to(server: &Server, process: u32) -> usize {
    let sockets = sockets_to(server.port());
    let files = fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten();
    let links = files.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
    links.filter(|link| link.to_str().is_some_and(|link| sockets.contains(link))).count()
}

/// The sockets of all processes that are connected to a port of this machine, named as the links
/// in `/proc/PID/fd` name them.
fn sockets_to(port: u16) -> HashSet<String> {
    let remote = format!(":{port:04X}");
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(fs::read_to_string);
    let lines = tables.iter().flatten().flat_map(|table| table.lines());
    let sockets = lines.filter_map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        let (to, state, inode) = (words.get(2)?, words.get(3)?, words.get(9)?);
        (to.ends_with(&remote) && *state == ESTABLISHED).then(|| format!("socket:[{inode}]"))
    });
    sockets.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_connections_of_a_process_are_counted() {
        let server = Server::redis().start();
        assert_eq!(to(&server, std::process::id()), 0);
        let clients = [server.client(), server.client()];
        assert_eq!(to(&server, std::process::id()), 2);
        drop(clients);
        assert_eq!(to(&server, std::process::id()), 0);
    }
}
