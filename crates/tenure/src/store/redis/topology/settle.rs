//! Steps that their node did not take: they follow where it sends them, or wait until a node takes
//! them. (Redis Cluster specification, *Redirection and resharding*.)

use std::collections::HashMap;
use std::sync::Arc;

use crate::protocol::{Reply, Request};
use crate::store::StoreError;

use super::super::carrier::{self, Part};
use super::super::client::{Address, Redirect};
use super::cluster::{Cluster, unserved};
use super::course::{Course, given_up, may_settle, redirect};

impl Cluster {
    /// Steps whose node did not take them, key by key.
    pub(super) async fn settle_all(
        &self,
        steps: &[Request],
        left: Vec<(usize, StoreError)>,
    ) -> Part {
        let mut errors: HashMap<usize, StoreError> = left.into_iter().collect();
        let mut places: Vec<usize> = errors.keys().copied().collect();
        places.sort_unstable();
        let again = carrier::of_these(steps, &places);
        // The others of the call must not wait with it.
        let may_wait = steps.iter().all(|step| step.key == steps[0].key);
        let parts = carrier::by_key(&again).into_iter().map(|of_key| {
            let places: Vec<_> = of_key.iter().map(|&index| places[index]).collect();
            let tried = places.iter().filter_map(|place| errors.remove(place)).collect();
            Box::pin(async move {
                let steps = carrier::of_these(steps, &places);
                let results = self.settle(&steps, tried, may_wait).await;
                places.into_iter().zip(results).collect::<Part>()
            })
        });
        carrier::all(parts.collect()).await.into_iter().flatten().collect()
    }

    /// Steps of one key that their node did not take: until one does, or the limit of a call has
    /// come, or they would have to wait and must not. `tried` says how they fared.
    async fn settle(
        &self,
        steps: &[Request],
        tried: Vec<StoreError>,
        may_wait: bool,
    ) -> Vec<Result<Reply, StoreError>> {
        let until = self.runtime.now() + self.url.limits.call;
        let mut may_have_run = tried.iter().any(|error| error.may_have_run);
        let Some(mut last) = tried.into_iter().next() else { return Vec::new() };
        let mut course = Course::new(self.slot(&steps[0]));
        while may_settle(&last) {
            if course.must_wait(&last) {
                let now = self.runtime.now();
                if !may_wait || now >= until {
                    break;
                }
                self.runtime.sleep_until(now + course.next_pause()).await;
            }
            let answered = async {
                let (address, is_asking) = self.follow(&mut course, &last).await?;
                course.asked = Some(address.clone());
                self.node(&address)?.send_alone(steps, is_asking).await
            };
            match answered.await {
                Ok(replies) => {
                    let first = may_have_run.then(|| given_up(last, true));
                    let told = |(reply, step): (Reply, &Request)| match &first {
                        Some(first) => carrier::repeated(&step.op, reply, first),
                        None => Ok(reply),
                    };
                    return replies.into_iter().zip(steps).map(told).collect();
                }
                Err(error) => {
                    may_have_run |= error.may_have_run;
                    last = error;
                }
            }
        }
        let error = given_up(last, may_have_run);
        steps.iter().map(|_| Err(error.clone())).collect()
    }

    /// The node that a step goes to next, and whether behind `ASKING`.
    async fn follow(
        &self,
        course: &mut Course,
        last: &StoreError,
    ) -> Result<(Address, bool), StoreError> {
        let at = |host: Option<Arc<str>>, port| {
            let same_host = || course.asked.as_ref().map(|(host, _)| Arc::clone(host));
            host.or_else(same_host).map(|host| (host, port))
        };
        let (target, is_asking) = match redirect(last) {
            Some(Redirect::Moved { host, port }) => (at(host, port), false),
            Some(Redirect::Ask { host, port }) => (at(host, port), true),
            Some(Redirect::Again) | None => (None, false),
        };
        match target {
            Some(target) => {
                if !is_asking {
                    self.moved(course.slot, &target);
                }
                Ok((target, is_asking))
            }
            None => {
                // The node that was asked may know more when it is asked alone.
                if course.hops > 1 || redirect(last).is_none() {
                    self.refresh().await?;
                }
                let master = self.map().master(course.slot).cloned();
                Ok((master.ok_or_else(unserved)?, false))
            }
        }
    }
}
