//! Tries the commands of the scripts on a key that does not exist, within one script, so that
//! nothing of it is ever seen. A server checks the right to a command before that to its key.

use std::fmt::Write as _;

use super::super::client::{Command, Value};
use super::super::node::Node;
use super::super::question;
use super::super::rights::IN_SCRIPTS;
use super::facts::{Group, Missing, Wanted};

/// The name of the key. No lock has a control character in its name.
const KEY: &str = "tenure:\u{1}doctor";

/// The hash of no script.
const NO_SCRIPT: &str = "0000000000000000000000000000000000000000";

/// The words behind the key of a command that then changes nothing, or is undone.
fn words_of(command: &str) -> &'static [&'static str] {
    match command {
        "set" => &["1", "XX", "PX", "1"],
        "pexpire" => &["1"],
        "hget" | "hmget" | "hdel" | "zrank" | "zrem" | "zscore" => &["x"],
        "hset" => &["x", "1"],
        "zadd" => &["XX", "1", "x"],
        "zrange" | "zrangebyscore" | "zremrangebyscore" => &["0", "0"],
        _ => &[],
    }
}

/// A script that answers a list: the name of each command, and its error or an empty text.
fn script() -> String {
    let mut script = "local out = {}\nlocal function try(name, ...)\n\
                      local r = redis.pcall(...)\n\
                      out[#out + 1] = name\n\
                      out[#out + 1] = type(r) == 'table' and r.err or ''\n\
                      return out[#out]\nend\n\
                      local k = ARGV[1]\n"
        .to_owned();
    for command in IN_SCRIPTS.into_iter().chain(["zscore", "publish"]) {
        let key = match command {
            "time" => "",
            "publish" => ", 'tenure:inbox:doctor', ''",
            _ => ", k",
        };
        let words: String = words_of(command).iter().map(|word| format!(", '{word}'")).collect();
        // Writing to a text does not fail.
        let _ = match command {
            "del" => writeln!(script, "local del = try('del', 'del', k)"),
            // It makes the key, which must go again.
            "hset" => {
                writeln!(script, "if not del:find('run th') then try('hset', 'hset', k{words}) end")
            }
            _ => writeln!(script, "try('{command}', '{command}'{key}{words})"),
        };
    }
    script + "redis.pcall('del', k)\nreturn out"
}

/// The commands that are forbidden, or that the server does not know; an error where it does not
/// say.
pub(super) async fn missing(node: &Node, wanted: Wanted) -> Result<Missing, String> {
    let mut missing = beside_scripts(node, wanted).await;
    let source = script();
    match node.link.command(&Command::of(&["EVAL", &source, "0", KEY])).await {
        Ok(Value::Array(answers)) => {
            let texts: Vec<_> = answers.iter().filter_map(super::text_of).collect();
            missing.extend(texts.chunks_exact(2).filter(|pair| is_missing(&pair[1])).map(|pair| {
                match &*pair[0] {
                    "publish" => "publish (to &tenure:inbox:*)".to_owned(),
                    name => name.to_owned(),
                }
            }));
        }
        Ok(_) => return Err("EVAL was answered with something else".to_owned()),
        Err(failure) if failure.is_forbidden() || failure.is_unknown_command() => {
            missing.push("eval".to_owned());
        }
        Err(failure) => return Err(failure.to_string()),
    }
    Ok(Missing(missing))
}

/// The commands beside those of scripts that are forbidden, or that the server does not know.
async fn beside_scripts(node: &Node, wanted: Wanted) -> Vec<String> {
    let mut tried = vec![&["EVALSHA", NO_SCRIPT, "0"][..], &["SCAN", "0", "COUNT", "1"]];
    if wanted.ack {
        tried.push(&["WAIT", "0", "0"]);
    }
    if wanted.group == Group::Cluster {
        tried.push(&["CLUSTER", "SLOTS"]);
        if !wanted.restart_guard.is_zero() {
            tried.push(&["CLUSTER", "MYID"]);
        }
    }
    let mut missing = Vec::new();
    for words in tried {
        let answer = node.link.command(&Command::of(words)).await;
        if answer.is_err_and(|failure| failure.is_forbidden() || failure.is_unknown_command()) {
            let name = if words[0] == "CLUSTER" { words.join("|") } else { words[0].to_owned() };
            missing.push(name.to_lowercase());
        }
    }
    // By itself: it would change the meaning of what a caller sends next.
    if wanted.group == Group::Cluster
        && question::answer(&node.server, &["ASKING"]).await.is_err_and(|e| e.is_forbidden())
    {
        missing.push("asking".to_owned());
    }
    missing
}

/// Whether the error of a command within a script says that it may not be used, or is not there.
fn is_missing(error: &str) -> bool {
    [
        // Redis 6.2 and 7.0.
        "can't run this command",
        // Later ones, and Valkey.
        "has no permissions to run",
        "no permissions to run the",
        "Unknown Redis command",
        "Unknown command called from script",
        // A channel.
        "channel",
    ]
    .iter()
    .any(|words| error.contains(words))
}

/// Sends a message to an inbox from within a script, as a release does, and answers how many have
/// got it.
pub(super) async fn reached(node: &Node, address: &str) -> Result<i64, String> {
    let script = "return redis.call('publish', ARGV[1], '')";
    match node.link.command(&Command::of(&["EVAL", script, "0", address])).await {
        Ok(Value::Int(count)) => Ok(count),
        Ok(_) => Err("PUBLISH was answered with something else".to_owned()),
        Err(failure) => Err(failure.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_every_kind_of_server_are_known() {
        for error in [
            "ERR The user executing the script can't run this command or subcommand script: x",
            "ERR ACL failure in script: User bob has no permissions to run the 'hset' command",
            "ERR Unknown Redis command called from script script: x",
            "ERR ACL failure in script: No permissions to access a channel",
        ] {
            assert!(is_missing(error), "{error}");
        }
        for error in ["", "ERR ACL failure in script: No permissions to access a key", "READONLY x"]
        {
            assert!(!is_missing(error), "{error}");
        }
        assert!(script().contains("try('set', 'set', k, '1', 'XX', 'PX', '1')"));
    }
}
