//! A server that Sentinels name: they are asked where it is before each connection to it. One
//! subscription tells at once that it has moved. Nothing is sent to a server that is a replica.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::{CancellationToken, DropGuard};

use crate::runtime::{Moment, Runtime, answer_by};
use crate::store::StoreError;

use super::super::client::{
    Cause, Command, Dial, Dialling, Failure, Greet, SentinelFault, Sentinels, Server, ServerUrl,
    Talk, Transport, Use, Value,
};
use super::switches::Watcher;

/// The name of the connections at the Sentinels that ask.
const NAME: &str = "tenure-sentinel";

/// The server that these Sentinels name, and the Sentinels. Nothing is asked yet, but one of them
/// is listened to until the server is dropped.
pub(in crate::store::redis) fn behind_sentinels(
    url: &ServerUrl,
    sentinels: &Sentinels,
    runtime: &Arc<dyn Runtime>,
) -> Result<(Arc<Server>, Arc<Directory>), StoreError> {
    let directory = Arc::new(Directory::new(url, sentinels, runtime)?);
    let dropped = CancellationToken::new();
    let dial = SentinelDial {
        directory: Arc::clone(&directory),
        transport: Transport::new(url.tls.as_ref(), url.limits)?,
        _dropped: dropped.clone().drop_guard(),
    };
    let (dial, login) = (Arc::new(dial), url.login.clone());
    let server = Server::new(url.name(), dial, login, url.limits, Arc::clone(runtime));
    let watcher = Watcher::new(Arc::clone(&directory), &server);
    runtime.spawn(Box::pin(async move {
        tokio::select! {
            biased;
            () = dropped.cancelled() => {}
            () = watcher.run() => {}
        }
    }));
    Ok((server, directory))
}

/// A host and a port, as a Sentinel tells them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store::redis) struct Address {
    host: Arc<str>,
    port: u16,
}

/// The Sentinels of one service, and the address that they told last.
#[derive(Debug)]
pub(in crate::store::redis) struct Directory {
    pub(in crate::store::redis) service: Arc<str>,
    pub(in crate::store::redis) sentinels: Vec<Sentinel>,
    knowledge: Mutex<Knowledge>,
}

/// One Sentinel.
#[derive(Debug)]
pub(in crate::store::redis) struct Sentinel {
    pub(in crate::store::redis) place: Arc<str>,
    pub(in crate::store::redis) server: Arc<Server>,
}

#[derive(Debug, Default)]
struct Knowledge {
    /// The Sentinel that is asked first: the last that answered, unless its answer was of no use.
    first: usize,
    /// The address of the last connection, or attempt to connect.
    named: Option<Address>,
    /// Whether older connections may lead to another address.
    are_apart: bool,
}

impl Knowledge {
    /// This Sentinel has answered a question of a connection.
    fn told(&mut self, index: usize, address: &Address) {
        self.first = index;
        self.are_apart |= self.named.as_ref().is_some_and(|named| named != address);
        self.named = Some(address.clone());
    }

    /// The server is at `address` now. Answers whether a connection may lead elsewhere, so that all
    /// are to be retired: the newest may lead there already, and others not.
    fn moved_to(&mut self, address: &Address) -> bool {
        let Some(named) = &self.named else { return false };
        let leads_elsewhere = self.are_apart || named != address;
        self.are_apart = false;
        self.named = Some(address.clone());
        leads_elsewhere
    }
}

impl Directory {
    fn new(
        url: &ServerUrl,
        sentinels: &Sentinels,
        runtime: &Arc<dyn Runtime>,
    ) -> Result<Self, StoreError> {
        let transport = Transport::new(sentinels.tls.as_ref(), url.limits)?;
        let sentinel = |(host, port): &(Arc<str>, u16)| {
            let place: Arc<str> =
                Address { host: Arc::clone(host), port: *port }.to_string().into();
            let dial = Arc::new(transport.to(host, *port)?);
            let name = format!("Sentinel {place}").into();
            let login = sentinels.login.clone();
            let server = Server::new(name, dial, login, url.limits, Arc::clone(runtime));
            Ok(Sentinel { place, server })
        };
        let (service, knowledge) = (Arc::clone(&sentinels.service), Mutex::default());
        let sentinels = sentinels.hosts.iter().map(sentinel).collect::<Result<_, StoreError>>()?;
        Ok(Self { service, sentinels, knowledge })
    }

    /// Asks the Sentinels in turn where the server is. One that says nothing leaves time for those
    /// behind it, and for the server. One that failed a moment ago is passed over, so that an
    /// outage costs each of them few attempts.
    async fn look_up(&self, runtime: &dyn Runtime, until: Moment) -> Result<Address, Failure> {
        let count = self.sentinels.len();
        let first = self.knowledge().first;
        let lookup = Lookup { service: Arc::clone(&self.service) };
        let mut passed_over = Vec::new();
        for turn in 0..count {
            let index = (first + turn) % count;
            let limit = share(until.since(runtime.now()), count - turn + 1);
            match self.sentinels[index].server.connect_now(NAME, &lookup, limit).await {
                Some(Ok(connected)) => return Ok(self.told(index, connected.session)),
                Some(Err(_)) => {}
                None => passed_over.push(index),
            }
        }
        let was_asked = passed_over.len() < count;
        self.wait_for(passed_over, was_asked, runtime, until, &lookup).await
    }

    /// Waits for those that another task asks something now. If nobody was asked yet, it waits
    /// until one of the others may be asked again.
    async fn wait_for(
        &self,
        mut passed_over: Vec<usize>,
        mut was_asked: bool,
        runtime: &dyn Runtime,
        until: Moment,
        lookup: &Lookup,
    ) -> Result<Address, Failure> {
        let now = runtime.now();
        let due = |index: &usize| {
            self.sentinels[*index].server.dial_backoff.not_before().unwrap_or(now).max(now)
        };
        passed_over.sort_by_key(due);
        let count = passed_over.len();
        for (turn, index) in passed_over.into_iter().enumerate() {
            if was_asked && due(&index) > now {
                break;
            }
            was_asked = true;
            let now = runtime.now();
            let limit = now + share(until.since(now), count - turn + 1);
            let answer = self.sentinels[index].server.connect(NAME, Use::Shared, lookup);
            if let Some(Ok(connected)) = answer_by(runtime, limit, answer).await {
                return Ok(self.told(index, connected.session));
            }
        }
        Err(self.nothing_told())
    }

    fn told(&self, index: usize, address: Address) -> Address {
        self.knowledge().told(index, &address);
        address
    }

    /// The failures of all of them.
    fn nothing_told(&self) -> Failure {
        let busy = || Failure::unsent(Cause::StillConnecting { last: None });
        let cause = |sentinel: &Sentinel| {
            let last = sentinel.server.dial_backoff.last_failure();
            (Arc::clone(&sentinel.place), last.unwrap_or_else(busy).cause)
        };
        let causes = self.sentinels.iter().map(cause).collect();
        let service = Arc::clone(&self.service);
        Failure::unsent(Cause::Sentinels(SentinelFault::NoneTold { service, causes }))
    }

    /// A Sentinel says that the server is at `address` now. Answers whether all connections are to
    /// be retired, since one may lead elsewhere.
    pub(super) fn moved_to(&self, address: &Address) -> bool {
        self.knowledge().moved_to(address)
    }

    /// From now on this Sentinel is asked first: it knows of a switch.
    pub(super) fn ask_first(&self, index: usize) {
        self.knowledge().first = index;
    }

    fn knowledge(&self) -> MutexGuard<'_, Knowledge> {
        self.knowledge.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A part of the time that is left, in whole milliseconds, since people are told of it.
fn share(left: Duration, parts: usize) -> Duration {
    let share = left / u32::try_from(parts).unwrap_or(u32::MAX);
    Duration::from_millis(u64::try_from(share.as_millis()).unwrap_or(u64::MAX))
}

/// The way to the server: over what the Sentinels say.
#[derive(Debug)]
struct SentinelDial {
    directory: Arc<Directory>,
    transport: Transport,
    /// Ends the subscription with the server.
    _dropped: DropGuard,
}

impl Dial for SentinelDial {
    fn dial<'a>(&'a self, runtime: &'a dyn Runtime, until: Moment) -> Dialling<'a> {
        Box::pin(async move {
            let address = self.directory.look_up(runtime, until).await?;
            let dialled = match self.transport.to(&address.host, address.port) {
                Ok(way) => way.dial(runtime, until).await,
                Err(failure) => Err(failure),
            };
            dialled.map_err(|failure| {
                self.misled();
                let (place, cause) = (address.to_string().into(), Box::new(failure.cause));
                Failure::unsent(Cause::Sentinels(SentinelFault::Named { place, cause }))
            })
        })
    }

    fn is_tls(&self) -> bool {
        self.transport.is_tls()
    }

    /// Another Sentinel may know more.
    fn misled(&self) {
        let mut knowledge = self.directory.knowledge();
        knowledge.first = (knowledge.first + 1) % self.directory.sentinels.len();
    }
}

/// Asks a Sentinel where the server is.
#[derive(Debug)]
pub(super) struct Lookup {
    service: Arc<str>,
}

impl Lookup {
    /// The question about a service.
    pub(super) fn command(service: &str) -> Command {
        Command::of(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", service])
    }
}

impl Greet for Lookup {
    type Session = Address;

    async fn greet(&self, talk: &mut Talk<'_>, _: Option<&Address>) -> Result<Address, Failure> {
        let answer = talk.ask(&Self::command(&self.service)).await?;
        if answer == Value::Nil {
            let service = Arc::clone(&self.service);
            let fault = SentinelFault::UnknownService { service };
            return Err(Failure::unsent(Cause::Sentinels(fault)));
        }
        Address::in_answer(&answer).ok_or_else(|| {
            let text = "SENTINEL was answered with something else".to_owned();
            Failure::unsent(Cause::Nonsense { text })
        })
    }

    fn ended(&self, _: &Address, _: Moment) {}
}

impl Address {
    /// The address in the answer of a Sentinel: a host and a port.
    pub(in crate::store::redis) fn in_answer(answer: &Value) -> Option<Self> {
        let Value::Array(parts) = answer else { return None };
        let [Value::BulkString(host), Value::BulkString(port)] = &parts[..] else { return None };
        Self::of(std::str::from_utf8(host).ok()?, std::str::from_utf8(port).ok()?)
    }

    /// The new address in a message about a switch, if it is about this service: its name, the old
    /// host and port, the new host and port.
    pub(super) fn in_message(message: &[u8], service: &str) -> Option<Self> {
        let words: Vec<_> = std::str::from_utf8(message).ok()?.split(' ').collect();
        match words[..] {
            [name, _, _, host, port] if name == service => Self::of(host, port),
            _ => None,
        }
    }

    fn of(host: &str, port: &str) -> Option<Self> {
        let port = port.parse().ok().filter(|port| *port != 0)?;
        (!host.is_empty()).then(|| Self { host: host.into(), port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    #[test]
    fn a_connection_that_was_told_first_does_not_hide_a_switch_from_the_others() {
        let [old, new] = ["old", "new"].map(|host| Address { host: host.into(), port: 6379 });
        let mut knowledge = Knowledge::default();
        assert!(!knowledge.moved_to(&new), "nothing is connected yet");
        knowledge.told(0, &old);
        assert!(!knowledge.moved_to(&old));
        assert!(knowledge.moved_to(&new));
        assert!(!knowledge.moved_to(&new), "they are retired once");

        knowledge.told(0, &old);
        // A second connection asks between the switch and its message.
        knowledge.told(1, &new);
        assert!(knowledge.moved_to(&new), "the first one still leads to the old server");
        knowledge.told(1, &new);
        assert!(!knowledge.moved_to(&new));
    }

    #[test]
    fn an_address_is_read_from_answers_and_messages() {
        let answer = Value::Array(vec![text("::1"), text("6379")]);
        let address = Address::in_answer(&answer).expect("an address");
        assert_eq!(address.to_string(), "[::1]:6379");
        for parts in [&["h"][..], &["h", "0"], &["h", "x"], &["", "1"], &["h", "65536"]] {
            let answer = Value::Array(parts.iter().map(|part| text(part)).collect());
            assert_eq!(Address::in_answer(&answer), None, "{parts:?}");
        }
        let message = b"main 10.0.0.1 6379 10.0.0.2 6380";
        let address = Address::in_message(message, "main").expect("an address");
        assert_eq!(address.to_string(), "10.0.0.2:6380");
        assert_eq!(Address::in_message(message, "other"), None);
        assert_eq!(Address::in_message(b"main 10.0.0.1 6379", "main"), None);
    }
}
