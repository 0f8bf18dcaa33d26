//! One server alone, for runs without a fault.

use tenure_testkit::{Flavour, Server, ServerOptions};

use super::{Hosts, Setting, Topology};

pub(super) fn start(flavour: Flavour, setting: Setting, hosts: Option<&Hosts>) -> Single {
    let options = setting.lines().into_iter().fold(Server::of(flavour), ServerOptions::with);
    Single(hosts.iter().fold(options, |options, [few, _]| options.on(few)).start())
}

#[derive(Debug)]
pub(super) struct Single(Server);

impl Topology for Single {
    fn url(&self) -> String {
        self.0.url()
    }

    fn prefix(&self) -> String {
        "stock-".to_owned()
    }

    fn master(&self) -> &Server {
        &self.0
    }

    fn replicas(&self) -> Vec<&Server> {
        Vec::new()
    }

    fn switch(&self) {
        panic!("it has no replica");
    }

    fn settle(&self) {}
}
