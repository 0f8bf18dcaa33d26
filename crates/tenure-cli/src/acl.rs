//! `tenure acl`: the least rights that Tenure needs, as a line for the server. It asks no store.

use tenure::store::{Rights, sentinel_rule};

use crate::args::{AclArgs, Feature};
use crate::exit::{Exit, Refusal};
use crate::inspect::{self, Early};

pub(crate) fn show(args: &AclArgs) -> Result<Exit, Refusal> {
    for (what, text, such) in
        [("--user", &args.user, "--user tenure"), ("--prefix", &args.prefix, "--prefix jobs:")]
    {
        let is_quoted = |c: char| c.is_whitespace() || c.is_control() || "\"'".contains(c);
        if text.contains(is_quoted) {
            let message = format!(
                "{what} has a blank, a quote or a control character, which an ACL cannot have; \
                 choose another, such as {such}"
            );
            return Err(Refusal::usage(message));
        }
    }
    if args.user.is_empty() {
        return Err(Refusal::usage("--user is empty; leave it out for the user tenure"));
    }
    let lines = lines(args).join("\n");
    match inspect::print(&lines) {
        Ok(()) | Err(Early::Enough) => Ok(Exit::SUCCESS),
        Err(Early::Refusal(refusal)) => Err(refusal),
    }
}

fn lines(args: &AclArgs) -> Vec<String> {
    let mut rights = Rights::default().with_prefix(&args.prefix);
    if args.cluster {
        rights = rights.in_cluster();
    }
    if args.read_only {
        rights = rights.only_looks();
    }
    for feature in &args.without {
        rights = match feature {
            Feature::Ack => rights.without_ack(),
            Feature::RestartGuard => rights.without_restart_guard(),
            Feature::Database => rights.without_database(),
        };
    }
    let user = &args.user;
    let mut lines = vec![format!("ACL SETUSER {user} reset on >PASSWORD {}", rights.rule())];
    if args.sentinel {
        lines.push(format!("ACL SETUSER {user}-asks reset on >PASSWORD {}", sentinel_rule()));
    }
    lines
}
