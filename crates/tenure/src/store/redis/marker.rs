//! The restart guard: whether a server may have forgotten leases that somebody still trusts. Then
//! it grants nothing new until they are over.
//!
//! A server that forgets loses its marker (`lua/marker.lua`), and a server that restarts is
//! another run. A new connection asks which marker stands there, and for how long the server is
//! known by its own clock: so long a newcomer trusts that clock. From then on our own clock counts,
//! which nobody sets: also over the end of a connection, for a server that is still the same.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::protocol::Guarded;
use crate::runtime::{Moment, Runtime};
use crate::store::StoreErrorClass;

use super::client::{Cause, Command, Failure, Greet, Talk, other_server};
use super::decode::{self, Told as ServerInfo};
use super::keys::{self, Scope};
use super::scripts::{self, with_clock};
use super::slots::Slot;
use super::topology::slot_map;

/// The time for which a server must be known before it grants anything new.
#[derive(Debug)]
pub(super) struct RestartGuard {
    /// Zero: off.
    pub(super) span: Duration,
    /// The time for which a server is known at once, in place of its clock: for tests.
    pub(super) up_for: Option<Duration>,
    /// A key of the server whose value is the time in place of its clock, for tests.
    pub(super) clock: Option<String>,
    pub(super) scope: Scope,
    pub(super) runtime: Arc<dyn Runtime>,
    /// The knowledge of the last connection.
    pub(super) last: Mutex<Option<Arc<Watch>>>,
}

/// The server at the other end of a connection, and the marker that it must show.
#[derive(Debug)]
pub(super) struct Guarding {
    pub(super) server: ServerInfo,
    pub(super) watch: Arc<Watch>,
    /// In a cluster: the slot of the marker, one of those that the server has.
    pub(super) slot: Option<Slot>,
}

impl Guarding {
    /// The arguments of a script that grants nothing new unless it finds the marker.
    pub(super) fn words(&self, now: Moment) -> Vec<String> {
        let told = self.watch.told(now).word();
        std::iter::once(told).chain(self.slot.map(keys::marker_of)).collect()
    }
}

/// A marker, as a server tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Marker {
    /// Its beginning: the run of the server that set it, and the time.
    pub(super) mark: String,
    /// The time for which the server is known, by its own clock.
    pub(super) known_for: Duration,
}

/// The marker that one connection expects.
pub(super) struct Watch {
    span: Duration,
    known: Mutex<Known>,
}

/// A server's memory that we know.
#[derive(Debug, Clone)]
struct Known {
    mark: Arc<str>,
    /// When we saw it first, and for how long the server had been known then.
    first: (Moment, Duration),
    /// Until then a lease may be held that it has forgotten.
    awake_at: Moment,
    /// When the last connection to it ended; `None`: it has not.
    ended: Option<Moment>,
}

impl Greet for RestartGuard {
    /// `None`: the guard is off.
    type Session = Option<Guarding>;

    async fn greet(
        &self,
        talk: &mut Talk<'_>,
        beside: Option<&Option<Guarding>>,
    ) -> Result<Option<Guarding>, Failure> {
        if self.span.is_zero() {
            return Ok(None);
        }
        let info = talk.ask(&Command::of(&["INFO"])).await?;
        let server = decode::decode_info(&info).ok_or_else(|| nonsense("INFO"))?;
        if let Some(Some(known)) = beside {
            // The marker is the server's, and one watch follows it.
            let is_same = (&server.run_id, &server.replica_of)
                == (&known.server.run_id, &known.server.replica_of);
            let (watch, slot) = (Arc::clone(&known.watch), known.slot);
            return if is_same {
                Ok(Some(Guarding { server, watch, slot }))
            } else {
                Err(other_server())
            };
        }
        let slot = match self.scope {
            Scope::Server => None,
            Scope::Slot => Some(slot_of_its_own(talk).await?),
        };
        // A replica must not be written to, and has no marker of its own.
        let marker = match server.replica_of {
            Some(_) => None,
            None => Some(self.meet(talk, &server.run_id, slot).await?),
        };
        let now = self.runtime.now();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let watch = Watch::new(self, (&server.run_id, marker), now, last.as_deref());
        let watch = Arc::new(watch);
        *last = Some(Arc::clone(&watch));
        Ok(Some(Guarding { server, watch, slot }))
    }

    fn ended(&self, session: &Option<Guarding>, now: Moment) {
        if let Some(guarding) = session {
            guarding.watch.ended(now);
        }
    }
}

impl RestartGuard {
    #[cfg(test)]
    pub(super) fn off(runtime: Arc<dyn Runtime>) -> Self {
        let (span, scope) = (Duration::ZERO, Scope::Server);
        Self { span, up_for: None, clock: None, scope, runtime, last: Mutex::default() }
    }

    /// The knowledge of a server for those who only look at it. Without the right to set the
    /// marker, it is read as it stands; `None`: that is no right of theirs either.
    pub(super) async fn look(
        &self,
        talk: &mut Talk<'_>,
        server: ServerInfo,
    ) -> Result<Option<Guarding>, Failure> {
        if self.span.is_zero() {
            return Ok(None);
        }
        let slot = match self.scope {
            Scope::Server => None,
            Scope::Slot => Some(slot_of_its_own(talk).await?),
        };
        let marker = match self.meet(talk, &server.run_id, slot).await {
            Err(failure) if failure.class() == StoreErrorClass::Refused => {
                self.read(talk, &server.run_id, slot).await?
            }
            met => Some(met?),
        };
        let Some(marker) = marker else { return Ok(None) };
        let watch = Watch::new(self, (&server.run_id, Some(marker)), self.runtime.now(), None);
        Ok(Some(Guarding { server, watch: Arc::new(watch), slot }))
    }

    /// The marker of a server as it stands there. One of another run counts as none.
    async fn read(
        &self,
        talk: &mut Talk<'_>,
        run_id: &str,
        slot: Option<Slot>,
    ) -> Result<Option<Marker>, Failure> {
        let name = slot.map_or_else(|| keys::MARKER.to_owned(), keys::marker_of);
        let mut told = Vec::new();
        for words in [&["MGET", &*name][..], &["TIME"]] {
            match talk.ask(&Command::of(words)).await {
                Ok(answer) => told.push(decode::decode_words(answer)),
                Err(failure) if failure.is_forbidden() => return Ok(None),
                Err(failure) => return Err(failure),
            }
        }
        let known_for = known_for(run_id, &told[0], &told[1]).unwrap_or_default();
        Ok(Some(Marker { mark: format!("{run_id} "), known_for }))
    }

    /// The marker of a server, which is set if there is none.
    async fn meet(
        &self,
        talk: &mut Talk<'_>,
        run_id: &str,
        slot: Option<Slot>,
    ) -> Result<Marker, Failure> {
        let script = match &self.clock {
            Some(key) => with_clock(&scripts::MEET, key).into(),
            None => Cow::Borrowed(scripts::MEET.as_str()),
        };
        let known_for = self.up_for.unwrap_or_default().as_micros().to_string();
        let Some(slot) = slot else {
            let words = ["EVAL", &*script, "1", keys::MARKER, run_id, &known_for];
            let answer = talk.ask(&Command::of(&words)).await?;
            return decode::decode_marker(answer).ok_or_else(|| nonsense("EVAL"));
        };
        // No step names the marker either, since it is of another slot than the step's keys.
        let words = ["EVAL", &*script, "0", run_id, &known_for, &keys::marker_of(slot)];
        let answer = talk.ask(&Command::of(&words)).await.map_err(|failure| {
            let wants_keys = failure.may_want_keys();
            if wants_keys { Failure::unsent(Cause::WantsKeys) } else { failure }
        })?;
        decode::decode_marker(answer).ok_or_else(|| nonsense("EVAL"))
    }
}

/// The first of the slots that a node of a cluster has.
async fn slot_of_its_own(talk: &mut Talk<'_>) -> Result<Slot, Failure> {
    let own = talk.ask(&Command::of(&["CLUSTER", "MYID"])).await?;
    let own = decode::decode_word(own).ok_or_else(|| nonsense("CLUSTER MYID"))?;
    let ranges = talk.ask(&Command::of(&["CLUSTER", "SLOTS"])).await?;
    let first = slot_map::first_of(&ranges, &own).ok_or_else(|| nonsense("CLUSTER SLOTS"))?;
    first.ok_or_else(|| Failure::unsent(Cause::NoSlots))
}

pub(super) fn nonsense(command: &str) -> Failure {
    let text = format!("{command} was answered with something else");
    Failure::unsent(Cause::Nonsense { text })
}

impl Watch {
    /// For a connection to this run of a server, made at `now`, after the one before it. Without a
    /// marker the server is a replica.
    pub(super) fn new(
        guard: &RestartGuard,
        (run_id, marker): (&str, Option<Marker>),
        now: Moment,
        before: Option<&Self>,
    ) -> Self {
        let span = guard.span;
        let before = before.map(|watch| watch.known().clone());
        let known = match (marker, before) {
            (None, _) => Known {
                mark: format!("{run_id} ").into(),
                first: (now, Duration::ZERO),
                awake_at: Moment::NEVER,
                ended: None,
            },
            // The same memory: our own clock is better than the server's.
            (Some(marker), Some(before)) if *before.mark == *marker.mark => {
                Known { ended: None, ..before }
            }
            (Some(marker), before) => {
                let left = span.saturating_sub(marker.known_for);
                // The server before it may have granted until our link to it ended.
                let since = before.map(|before| before.ended.unwrap_or(now));
                let since = since.filter(|_| guard.up_for.is_none());
                let awake_at = since.map_or(now, |since| since + by_our_clock(span));
                let awake_at = awake_at.max(now + by_our_clock(left));
                let first = (now, marker.known_for);
                Known { mark: marker.mark.into(), first, awake_at, ended: None }
            }
        };
        Self { span, known: Mutex::new(known) }
    }

    /// Whether no lease can be held any more that the server has forgotten, as far as is known.
    pub(super) fn is_awake(&self, now: Moment) -> bool {
        now >= self.known().awake_at
    }

    /// The marker for a call, which must find it or else grant nothing new.
    pub(super) fn told(&self, now: Moment) -> Told {
        let known = self.known();
        let elapsed = (now < known.awake_at).then(|| known.elapsed(now));
        Told { elapsed, mark: Arc::clone(&known.mark) }
    }

    /// A call was granted nothing new, since this marker stands there. Answers whether the server
    /// has forgotten, as nobody knew before.
    pub(super) fn found(&self, marker: &Marker, now: Moment) -> bool {
        let mut known = self.known();
        if *known.mark == *marker.mark {
            return false;
        }
        // Another run's is none of this connection's: nothing granted is all that it is worth.
        let is_same_run = run_of(&known.mark) == run_of(&marker.mark);
        known.awake_at = now + by_our_clock(self.span);
        if is_same_run {
            known.mark = marker.mark.as_str().into();
            known.first = (now, marker.known_for);
        }
        is_same_run
    }

    /// The state of the guard, for people.
    pub(super) fn guarded(&self, now: Moment) -> Guarded {
        let known = self.known();
        Guarded { known_for: known.elapsed(now), left: known.awake_at.since(now).min(self.span) }
    }

    /// The connection has ended.
    pub(super) fn ended(&self, now: Moment) {
        self.known().ended = Some(now);
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn elapsed(&self, now: Moment) -> Duration {
        let (first, known_for) = self.first;
        known_for + now.since(first)
    }
}

/// The argument of a script.
#[derive(Debug)]
pub(super) struct Told {
    elapsed: Option<Duration>,
    mark: Arc<str>,
}

impl Told {
    pub(super) fn word(&self) -> String {
        match self.elapsed {
            Some(elapsed) => format!("?{}:{}", elapsed.as_micros(), self.mark),
            None => self.mark.as_ref().to_owned(),
        }
    }
}

/// Our clock may run faster than the server's.
fn by_our_clock(span: Duration) -> Duration {
    span.mul_f64(1.02)
}

/// For how long a server is known, by a marker of this run of it and by its clock.
fn known_for(run_id: &str, marker: &[String], time: &[String]) -> Option<Duration> {
    let mut parts = marker.first()?.split(' ');
    let is_this_run = parts.next() == Some(run_id);
    let since: u64 = parts.nth(1)?.parse().ok()?;
    let [seconds, micros] = time else { return None };
    let now = seconds.parse::<u64>().ok()? * 1_000_000 + micros.parse::<u64>().ok()?;
    is_this_run.then(|| Duration::from_micros(now.saturating_sub(since)))
}

fn run_of(mark: &str) -> &str {
    mark.split(' ').next().unwrap_or_default()
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("known", &*self.known()).finish_non_exhaustive()
    }
}
