//! The dangers to locks in a server: the questions. They change nothing that anybody sees, and one
//! that is not answered leaves the others.

mod cluster;
mod facts;
mod next_start;
mod probe;
mod rules;
mod sentinels;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use crate::protocol::Guarded;
use crate::runtime::{Runtime, answer_by, shown};
use crate::store::{Finding, Severity};

use super::carrier;
use super::client::{Command, Failure, Value};
use super::node::Node;
use super::slots::Slot;
use super::topology::Topology;
use super::{decode, inbox, keys};
use facts::{Clock, Facts, Group, Info, Marker, Pushes, Wanted};

/// Number of round trips that are measured.
const PINGS: usize = 7;
/// Time over which the server's clock is compared with ours.
const CLOCK_SPAN: Duration = Duration::from_millis(300);
/// Time for a message to come back: longer than a busy machine pauses.
const PUSH_LIMIT: Duration = Duration::from_secs(5);

/// A server that was asked, and its answers.
struct Examined {
    place: Arc<str>,
    facts: Result<Facts, Failure>,
}

/// The findings about all servers that have keys, and about what holds them together.
pub(super) async fn examine(topology: &Topology, store: &Arc<str>, ttl: Duration) -> Vec<Finding> {
    let masters = match topology.masters_now().await {
        Ok(masters) => masters,
        Err(error) => return vec![unreachable(store, &error.message)],
    };
    let is_one = masters.len() == 1;
    let each = masters.iter().map(|(node, slot)| {
        let place = if is_one { store } else { &node.server.name };
        let context = Context { topology, node, place, slot: *slot, ttl };
        Box::pin(async move { Examined { place: Arc::clone(place), facts: context.facts().await } })
    });
    // Side by side: a node that is away takes its time.
    let each = carrier::all(each.collect()).await;
    let mut findings = match topology {
        Topology::Cluster(cluster) => cluster::findings(store, &cluster.map(), &each),
        Topology::One { .. } => Vec::new(),
    };
    findings.extend(each.iter().flat_map(|examined| match &examined.facts {
        Ok(facts) => rules::findings(facts),
        Err(failure) => vec![unreachable(&examined.place, &failure.to_string())],
    }));
    if let Topology::One { sentinels: Some(directory), .. } = topology {
        findings.push(sentinels::finding(store, directory).await);
    }
    findings
}

fn unreachable(place: &Arc<str>, why: &str) -> Finding {
    Finding::new(place, "reachable", Severity::Error, why)
        .so("nothing is granted, and holders are lost by their deadlines", "see the message")
}

/// The server's clock, compared once, in microseconds.
struct Reading {
    /// How far it is ahead of our wall clock.
    ahead: i64,
    /// How far it is ahead of our steady clock, which begins anywhere.
    beyond_steady: i64,
    /// Half of the way there and back: each of the two may be wrong by this.
    fuzz: i64,
}

struct Context<'a> {
    topology: &'a Topology,
    node: &'a Node,
    place: &'a Arc<str>,
    /// One of its slots, in a cluster.
    slot: Option<Slot>,
    ttl: Duration,
}

impl Context<'_> {
    /// Fails if the server does not answer at all.
    async fn facts(&self) -> Result<Facts, Failure> {
        let pings = self.pings().await?;
        let settings = self.topology.settings();
        let wanted = Wanted {
            restart_guard: settings.restart_guard,
            ack: settings.is_acknowledged(),
            group: match self.topology {
                Topology::Cluster(_) => Group::Cluster,
                Topology::One { sentinels: Some(_), .. } => Group::Sentinels,
                Topology::One { .. } => Group::None,
            },
        };
        let clock = self.clock().await.map_err(|failure| failure.to_string());
        let info = match self.ask(&["INFO"]).await {
            Ok(answer) => text_of(&answer).map(Info).ok_or_else(|| "no text".to_owned()),
            Err(failure) => Err(failure.to_string()),
        };
        let save = self.ask(&["CONFIG", "GET", "save"]).await.ok();
        let marker = self.marker().await;
        Ok(Facts {
            place: Arc::clone(self.place),
            ttl: self.ttl,
            wanted,
            pings,
            info,
            clock,
            save: save.and_then(|answer| setting_in(&answer)),
            marker,
            guarded: self.guarded(marker),
            rights: probe::missing(self.node, wanted).await,
            pushes: self.pushes().await,
        })
    }

    fn runtime(&self) -> &dyn Runtime {
        &*self.node.server.runtime
    }

    async fn ask(&self, words: &[&str]) -> Result<Value, Failure> {
        self.node.link.command(&Command::of(words)).await
    }

    async fn pings(&self) -> Result<Vec<Duration>, Failure> {
        // The first one may have to connect.
        self.ask(&["PING"]).await?;
        let mut pings = Vec::new();
        for _ in 0..PINGS {
            let sent = self.runtime().now();
            self.ask(&["PING"]).await?;
            pings.push(self.runtime().now().since(sent));
        }
        pings.sort_unstable();
        Ok(pings)
    }

    async fn clock(&self) -> Result<Clock, Failure> {
        let first = self.reading().await?;
        self.runtime().sleep_until(self.runtime().now() + CLOCK_SPAN).await;
        let last = self.reading().await?;
        let fuzz = first.fuzz.max(last.fuzz);
        Ok(Clock { ahead: last.ahead, fuzz, step: last.beyond_steady - first.beyond_steady })
    }

    async fn reading(&self) -> Result<Reading, Failure> {
        // Our clocks are read in this order, so that a pause between them is a part of the way.
        let (sent, wall) = (self.runtime().now(), self.runtime().wall_micros());
        let answer = self.ask(&["TIME"]).await?;
        let half = micros(self.runtime().now().since(sent)) / 2;
        let server = time_in(&answer).ok_or_else(|| super::marker::nonsense("TIME"))?;
        let server = server - half;
        Ok(Reading {
            ahead: server - wall.cast_signed(),
            beyond_steady: server - sent.as_micros().cast_signed(),
            fuzz: half,
        })
    }

    async fn marker(&self) -> Marker {
        let key = self.slot.map_or_else(|| keys::MARKER.to_owned(), keys::marker_of);
        match self.ask(&["TYPE", &key]).await.map(decode::decode_word) {
            Ok(Some(kind)) if kind == "string" => Marker::Set,
            Ok(Some(_)) => Marker::Missing,
            Err(failure) if failure.is_cluster_down() => Marker::ClusterDown,
            Ok(None) | Err(_) => Marker::Untold,
        }
    }

    /// The restart guard, if nothing new is granted yet. At a replica the role says so.
    fn guarded(&self, marker: Marker) -> Option<Guarded> {
        let (guarded, replica_of) = self.node.link.hindrances();
        let span = self.topology.settings().restart_guard;
        if span.is_zero() || replica_of.is_some() {
            return None;
        }
        // Emptied since the connection was made: the next call begins the guard anew.
        let is_emptied = self.slot.is_none() && marker == Marker::Missing;
        let anew = Guarded { known_for: Duration::ZERO, left: span };
        if is_emptied { Some(anew) } else { guarded }
    }

    /// Opens an inbox, as waiters do, and sends a message to it.
    async fn pushes(&self) -> Pushes {
        let settings = self.topology.settings();
        let opening = inbox::open(self.topology.for_messages(), settings.decode_pushes());
        let until = self.runtime().now() + PUSH_LIMIT;
        let opened = answer_by(self.runtime(), until, opening).await;
        let inbox = match opened {
            Some(Ok(Some(inbox))) => inbox,
            Some(Ok(None)) => return Pushes::Forbidden,
            Some(Err(failure)) => return Pushes::Failed(failure.to_string()),
            None => {
                return Pushes::Failed(format!(
                    "no subscription within {limit}",
                    limit = shown(PUSH_LIMIT)
                ));
            }
        };
        match probe::reached(self.node, &inbox.address).await {
            // A node of a cluster counts only its own subscribers.
            Ok(0) if matches!(self.topology, Topology::One { .. }) => {
                Pushes::Failed("nobody has got it".to_owned())
            }
            Ok(_) => Pushes::Arrive,
            Err(why) => Pushes::Failed(why),
        }
    }
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Value::SimpleString(text) => Some(text.clone()),
        _ => None,
    }
}

/// The one setting in the answer to CONFIG GET.
fn setting_in(answer: &Value) -> Option<String> {
    match answer {
        Value::Map(entries) | Value::Array(entries) => entries.get(1).and_then(text_of),
        _ => None,
    }
}

/// Microseconds in the answer to TIME.
fn time_in(answer: &Value) -> Option<i64> {
    let Value::Array(parts) = answer else { return None };
    let mut numbers = parts.iter().map(|part| text_of(part)?.parse::<i64>().ok());
    Some(numbers.next()?? * 1_000_000 + numbers.next()??)
}
