//! The meaning of a server's errors, by their first words: the class, and what people can do. The
//! advice is for people who use Tenure; otherwise it knows nothing of locks.

use std::fmt;

use crate::store::StoreErrorClass::{self, Config, Full, Internal, Refused, Transient};

use super::secrets::Secrets;

/// An error that the server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerSays {
    /// The first word: `NOAUTH`, `OOM`, `ERR`.
    pub(crate) code: String,
    /// The rest, as far as it may be shown.
    pub(crate) text: Text,
    /// The command that was sent.
    pub(crate) command: String,
    /// The meaning, if it is known.
    meaning: Option<&'static Meaning>,
    /// It comes from within a script.
    in_script: bool,
}

/// The text behind the code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Text {
    Said(String),
    /// Left out: it repeats a password, or may.
    Hidden,
}

impl ServerSays {
    /// An error as an answer to `command`.
    pub(crate) fn read(command: &str, error: &str) -> Self {
        let (code, mut text) = error.split_once(' ').unwrap_or((error, ""));
        let mut code = code.to_owned();
        if code == "ERR" || !is_code(&code) {
            // Within scripts, Redis 6.2 puts the code in the middle, and all leave NOPERM out.
            let mut words = text.split_whitespace().filter_map(|word| word.strip_prefix('-'));
            if let Some(inner) = words.find(|word| is_code(word)) {
                inner.clone_into(&mut code);
            } else if FORBIDDEN_IN_SCRIPT.iter().any(|part| text.contains(part)) {
                "NOPERM".clone_into(&mut code);
            } else if text.contains(CLUSTER_DOWN_IN_SCRIPT) {
                "CLUSTERDOWN".clone_into(&mut code);
            } else if let Some((inner, rest)) = text.split_once(' ')
                && code == "ERR"
                && MEANINGS.iter().any(|(known, ..)| *known == inner)
            {
                // A script's own reply, of an error that a command in it met.
                inner.clone_into(&mut code);
                text = rest;
            }
        }
        let fits = |(known, begins, ..): &&Meaning| code == *known && text.starts_with(begins);
        let meaning = match &*code {
            "NOPERM" if is_about_key(text) => Some(&OTHER_KEY),
            _ => MEANINGS.iter().find(fits),
        };
        let in_script = text.contains("script: ") || text.starts_with("Error running");
        let text = Text::Said(text.chars().take(200).collect());
        Self { code, text, command: command.to_owned(), meaning, in_script }
    }

    /// The error of a server that does not know `command`.
    pub(crate) fn unknown_command(command: &str) -> Self {
        Self::read(command, &format!("ERR {UNKNOWN_COMMAND} '{command}'"))
    }

    /// Without the server's own words, as an answer to what had a password in it: servers and
    /// proxies repeat what they do not understand, cut anywhere and quoted in any way.
    pub(crate) fn without_text(self) -> Self {
        let code = if self.meaning.is_some() { self.code } else { "an error".to_owned() };
        Self { code, text: Text::Hidden, ..self }
    }

    /// The same if it repeats a password.
    pub(crate) fn without(self, secrets: &Secrets) -> Self {
        match &self.text {
            Text::Said(text) if secrets.are_in(text) || secrets.are_in(&self.code) => {
                self.without_text()
            }
            Text::Said(_) | Text::Hidden => self,
        }
    }

    /// The text behind the code, if it may be shown.
    pub(crate) fn said(&self) -> Option<&str> {
        match &self.text {
            Text::Said(text) => Some(text),
            Text::Hidden => None,
        }
    }

    pub(crate) fn is_unknown_command(&self) -> bool {
        self.meaning.is_some_and(|(_, begins, ..)| *begins == UNKNOWN_COMMAND)
    }

    /// The server is a replica, and takes no writes.
    pub(crate) fn is_demoted(&self) -> bool {
        let is_wait = self.meaning.is_some_and(|(_, begins, ..)| *begins == WAIT_AT_REPLICA);
        is_wait || matches!(&*self.code, "READONLY" | "MASTERDOWN")
    }

    /// Whether the request may have been carried out in spite of the error.
    pub(crate) fn may_have_run(&self) -> bool {
        // An error inside a script may come after its first writes.
        self.in_script || self.meaning.is_none()
    }

    /// Whether it can be the fault of one of the keys or steps of a request.
    pub(crate) fn may_be_of_one(&self) -> bool {
        match self.meaning {
            Some((code, ..)) => OF_ONE.contains(code),
            // A script whose request came twice is not carried out, whoever is in it.
            None => self.code != "LATE",
        }
    }

    /// Whether it can be since a script came without the names of its keys. Each service that does
    /// not take that has words of its own.
    pub(crate) fn may_want_keys(&self) -> bool {
        let is_known = self.meaning.is_some() || self.in_script || self.code == "LATE";
        self.code == "CROSSSLOT" || !is_known
    }

    pub(crate) fn class(&self) -> StoreErrorClass {
        self.meaning.map_or(Internal, |(.., class, _)| *class)
    }

    /// A sentence for people: what happened and what to do.
    pub(crate) fn advice(&self) -> &'static str {
        let unknown = "the server refused a request that it should take; please report it";
        self.meaning.map_or(unknown, |(.., advice)| advice)
    }
}

impl fmt::Display for ServerSays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, command, .. } = self;
        write!(f, "{} ({command}: {code}", self.advice())?;
        match &self.text {
            Text::Said(text) => write!(f, " {text})"),
            // The advice says it all.
            Text::Hidden if self.meaning.is_some() => f.write_str(")"),
            Text::Hidden => f.write_str("; its text is not shown, since it may repeat a password)"),
        }
    }
}

/// The beginning of an error about an unknown command.
const UNKNOWN_COMMAND: &str = "unknown command";

/// The beginning of a replica's answer to WAIT.
const WAIT_AT_REPLICA: &str = "WAIT cannot be used with replica";

/// Parts of the texts about a missing right within a script: Redis 6.2 and 7.0, and later ones.
const FORBIDDEN_IN_SCRIPT: &[&str] =
    &["The user executing the script can't", "ACL failure in script"];

/// Part of the texts about a cluster that is down, within a script.
const CLUSTER_DOWN_IN_SCRIPT: &str = "while the cluster is down";

fn is_code(word: &str) -> bool {
    word.len() > 1 && word.bytes().all(|b| b.is_ascii_uppercase())
}

/// The code, the beginning of the text, the class, the advice.
type Meaning = (&'static str, &'static str, StoreErrorClass, &'static str);

/// The errors with which a server turns a request away before it does anything.
const MEANINGS: &[Meaning] = &[
    ("NOAUTH", "", Refused, "the server asks for a password: give one, best by password_file=PATH"),
    (
        "WRONGPASS",
        "",
        Refused,
        "the server does not accept this user and password: check both; in a URL, special \
         characters are written as %40 and the like",
    ),
    (
        "ERR",
        "AUTH",
        Refused,
        "a password was given, but the server has none for this user: leave it out",
    ),
    (
        "NOPERM",
        "",
        Refused,
        "this user lacks a right: let the server's ACL allow it the command, key or channel that \
         is named here",
    ),
    (
        "DENIED",
        "",
        Refused,
        "the server is in protected mode and takes connections from its own host alone: set a \
         password or `bind` at the server",
    ),
    (
        "WRONGTYPE",
        "",
        Refused,
        "one of the keys that Tenure keeps beside the lock (they end in :record, :queue, :places, \
         :alive and :buried) holds something of somebody else: delete it",
    ),
    (
        "CLOCK",
        "",
        Refused,
        "the server's clock, or a fence in it, is past the year 2255, so nothing is locked: set \
         the clock right, or delete the key `tenure:\\x01fence`",
    ),
    (
        "OOM",
        "",
        Full,
        "the server's memory is used up (maxmemory), so nothing new can be locked: raise the \
         limit or free some",
    ),
    ("LOADING", "", Transient, "the server has just started and is reading its data: it passes"),
    (
        "READONLY",
        "",
        Transient,
        "this server is a replica and takes no writes: name the primary, or wait for the \
         fail-over to end",
    ),
    (
        "MASTERDOWN",
        "",
        Transient,
        "this server is a replica that has lost its primary: name the primary",
    ),
    (
        "ERR",
        WAIT_AT_REPLICA,
        Transient,
        "this server is a replica and has none of its own to acknowledge grants: name the \
         primary, or wait for the fail-over to end",
    ),
    ("CLUSTERDOWN", "", Transient, "the cluster is partly down: it may pass"),
    ("TRYAGAIN", "", Transient, "the cluster is moving keys: it passes"),
    (
        "NOREPLICAS",
        "",
        Transient,
        "too few replicas are connected (min-replicas-to-write): start them again",
    ),
    (
        "BUSY",
        "",
        Transient,
        "a script of somebody has kept the server busy for seconds: end it with SCRIPT KILL",
    ),
    (
        "MISCONF",
        "",
        Transient,
        "the server cannot save to its disk and takes no writes: look at its log",
    ),
    (
        "ERR",
        "max number of clients",
        Transient,
        "the server has as many clients as it takes (maxclients): raise the limit or close some",
    ),
    ("NOSCRIPT", "", Transient, "the server has forgotten a script: it is sent again"),
    ("MOVED", "", Config, IN_CLUSTER),
    ("ASK", "", Config, IN_CLUSTER),
    ("CROSSSLOT", "", Config, IN_CLUSTER),
    (
        "ERR",
        UNKNOWN_COMMAND,
        Config,
        "this server lacks a command that locks need (scripting switched off or renamed, a \
         proxy, or a server older than Redis 6.2): use another server",
    ),
    ("ERR", "Unknown Redis command called from script", Config, LACKED_BY_SCRIPTS),
    // Valkey's words.
    ("ERR", "Unknown command called from script", Config, LACKED_BY_SCRIPTS),
    ("ERR", "DB index", Config, "the server has fewer databases: name a lower number"),
];

/// The meaning of a missing right to a key, and not to a command.
const OTHER_KEY: Meaning = (
    "NOPERM",
    "",
    Refused,
    "this user lacks a right to a key: use keys that the server's ACL allows it, for a list by a \
     prefix that it allows (tenure list PREFIX), or allow it this key and those that Tenure keeps \
     beside it (tenure acl --prefix TEXT prints the rule)",
);

/// The advice of an error about a key.
pub(crate) const OTHER_KEY_ADVICE: &str = OTHER_KEY.3;

/// The texts are "no permissions to access one of the keys", "can't access at least one of the
/// keys" and "No permissions to access a key".
fn is_about_key(text: &str) -> bool {
    text.contains(" access ") && text.contains(" key")
}

/// The errors that can be the fault of one key of a request.
const OF_ONE: &[&str] = &["NOPERM", "OOM", "WRONGTYPE", "CROSSSLOT"];

const LACKED_BY_SCRIPTS: &str = "this server lacks a command that locks need in their scripts \
                                 (switched off or renamed; SAFETY.md lists what is needed): use \
                                 another server";

/// The message about a node of a cluster.
pub(crate) const IN_CLUSTER: &str =
    "this server is a node of a cluster: name the cluster, as redis+cluster://HOST:6379";
