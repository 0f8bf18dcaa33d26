//! Where the parts of a key live on the server. It names keys and never touches them.

use crate::words::Key;

use super::wire::Words;

/// How the lock's own name is made from a key: a text with `{name}` in it once.
///
/// The default is `{name}`: the lock stands under the very name that other libraries would use,
/// so that it excludes them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Template {
    before: String,
    after: String,
}

/// The largest fence of all locks without a record. A key of ours has no control character, so
/// that no lock is called like this.
pub(super) const FENCE: &str = "tenure:\u{1}fence";
/// What is counted of each sender's calls; behind it stands who the sender is.
pub(super) const CALLS: &str = "tenure:\u{1}calls:";

/// What stands for the key in a template.
const NAME: &str = "{name}";

impl Template {
    /// Reads a template; `None` unless it contains `{name}` exactly once.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (before, after) = text.split_once(NAME)?;
        if after.contains(NAME) {
            return None;
        }
        Some(Self { before: before.into(), after: after.into() })
    }

    /// The names of all parts of a key.
    pub(super) fn names(&self, key: &Key) -> Names {
        let lock = [self.before.as_str(), key.as_str(), self.after.as_str()].concat();
        Names { is_tagged: is_tagged(&lock), lock }
    }

    /// How many bytes of a lock's name stand before and behind its key.
    pub(super) fn around(&self) -> (usize, usize) {
        (self.before.len(), self.after.len())
    }

    /// The key whose lock has this name.
    pub(super) fn key_of_lock(&self, lock: &str) -> Option<Key> {
        Key::new(lock.strip_prefix(&*self.before)?.strip_suffix(&*self.after)?).ok()
    }

    /// The key whose record has this name.
    pub(super) fn key_of_record(&self, record: &str) -> Option<Key> {
        let in_front = record.strip_prefix("tenure:{").and_then(|r| r.strip_suffix("}:record"));
        let behind = record.strip_suffix(":tenure:record");
        // Both may fit, since a key may be called like a record: only one leads there.
        [in_front, behind].into_iter().flatten().find_map(|lock| {
            let name = lock.strip_prefix(&*self.before)?.strip_suffix(&*self.after)?;
            let key = Key::new(name).ok()?;
            (self.names(&key).record_name() == record).then_some(key)
        })
    }
}

/// The server's keys of one key of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Names {
    /// What other libraries use.
    lock: String,
    /// Whether it has a hash tag.
    is_tagged: bool,
}

impl Names {
    /// What other libraries use.
    pub(super) fn lock(&self, words: &mut Words) -> &Self {
        words.text(&self.lock);
        self
    }

    /// What else is known of the key.
    pub(super) fn record(&self, words: &mut Words) -> &Self {
        words.join(self.sibling("record"));
        self
    }

    /// Those that are used when the record does not say everything, in the script's order.
    pub(super) fn other_four(&self, words: &mut Words) {
        for part in ["queue", "places", "alive", "buried"] {
            words.join(self.sibling(part));
        }
    }

    fn record_name(&self) -> String {
        self.sibling("record").concat()
    }

    /// Siblings hash to the lock's slot: they keep its hash tag if it has one, and make it their
    /// hash tag if it has none. (Redis Cluster specification, *Hash tags*.)
    fn sibling<'a>(&'a self, part: &'a str) -> [&'a str; 4] {
        if self.is_tagged {
            ["", &self.lock, ":tenure:", part]
        } else {
            ["tenure:{", &self.lock, "}:", part]
        }
    }
}

fn is_tagged(lock: &str) -> bool {
    lock.split_once('{')
        .and_then(|(_, rest)| rest.split_once('}'))
        .is_some_and(|(tag, _)| !tag.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(template: &Template, key: &str) -> String {
        template.names(&Key::new(key).expect("a key")).record_name()
    }

    #[test]
    fn siblings_keep_the_slot_and_never_meet_those_of_another_key() {
        let plain = Template::default();
        assert_eq!(record(&plain, "a"), "tenure:{a}:record");
        assert_eq!(record(&plain, "{a}"), "{a}:tenure:record");
        assert_eq!(record(&plain, "{a}:b"), "{a}:b:tenure:record");
        assert_eq!(record(&plain, "{}a"), "tenure:{{}a}:record");
    }

    #[test]
    fn a_record_leads_back_to_its_key() {
        for text in ["{name}", "lock:{name}", "{{name}}:lock"] {
            let template = Template::parse(text).expect("a template");
            for key in ["a", "{a}", "a b", "x:{y}:z", "📈", "}", "tenure:{a}:record"] {
                let found = template.key_of_record(&record(&template, key));
                assert_eq!(found.expect(key).as_str(), key, "under {text}");
            }
        }
        assert_eq!(Template::parse("lock"), None);
        assert_eq!(Template::parse("{name}{name}"), None);
        assert_eq!(Template::default().key_of_record("tenure:{a}:queue"), None);
    }
}
