//! The rights that Tenure needs of a server: the least rule for its ACL. SAFETY.md shows the same
//! rules, and a test compares them.

/// The parts of Tenure that a user may use.
///
/// ```
/// use tenure::store::Rights;
///
/// let rule = Rights::default().with_prefix("jobs:").rule();
/// assert!(rule.starts_with("resetchannels &tenure:inbox:* ~jobs:* ~tenure:{jobs:*}:* "));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a feature by itself")]
pub struct Rights {
    prefix: String,
    is_cluster: bool,
    only_looks: bool,
    ack: bool,
    restart_guard: bool,
    database: bool,
}

/// The commands of scripts that look.
const LOOKS: [&str; 11] = [
    "time", "type", "mget", "pttl", "hgetall", "hlen", "hmget", "zcard", "zrange", "zrank",
    "zscore",
];

/// The commands of scripts, in the order of the rules.
pub(super) const IN_SCRIPTS: [&str; 21] = [
    "time",
    "type",
    "mget",
    "set",
    "del",
    "pexpire",
    "pttl",
    "hget",
    "hgetall",
    "hlen",
    "hmget",
    "hset",
    "hdel",
    "zadd",
    "zcard",
    "zpopmin",
    "zrange",
    "zrangebyscore",
    "zrank",
    "zrem",
    "zremrangebyscore",
];

impl Default for Rights {
    /// All features, for all keys of one server.
    fn default() -> Self {
        Self {
            prefix: String::new(),
            is_cluster: false,
            only_looks: false,
            ack: true,
            restart_guard: true,
            database: true,
        }
    }
}

impl Rights {
    /// Only for the keys that begin with this; default: all keys. The name is the one that the
    /// server knows, so `key_template` plays its part in it.
    #[must_use]
    pub fn with_prefix(mut self, prefix: &str) -> Self {
        prefix.clone_into(&mut self.prefix);
        self
    }

    /// For the nodes of a cluster, as `redis+cluster://` meets them.
    #[must_use]
    pub fn in_cluster(mut self) -> Self {
        self.is_cluster = true;
        self
    }

    /// For `tenure status` and `tenure list` alone: nothing can be locked.
    #[must_use]
    pub fn only_looks(mut self) -> Self {
        self.only_looks = true;
        self
    }

    /// Without `?ack=N`.
    #[must_use]
    pub fn without_ack(mut self) -> Self {
        self.ack = false;
        self
    }

    /// Without `?restart_guard=DUR`, and so not for a quorum's nodes.
    #[must_use]
    pub fn without_restart_guard(mut self) -> Self {
        self.restart_guard = false;
        self
    }

    /// Without another database than 0.
    #[must_use]
    pub fn without_database(mut self) -> Self {
        self.database = false;
        self
    }

    /// The rule for `ACL SETUSER NAME on >PASSWORD`, in one line.
    #[must_use]
    pub fn rule(&self) -> String {
        let mut words = vec!["resetchannels".to_owned()];
        if !self.only_looks {
            words.push("&tenure:inbox:*".to_owned());
        }
        words.extend(self.keys());
        words.push("-@all".to_owned());
        words.extend(self.commands().iter().map(|command| format!("+{command}")));
        words.join(" ")
    }

    fn keys(&self) -> Vec<String> {
        if self.prefix.is_empty() {
            // A server takes no pattern beside it.
            return vec!["~*".to_owned()];
        }
        let own = escaped(&self.prefix);
        let mut keys = vec![format!("~{own}*"), format!("~tenure:{{{own}*}}:*")];
        let of_slot = if self.is_cluster { ":{*}" } else { "" };
        if self.is_cluster {
            keys.push(format!("~tenure:{{*}}:?{own}*"));
        }
        keys.push(format!("~tenure:?fence{of_slot}"));
        if !self.only_looks {
            keys.push(format!("~tenure:?calls:{}*", if self.is_cluster { "{*}:" } else { "" }));
        }
        if self.restart_guard {
            keys.push(format!("~tenure:?known{of_slot}"));
        }
        keys
    }

    /// The commands, in the order of the rules.
    fn commands(&self) -> Vec<&'static str> {
        let mut commands = vec!["ping"];
        if self.is_cluster {
            commands.extend(["asking", "cluster|slots"]);
            if self.restart_guard {
                commands.push("cluster|myid");
            }
        } else if self.database {
            commands.push("select");
        }
        commands.extend(["evalsha", "eval"]);
        // A step of a cluster's names no keys, so it is no call that only reads.
        if self.only_looks && !self.is_cluster {
            commands.push("eval_ro");
        }
        if self.ack && !self.only_looks {
            commands.push("wait");
        }
        if !self.only_looks {
            commands.extend(["subscribe", "publish"]);
        }
        commands.push("scan");
        if self.ack || self.restart_guard {
            commands.push("info");
        }
        if self.only_looks {
            commands.extend(LOOKS);
        } else {
            commands.extend(IN_SCRIPTS);
            commands.push("zscore");
        }
        commands
    }
}

/// The rule for a user at the Sentinels.
#[must_use]
pub fn sentinel_rule() -> &'static str {
    "resetchannels &+switch-master -@all +ping +subscribe +sentinel|get-master-addr-by-name"
}

/// A text as a part of a pattern that matches it alone.
fn escaped(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for char in text.chars() {
        if matches!(char, '*' | '?' | '[' | ']' | '\\') {
            pattern.push('\\');
        }
        pattern.push(char);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rules in SAFETY.md, in one line each.
    fn documented(user: &str) -> Vec<String> {
        let text = include_str!("../../../../../SAFETY.md");
        let begin = format!("user {user} ");
        let rules = text.split(&begin).skip(1);
        let rules = rules.map(|rule| rule.split("```").next().unwrap_or_default());
        rules.map(|rule| rule.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }

    #[test]
    fn safety_shows_the_rules() {
        let of = |rights: Rights| format!("on >PASSWORD {}", rights.with_prefix("jobs:").rule());
        let rules = [of(Rights::default()), of(Rights::default().in_cluster())];
        assert_eq!(documented("tenure"), rules);
        let asks = format!("on >PASSWORD {}", sentinel_rule());
        assert_eq!(documented("tenure-asks"), [asks]);
    }

    #[test]
    fn a_feature_that_is_left_out_takes_its_rights_along() {
        let less = Rights::default().without_ack().without_restart_guard().without_database();
        let rule = less.rule();
        for word in ["+wait", "+info", "+select", "known"] {
            assert!(!rule.contains(word), "{word} is in {rule}");
        }
        assert!(rule.contains("resetchannels &tenure:inbox:* ~* -@all"), "{rule}");
        let less = Rights::default().in_cluster().without_restart_guard().rule();
        assert!(!less.contains("myid") && !less.contains("known"), "{less}");
        let looks = Rights::default().with_prefix("jobs:").only_looks().rule();
        for word in ["+set", "+del", "+hset", "+publish", "+subscribe", "+wait", "calls", "inbox"] {
            assert!(!looks.contains(word), "{word} is in {looks}");
        }
        assert!(Rights::default().with_prefix("a*b").rule().contains(r"~a\*b* "));
    }
}
