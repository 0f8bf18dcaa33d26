//! Carries steps to the server: one script call for a whole batch. Where the server turns such a
//! call away because of one of its keys, the steps of each key are asked apart, so that nobody is
//! refused for the key of another.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::Poll;

use crate::protocol::{Op, Reply, Request};
use crate::store::StoreError;

use super::batch::Outcome;
use super::client::{Command, Failure, Live, Script, Value, Way};
use super::decode::{self, Answered};
use super::defect;
use super::encode::{ScriptCall, Terms};
use super::grants::Replicas;
use super::greeter::Session;
use super::keys::Scope;
use super::link::{Answer, Link};
use super::suspects::Suspects;

pub(super) struct Carrier {
    pub(super) link: Arc<Link>,
    pub(super) way: Way,
    pub(super) script: Arc<Script>,
    /// With the number of calls of this way: a connection keeps the order of its calls, and two
    /// do not.
    pub(super) terms: Terms,
    /// Keys whose steps must not travel with others.
    suspects: Arc<Suspects>,
    /// Whether the node of a cluster takes no script without the names of its keys.
    pub(super) wants_keys: Arc<AtomicBool>,
    /// Set if replicas must acknowledge its grants.
    replicas: Option<Replicas>,
}

/// Why a script call came to nothing.
#[derive(Debug, Clone)]
pub(super) struct Rejection {
    pub(super) error: StoreError,
    /// Whether that can be the fault of one of its steps.
    may_be_of_one: bool,
    /// Whether it can be since the names of its keys were missing.
    pub(super) may_want_keys: bool,
}

pub(super) type Result<T, E = Rejection> = std::result::Result<T, E>;
/// The outcomes of some steps, by their places in the batch.
pub(super) type Part = Vec<(usize, Result<Reply, StoreError>)>;

impl Carrier {
    pub(super) fn new(link: Arc<Link>, script: Arc<Script>, terms: Terms) -> Self {
        let (suspects, wants_keys) = (Arc::default(), Arc::default());
        Self { link, way: Way::Shared, script, terms, suspects, wants_keys, replicas: None }
    }

    /// Carries over the direct connection what this one carries over the shared one.
    pub(super) fn direct(&self, terms: Terms) -> Self {
        self.beside(Arc::clone(&self.link), Way::Direct, terms, None)
    }

    /// Carries over `link` what this one carries, for replicas to acknowledge.
    pub(super) fn acknowledged(&self, link: Link, replicas: Replicas, terms: Terms) -> Self {
        self.beside(Arc::new(link), Way::Shared, terms, Some(replicas))
    }

    fn beside(&self, link: Arc<Link>, way: Way, terms: Terms, replicas: Option<Replicas>) -> Self {
        let (script, suspects) = (Arc::clone(&self.script), Arc::clone(&self.suspects));
        let wants_keys = Arc::clone(&self.wants_keys);
        Self { link, way, script, terms, suspects, wants_keys, replicas }
    }

    pub(super) async fn carry(&self, steps: &[Request]) -> Outcome {
        if self.suspects.are_there()
            && let Some((suspicious, rest)) = self.suspects.apart(steps, self.link.now())
        {
            return Box::pin(self.carry_around(steps, suspicious, rest)).await;
        }
        self.carry_at_once(steps).await
    }

    async fn carry_at_once(&self, steps: &[Request]) -> Outcome {
        match self.terms.template.scope() {
            Scope::Server => self.carry_together(steps).await,
            Scope::Slot => self.carry_by_slot(steps).await,
        }
    }

    /// Those whose key has got others refused before travel by themselves.
    async fn carry_around(
        &self,
        steps: &[Request],
        suspicious: Vec<Vec<usize>>,
        rest: Vec<usize>,
    ) -> Outcome {
        let mut parts: Vec<Pin<Box<dyn Future<Output = Part> + Send + '_>>> = Vec::new();
        parts.push(Box::pin(async {
            let outcome = self.carry_at_once(&of_these(steps, &rest)).await;
            rest.iter().copied().zip(outcome.each(rest.len())).collect()
        }));
        for places in suspicious {
            parts.push(Box::pin(self.carry_of_one_key(steps, places, None)));
        }
        in_order(steps.len(), all(parts).await)
    }

    /// In one call, which names all keys.
    pub(super) async fn carry_together(&self, steps: &[Request]) -> Outcome {
        let answered = match self.ask(self.way, steps, false).await {
            Ok(answered) => answered,
            Err(rejection) => return self.after(rejection, steps).await,
        };
        if answered.iter().all(is_reply) {
            let replies = answered.into_iter().filter_map(reply);
            return Outcome::Together(Ok(replies.collect()));
        }
        if answered.iter().any(is_open) {
            return Box::pin(self.carry_rest(steps, answered)).await;
        }
        Outcome::Apart(self.results(answered).collect())
    }

    /// Asks the open ones again, with all that the script may want to know of them.
    async fn carry_rest(&self, steps: &[Request], answered: Vec<Answered>) -> Outcome {
        let places = |wanted: bool| {
            let numbered = answered.iter().enumerate();
            numbered.filter(move |(_, a)| is_open(a) == wanted).map(|(place, _)| place)
        };
        let open: Vec<_> = places(true).collect();
        let again = of_these(steps, &open);
        let rest = match self.ask_in_full(&again).await {
            Ok(rest) => Outcome::Apart(self.results(rest).collect()),
            Err(rejection) => self.after(rejection, &again).await,
        };
        if let Outcome::Together(Err(failure)) = &rest
            && open.len() == steps.len()
        {
            return Outcome::Together(Err(failure.clone()));
        }
        let done: Vec<_> = places(false).collect();
        let done = done.into_iter().zip(self.results(answered)).collect();
        let rest = open.iter().copied().zip(rest.each(open.len())).collect();
        in_order(steps.len(), vec![done, rest])
    }

    /// A call was turned away. Unless that is nobody's fault, the steps are asked key by key.
    pub(super) async fn after(&self, rejection: Rejection, steps: &[Request]) -> Outcome {
        let by_key = by_key(steps);
        if !rejection.may_be_of_one || by_key.len() < 2 {
            self.suspect(&rejection, steps);
            return Outcome::Together(Err(rejection.error));
        }
        Box::pin(async {
            let part = |places| self.carry_of_one_key(steps, places, Some(&rejection.error));
            let parts = by_key.into_iter().map(|places| Box::pin(part(places))).collect();
            in_order(steps.len(), all(parts).await)
        })
        .await
    }

    /// Steps of one key, by their places; `tried` says how they fared before.
    async fn carry_of_one_key(
        &self,
        steps: &[Request],
        places: Vec<usize>,
        tried: Option<&StoreError>,
    ) -> Part {
        let steps = of_these(steps, &places);
        let answered = async {
            let mut answered = self.ask(self.way, &steps, false).await?;
            if answered.iter().any(is_open) {
                answered = self.ask_in_full(&steps).await?;
            }
            Ok::<_, Rejection>(answered)
        };
        match answered.await {
            Ok(answered) => {
                let told = self.results(answered).zip(&steps).map(|(result, step)| {
                    match (result, tried.filter(|failure| failure.may_have_run)) {
                        (Ok(reply), Some(failure)) => repeated(&step.op, reply, failure),
                        (result, _) => result,
                    }
                });
                places.into_iter().zip(told).collect()
            }
            Err(mut rejection) => {
                // A repetition that was not even sent says nothing about the first try.
                rejection.error.may_have_run |= tried.is_some_and(|first| first.may_have_run);
                self.suspect(&rejection, &steps);
                places.into_iter().map(|place| (place, Err(rejection.error.clone()))).collect()
            }
        }
    }

    /// A call about one key was turned away: is it the key's fault?
    fn suspect(&self, rejection: &Rejection, steps: &[Request]) {
        if let ([first, rest @ ..], true) = (steps, rejection.may_be_of_one)
            && rest.iter().all(|step| step.key == first.key)
        {
            self.suspects.add(&first.key, self.link.now());
        }
    }

    async fn ask_in_full(&self, steps: &[Request]) -> Result<Vec<Answered>> {
        let answered = self.ask(self.way, steps, true).await?;
        if answered.iter().any(is_open) { Err(nonsense()) } else { Ok(answered) }
    }

    pub(super) async fn ask(
        &self,
        way: Way,
        steps: &[Request],
        in_full: bool,
    ) -> Result<Vec<Answered>> {
        self.ask_as(way, &self.terms, steps, in_full).await
    }

    pub(super) async fn ask_as(
        &self,
        way: Way,
        terms: &Terms,
        steps: &[Request],
        in_full: bool,
    ) -> Result<Vec<Answered>> {
        let request = ScriptCall::new(steps, terms, in_full || self.is_asleep());
        let pack = self.link.pack(&request, terms);
        let Answer { value, live, failure } = self.run(way, pack).await?;
        let mut answered = self.read(value, &request, steps, &live)?;
        self.take_back(steps, &mut answered, failure.as_ref()).await;
        Ok(answered)
    }

    /// Runs the script, and waits for replicas if they must acknowledge.
    pub(super) async fn run(
        &self,
        way: Way,
        pack: impl Fn(&Session, [&str; 2]) -> Command,
    ) -> Result<Answer> {
        let answer = match &self.replicas {
            None => self.link.eval(way, &self.script, pack).await,
            Some(replicas) => replicas.eval(&self.link, way, &self.script, pack).await,
        };
        answer.map_err(|failure| self.rejection(failure))
    }

    /// Leaves nothing of the grants among these answers if too few replicas know of them.
    pub(super) async fn take_back(
        &self,
        steps: &[Request],
        answered: &mut [Answered],
        failure: Option<&Failure>,
    ) {
        if let (Some(replicas), Some(why)) = (&self.replicas, failure) {
            replicas.take_back(steps, answered, why).await;
        }
    }

    pub(super) fn rejection(&self, failure: Failure) -> Rejection {
        let (may_be_of_one, leads_on) = (failure.may_be_of_one(), failure.redirect().is_some());
        let may_want_keys = failure.may_want_keys();
        Rejection { may_be_of_one, may_want_keys, error: self.error(failure, leads_on) }
    }

    /// The error for a failure, which a cluster reads: it follows where that leads to, and repeats
    /// no step that was answered.
    fn error(&self, failure: Failure, is_answer: bool) -> StoreError {
        let is_read = is_answer && self.terms.template.scope() == Scope::Slot;
        let source = is_read.then(|| Arc::new(failure.clone()) as _);
        StoreError { source, ..failure.into() }
    }

    /// The outcomes of those steps that are not asked again.
    pub(super) fn results(
        &self,
        answered: Vec<Answered>,
    ) -> impl Iterator<Item = Result<Reply, StoreError>> {
        answered.into_iter().filter_map(|answered| self.result(answered))
    }

    /// The outcome of a step; `None`: it is asked again.
    pub(super) fn result(&self, answered: Answered) -> Option<Result<Reply, StoreError>> {
        match answered {
            Answered::Reply(reply) => Some(Ok(reply)),
            Answered::Failed(failure) => Some(Err(self.error(failure, true))),
            Answered::AskInFull => None,
        }
    }

    /// A server that grants nothing new must be told of everything.
    pub(super) fn is_asleep(&self) -> bool {
        self.terms.is_guarded() && !self.link.is_awake()
    }

    pub(super) fn read(
        &self,
        answer: Value,
        request: &ScriptCall,
        steps: &[Request],
        live: &Live<Session>,
    ) -> Result<Vec<Answered>> {
        let (mut answered, marker) = decode::decode(answer, request, steps).ok_or_else(nonsense)?;
        if let Some(guarded) = marker.and_then(|marker| self.link.guarded(live, &marker)) {
            for answer in &mut answered {
                if let Answered::Reply(reply) = answer {
                    decode::guarded(reply, guarded);
                }
            }
        }
        if let Some(primary) = &live.session().replica_of {
            for answer in &mut answered {
                if let Answered::Reply(Reply::Inspected(seen)) = answer {
                    seen.replica_of = Some(primary.clone());
                }
            }
        }
        Ok(answered)
    }
}

pub(super) fn is_open(answered: &Answered) -> bool {
    *answered == Answered::AskInFull
}

fn is_reply(answered: &Answered) -> bool {
    matches!(answered, Answered::Reply(_))
}

fn reply(answered: Answered) -> Option<Reply> {
    match answered {
        Answered::Reply(reply) => Some(reply),
        Answered::AskInFull | Answered::Failed(_) => None,
    }
}

pub(super) fn nonsense() -> Rejection {
    let error = defect("the script was answered with something else".into());
    Rejection { error, may_be_of_one: true, may_want_keys: false }
}

/// The reply to a step whose first try failed and may have been carried out.
pub(super) fn repeated(op: &Op, reply: Reply, failure: &StoreError) -> Result<Reply, StoreError> {
    let given_back = |reply| match reply {
        Reply::Gone | Reply::Others => Reply::Released,
        reply => reply,
    };
    Ok(match (op, reply) {
        (Op::Release { .. } | Op::Withdraw { .. }, reply) => given_back(reply),
        (_, Reply::HandedOff { released, acquired }) => {
            Reply::HandedOff { released: Box::new(given_back(*released)), acquired }
        }
        // The first try may have forced a holder out, and this reply does not say so.
        (_, Reply::Forced { holders: 0 }) => return Err(failure.clone()),
        (_, reply) => reply,
    })
}

pub(super) fn of_these(steps: &[Request], places: &[usize]) -> Vec<Request> {
    places.iter().map(|&place| steps[place].clone()).collect()
}

/// The places of the steps of each key.
pub(super) fn by_key(steps: &[Request]) -> Vec<Vec<usize>> {
    let mut places: Vec<_> = (0..steps.len()).collect();
    places.sort_by_key(|&place| &steps[place].key);
    let runs = places.chunk_by(|&one, &other| steps[one].key == steps[other].key);
    runs.map(<[usize]>::to_vec).collect()
}

pub(super) fn in_order(count: usize, parts: Vec<Part>) -> Outcome {
    let mut all: Part = parts.into_iter().flatten().collect();
    all.sort_unstable_by_key(|(place, _)| *place);
    if all.len() != count {
        return Outcome::Together(Err(nonsense().error));
    }
    Outcome::Apart(all.into_iter().map(|(_, result)| result).collect())
}

/// Waits for all of them side by side.
pub(super) async fn all<F: Future + Unpin>(mut futures: Vec<F>) -> Vec<F::Output> {
    let mut outputs: Vec<_> = futures.iter().map(|_| None).collect();
    poll_fn(|cx| {
        for (future, output) in futures.iter_mut().zip(&mut outputs) {
            if output.is_none()
                && let Poll::Ready(ready) = Pin::new(future).poll(cx)
            {
                *output = Some(ready);
            }
        }
        if outputs.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    outputs.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::protocol::{Acquire, FenceRule};
    use crate::types::{Claim, Fence, Label, Owner};

    /// The first try of a call that failed as a whole may have been carried out: it is no news to
    /// its caller that nothing was left to do.
    #[test]
    fn a_release_that_was_carried_out_by_a_call_that_failed_is_not_told_as_gone() {
        let owner = || Owner::from_parts("owner", 1);
        let failure = defect("the call failed".into());
        let release = Op::Release { owner: owner(), min_hold: Duration::ZERO, tombstone: None };
        let withdraw = Op::Withdraw { owner: owner(), tombstone: Duration::ZERO };
        for op in [&release, &withdraw] {
            for told in [Reply::Gone, Reply::Others, Reply::Released] {
                assert_eq!(repeated(op, told, &failure).ok(), Some(Reply::Released), "{op:?}");
            }
        }
        let handed_off = |released| Reply::HandedOff {
            released: Box::new(released),
            acquired: Box::new(Reply::Withdrawn),
        };
        let to = Acquire {
            owner: Owner::from_parts("next", 1),
            label: Label::new("next"),
            claim: Claim::EXCLUSIVE,
            ttl: Duration::from_secs(1),
            queue: None,
            fence: FenceRule::Mint,
            value: None,
        };
        let (min_hold, tombstone) = (Duration::ZERO, None);
        let handoff = Op::Handoff { owner: owner(), min_hold, tombstone, to, ahead: true };
        let told = repeated(&handoff, handed_off(Reply::Gone), &failure).ok();
        assert_eq!(told, Some(handed_off(Reply::Released)));
        // A renewal tells the truth however often it is asked.
        let renew = Op::Renew { owner: owner(), ttl: Duration::from_secs(1) };
        assert_eq!(repeated(&renew, Reply::Gone, &failure).ok(), Some(Reply::Gone));
        // Nobody is left to be forced out, perhaps because the first try did it.
        let force = Op::Force { up_to: Fence::new(1) };
        assert!(repeated(&force, Reply::Forced { holders: 0 }, &failure).is_err());
        let forced = repeated(&force, Reply::Forced { holders: 1 }, &failure).ok();
        assert_eq!(forced, Some(Reply::Forced { holders: 1 }));
    }
}
