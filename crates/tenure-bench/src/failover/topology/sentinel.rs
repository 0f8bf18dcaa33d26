//! A master, two replicas, and three Sentinels with their usual periods.

use std::sync::Arc;

use tenure_testkit::{Flavour, Sentinels, Server};

use super::{Hosts, Setting, Topology};

/// The master, its replicas and the Sentinels.
const NODES: usize = 6;

pub(super) fn start(flavour: Flavour, setting: Setting, hosts: Option<&Hosts>) -> OfSentinels {
    let mut options = Sentinels::of(flavour).with_usual_periods();
    for line in setting.lines() {
        options = options.with(line);
    }
    if let Some([few, most]) = hosts {
        let rest = std::iter::repeat_n(most, NODES - 1);
        options = options.on(std::iter::once(few).chain(rest).map(Arc::clone));
    }
    OfSentinels(options.start())
}

#[derive(Debug)]
pub(super) struct OfSentinels(Sentinels);

impl Topology for OfSentinels {
    fn url(&self) -> String {
        self.0.url()
    }

    fn prefix(&self) -> String {
        "stock-".to_owned()
    }

    fn master(&self) -> &Server {
        &self.0.servers()[0]
    }

    fn replicas(&self) -> Vec<&Server> {
        self.0.servers()[1..].iter().collect()
    }

    fn switch(&self) {
        self.0.failover();
    }

    fn settle(&self) {
        self.0.wait_until_agreed();
    }
}
