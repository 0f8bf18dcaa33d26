//! A fault: which call it strikes, what happens to that call, and how it ended.

use std::fmt;
use std::sync::Arc;

use super::shared::Shared;
use crate::client::Client;
use crate::reply::Reply;

/// A call that arrived at the proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The how-manieth call of all, from 1.
    pub number: u64,
    /// The how-manieth link it came on, from 1.
    pub link: u64,
    /// The command and its arguments; bytes that are no text are replaced.
    pub words: Vec<String>,
}

impl Call {
    /// The command in capitals.
    #[must_use]
    pub fn name(&self) -> String {
        self.words.first().map(|word| word.to_ascii_uppercase()).unwrap_or_default()
    }

    /// Whether it says who the client is and what it speaks, rather than what it wants.
    #[must_use]
    pub fn is_greeting(&self) -> bool {
        matches!(self.name().as_str(), "HELLO" | "AUTH" | "SELECT")
    }
}

/// The end of a call that is struck.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is executed; its reply and all behind it on this link never reach the client.
    EatReply,
    /// It and all behind it on this link never reach the server. The link stays open.
    LoseRequest,
    /// The link is cut before it reaches the server.
    CutBefore,
    /// It is executed; then the link is cut instead of the reply.
    CutAfter,
    /// The link is cut behind its first so many bytes.
    CutRequest(usize),
    /// It is executed; the link is cut behind the first so many bytes of its reply.
    CutReply(usize),
    /// It and all behind it on this link wait until [`Fault::deliver`], also if the client has
    /// gone by then.
    Hold,
    /// It passes, and is executed once more by [`Fault::deliver`].
    Copy,
    /// It is refused with this text, such as `LOADING later`, and never reaches the server.
    Refuse(&'static str),
    /// It is executed; a refusal with this text stands for its reply.
    Replace(&'static str),
}

/// The calls that a fault strikes. Counting begins when the fault is given to the proxy. The
/// predicate must not call the proxy: the proxy calls it.
pub struct Which {
    /// None means each that matches.
    pub(super) nth: Option<u64>,
    pub(super) matches: Box<dyn Fn(&Call) -> bool + Send>,
}

impl Which {
    /// The k-th call, from 1.
    #[must_use]
    pub fn nth(k: u64) -> Self {
        Self::nth_where(k, |_| true)
    }

    /// The k-th call of this name, such as `EVALSHA`.
    #[must_use]
    pub fn nth_named(k: u64, name: &'static str) -> Self {
        Self::nth_where(k, move |call| call.name() == name)
    }

    /// The k-th of the calls for which `matches` answers true.
    ///
    /// # Panics
    /// If `k` is 0.
    #[must_use]
    pub fn nth_where(k: u64, matches: impl Fn(&Call) -> bool + Send + 'static) -> Self {
        assert!(k > 0, "calls are counted from 1");
        Self { nth: Some(k), matches: Box::new(matches) }
    }

    /// Every call for which `matches` answers true.
    #[must_use]
    pub fn every(matches: impl Fn(&Call) -> bool + Send + 'static) -> Self {
        Self { nth: None, matches: Box::new(matches) }
    }

    /// Every call of this name.
    #[must_use]
    pub fn every_named(name: &'static str) -> Self {
        Self::every(move |call| call.name() == name)
    }
}

impl fmt::Debug for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Which").field("nth", &self.nth).finish_non_exhaustive()
    }
}

/// A fault that was given to the proxy.
#[derive(Debug)]
pub struct Fault {
    shared: Arc<Shared>,
    plan: usize,
}

impl Fault {
    pub(super) fn new(shared: Arc<Shared>, plan: usize) -> Self {
        Self { shared, plan }
    }

    /// How often it has struck. One that takes the reply strikes when the reply comes.
    #[must_use]
    pub fn strikes(&self) -> u64 {
        self.shared.change(|state| state.plans[self.plan].strikes)
    }

    /// Waits until it has struck; the latest call that it struck.
    ///
    /// # Panics
    /// If it does not.
    #[track_caller]
    pub fn wait(&self) -> Call {
        self.shared.wait("a fault has struck", |state| {
            let plan = &state.plans[self.plan];
            plan.call.clone().filter(|_| plan.strikes > 0)
        })
    }

    /// The server's answer to the call, also if the client never got it.
    ///
    /// # Panics
    /// If it does not answer.
    #[track_caller]
    pub fn reply(&self) -> Reply {
        self.shared
            .wait("a call that is struck is answered", |state| state.plans[self.plan].reply.clone())
    }

    /// Delivers a call that was held, or the copy of one, and waits for the server's answer: to
    /// this delivery, and unknown to the client.
    ///
    /// A copy comes on a link of its own, after the same greeting as the original's.
    ///
    /// # Panics
    /// If the call never came, if nothing is there to deliver, or if the server does not answer.
    #[track_caller]
    pub fn deliver(&self) -> Reply {
        self.wait();
        let (fate, copy) = self.shared.change(|state| {
            let plan = &mut state.plans[self.plan];
            plan.delivered = true;
            (plan.fate.clone(), plan.copy.clone())
        });
        match (fate, copy) {
            (Fate::Hold, _) => self.reply(),
            (Fate::Copy, Some(copy)) => self.deliver_copy(&copy.greeting, &copy.call),
            (fate, _) => panic!("nothing to deliver after {fate:?}"),
        }
    }

    fn deliver_copy(&self, greeting: &[Vec<u8>], call: &[u8]) -> Reply {
        let mut client = Client::connect(self.shared.upstream()).expect("the server is there");
        for bytes in greeting.iter().map(Vec::as_slice).chain([call]) {
            client.send_bytes(bytes).expect("the server reads");
        }
        for _ in greeting {
            client.reply().expect("the server answers a greeting");
        }
        client.reply().expect("the server answers")
    }

    /// Lets it strike no more.
    pub fn lift(&self) {
        self.shared.change(|state| state.plans[self.plan].lifted = true);
    }
}
