//! Carries steps to a node of a cluster: those of many hash slots in one call, each slot for
//! itself. A slot that is in the way of its steps is left to the one who knows where slots are.
//!
//! A call for many slots names no keys: a node would refuse keys of two slots. Some services and
//! proxies take no script without them. There each slot has a call of its own.

use std::sync::atomic::Ordering;

use crate::protocol::{Reply, Request};
use crate::store::StoreError;

use super::batch::Outcome;
use super::carrier::{self, Carrier, Result, in_order, nonsense, of_these};
use super::client::{Value, Way};
use super::decode::Answered;
use super::encode::{ScriptCall, Terms};
use super::link::Answer;

/// Steps of one slot, and their places in the batch.
struct Part {
    places: Vec<usize>,
    steps: Vec<Request>,
}

impl Carrier {
    /// All steps in one call, and those that need more words in a second one. A slot whose part was
    /// turned away because of one of its keys is asked key by key.
    pub(super) async fn carry_by_slot(&self, steps: &[Request]) -> Outcome {
        let slot = |step: &Request| self.terms.template.slot(&step.key);
        if steps.windows(2).all(|pair| slot(&pair[0]) == slot(&pair[1])) {
            return self.carry_together(steps).await;
        }
        let mut done = Vec::with_capacity(steps.len());
        let mut parts = self.parts(steps, (0..steps.len()).collect());
        for in_full in [false, true] {
            if parts.is_empty() {
                break;
            }
            let (answers, tried) = self.ask_parts(&parts, in_full).await;
            let told = |place: usize, result| match (result, &tried) {
                (Ok(reply), Some(tried)) => carrier::repeated(&steps[place].op, reply, tried),
                (result, _) => result,
            };
            let mut open = Vec::new();
            for (Part { places, steps }, answered) in parts.iter().zip(answers) {
                match answered {
                    Ok(answered) => {
                        for (&place, answered) in places.iter().zip(answered) {
                            match self.result(answered) {
                                Some(result) => done.push((place, told(place, result))),
                                None => open.push(place),
                            }
                        }
                    }
                    Err(rejection) => {
                        let results = self.after(rejection, steps).await.each(places.len());
                        done.extend(places.iter().copied().zip(results));
                    }
                }
            }
            parts = self.parts(steps, open);
        }
        in_order(steps.len(), vec![done])
    }

    /// Steps of one key by themselves, with all parts of the key named: then a node says where to
    /// go instead, and says so only if it has none of them. They overtake batches, or are
    /// overtaken, so they have a sender of their own.
    pub(super) async fn carry_alone(
        &self,
        steps: &[Request],
        is_asking: bool,
    ) -> Result<Vec<Reply>, StoreError> {
        let terms = self.terms.of_another_sender(self.link.sender());
        let answered = if is_asking {
            self.ask_on_its_way(&terms, steps).await
        } else {
            self.ask_as(Way::Shared, &terms, steps, true).await
        };
        let answered = answered.map_err(|rejection| rejection.error)?;
        let results: Vec<_> = self.results(answered).collect();
        if results.len() == steps.len() {
            Outcome::Apart(results).of_one_call()
        } else {
            Err(nonsense().error)
        }
    }

    /// Of a slot on its way here some keys are missing: a call that names them would be refused.
    /// The number of the usual sender may be among those that are still to come, and could not come
    /// any more if it were here already: another reason for a sender of their own.
    async fn ask_on_its_way(&self, terms: &Terms, steps: &[Request]) -> Result<Vec<Answered>> {
        if self.wants_keys.load(Ordering::Relaxed) {
            return self.ask_as(Way::Asking, terms, steps, true).await;
        }
        let part = Part { places: (0..steps.len()).collect(), steps: steps.to_vec() };
        match self.ask_slots(Way::Asking, terms, &[part], true).await {
            Ok(mut answered) => answered.pop().unwrap_or_else(|| Err(nonsense())),
            Err(rejection) if rejection.may_want_keys => {
                self.ask_as(Way::Asking, terms, steps, true).await
            }
            Err(rejection) => Err(rejection),
        }
    }

    /// The answer for each part; and the failure of a call that may have carried them out before.
    async fn ask_parts(
        &self,
        parts: &[Part],
        in_full: bool,
    ) -> (Vec<Result<Vec<Answered>>>, Option<StoreError>) {
        if parts.len() == 1 || self.wants_keys.load(Ordering::Relaxed) {
            return (self.ask_each(parts, in_full).await, None);
        }
        match self.ask_slots(self.way, &self.terms, parts, in_full).await {
            Ok(answered) => (answered, None),
            Err(rejection) if rejection.may_want_keys => {
                let answered = self.ask_each(parts, in_full).await;
                if answered.iter().any(Result::is_ok) {
                    self.wants_keys.store(true, Ordering::Relaxed);
                }
                (answered, Some(rejection.error).filter(|error| error.may_have_run))
            }
            Err(rejection) => (parts.iter().map(|_| Err(rejection.clone())).collect(), None),
        }
    }

    /// One call for each slot, which names its keys; all at once.
    async fn ask_each(&self, parts: &[Part], in_full: bool) -> Vec<Result<Vec<Answered>>> {
        if let [part] = parts {
            return vec![self.ask(self.way, &part.steps, in_full).await];
        }
        let each = parts.iter().map(|part| Box::pin(self.ask(self.way, &part.steps, in_full)));
        carrier::all(each.collect()).await
    }

    /// One call for several slots. The answer for each.
    async fn ask_slots(
        &self,
        way: Way,
        terms: &Terms,
        parts: &[Part],
        in_full: bool,
    ) -> Result<Vec<Result<Vec<Answered>>>> {
        let in_full = in_full || self.is_asleep();
        let calls: Vec<_> =
            parts.iter().map(|part| ScriptCall::new(&part.steps, terms, in_full)).collect();
        let pack = self.link.pack_slots(way, &calls, terms);
        let Answer { value, live, failure } = self.run(way, pack).await?;
        let Value::Array(answers) = value else { return Err(nonsense()) };
        if answers.len() != parts.len() {
            return Err(nonsense());
        }
        let each = answers.into_iter().zip(parts).zip(&calls).map(|((answer, part), call)| {
            if let Value::Error(error) = &answer {
                return Err(self.rejection(self.link.failed_in_part(error)));
            }
            self.read(answer, call, &part.steps, &live)
        });
        let mut each: Vec<_> = each.collect();
        for (answered, part) in each.iter_mut().zip(parts) {
            if let Ok(answered) = answered {
                self.take_back(&part.steps, answered, failure.as_ref()).await;
            }
        }
        Ok(each)
    }

    /// The steps at these places, slot by slot.
    fn parts(&self, steps: &[Request], mut places: Vec<usize>) -> Vec<Part> {
        let slot = |place: usize| self.terms.template.slot(&steps[place].key);
        places.sort_by_cached_key(|&place| slot(place));
        places
            .chunk_by(|&one, &other| slot(one) == slot(other))
            .map(|places| Part { places: places.to_vec(), steps: of_these(steps, places) })
            .collect()
    }
}
