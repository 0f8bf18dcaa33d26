//! The line protocol between the bench and an adapter, the small program that makes one contender
//! work. A request is one line of words on its standard input, a reply one line of JSON on its
//! standard output. All adapters, in whatever language, speak it; `bench/README.md` describes it.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::Failure;

/// A workload, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Workload {
    /// One caller that acquires and releases a free lock.
    Lone,
    /// Tasks of one process, each with a key of its own.
    Tasks,
    /// As `Tasks`, with a runtime on a thread of its own for each.
    Runtimes,
    /// Tasks that wait for one key, beside those of other processes.
    Waiters,
}

/// A workload with its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    Lone { cycles: u32 },
    Tasks { tasks: u32, millis: u64 },
    Runtimes { runtimes: u32, millis: u64 },
    Waiters { tasks: u32, millis: u64 },
}

/// One line to an adapter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Request {
    /// Connect to a server, for one workload, and begin the name of every key with `key`.
    Start {
        address: SocketAddr,
        key: String,
        workload: Workload,
    },
    /// So many cycles of one caller that are not measured.
    Warm {
        cycles: u32,
    },
    Run(Work),
}

/// The reply to `start`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Started {
    /// The contender with its version, and those of what it runs on.
    pub(crate) version: String,
}

/// The reply to `warm`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Warmed {
    pub(crate) warmed: u32,
}

/// The reply to `run lone`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Lone {
    /// The time of each acquire and release together.
    pub(crate) cycle_us: Vec<f64>,
}

/// The reply to `run tasks` and `run runtimes`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Cycles {
    pub(crate) cycles: u64,
    pub(crate) elapsed_us: f64,
}

/// The reply to `run waiters`. Times are of a clock that the processes of a contender share.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Turns {
    pub(crate) began_us: u64,
    /// After this no task asked again; those that waited went on until they were granted.
    pub(crate) ended_us: u64,
    pub(crate) turns: Vec<Turn>,
}

/// One turn of one task.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Turn {
    pub(crate) task: u32,
    pub(crate) asked_us: u64,
    pub(crate) granted_us: u64,
    /// Before the release was asked for.
    pub(crate) released_us: u64,
}

/// The reply to a request that failed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Failed {
    pub(crate) error: String,
}

/// The reply in a line, or the failure that it tells.
pub(crate) fn reply<T: DeserializeOwned>(line: &str) -> Result<T, Failure> {
    match serde_json::from_str::<T>(line) {
        Ok(reply) => Ok(reply),
        Err(error) => Err(match serde_json::from_str::<Failed>(line) {
            Ok(failed) => failed.error.into(),
            Err(_) => format!("it answered {:?}: {error}", line.trim_end()).into(),
        }),
    }
}

impl Work {
    pub(crate) fn workload(self) -> Workload {
        match self {
            Self::Lone { .. } => Workload::Lone,
            Self::Tasks { .. } => Workload::Tasks,
            Self::Runtimes { .. } => Workload::Runtimes,
            Self::Waiters { .. } => Workload::Waiters,
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lone => "lone",
            Self::Tasks => "tasks",
            Self::Runtimes => "runtimes",
            Self::Waiters => "waiters",
        })
    }
}

impl FromStr for Workload {
    type Err = Failure;

    fn from_str(word: &str) -> Result<Self, Failure> {
        Ok(match word {
            "lone" => Self::Lone,
            "tasks" => Self::Tasks,
            "runtimes" => Self::Runtimes,
            "waiters" => Self::Waiters,
            _ => return Err(format!("there is no workload {word:?}").into()),
        })
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start { address, key, workload } => write!(f, "start {address} {key} {workload}"),
            Self::Warm { cycles } => write!(f, "warm {cycles}"),
            Self::Run(work) => {
                write!(f, "run {}", work.workload())?;
                match work {
                    Work::Lone { cycles } => write!(f, " {cycles}"),
                    Work::Tasks { tasks: count, millis }
                    | Work::Runtimes { runtimes: count, millis }
                    | Work::Waiters { tasks: count, millis } => write!(f, " {count} {millis}"),
                }
            }
        }
    }
}

impl FromStr for Request {
    type Err = Failure;

    fn from_str(line: &str) -> Result<Self, Failure> {
        let words: Vec<_> = line.split_whitespace().collect();
        Ok(match words[..] {
            ["start", address, key, workload] => Self::Start {
                address: address.parse()?,
                key: key.to_owned(),
                workload: workload.parse()?,
            },
            ["warm", cycles] => Self::Warm { cycles: cycles.parse()? },
            ["run", "lone", cycles] => Self::Run(Work::Lone { cycles: cycles.parse()? }),
            ["run", workload, count, millis] => {
                let (count, millis) = (count.parse()?, millis.parse()?);
                Self::Run(match workload.parse()? {
                    Workload::Tasks => Work::Tasks { tasks: count, millis },
                    Workload::Runtimes => Work::Runtimes { runtimes: count, millis },
                    Workload::Waiters => Work::Waiters { tasks: count, millis },
                    Workload::Lone => return Err("run lone CYCLES".into()),
                })
            }
            _ => return Err(format!("this is no request: {line:?}").into()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_is_read_as_it_was_written() {
        let address = SocketAddr::from(([127, 0, 0, 1], 7000));
        let start = |workload| Request::Start { address, key: "k".into(), workload };
        let requests = [
            start(Workload::Lone),
            start(Workload::Runtimes),
            Request::Warm { cycles: 3 },
            Request::Run(Work::Lone { cycles: 5 }),
            Request::Run(Work::Tasks { tasks: 64, millis: 400 }),
            Request::Run(Work::Runtimes { runtimes: 16, millis: 400 }),
            Request::Run(Work::Waiters { tasks: 4, millis: 2_000 }),
        ];
        for request in requests {
            assert_eq!(request.to_string().parse::<Request>().unwrap(), request);
        }
        for line in ["", "run", "run lone", "run lone 1 2", "run far 1 2", "start x k lone"] {
            assert!(line.parse::<Request>().is_err(), "{line}");
        }
    }

    #[test]
    fn a_reply_is_what_was_asked_for_or_a_failure() {
        assert_eq!(reply::<Warmed>("{\"warmed\": 3}\n").unwrap().warmed, 3);
        let said = |line| reply::<Warmed>(line).unwrap_err().to_string();
        assert_eq!(said("{\"error\": \"no such server\"}\n"), "no such server");
        assert!(said("Traceback\n").contains("Traceback"));
    }
}
