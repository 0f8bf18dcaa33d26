//! Where the parts of a key live on the server. It names keys and never touches them.
//!
//! No part of a lock is called like a part of another, or like what is kept for all locks: names
//! of which that is not so are refused (property test `no_name_is_used_twice`).

use std::borrow::Cow;

use crate::types::Key;

use super::slots::{Slot, hash_tag, number_of, slot_of};
use super::words::Words;

/// How the lock's own name is made from a key: a text with `{name}` in it once.
///
/// The default is `{name}`: the lock stands under the very name that other libraries would use,
/// so that it excludes them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Template {
    before: String,
    after: String,
    scope: Scope,
}

/// The keys of a server that one command can reach.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Scope {
    /// All of them: it is a single server.
    #[default]
    Server,
    /// Those of one hash slot: it is a node of a cluster.
    Slot,
}

/// The largest fence of all locks without a record. Neither a key nor a template has a control
/// character, so that no lock is called like this.
pub(super) const FENCE: &str = "tenure:\u{1}fence";
/// The marker of the restart guard, without a ttl. A server that forgets its keys forgets it too,
/// and each run of a server replaces that of the run before.
pub(super) const MARKER: &str = "tenure:\u{1}known";
/// The marker of a node of a cluster, in one of its slots.
pub(super) fn marker_of(slot: Slot) -> String {
    format!("{MARKER}:{{{}}}", number_of(slot))
}

/// The beginning of the keys with the number of each sender's last call; the sender follows.
pub(super) const CALLS: &str = "tenure:\u{1}calls:";

/// Stands between the number of a slot and a lock. Neither a key nor a template has a control
/// character.
const BEHIND_NUMBER: &str = "}:\u{2}";

/// The placeholder of the key in a template.
const NAME: &str = "{name}";
/// The parts of a lock beside the lock itself, each under a name of its own.
const PARTS: [&str; 5] = ["record", "queue", "places", "alive", "buried"];

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// Why it is none, without repeating it: it stands in a URL.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let once = "key_template must have {name} in it exactly once, as in lock:{name}";
        let (before, after) = text.split_once(NAME).ok_or(once)?;
        if after.contains(NAME) {
            return Err(once);
        }
        if text.chars().any(char::is_control) {
            return Err(
                "key_template has a control character in it (%00 to %1F, %7F): names with \
                        one are Tenure's own",
            );
        }
        let ends_as_part = |begin: &str| {
            let ends = |part| after.strip_suffix(part).is_some_and(|rest| rest.ends_with(begin));
            PARTS.into_iter().any(ends)
        };
        if ends_as_part(":tenure:") || (before.starts_with("tenure:{") && ends_as_part("}:")) {
            return Err("key_template gives a lock the name under which Tenure keeps another \
                        lock's queue or record: choose one that does not end in :queue, :record \
                        and the like");
        }
        Ok(Self { before: before.into(), after: after.into(), scope: Scope::Server })
    }

    /// The same for a store whose servers have this scope.
    pub(super) fn within(self, scope: Scope) -> Self {
        Self { scope, ..self }
    }

    pub(super) fn scope(&self) -> Scope {
        self.scope
    }

    /// The hash slot of all parts of a key.
    pub(super) fn slot(&self, key: &Key) -> Slot {
        slot_of(&self.lock_of(key))
    }

    /// The names of what is kept for all locks and for the calls of `sender`: once for
    /// a server, or for each slot.
    pub(super) fn own_names(&self, sender: &str, key: &Key, words: &mut Words) {
        match self.scope {
            Scope::Server => words.text(FENCE).join([CALLS, sender]),
            Scope::Slot => {
                let number = number_of(self.slot(key)).to_string();
                words.join([FENCE, ":{", &number, "}"]).join([CALLS, "{", &number, "}:", sender])
            }
        };
    }

    /// Refuses a key whose lock would be called like a part of another lock.
    pub(super) fn check(&self, key: &Key) -> Result<(), String> {
        let lock = self.lock_of(key);
        let Some((other, part)) = part_of(&lock) else { return Ok(()) };
        Err(format!(
            "{lock:?} is the name under which this store keeps the {part} of the lock {other:?}, \
             which locking it would destroy; choose another key, one that does not end in \
             :{part}"
        ))
    }

    fn lock_of<'a>(&self, key: &'a Key) -> Cow<'a, str> {
        if self.before.is_empty() && self.after.is_empty() {
            return key.as_str().into();
        }
        [self.before.as_str(), key.as_str(), self.after.as_str()].concat().into()
    }

    /// The names of all parts of a key.
    #[inline]
    pub(super) fn names(&self, key: &Key) -> Names {
        let lock = self.lock_of(key).into_owned();
        debug_assert_eq!(part_of(&lock), None, "refused before it is sent");
        let tag = if hash_tag(&lock).is_some() {
            Tag::OfLock
        } else if self.scope == Scope::Slot && lock.contains('}') {
            Tag::OfSlot(number_of(slot_of(&lock)).to_string())
        } else {
            Tag::Lock
        };
        Names { tag, lock }
    }

    /// How many bytes of a lock's name stand before and behind its key.
    pub(super) fn around(&self) -> (usize, usize) {
        (self.before.len(), self.after.len())
    }

    /// The key whose lock has this name, if it is no part of another one.
    pub(super) fn key_of_lock(&self, lock: &str) -> Option<Key> {
        if part_of(lock).is_some() {
            return None;
        }
        Key::new(lock.strip_prefix(&*self.before)?.strip_suffix(&*self.after)?).ok()
    }

    /// The key whose record has this name.
    pub(super) fn key_of_record(&self, record: &str) -> Option<Key> {
        let (lock, part) = part_of(record)?;
        (part == PARTS[0]).then(|| self.key_of_lock(lock))?
    }
}

/// The server's keys of one key of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Names {
    /// The key of the lock, which other libraries use too.
    lock: String,
    tag: Tag,
}

/// The hash tag that leads the other parts to the lock's slot.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Tag {
    /// The lock has one.
    OfLock,
    /// The lock itself is one.
    Lock,
    /// A number of the slot: a brace in the lock's name would end the tag too early.
    OfSlot(String),
}

impl Names {
    /// The key of the lock, which other libraries use too.
    #[inline]
    pub(super) fn lock(&self, words: &mut Words) -> &Self {
        words.text(&self.lock);
        self
    }

    /// The record of the lock.
    #[inline]
    pub(super) fn record(&self, words: &mut Words) -> &Self {
        words.join(self.sibling(PARTS[0]));
        self
    }

    /// The queue, the places in it and the times when they end.
    #[inline]
    pub(super) fn queue(&self, words: &mut Words) -> &Self {
        PARTS[1..4].iter().for_each(|part| _ = words.join(self.sibling(part)));
        self
    }

    /// The owners that are refused.
    pub(super) fn buried(&self, words: &mut Words) {
        words.join(self.sibling(PARTS[4]));
    }

    /// Siblings hash to the lock's slot. (Redis Cluster specification, *Hash tags*.)
    fn sibling<'a>(&'a self, part: &'a str) -> [&'a str; 6] {
        match &self.tag {
            Tag::OfLock => [&self.lock, ":tenure:", part, "", "", ""],
            Tag::Lock => ["tenure:{", &self.lock, "}:", part, "", ""],
            Tag::OfSlot(number) => ["tenure:{", number, BEHIND_NUMBER, &self.lock, ":", part],
        }
    }
}

/// Which lock keeps which of its parts under this name, if any does: the other way of
/// [`Names::sibling`].
fn part_of(name: &str) -> Option<(&str, &'static str)> {
    let (rest, last) = name.rsplit_once(':')?;
    let part = PARTS.into_iter().find(|part| *part == last)?;
    let is_tagged = |lock: &str| hash_tag(lock).is_some();
    let behind_tag = rest.strip_prefix("tenure:{");
    let numbered = behind_tag.and_then(|rest| rest.split_once(BEHIND_NUMBER));
    let numbered = numbered.filter(|(number, _)| number.bytes().all(|b| b.is_ascii_digit()));
    let untagged = behind_tag.and_then(|rest| rest.strip_suffix('}'));
    let untagged = untagged.filter(|lock| !lock.is_empty() && !is_tagged(lock));
    let tagged = rest.strip_suffix(":tenure").filter(|lock| is_tagged(lock));
    numbered.map(|(_, lock)| lock).or(untagged).or(tagged).map(|lock| (lock, part))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn record(template: &Template, key: &str) -> String {
        template.names(&Key::new(key).expect("a key")).sibling("record").concat()
    }

    #[test]
    fn siblings_keep_the_slot() {
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
            for key in ["a", "{a}", "a b", "x:{y}:z", "📈", "}", "a:tenure:record"] {
                let found = template.key_of_record(&record(&template, key));
                assert_eq!(found.expect(key).as_str(), key, "under {text}");
            }
        }
        for name in ["tenure:{a}:queue", "a:tenure:record", "tenure:{}:record", "{a}:record"] {
            assert_eq!(Template::default().key_of_record(name), None, "{name}");
        }
    }

    #[test]
    fn a_template_that_names_what_is_not_its_own_is_refused() {
        for (text, word) in [
            ("lock", "{name}"),
            ("{name}{name}", "{name}"),
            ("tenure:\u{1}{name}", "control character"),
            ("{name}\n", "control character"),
            ("tenure:{{name}}:record", ":record"),
            ("tenure:{a{name}b}:buried", ":queue"),
            ("{{name}}:tenure:queue", ":queue"),
        ] {
            let why = Template::parse(text).expect_err(text);
            assert!(why.contains(word), "{text:?}: {why}");
        }
        for text in ["tenure:{name}", "{name}:record", "tenure:{{name}}", "tenure:{{name}}:lock"] {
            assert!(Template::parse(text).is_ok(), "{text:?}");
        }
    }

    /// `steal("tenure:{a}:record")` once cost the holder of `a` its lease.
    #[test]
    fn a_name_that_meets_another_lock_is_refused_and_harmless_ones_are_not() {
        let check = |text: &str, key: &str| {
            let template = Template::parse(text).expect("a template");
            template.check(&Key::new(key).expect("a key"))
        };
        for part in PARTS {
            for (template, key, other) in [
                ("{name}", format!("tenure:{{a}}:{part}"), "a"),
                ("{name}", format!("{{a}}:b:tenure:{part}"), "{a}:b"),
                ("tenure:{name}", format!("{{a}}:{part}"), "a"),
                ("{name}:tenure", format!("{{a}}:tenure:{part}"), ""),
                (":{name}", format!("{{a}}:tenure:{part}"), ":{a}"),
            ] {
                let refused = check(template, &key);
                match refused {
                    Err(why) => assert!(why.contains(&format!("the lock {other:?}")), "{why}"),
                    Ok(()) => assert_eq!(other, "", "{template} {key}"),
                }
            }
        }
        for key in [
            "tenure",
            "tenure:",
            "tenure:a",
            "tenure:{a}",
            "tenure:{a}:lock",
            "a:tenure:record",
            "tenure:{}:record",
            "a:record",
            "{a}:record",
            "tenure:inbox:1",
            "tenure:{a}:record:x",
        ] {
            check("{name}", key).unwrap_or_else(|why| panic!("{key}: {why}"));
        }
    }

    /// All that stands on the server for a key.
    fn all_names(names: &Names) -> Vec<String> {
        let mut words = Words::default();
        names.lock(&mut words).record(&mut words).queue(&mut words).buried(&mut words);
        words.iter().map(|word| String::from_utf8(word.to_vec()).expect("text")).collect()
    }

    /// Pieces of which names meet each other more often than by chance.
    fn pieces() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("tenure"),
            Just(":"),
            Just("{"),
            Just("}"),
            Just("a"),
            Just("{a}"),
            Just(":tenure:"),
            Just("tenure:{"),
            Just("}:"),
            Just("record"),
            Just("queue"),
            Just("\u{1}"),
            Just("fence"),
            Just("calls:"),
            Just("known"),
            Just("inbox:"),
        ];
        prop::collection::vec(piece, 0..7).prop_map(|pieces| pieces.concat())
    }

    /// A lock as a program would have it with this template and key, if it may.
    fn lock(template: &str, key: &str, scope: Scope) -> Option<Names> {
        let (template, key) = (Template::parse(template).ok()?.within(scope), Key::new(key).ok()?);
        template.check(&key).ok().map(|()| template.names(&key))
    }

    fn scopes() -> impl Strategy<Value = Scope> {
        prop_oneof![Just(Scope::Server), Just(Scope::Slot)]
    }

    fn locks(scope: Scope) -> impl Strategy<Value = Option<Names>> {
        // A half have one template, as programs that know each other.
        let text = prop_oneof![
            Just("{name}".to_owned()),
            (pieces(), pieces()).prop_map(|(before, after)| format!("{before}{{name}}{after}")),
        ];
        (text, pieces()).prop_map(move |(text, key)| lock(&text, &key, scope))
    }

    /// Somebody who wants to lock one of a lock's six names: by a template that has the beginning
    /// and the end of it, and a key that has the rest.
    fn intruder(
        victim: &Names,
        (part, scope): (usize, Scope),
        cuts: (usize, usize),
    ) -> Option<Names> {
        let name = &all_names(victim)[part];
        let (from, to) = (cuts.0 % (name.len() + 1), cuts.1 % (name.len() + 1));
        let (from, to) = (from.min(to), from.max(to));
        let template = format!("{}{{name}}{}", name.get(..from)?, name.get(to..)?);
        lock(&template, name.get(from..to)?, scope)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// One command may reach all that a step needs.
        #[test]
        fn all_names_of_a_lock_are_of_one_slot(
            (text, key) in (prop_oneof![Just("{name}"), Just("a{{name}}")], pieces()),
        ) {
            let (Ok(template), Ok(key)) = (Template::parse(text), Key::new(key)) else {
                return Ok(());
            };
            let template = template.within(Scope::Slot);
            if template.check(&key).is_ok() {
                let mut words = Words::default();
                template.own_names("sender", &key, &mut words);
                let own = words.iter().map(|word| String::from_utf8_lossy(word).into_owned());
                for name in own.chain(all_names(&template.names(&key))) {
                    prop_assert_eq!(slot_of(&name), template.slot(&key), "{:?}", name);
                }
            }
        }

        /// Two locks, of programs with any two templates, are one lock or share no name; and none
        /// has a name of what is kept for all.
        #[test]
        fn no_name_is_used_twice(
            (scope, locks) in scopes().prop_flat_map(|scope| {
                (Just(scope), prop::collection::vec(locks(scope), 2..8))
            }),
            wants in prop::collection::vec((0_usize..8, 0_usize..6, any::<(usize, usize)>()), 4),
        ) {
            let mut locks: Vec<_> = locks.into_iter().flatten().collect();
            for (victim, part, cuts) in wants {
                let victim = locks.get(victim);
                locks.extend(victim.and_then(|victim| intruder(victim, (part, scope), cuts)));
            }
            let mut users = HashMap::new();
            for names in &locks {
                let all = all_names(names);
                prop_assert_eq!(all.len(), 6);
                for name in all {
                    prop_assert!(!name.contains('\u{1}'), "a name of what is for all: {:?}", name);
                    let user = users.entry(name.clone()).or_insert(&names.lock);
                    prop_assert_eq!(*user, &names.lock, "{:?} is of both", name);
                }
            }
        }
    }

    #[test]
    fn what_is_for_all_locks_has_a_control_character_in_its_name() {
        for name in [FENCE, CALLS, MARKER] {
            assert!(name.contains('\u{1}'), "{name:?}");
        }
    }
}
