//! The way of acknowledged grants: a connection of its own, since WAIT holds up what is behind it.
//! One batch goes at a time, so that a replica that is away holds up each call once.

use std::pin::Pin;
use std::sync::Arc;

use crate::protocol::{Reply, Request};
use crate::runtime::Runtime;

use super::ack::{self, Ack, TakenBack};
use super::batch::{self, Batches, Carrying, Outcome, Pace};
use super::carrier::Carrier;
use super::client::{Command, Failure, Script, Way};
use super::decode::Answered;
use super::encode::Terms;
use super::greeter::Session;
use super::link::{Answer, Link};

pub(super) struct Grants {
    carrier: Arc<Carrier>,
    batches: Batches,
}

impl Grants {
    /// A way over `link`, beside that of `others`.
    pub(super) fn start(
        runtime: &Arc<dyn Runtime>,
        link: Link,
        ack: Ack,
        others: &Arc<Carrier>,
        terms: Terms,
    ) -> Self {
        let replicas = Replicas { ack, others: Arc::clone(others) };
        let carrier = Arc::new(others.acknowledged(link, replicas, terms));
        let carries = Arc::clone(&carrier);
        let carry = move |steps: Vec<Request>, room: Option<Carrying>| {
            let carrier = Arc::clone(&carries);
            batch::carrying(room, async move { carrier.carry(&steps).await })
        };
        Self { carrier, batches: Batches::start(runtime, Pace::OneByOne, Box::new(carry)) }
    }

    /// Carries a call outside of a batch.
    pub(super) fn carrier(&self) -> &Carrier {
        &self.carrier
    }

    /// Connects, so that a missing right or a server without WAIT is found.
    pub(super) async fn open(&self) -> Result<(), Failure> {
        self.carrier.link.command(&Command::of(&["PING"])).await.map(drop)
    }

    /// Sends a call, and waits until replicas have what it granted.
    pub(super) async fn send(&self, steps: Vec<Request>) -> Option<Outcome> {
        self.batches.send(steps).await
    }
}

/// The needs of a carrier whose grants replicas must acknowledge.
pub(super) struct Replicas {
    ack: Ack,
    /// Over the shared link: nothing there waits for replicas.
    others: Arc<Carrier>,
}

impl Replicas {
    /// Runs the script, and waits until the replicas have what it wrote.
    pub(super) async fn eval(
        &self,
        link: &Link,
        way: Way,
        script: &Script,
        pack: impl Fn(&Session, [&str; 2]) -> Command,
    ) -> Result<Answer, Failure> {
        link.eval_acknowledged((&self.others.link, self.ack.within), way, script, pack).await
    }

    /// Too few replicas know of these answers. Leaves nothing of the grants among them.
    pub(super) fn take_back<'a>(
        &'a self,
        steps: &'a [Request],
        answered: &'a mut [Answered],
        why: &Failure,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        let taken_back = ack::fail_grants(steps, answered, why);
        Box::pin(async move {
            let undoing: Vec<_> = taken_back.iter().flat_map(|grant| grant.by.clone()).collect();
            if undoing.is_empty() {
                return;
            }
            let mut undone = self.others.carry(&undoing).await.each(undoing.len()).into_iter();
            for TakenBack { place, by } in taken_back {
                let of_this: Vec<_> = undone.by_ref().take(by.len()).collect();
                let is_undone = of_this.iter().all(|reply| {
                    matches!(reply, Ok(Reply::Released | Reply::Gone | Reply::Others))
                });
                // Otherwise its sender withdraws it, as after a lost reply.
                if let (Answered::Failed(failure), true) = (&mut answered[place], is_undone) {
                    failure.may_have_run = false;
                }
            }
        })
    }
}
