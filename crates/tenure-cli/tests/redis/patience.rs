//! Tests of servers on a busy machine: limits that no pause of it reaches, and flavours that wait
//! side by side.

use std::thread;

use tenure_testkit::Flavour;

/// The same store with connections, calls and nodes that may take as long as the command's own
/// limit. A quorum with options of its own keeps them.
pub(crate) fn unhurried(store: &str) -> String {
    let more = "connect_timeout=60s&call_timeout=60s";
    let of_server = |url: &str| {
        let is_server = ["redis", "valkey"].iter().any(|scheme| url.starts_with(scheme));
        match (is_server, url.contains('?')) {
            (false, _) => url.to_owned(),
            (true, false) => format!("{url}?{more}"),
            (true, true) => format!("{url}&{more}"),
        }
    };
    match store.strip_prefix("quorum:") {
        Some(nodes) => {
            let has_own = nodes.contains(" ?");
            let own = if has_own { "" } else { " ?node_timeout=20s" };
            let nodes: Vec<_> = nodes.split(' ').map(of_server).collect();
            format!("quorum:{}{own}", nodes.join(" "))
        }
        None => of_server(store),
    }
}

/// Runs a test that waits most of its time on both flavours at once.
pub(crate) fn on_each_flavour(test: impl Fn(Flavour) + Sync) {
    thread::scope(|scope| {
        for flavour in Flavour::ALL {
            let test = &test;
            scope.spawn(move || test(flavour));
        }
    });
}
