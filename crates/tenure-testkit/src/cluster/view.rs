//! One node's view of its cluster, as `CLUSTER NODES` writes it. A view may be wrong: it is the
//! view of that node.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// The lines of `CLUSTER NODES`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View {
    pub(super) members: Vec<Member>,
}

/// One line of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) id: String,
    /// Such as `myself`, `master`, `slave`, `fail?`, `fail`, `handshake`, `noaddr`.
    pub(super) flags: Vec<String>,
    /// The id of its master, if it is a replica.
    pub(super) master: Option<String>,
    pub(super) epoch: u64,
    /// Whether the bus between the two is connected.
    pub(super) linked: bool,
    pub(super) slots: Vec<RangeInclusive<u16>>,
}

impl Member {
    pub(super) fn is(&self, flag: &str) -> bool {
        self.flags.iter().any(|own| own == flag)
    }

    pub(super) fn owns(&self, slot: u16) -> bool {
        self.is("master") && self.slots.iter().any(|range| range.contains(&slot))
    }
}

impl View {
    /// # Panics
    /// If this is not what `CLUSTER NODES` answers.
    pub(super) fn parse(text: &str) -> Self {
        let members = text.lines().filter(|line| !line.is_empty()).map(member).collect();
        Self { members }
    }

    /// The node that was asked.
    pub(super) fn own(&self) -> &Member {
        self.members.iter().find(|member| member.is("myself")).expect("a node lists itself")
    }

    pub(super) fn member(&self, id: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.id == id)
    }

    /// Each range of slots and its owner.
    pub(super) fn owners(&self) -> BTreeMap<(u16, u16), &str> {
        let all = self.members.iter().filter(|member| member.is("master"));
        let ranges = all.flat_map(|member| member.slots.iter().map(move |range| (range, member)));
        ranges.map(|(range, member)| ((*range.start(), *range.end()), &*member.id)).collect()
    }
}

fn member(line: &str) -> Member {
    // id address flags master ping pong epoch link slots...
    let words: Vec<_> = line.split(' ').collect();
    assert!(words.len() >= 8, "this is no line of CLUSTER NODES: {line:?}");
    Member {
        id: words[0].to_owned(),
        flags: words[2].split(',').map(str::to_owned).collect(),
        master: (words[3] != "-").then(|| words[3].to_owned()),
        epoch: words[6].parse().expect("an epoch"),
        linked: words[7] == "connected",
        slots: words[8..].iter().filter_map(|word| range(word)).collect(),
    }
}

/// `7`, `0-5460`; none for a slot in transit (`[7->-ID]`), which its owner has among the others.
fn range(word: &str) -> Option<RangeInclusive<u16>> {
    if word.starts_with('[') {
        return None;
    }
    let (first, last) = word.split_once('-').unwrap_or((word, word));
    Some(first.parse().expect("a slot")..=last.parse().expect("a slot"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_is_read_from_the_lines_of_a_node() {
        let view = View::parse(
            "aa 127.0.0.1:1@2 myself,master - 0 0 3 connected 0-5460 7000 [7->-bb]\n\
             bb 127.0.0.1:3@4,,shard-id=x master,fail? - 0 1 2 disconnected 5461-5462\n\
             cc 127.0.0.1:5@6 slave aa 0 1 3 connected\n",
        );
        assert_eq!(view.own().id, "aa");
        assert_eq!(view.own().epoch, 3);
        assert!(view.own().owns(5460) && view.own().owns(7000) && !view.own().owns(5461));
        assert!(view.member("bb").is_some_and(|bb| bb.is("fail?") && !bb.linked));
        assert_eq!(view.member("cc").unwrap().master.as_deref(), Some("aa"));
        let owners = [((0, 5460), "aa"), ((5461, 5462), "bb"), ((7000, 7000), "aa")];
        assert_eq!(view.owners(), owners.into());
    }
}
