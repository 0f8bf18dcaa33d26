//! One contract, run for every kind of lock over every store in every topology. The table is in
//! `rows.rs`; a store or a kind of the library without a row makes a test fail here.

#![allow(clippy::disallowed_methods, reason = "tests measure time and limit it")]

mod cases;
mod every_store;
mod lasting;
mod lock;
mod nodes;
mod rows;
#[path = "../engine/store_wrapper.rs"]
mod store_wrapper;
mod world;
mod writes;

use std::collections::BTreeSet;

use rows::ROWS;

/// The kinds of locks that the library has, by the modules of the types that it shows.
fn kinds() -> BTreeSet<&'static str> {
    let map = include_str!("../../src/kinds/mod.rs");
    let name = |line: &'static str| Some(line.strip_prefix("pub use ")?.split_once("::")?.0);
    map.lines().filter_map(name).collect()
}

#[test]
fn every_kind_over_every_store_has_a_row() {
    assert!(kinds().contains("mutex"), "the map of kinds is read wrongly");
    for kind in kinds() {
        for store in tenure::stores() {
            let rows = ROWS.iter().filter(|r| r.kind == kind && r.store == store.scheme);
            let topologies: BTreeSet<_> = rows.map(|r| r.topology).collect();
            let wanted = BTreeSet::from(["one handle", "two handles"]);
            assert_eq!(topologies, wanted, "rows of {kind} over {}", store.scheme);
        }
    }
}

#[test]
fn every_row_belongs_to_a_store_and_a_kind() {
    for row in ROWS {
        assert!(kinds().contains(row.kind), "no such kind: {row:?}");
        let known = tenure::stores().iter().any(|s| s.scheme == row.store);
        assert!(known, "no such store: {row:?}");
    }
}
