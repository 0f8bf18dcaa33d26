//! Steps, replies and owners in few words, for the trace.

use tenure::Owner;
use tenure::protocol::{Acquire, FenceRule, Op, Reply, Request};

pub(crate) fn owner(owner: &Owner) -> String {
    let value: String = owner.value().chars().take(6).collect();
    format!("{value}~{:04x}", owner.attempt() & 0xffff)
}

pub(crate) fn steps(steps: &[Request]) -> String {
    let steps: Vec<_> = steps.iter().map(|s| format!("{} {}", s.key, op(&s.op))).collect();
    steps.join("; ")
}

pub(crate) fn op(op: &Op) -> String {
    match op {
        Op::Acquire(acquire) => format!("acquire {}", claim(acquire)),
        Op::Steal(acquire) => format!("steal {}", claim(acquire)),
        Op::Renew { owner: who, ttl } => format!("renew {} for {ttl:?}", owner(who)),
        Op::Release { owner: who, min_hold, tombstone } => {
            format!("release {} min_hold {min_hold:?} tombstone {tombstone:?}", owner(who))
        }
        Op::Handoff { owner: who, to, ahead, .. } => {
            let ahead = if *ahead { " ahead of the line" } else { "" };
            format!("pass from {} to {}{ahead}", owner(who), claim(to))
        }
        Op::Withdraw { owner: who, .. } => format!("withdraw {}", owner(who)),
        Op::Resize { owner: who, fence, from, to } => {
            format!("resize {} with {fence} from {from:?} to {to:?}", owner(who))
        }
        Op::Raise { owner: who, fence } => format!("raise {} to {fence}", owner(who)),
        Op::AcquireAll(group) => {
            let members = group.members().iter();
            let claims: Vec<_> = members.map(|(key, a)| format!("{key} {}", claim(a))).collect();
            format!("acquire all of {}", claims.join(", "))
        }
        other => format!("{other:?}"),
    }
}

fn claim(acquire: &Acquire) -> String {
    let who = owner(&acquire.owner);
    let line = acquire.queue.as_ref().map(|q| format!(" in line, stamp {}", q.stamp));
    let fence = match acquire.fence {
        FenceRule::Mint => String::new(),
        FenceRule::Propose { fence, .. } => format!(", proposes {fence}"),
        FenceRule::Carry(fence) => format!(", carries {fence}"),
    };
    let Acquire { label, ttl, claim, .. } = acquire;
    format!("{claim:?} {label} {who} ttl {ttl:?}{}{fence}", line.unwrap_or_default())
}

pub(crate) fn reply(reply: &Reply) -> String {
    match reply {
        Reply::Granted { fence } => format!("granted {fence}"),
        Reply::Queued { ahead, look_in, .. } => format!("queued, {ahead} ahead, {look_in:?}"),
        Reply::Busy { look_in, .. } => format!("busy, {look_in:?}"),
        other => format!("{other:?}"),
    }
}
