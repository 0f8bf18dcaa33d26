//! The consequences of the facts about a server, and what to do. It asks nothing.

use std::time::Duration;

use crate::protocol::Guarded;
use crate::runtime::{shown, typed};
use crate::store::{Finding, Severity};

use super::super::eviction;
use super::facts::{Clock, Facts, Group, Info, Marker, Pushes};
use super::next_start::NextStart;

/// A clock that is further away than this is not kept by NTP.
const CLOCK_AHEAD: i64 = 10_000_000;
/// A step of the clock, in microseconds, beyond drift.
const CLOCK_STEP: i64 = 20_000;
/// A replica acknowledges once a second what it has.
const LAG_MAX: Duration = Duration::from_secs(5);
/// Added to what a restart forgets.
const GUARDED: &str = " (the restart guard outlasts what is forgotten)";
/// The part of the memory limit that may be used.
const FULL: f64 = 0.9;

/// The findings about one server, in a fixed order.
pub(super) fn findings(facts: &Facts) -> Vec<Finding> {
    let mut all = vec![
        facts.say("reachable", Severity::Ok, "the server answers"),
        latency(facts),
        clock(facts),
    ];
    match &facts.info {
        Ok(info) => all.extend(of_info(facts, info)),
        Err(why) => {
            for about in ["version", "role", "eviction", "persistence", "replicas", "uptime"] {
                all.push(facts.say(about, Severity::Unknown, format!("INFO is refused: {why}")));
            }
        }
    }
    all.push(guard(facts));
    all.extend(guarded(facts));
    all.push(rights(facts));
    all.push(pushes(facts));
    all
}

fn of_info(facts: &Facts, info: &Info) -> Vec<Finding> {
    let mut all = vec![version(facts, info), role(facts, info), eviction(facts, info)];
    all.extend(memory(facts, info));
    all.extend([persistence(facts, info), replicas(facts, info)]);
    all.extend(lag(facts, info));
    all.push(uptime(facts, info));
    all.extend(promoted(facts, info));
    all
}

impl Facts {
    fn say(&self, about: &'static str, severity: Severity, what: impl Into<String>) -> Finding {
        Finding::new(&self.place, about, severity, what)
    }

    /// Leases that the server forgets are over before anything new is granted.
    fn is_guarded(&self) -> bool {
        !self.wanted.restart_guard.is_zero()
    }

    fn guard_parameter(&self) -> String {
        format!("?restart_guard={}", typed(self.ttl))
    }
}

fn latency(facts: &Facts) -> Finding {
    let median = facts.pings.get(facts.pings.len() / 2).copied().unwrap_or_default();
    let worst = facts.pings.last().copied().unwrap_or_default();
    let what = format!(
        "a PING takes {:.2} ms, {:.2} ms at worst ({} tries)",
        median.as_secs_f64() * 1e3,
        worst.as_secs_f64() * 1e3,
        facts.pings.len()
    );
    if worst * 10 <= facts.ttl {
        return facts.say("latency", Severity::Ok, what);
    }
    facts.say("latency", Severity::Warning, what).so(
        format!(
            "a renewal of a lease of {} may come too late: the first is sent after a third of it",
            shown(facts.ttl)
        ),
        format!(
            "--ttl {} or longer, or a server that is nearer",
            typed(Duration::from_millis(1) + worst * 20)
        ),
    )
}

fn clock(facts: &Facts) -> Finding {
    let Clock { ahead, fuzz, step } = match &facts.clock {
        Ok(clock) => *clock,
        Err(why) => {
            return facts.say("clock", Severity::Unknown, format!("TIME is refused: {why}"));
        }
    };
    let millis = |micros: i64| format!("{}.{} ms", micros / 1000, micros % 1000 / 100);
    if step.abs() > CLOCK_STEP + fuzz * 2 {
        let what = format!(
            "the server's clock was stepped {} by {} meanwhile",
            if step < 0 { "back" } else { "forward" },
            millis(step.abs())
        );
        return facts.say("clock", Severity::Error, what).so(
            "a clock that jumps forward ends leases early, beside holders that still trust them; \
             one that jumps back ends them late",
            "let NTP slew the clock: chronyd without makestep, or ntpd -x",
        );
    }
    let what = format!(
        "the server's clock is {} {} this host's (within {})",
        millis(ahead.abs()),
        if ahead < 0 { "behind" } else { "ahead of" },
        millis(fuzz)
    );
    if ahead.abs() <= CLOCK_AHEAD + fuzz {
        return facts.say("clock", Severity::Ok, what);
    }
    facts.say("clock", Severity::Warning, what).so(
        "times that are shown, and the ticks of jobs, are the server's; when one of both clocks \
         is set right in one step, leases end early or late",
        "chronyc makestep, on the host whose clock is wrong, while no locks are held",
    )
}

fn version(facts: &Facts, info: &Info) -> Finding {
    let Some(version) = info.version() else {
        return facts.say("version", Severity::Unknown, "the server does not tell its version");
    };
    let mode = info.text("redis_mode").or_else(|| info.text("server_mode")).unwrap_or("standalone");
    facts.say("version", Severity::Ok, format!("{version}, {mode}"))
}

fn role(facts: &Facts, info: &Info) -> Finding {
    match info.text("role") {
        Some("master") => facts.say("role", Severity::Ok, "it takes writes (master)"),
        Some("slave") => {
            let of = |name| info.text(name).unwrap_or("?");
            let of = format!("{}:{}", of("master_host"), of("master_port"));
            facts.say("role", Severity::Error, format!("it is a replica of {of}")).so(
                "it takes no writes, so nothing can be locked there",
                format!("--store redis://{of}, or redis+sentinel://HOST/SERVICE"),
            )
        }
        _ => facts.say("role", Severity::Unknown, "the server does not tell its role"),
    }
}

fn eviction(facts: &Facts, info: &Info) -> Finding {
    let Some(policy) = info.text("maxmemory_policy") else {
        return facts.say("eviction", Severity::Unknown, "the server does not tell its policy");
    };
    let is_limited = info.number("maxmemory") != Some(0);
    let what = format!("maxmemory-policy is {policy}");
    match eviction::threat(policy, is_limited) {
        None => facts.say("eviction", Severity::Ok, what),
        Some(threat) => {
            let severity = if is_limited { Severity::Error } else { Severity::Warning };
            let evicted = info.number("evicted_keys").unwrap_or_default();
            let what = format!("{what}; {evicted} keys were evicted since the start");
            let remedy = NextStart::of(info).set(eviction::NO_EVICTION);
            facts.say("eviction", severity, what).so(threat, remedy)
        }
    }
}

fn memory(facts: &Facts, info: &Info) -> Option<Finding> {
    let (used, limit) = (info.number("used_memory")?, info.number("maxmemory")?);
    if limit == 0 {
        return Some(facts.say("memory", Severity::Ok, "no maxmemory is set"));
    }
    #[allow(clippy::cast_precision_loss, reason = "a share for people")]
    let share = used as f64 / limit as f64;
    let what = format!("{:.0} % of maxmemory ({limit} bytes) is used", share * 100.0);
    Some(if share < FULL {
        facts.say("memory", Severity::Ok, what)
    } else {
        facts.say("memory", Severity::Warning, what).so(
            "when it is full, nothing new can be locked; what is held is renewed all the same",
            NextStart::of(info).set(&format!("maxmemory {}", limit.saturating_mul(2))),
        )
    })
}

fn persistence(facts: &Facts, info: &Info) -> Finding {
    let about = "persistence";
    if info.text("aof_enabled") == Some("1") {
        if info.text("aof_last_write_status") == Some("err") {
            return facts.say(about, Severity::Error, "the append-only file cannot be written").so(
                "a restart forgets leases, and the server may take no writes",
                "free the disk, and look at the server's log",
            );
        }
        return kept(facts, info);
    }
    if info.text("aof_enabled").is_none() {
        return facts.say(about, Severity::Unknown, "the server does not tell");
    }
    let (what, lost) = match facts.save.as_deref() {
        Some("") => ("nothing is saved (appendonly no, save \"\")".to_owned(), "all leases"),
        Some(save) => (
            format!("only snapshots are saved (appendonly no, save {save:?})"),
            "what came after the last snapshot",
        ),
        None => (
            "appendonly is off; snapshots: unknown".to_owned(),
            "what came after the last snapshot, or all leases",
        ),
    };
    if facts.is_guarded() {
        return facts.say(about, Severity::Ok, what + GUARDED);
    }
    facts.say(about, Severity::Warning, what).so(
        format!("a restart forgets {lost}, while holders still work"),
        format!(
            "{}; or the parameter {} in the URL of all programs",
            NextStart::of(info).set("appendonly yes"),
            facts.guard_parameter()
        ),
    )
}

/// An append-only file is written now. A running server does not tell whether its next start does.
fn kept(facts: &Facts, info: &Info) -> Finding {
    let what = match NextStart::of(info) {
        NextStart::File(file) => {
            format!("appendonly is on: a restart keeps leases if {file} says so too")
        }
        NextStart::Untold => {
            "appendonly is on: a restart keeps leases if the configuration says so too".to_owned()
        }
        NextStart::NoFile if facts.is_guarded() => format!("appendonly is on{GUARDED}"),
        NextStart::NoFile => {
            let what = "appendonly is on, by no configuration file";
            return facts.say("persistence", Severity::Note, what).so(
                "a start without `--appendonly yes` forgets all leases",
                "a configuration file with `appendonly yes`, or that argument at each start",
            );
        }
    };
    facts.say("persistence", Severity::Ok, what)
}

fn replicas(facts: &Facts, info: &Info) -> Finding {
    let about = "replicas";
    let Some(count) = info.number("connected_slaves") else {
        return facts.say(about, Severity::Unknown, "the server does not tell");
    };
    let good = info.number("min_slaves_good_slaves");
    let least = match good {
        Some(good) => format!("min-replicas-to-write is set, {good} are good"),
        None => "min-replicas-to-write is 0".to_owned(),
    };
    let what = format!("{count} replicas are linked; {least}");
    if count == 0 && facts.wanted.group != Group::None {
        let consequence = match facts.wanted.group {
            Group::Cluster => {
                "if it fails, nobody serves its slots until it is back; with \
                 cluster-require-full-coverage (the default) nobody serves any"
            }
            _ => "if it fails, nothing can take its place: nothing is locked until it is back",
        };
        let remedy = match facts.wanted.group {
            Group::Cluster => "redis-cli --cluster add-node NEW:PORT HOST:PORT --cluster-slave",
            _ => "REPLICAOF HOST PORT at another server",
        };
        return facts.say(about, Severity::Warning, "no replica is linked").so(consequence, remedy);
    }
    if count == 0 || facts.is_guarded() || facts.wanted.ack && good.is_some() {
        return facts.say(about, Severity::Ok, what);
    }
    if facts.wanted.ack {
        return facts.say(about, Severity::Note, what).so(
            "an old master that goes on after a failover still renews what it has",
            NextStart::of(info).set("min-replicas-to-write 1"),
        );
    }
    facts.say(about, Severity::Warning, what).so(
        "a failover forgets grants that the promoted replica has not seen",
        format!(
            "the parameter ?ack=1 or {} in the URL of all programs; and {}",
            facts.guard_parameter(),
            NextStart::of(info).set("min-replicas-to-write 1")
        ),
    )
}

/// `None`: it has no replica, or does not tell.
fn lag(facts: &Facts, info: &Info) -> Option<Finding> {
    let replicas = info.replicas();
    let lags = replicas.iter().filter_map(|replica| Some((replica.lag()?, replica.address())));
    let (lag, last) = lags.max()?;
    let filling = replicas.iter().find(|replica| replica.field("state") != Some("online"));
    let (what, remedy) = match filling {
        Some(replica) => (
            format!("the replica {} is not filled yet", replica.address()),
            "wait until INFO replication says state=online; if it does not, look at both logs",
        ),
        None if lag > LAG_MAX => (
            format!("the replica {last} has acknowledged nothing for {}", shown(lag)),
            "look at its log and at its host: it may be stopped, overloaded or cut off",
        ),
        None => {
            let what = format!("all replicas have acknowledged within {}", shown(LAG_MAX));
            return Some(facts.say("lag", Severity::Ok, what));
        }
    };
    Some(facts.say("lag", Severity::Warning, what).so(
        "grants of that time are forgotten if it is promoted; with ack they wait for other \
         replicas, or are refused",
        remedy,
    ))
}

fn uptime(facts: &Facts, info: &Info) -> Finding {
    let about = "uptime";
    let Some(up) = info.number("uptime_in_seconds").map(Duration::from_secs) else {
        return facts.say(about, Severity::Unknown, "the server does not tell");
    };
    let what = format!("it has run for {}, as {}", shown(up), info.text("run_id").unwrap_or("?"));
    let keeps = info.text("aof_enabled") == Some("1");
    if up >= facts.ttl || keeps || facts.is_guarded() {
        return facts.say(about, Severity::Ok, what);
    }
    facts.say(about, Severity::Warning, what).so(
        format!(
            "leases of up to {} from before the restart may be forgotten, and held all the same",
            shown(facts.ttl)
        ),
        format!("wait until {} after its start", shown(facts.ttl)),
    )
}

fn promoted(facts: &Facts, info: &Info) -> Option<Finding> {
    let before = info.text("master_replid2")?;
    let is_promoted = before.bytes().any(|byte| byte != b'0');
    is_promoted.then(|| {
        let what = format!("it was a replica once (its replication id was {before})");
        facts.say("promotion", Severity::Note, what)
    })
}

fn guard(facts: &Facts) -> Finding {
    let about = "restart-guard";
    let span = facts.wanted.restart_guard;
    if span.is_zero() {
        return if facts.marker == Marker::Set {
            let what = "other programs use a restart guard there, and this URL does not";
            facts.say(about, Severity::Warning, what).so(
                "after a restart this program is granted what they still hold",
                format!("the parameter {} in this URL", facts.guard_parameter()),
            )
        } else {
            facts.say(about, Severity::Ok, "off (the URL has no restart_guard)")
        };
    }
    if span < facts.ttl {
        let what = format!("restart_guard={} is shorter than the longest ttl", typed(span));
        return facts.say(about, Severity::Error, what).so(
            format!("a ttl of {} is refused", shown(facts.ttl)),
            format!(
                "the parameter {} in the URL; for a quorum, max_ttl={} behind its nodes",
                facts.guard_parameter(),
                typed(facts.ttl)
            ),
        );
    }
    let what = format!("restart_guard={} is on, by the URL or by the quorum", typed(span));
    facts.say(about, Severity::Ok, what)
}

/// The guard that has not ended yet; `None`: nothing is held up by it.
fn guarded(facts: &Facts) -> Option<Finding> {
    let Guarded { known_for, left } = facts.guarded?;
    // Rounded up: after this time it has ended.
    let left = Duration::from_secs((left + Duration::from_millis(999)).as_secs());
    let known_for = Duration::from_secs(known_for.as_secs());
    let what = format!(
        "nothing new is granted here for another {}: the server's memory is known for {} only, \
         since it restarted, was emptied, or is new here",
        shown(left),
        shown(known_for)
    );
    Some(facts.say("restart-guard", Severity::Warning, what).so(
        "new locks wait, or are refused, and what is held is renewed all the same; a quorum grants \
         by the nodes whose guard has ended, if they are a majority",
        "wait: the guard ends by itself; if nobody has restarted or emptied the server, look at \
         its log",
    ))
}

fn rights(facts: &Facts) -> Finding {
    let about = "rights";
    let missing = match &facts.rights {
        Ok(missing) => &missing.0,
        Err(why) => return facts.say(about, Severity::Unknown, why),
    };
    if !missing.is_empty() {
        let what = format!("forbidden or unknown: {}", missing.join(", "));
        return facts.say(about, Severity::Error, what).so(
            "locks, or kinds of them, are refused",
            "tenure acl prints the rule that a user needs (rights to keys are not examined)",
        );
    }
    if facts.info.is_err() && (facts.is_guarded() || facts.wanted.ack) {
        return facts
            .say(about, Severity::Error, "INFO is forbidden")
            .so("a restart guard and ack need it", "ACL SETUSER NAME +info, then ACL SAVE");
    }
    if facts.save.is_some() {
        let what = "this user may use all commands that are needed, and CONFIG as well";
        return facts.say(about, Severity::Note, what).so(
            "whoever has its password can change the server",
            "tenure acl prints the least rule that is enough",
        );
    }
    facts.say(about, Severity::Ok, "this user may use all commands that are needed")
}

fn pushes(facts: &Facts) -> Finding {
    let about = "pushes";
    match &facts.pushes {
        Pushes::Arrive => facts.say(about, Severity::Ok, "waiters are told of their grants"),
        Pushes::Forbidden => facts
            .say(about, Severity::Warning, "subscribing to channels is forbidden or unknown")
            .so(
                "waiters ask at intervals instead of being told",
                "ACL SETUSER NAME +subscribe &tenure:inbox:*, then ACL SAVE",
            ),
        Pushes::Failed(why) => facts
            .say(about, Severity::Warning, format!("no message came through: {why}"))
            .so("waiters ask at intervals instead of being told", "see `rights` and the message"),
    }
}
