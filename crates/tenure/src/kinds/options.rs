//! The options that all kinds of locks have, checked in one place, and the requests that all kinds
//! make of them. A kind adds its claim and its words.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::{self, AcquireOptions, Engine, LeaseOptions, Renewal};
use crate::guard::Guard;
use crate::process::OfProcess;
use crate::protocol::{Inspection, Op, Reply};
use crate::store::Capabilities;
use crate::types::{Claim, Error, ErrorKind, InvalidKey, Key, Label, Operation, Result};

use super::LazyLocks;

/// A kind of lock, as far as a store must know it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    /// The kind's name in messages, with its article.
    pub(super) name: &'static str,
    /// Whether a key may have several holders at a time.
    pub(super) has_many_holders: bool,
}

/// A key of the store, and the options of a claim on it.
#[derive(Clone)]
pub(super) struct Options {
    kind: Kind,
    locks: LazyLocks,
    key: Result<Key, InvalidKey>,
    pub(super) ttl: Duration,
    pub(super) wait: Option<Duration>,
    pub(super) renewal: Renewal,
    pub(super) min_hold: Duration,
    pub(super) max_hold: Option<Duration>,
    pub(super) owner: Option<Arc<str>>,
    pub(super) label: Option<Label>,
    /// Whether an exclusive claim is a plain one.
    pub(super) plain_value: bool,
}

impl Options {
    pub(super) fn new(kind: Kind, locks: LazyLocks, key: Result<Key, InvalidKey>) -> Self {
        Self {
            kind,
            locks,
            key,
            ttl: Duration::from_secs(30),
            wait: None,
            renewal: Renewal::Auto,
            min_hold: Duration::ZERO,
            max_hold: None,
            owner: None,
            label: None,
            plain_value: false,
        }
    }

    pub(super) fn key(&self, operation: Operation) -> Result<&Key> {
        self.key.as_ref().map_err(|invalid| invalid.during(operation))
    }

    /// Checks each option, and whether they fit together.
    pub(super) fn check(&self, claim: Claim) -> Result<AcquireOptions> {
        let key = self.key(Operation::Acquire)?.clone();
        let lease_options =
            LeaseOptions::check(self.ttl, self.renewal, self.min_hold, self.max_hold);
        let label = self.label.clone().unwrap_or_else(Label::of_this_process);
        let claim = if self.plain_value { Claim::PLAIN } else { claim };
        AcquireOptions::check(key, self.owner.clone(), label, claim, lease_options, self.wait)
    }

    /// The refusal of a request, before anything is touched.
    pub(super) fn invalid(&self, operation: Operation, message: impl Into<String>) -> Error {
        let error = Error::new(ErrorKind::Invalid, operation, message);
        self.key.iter().fold(error, Error::with_key)
    }

    /// The engine, unless it is that of a parent.
    pub(super) async fn engine(
        &self,
        operation: Operation,
        key: &Key,
    ) -> Result<OfProcess<Arc<Engine>>> {
        self.locks.engine(operation, key).await
    }

    /// Ends after `span`, and at once in a forked process.
    pub(super) async fn pause(&self, span: Duration) {
        self.locks.pause(span).await;
    }

    /// The error of an operation in a forked process.
    pub(super) fn by_fork(&self, operation: Operation) -> Error {
        self.locks.by_fork(operation, self.key.as_ref().ok())
    }

    /// The engine, if its store can carry this kind.
    pub(super) async fn engine_for_claims(
        &self,
        operation: Operation,
        key: &Key,
    ) -> Result<OfProcess<Arc<Engine>>> {
        let engine = self.engine(operation, key).await?;
        match self.kind.refusal(engine.capabilities()) {
            Some(message) => Err(engine.failing(operation, key).with(ErrorKind::Invalid, message)),
            None => Ok(engine),
        }
    }

    /// The engine, and the options of one acquire of `claim`.
    pub(super) async fn opened(
        &self,
        claim: Claim,
    ) -> Result<(OfProcess<Arc<Engine>>, AcquireOptions)> {
        let options = self.check(claim)?;
        let engine = self.engine_for_claims(Operation::Acquire, &options.key).await?;
        Ok((engine, options))
    }

    /// Waits in line until `claim` is granted.
    pub(super) async fn acquire(&self, claim: Claim) -> Result<Guard> {
        let (engine, options) = self.opened(claim).await?;
        let held = engine::acquire(&engine, &options).await?;
        Ok(Guard::new(&engine, held))
    }

    /// Asks once for `claim`.
    pub(super) async fn try_acquire(&self, claim: Claim) -> Result<Option<Guard>> {
        let (engine, options) = self.opened(claim).await?;
        let held = engine::try_acquire(&engine, &options).await?;
        Ok(held.map(|held| Guard::new(&engine, held)))
    }

    /// Asks for the state of the key.
    pub(super) async fn inspect(&self) -> Result<Inspection> {
        self.request(Operation::Inspect, Op::Inspect, |reply| match reply {
            Reply::Inspected(seen) => Some(seen.clone()),
            _ => None,
        })
        .await
    }

    /// Sends one step, and reads its reply; `None` if that is no answer to the step.
    pub(super) async fn request<T>(
        &self,
        operation: Operation,
        op: Op,
        read: impl FnOnce(&Reply) -> Option<T>,
    ) -> Result<T> {
        let key = self.key(operation)?;
        let engine = self.engine(operation, key).await?;
        let reply = engine.request(operation, key, op).await?;
        read(&reply).ok_or_else(|| engine.failing(operation, key).by_reply(&reply))
    }

    /// The options as fields of a kind's `Debug` text. An owner value is left out.
    pub(super) fn describe(&self, text: &mut fmt::DebugStruct<'_, '_>) -> fmt::Result {
        text.field("key", &self.key)
            .field("ttl", &self.ttl)
            .field("wait", &self.wait)
            .field("renewal", &self.renewal)
            .field("min_hold", &self.min_hold)
            .field("max_hold", &self.max_hold)
            .field("label", &self.label)
            .field("plain_value", &self.plain_value)
            .finish_non_exhaustive()
    }
}

impl Kind {
    /// Why a store cannot carry it; `None` if it can.
    fn refusal(self, store: &Capabilities) -> Option<String> {
        let Self { name, has_many_holders } = self;
        (has_many_holders && !store.many_units).then(|| {
            format!(
                "{name} needs a store that counts its holders in one place, and a quorum does not: \
                 each of its nodes would be within the limit while more clients than that had a \
                 majority; use one server, or a file"
            )
        })
    }
}

/// Defines the methods of a kind that set its options, which it keeps in a field `options`. The
/// text `$acquire` names its methods that wait.
macro_rules! options {
    ($acquire:literal) => {
        /// Time for which the lease lasts without renewal: 10 ms to 30 days, default 30 s. After a
        /// crash of the holder, all that it held is free again after this time at the latest.
        pub fn with_ttl(mut self, ttl: Duration) -> Self {
            self.options.ttl = ttl;
            self
        }

        #[doc = concat!("Maximum time for which ", $acquire, " waits; default: no limit. The")]
        /// first request may take 100 ms even if this limit is shorter.
        pub fn with_wait(mut self, limit: Duration) -> Self {
            self.options.wait = Some(limit);
            self
        }

        /// Waits for at most `tries` · `delay`, for programs whose settings are tries and a delay.
        /// The same as [`with_wait`](Self::with_wait) with the product. Where the store has a queue
        /// it stands in line, and the delay plays no other part.
        pub fn with_retry(self, tries: u32, delay: Duration) -> Self {
            self.with_wait(delay.saturating_mul(tries))
        }

        /// When the lease is renewed; default: every third of the ttl.
        pub fn with_renewal(mut self, renewal: Renewal) -> Self {
            self.options.renewal = renewal;
            self
        }

        /// Keeps what was granted taken for `span` after the grant, even if it is released earlier
        /// or the ttl is shorter: "at most once in `span`". Default: zero.
        pub fn with_min_hold(mut self, span: Duration) -> Self {
            self.options.min_hold = span;
            self
        }

        /// Loses the lock `span` after the grant, whatever is renewed or extended. Default: never.
        pub fn with_max_hold(mut self, span: Duration) -> Self {
            self.options.max_hold = Some(span);
            self
        }

        /// Sets a fixed owner value of 1..=256 bytes without control characters, in place of a
        /// random one. Two claims with one value are still two claims. A claim that would wait
        /// while its own value holds the key is refused.
        pub fn with_owner(mut self, value: impl AsRef<str>) -> Self {
            self.options.owner = Some(value.as_ref().into());
            self
        }

        /// Sets the name that others see as the holder; default `host:pid:program`. See [`Label`].
        pub fn with_label(mut self, text: impl AsRef<str>) -> Self {
            self.options.label = Some(Label::new(text));
            self
        }
    };
}

pub(super) use options;
