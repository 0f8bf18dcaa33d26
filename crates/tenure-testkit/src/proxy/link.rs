//! One link as data: its two connections and what is on its way between them.

use std::collections::VecDeque;
use std::net::{Shutdown, TcpStream};
use std::time::Instant;

use super::Direction::{self, ToClient, ToServer};
use super::fault::Fate;
use super::plan::Plan;
use super::wire::Answers;

/// One link: the client's connection and the one to the server.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) client: TcpStream,
    server: TcpStream,
    pub(super) on_the_way: [VecDeque<Parcel>; 2],
    /// A fault has lost something in this direction.
    pub(super) lost: [bool; 2],
    pub(super) ended: [bool; 2],
    /// Calls that were sent to the server and are not answered yet.
    pub(super) awaited: VecDeque<Awaited>,
    /// The client's login and settings, for copies that come on another link.
    pub(super) greeting: Vec<Vec<u8>>,
    pub(super) resp3: bool,
    /// Whether it has ever subscribed to anything.
    pub(super) subscribed: bool,
    pub(super) held_pushes: Vec<Vec<u8>>,
}

/// Bytes on their way, and what they are.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) bytes: Vec<u8>,
    pub(super) due: Instant,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// Not understood, or in need of no understanding.
    Bytes,
    Call {
        plan: Option<usize>,
        answers: Answers,
    },
    Reply {
        plan: Option<usize>,
    },
    End,
}

#[derive(Debug)]
pub(super) enum Awaited {
    Frames {
        plan: Option<usize>,
        answers: Answers,
    },
    /// The proxy answers this itself when its turn comes.
    Refusal(&'static str),
}

impl Parcel {
    /// Whether it waits for [`Fault::deliver`](super::Fault::deliver).
    pub(super) fn is_held(&self, plans: &[Plan]) -> bool {
        let Kind::Call { plan: Some(plan), .. } = self.kind else { return false };
        plans[plan].fate == Fate::Hold && !plans[plan].delivered
    }
}

impl Link {
    pub(super) fn new(client: TcpStream, server: TcpStream) -> Self {
        Self {
            client,
            server,
            on_the_way: Default::default(),
            lost: [false; 2],
            ended: [false; 2],
            awaited: VecDeque::new(),
            greeting: Vec::new(),
            resp3: false,
            subscribed: false,
            held_pushes: Vec::new(),
        }
    }

    /// Where the bytes of a direction go.
    pub(super) fn sink(&self, way: Direction) -> &TcpStream {
        match way {
            ToServer => &self.server,
            ToClient => &self.client,
        }
    }

    pub(super) fn cut(&self) {
        // Ended by the other side before is as good.
        let _ = self.client.shutdown(Shutdown::Both);
        let _ = self.server.shutdown(Shutdown::Both);
    }
}
