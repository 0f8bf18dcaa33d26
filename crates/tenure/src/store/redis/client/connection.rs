//! A link to a server that mends itself. It is opened by the first call and again by the next
//! call after it broke; it never sends a request twice.
//!
//! A call that finds the link down waits for the verdict of the next attempt: the moment the
//! server is back it goes out, and while the server is away callers do not spin. Such a call was
//! never sent, and says so. A refusal that lasts (a wrong password) is answered at once.
//!
//! Sockets, drivers and attempts must outlive a caller, so they run on the runtime: the caller's
//! own runtime may end at any time.
//!
//! Beside the shared connection there may be a direct one, for a caller who waits in place. It
//! leads to the same server, and ends with the shared one.

mod pair;

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::observe::report;
use crate::runtime::{Moment, answer_by, shielded};
use crate::store::Links;

use super::dial_backoff::LONGEST_WAIT;
use super::failure::{Cause, Failure};
use super::login::Greet;
use super::pipeline::{Driver, Pipeline, Readiness};
use super::resp::{Command, Value};
use super::script::Script;
use super::server::{Connected, Server, Use, other_server};

/// The number of calls in a row without an answer after which the link is given up at once.
const SILENT_MAX: u32 = 2;

/// A link to a server. Each connection has a session, which `greet` begins.
#[derive(Debug)]
pub(crate) struct Connection<G: Greet> {
    line: Arc<Line<G>>,
}

#[derive(Debug)]
struct Line<G: Greet> {
    server: Arc<Server>,
    /// The name of the connection at the server (`CLIENT LIST`).
    name: &'static str,
    greet: G,
    phase: watch::Sender<Phase<G::Session>>,
    links: watch::Sender<Links>,
    direct: Mutex<Option<Arc<Live<G::Session>>>>,
}

/// Over which connection a call goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Shared,
    /// The direct one; the shared one if that has ended.
    Direct,
    /// The shared one, behind `ASKING`: for a slot that is on its way to this node.
    Asking,
}

/// The name of direct connections at the server.
const DIRECT_NAME: &str = "tenure-direct";

#[derive(Debug)]
enum Phase<S> {
    Closed,
    /// A task on the runtime is at it.
    Opening,
    Failed(Failure),
    Open(Arc<Live<S>>),
}

/// A connection that works, as far as is known.
pub(crate) struct Live<S> {
    pipe: Pipeline,
    way: Way,
    /// The address at the other end, if it has one.
    peer: Option<SocketAddr>,
    opened: Moment,
    session: S,
    /// Calls in a row that were not answered, each sent after the one before had been given up.
    silent: AtomicU32,
    /// When the last of them was given up, in microseconds.
    silent_at: AtomicU64,
    /// Whether a ping is under way.
    probed: AtomicBool,
    /// Ends the driver, and so the connection.
    cut: CancellationToken,
}

impl<S> Live<S> {
    fn new(connected: Connected<S>, way: Way, opened: Moment) -> (Arc<Self>, Driver) {
        let Connected { pipe, peer, driver, session, cut } = connected;
        let live = Self {
            pipe,
            way,
            peer,
            opened,
            session,
            silent: AtomicU32::new(0),
            silent_at: AtomicU64::new(0),
            probed: AtomicBool::new(false),
            cut,
        };
        (Arc::new(live), driver)
    }

    /// The session that `greet` began.
    pub(crate) fn session(&self) -> &S {
        &self.session
    }
}

impl<S> Drop for Live<S> {
    fn drop(&mut self) {
        // The driver alone would wait for answers that may never come.
        self.cut.cancel();
    }
}

impl<G: Greet> Connection<G> {
    /// A link that is opened when it is first used. `links` counts its connections, among others.
    pub(crate) fn new(
        server: &Arc<Server>,
        name: &'static str,
        greet: G,
        links: watch::Sender<Links>,
    ) -> Self {
        let (phase, _) = watch::channel(Phase::Closed);
        let (server, direct) = (Arc::clone(server), Mutex::default());
        Self { line: Arc::new(Line { server, name, greet, phase, links, direct }) }
    }

    /// The server at the other end.
    pub(crate) fn server(&self) -> &Server {
        &self.line.server
    }

    /// Looks at the session of the present connection, if there is one.
    pub(crate) fn in_session<T>(&self, look: impl FnOnce(&G::Session) -> T) -> Option<T> {
        match &*self.line.phase.borrow() {
            Phase::Open(live) => Some(look(&live.session)),
            Phase::Closed | Phase::Opening | Phase::Failed(_) => None,
        }
    }

    /// Tells those who follow the links that another server may be behind this one's address.
    pub(crate) fn count_another(&self) {
        self.line.links.send_modify(|links| links.made += 1);
    }

    /// Runs a script by its digest, or by its source where the server does not know it. `pack`
    /// makes the command, for the session in which it is sent, from its first two words.
    pub(crate) async fn eval(
        &self,
        way: Way,
        script: &Script,
        pack: impl Fn(&G::Session, [&str; 2]) -> Command,
    ) -> Result<(Value, Arc<Live<G::Session>>), Failure> {
        let live = self.live_of(way).await?;
        match self.send(way, &live, &pack(&live.session, ["EVALSHA", script.sha1()])).await {
            Err(failure) if failure.is_no_script() => {
                let script_name = script.name;
                let say = move |store: &Arc<str>| {
                    tracing::debug!(%store, script.name = script_name, "sends a script");
                };
                report!(self.line.server.runtime, say, &self.line.server.name);
                let live = self.live_of(way).await?;
                let command = pack(&live.session, ["EVAL", &script.source]);
                Ok((self.send(way, &live, &command).await?, live))
            }
            answer => Ok((answer?, live)),
        }
    }

    /// Sends one command, once, and waits for its answer within the limit of a call. Before it,
    /// it may have to wait for a connection.
    pub(crate) async fn command(&self, command: &Command) -> Result<Value, Failure> {
        let live = self.live().await?;
        self.send(Way::Shared, &live, command).await
    }

    async fn send(
        &self,
        way: Way,
        live: &Arc<Live<G::Session>>,
        command: &Command,
    ) -> Result<Value, Failure> {
        let line = &self.line;
        let runtime = &*line.server.runtime;
        let sent = runtime.now();
        let until = sent + line.server.limits.call;
        let mut asking = Asking { line, live, sent, end: End::Dropped };
        let before = (way == Way::Asking).then(|| Command::of(&["ASKING"]));
        match answer_by(runtime, until, live.pipe.send_behind(before.as_ref(), command)).await {
            Some(answer) => {
                asking.end = End::Answered;
                line.judge(live, command, answer)
            }
            None => {
                asking.end = End::TimedOut;
                Err(Failure::unknown(Cause::Silent { limit: line.server.limits.call }))
            }
        }
    }

    /// How many connections were made, and how many of them have ended.
    pub(crate) fn links(&self) -> watch::Receiver<Links> {
        self.line.links.subscribe()
    }

    /// Makes a direct connection beside the shared one, which must be open. Answers a token that is
    /// cancelled when it ends.
    pub(crate) async fn open_direct(&self) -> Result<CancellationToken, Failure> {
        let line = &self.line;
        let Some(shared) = line.shared() else {
            return Err(Failure::unsent(Cause::StillConnecting { last: None }));
        };
        let of_use = Use::Direct(shared.peer, &shared.session);
        let connected = line.server.connect(DIRECT_NAME, of_use, &line.greet).await?;
        let (live, driver) = Live::new(connected, Way::Direct, line.server.runtime.now());
        let cut = live.cut.clone();
        let drive = drive(Arc::downgrade(line), &live, driver);
        *line.direct() = Some(live);
        line.server.runtime.spawn(Box::pin(drive));
        // The shared one may have ended meanwhile, and another server may answer by its name.
        if !line.shared().is_some_and(|current| Arc::ptr_eq(&current, &shared)) {
            line.close_direct();
            return Err(other_server());
        }
        Ok(cut)
    }

    /// Whether a caller may send over the direct connection, and how many calls in a row were not
    /// answered in place. One that has ended is given up.
    pub(crate) fn direct_readiness(&self) -> (Readiness, u32) {
        let Some(live) = self.line.direct().clone() else { return (Readiness::Ended, 0) };
        let readiness = live.pipe.readiness();
        if readiness == Readiness::Ended {
            self.line.close_direct();
        }
        (readiness, live.pipe.misses())
    }

    /// Gives the present connection up, for a reason of its user's.
    pub(crate) fn retire(&self, why: &Failure) {
        if let Some(live) = self.line.shared() {
            self.line.retire(&live, why);
        }
    }

    /// Gives the direct connection up.
    pub(crate) fn close_direct(&self) {
        self.line.close_direct();
    }

    async fn live_of(&self, way: Way) -> Result<Arc<Live<G::Session>>, Failure> {
        if way == Way::Direct
            && let Some(live) = self.line.direct().clone()
        {
            return Ok(live);
        }
        self.live().await
    }

    /// The present connection, or the next one.
    pub(crate) async fn live(&self) -> Result<Arc<Live<G::Session>>, Failure> {
        let line = &self.line;
        if let Phase::Open(live) = &*line.phase.borrow() {
            return Ok(Arc::clone(live));
        }
        // Long enough for the verdict of one attempt, which says more than a limit does.
        let until = line.server.runtime.now() + line.server.limits.connect + LONGEST_WAIT * 2;
        let mut phase = line.phase.subscribe();
        let verdict = async {
            loop {
                line.open_if_needed()?;
                let settled = phase.wait_for(|phase| !matches!(phase, Phase::Opening)).await;
                match settled.as_deref() {
                    Ok(Phase::Open(live)) => return Ok(Arc::clone(live)),
                    Ok(Phase::Failed(failure)) => return Err(failure.clone()),
                    // It broke again before we looked.
                    Ok(Phase::Closed | Phase::Opening) | Err(_) => {}
                }
            }
        };
        answer_by(&*line.server.runtime, until, verdict).await.unwrap_or_else(|| {
            let last =
                line.server.dial_backoff.last_failure().map(|failure| Box::new(failure.cause));
            Err(Failure::unsent(Cause::StillConnecting { last }))
        })
    }
}

impl<G: Greet> Line<G> {
    /// Starts an attempt if none is under way, unless it would be refused again.
    fn open_if_needed(self: &Arc<Self>) -> Result<(), Failure> {
        if let Some(refusal) = self.server.dial_backoff.refusal() {
            return Err(refusal);
        }
        let is_ours = self.phase.send_if_modified(|phase| match phase {
            Phase::Closed | Phase::Failed(_) => {
                *phase = Phase::Opening;
                true
            }
            Phase::Opening | Phase::Open(_) => false,
        });
        if is_ours {
            self.server.runtime.spawn(Box::pin(Arc::clone(self).open()));
        }
        Ok(())
    }

    async fn open(self: Arc<Self>) {
        match self.server.connect(self.name, Use::Shared, &self.greet).await {
            Ok(connected) => {
                let now = self.server.runtime.now();
                let (live, driver) = Live::new(connected, Way::Shared, now);
                let drive = drive(Arc::downgrade(&self), &live, driver);
                // Before anything can be asked of it: what was known of the last is void.
                self.links.send_modify(|links| links.made += 1);
                // First this, then the driver: it reports the end of what is known.
                shielded(|| self.phase.send_replace(Phase::Open(live)));
                self.server.runtime.spawn(Box::pin(drive));
            }
            Err(failure) => {
                shielded(|| self.phase.send_replace(Phase::Failed(failure)));
            }
        }
    }

    /// The meaning of an answer, to the caller and to the link.
    fn judge(
        &self,
        live: &Arc<Live<G::Session>>,
        command: &Command,
        answer: Result<Value, Failure>,
    ) -> Result<Value, Failure> {
        match answer {
            Ok(Value::Error(error)) => {
                let failure = Failure::answered(&command.name(), &error);
                let failure = failure.without(&self.server.login.secrets);
                if failure.is_demoted() {
                    self.server.dial.misled();
                    self.retire(live, &failure);
                    // Beside a direct connection, the shared one leads to the same server.
                    if live.way == Way::Direct
                        && let Some(shared) = self.shared()
                    {
                        self.retire(&shared, &failure);
                    }
                    return Err(self.server.standing.explain(failure));
                }
                Err(failure)
            }
            Ok(value) => Ok(value),
            Err(failure) => {
                self.retire(live, &failure);
                Err(failure)
            }
        }
    }

    /// A call got no answer, perhaps until its limit. Asks the server whether it is there.
    fn suspect(self: &Arc<Self>, live: &Arc<Live<G::Session>>, sent: Option<Moment>) {
        let limit = self.server.limits.call;
        // Calls that were under way at the same time count as one silence.
        let last = || Moment::from_micros(live.silent_at.load(Ordering::Acquire));
        if sent.is_some_and(|sent| sent >= last()) {
            live.silent_at.store(self.server.runtime.now().as_micros(), Ordering::Release);
            if live.silent.fetch_add(1, Ordering::AcqRel) + 1 >= SILENT_MAX {
                self.retire_silent(live);
                return;
            }
        }
        if live.probed.swap(true, Ordering::AcqRel) {
            return;
        }
        let (line, live) = (Arc::downgrade(self), Arc::downgrade(live));
        let runtime = Arc::clone(&self.server.runtime);
        self.server.runtime.spawn(Box::pin(async move {
            let Some(pipe) = live.upgrade().map(|live| live.pipe.clone()) else { return };
            let ping = Command::of(&["PING"]);
            let answered = answer_by(&*runtime, runtime.now() + limit / 2, pipe.send(&ping)).await;
            let (Some(line), Some(live)) = (line.upgrade(), live.upgrade()) else { return };
            live.probed.store(false, Ordering::Release);
            match answered {
                Some(Ok(_)) => live.silent.store(0, Ordering::Release),
                Some(Err(_)) | None => line.retire_silent(&live),
            }
        }));
    }

    /// Gives up a connection over which no answers come. All who wait for one are told why.
    fn retire_silent(&self, live: &Arc<Live<G::Session>>) {
        let silent = Cause::Silent { limit: self.server.limits.call };
        live.pipe.end(&silent);
        self.retire(live, &Failure::unsent(silent));
    }

    /// The shared connection, if it is open.
    fn shared(&self) -> Option<Arc<Live<G::Session>>> {
        match &*self.phase.borrow() {
            Phase::Open(live) => Some(Arc::clone(live)),
            Phase::Closed | Phase::Opening | Phase::Failed(_) => None,
        }
    }

    fn direct(&self) -> MutexGuard<'_, Option<Arc<Live<G::Session>>>> {
        self.direct.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close_direct(&self) {
        let live = self.direct().take();
        if let Some(live) = live {
            live.cut.cancel();
        }
    }

    /// Gives a connection up; the next call makes a new one.
    fn retire(&self, live: &Arc<Live<G::Session>>, failure: &Failure) {
        live.cut.cancel();
        if live.way == Way::Direct {
            self.direct().take_if(|current| Arc::ptr_eq(current, live));
            return;
        }
        let was_current = self.phase.send_if_modified(|phase| match phase {
            Phase::Open(current) if Arc::ptr_eq(current, live) => {
                *phase = Phase::Closed;
                true
            }
            _ => false,
        });
        if was_current {
            self.close_direct();
            let now = self.server.runtime.now();
            self.greet.ended(&live.session, now);
            let lived = now.since(live.opened);
            let link = self.name;
            let say = move |store: &Arc<str>, failure: &Failure| {
                tracing::debug!(%store, link, %failure, "link given up");
            };
            report!(self.server.runtime, say, &self.server.name, failure);
            let failure = Failure { may_have_run: false, ..failure.clone() };
            self.server.dial_backoff.fell(lived, failure);
            self.links.send_modify(|links| links.cut += 1);
        }
    }
}

/// Moves the bytes of a connection until it ends or is cut.
pub(crate) async fn drive_until_cut(driver: Driver, cut: &CancellationToken) {
    tokio::select! {
        biased;
        () = cut.cancelled() => {}
        () = driver => {}
    }
}

fn drive<G: Greet>(
    line: Weak<Line<G>>,
    live: &Arc<Live<G::Session>>,
    driver: Driver,
) -> impl Future<Output = ()> + Send + use<G> {
    let (cut, live) = (live.cut.clone(), Arc::downgrade(live));
    async move {
        drive_until_cut(driver, &cut).await;
        if let (Some(line), Some(live)) = (line.upgrade(), live.upgrade()) {
            let text = "it was closed".to_owned();
            line.retire(&live, &Failure::unsent(Cause::GivenUp { text }));
        }
    }
}

/// A call that is under way. If it ends without an answer, the link is suspicious: its caller's
/// limit may be shorter than ours.
struct Asking<'a, G: Greet> {
    line: &'a Arc<Line<G>>,
    live: &'a Arc<Live<G::Session>>,
    sent: Moment,
    end: End,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Dropped,
    TimedOut,
    Answered,
}

impl<G: Greet> Drop for Asking<'_, G> {
    fn drop(&mut self) {
        match self.end {
            End::Answered => self.live.silent.store(0, Ordering::Release),
            End::TimedOut => self.line.suspect(self.live, Some(self.sent)),
            End::Dropped => self.line.suspect(self.live, None),
        }
    }
}

impl<S> fmt::Debug for Live<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").field("opened", &self.opened).finish_non_exhaustive()
    }
}
