//! The model without a screen.

use super::super::row::sample::{held, row, waiter};
use super::*;

fn at(seconds: u64) -> Moment {
    Moment::from_micros(seconds * 1_000_000)
}

fn of(rows: Vec<Row>) -> Model {
    let mut model = Model::new();
    looks(&mut model, rows, 1);
    model.fit(10);
    model
}

fn looks(model: &mut Model, rows: Vec<Row>, second: u64) {
    model.begin(at(second));
    model.arrive(rows, at(second));
    model.complete(at(second));
}

fn keys(model: &Model) -> Vec<&str> {
    model.visible().map(|row| row.key.as_str()).collect()
}

fn chosen(model: &Model) -> Option<&str> {
    model.selected().map(|row| row.key.as_str())
}

fn some() -> Vec<Row> {
    let mut free = row("d", |seen| seen.waiters = vec![waiter("w", 1)]);
    free.pid = None;
    vec![held("b", "h2:30:y", 7), held("a", "h1:20:z", 9), held("c", "h3:10:x", 8), free]
}

#[test]
fn each_column_sorts_and_the_reverse_of_it() {
    let mut model = of(some());
    let orders = ["a b c d", "a b c d", "d c b a", "d a b c", "c a b d", "b c a d", "a b c d"];
    for order in orders {
        assert_eq!(keys(&model).join(" "), order, "{:?}", model.sort);
        model.act(Action::Sort, at(1));
    }
    assert_eq!((model.sort, keys(&model).join(" ")), (Column::Waiters, "d a b c".into()));
    model.act(Action::Reverse, at(1));
    assert_eq!(keys(&model).join(" "), "a b c d");
    model.act(Action::Sort, at(1));
    assert_eq!((model.sort, model.is_reversed), (Column::Key, false));
}

#[test]
fn the_filter_narrows_with_each_letter() {
    let mut model = of(some());
    model.act(Action::Filter, at(1));
    model.act(Action::Type('H'), at(1));
    assert_eq!(keys(&model), ["a", "b", "c"]);
    model.act(Action::Type('3'), at(1));
    assert_eq!(keys(&model), ["c"]);
    model.act(Action::Erase, at(1));
    assert_eq!(keys(&model), ["a", "b", "c"]);
    model.act(Action::Clear, at(1));
    assert_eq!((keys(&model).len(), &model.mode), (4, &Mode::Table));
}

#[test]
fn the_selection_stays_with_its_key() {
    let mut model = of(some());
    model.act(Action::Down(1), at(1));
    assert_eq!(chosen(&model), Some("b"));
    let mut more = some();
    more.push(held("aa", "x", 1));
    looks(&mut model, more, 2);
    assert_eq!((chosen(&model), model.places()), (Some("b"), (0, 2)));
    // Its place, once it is gone.
    looks(&mut model, some().into_iter().filter(|row| row.key.as_str() != "b").collect(), 3);
    assert_eq!(chosen(&model), Some("d"));
    looks(&mut model, vec![], 4);
    assert_eq!(chosen(&model), None);
}

#[test]
fn the_selected_row_is_on_the_screen() {
    let rows = (0..100).map(|n| held(&format!("k{n:02}"), "x", n + 1)).collect();
    let mut model = of(rows);
    for (action, first, place) in [
        (Action::End, 90, 9),
        (Action::Up(1), 90, 8),
        (Action::PageUp, 88, 0),
        (Action::Home, 0, 0),
        (Action::PageDown, 1, 9),
        (Action::Down(200), 90, 9),
    ] {
        model.act(action, at(1));
        model.fit(10);
        assert_eq!((model.places(), model.visible().count()), ((first, place), 10));
    }
    model.fit(4);
    assert_eq!((model.places(), chosen(&model)), ((96, 3), Some("k99")));
    model.fit(200);
    assert_eq!((model.places(), model.visible().count()), ((0, 99), 100));
}

#[test]
fn rows_stay_while_the_store_fails() {
    let mut model = of(some());
    for second in [5, 6] {
        model.begin(at(second));
        model.arrive(vec![held("half", "x", 1)], at(second));
        model.fail("away".into(), at(second + 1));
        assert_eq!(keys(&model), ["a", "b", "c", "d"]);
    }
    assert_eq!(model.trouble, Some(Trouble { since: at(5), reason: "away".into() }));
    looks(&mut model, vec![held("new", "x", 1)], 9);
    assert_eq!((keys(&model), &model.trouble), (vec!["new"], &None));
}

#[test]
fn only_yes_releases_and_it_names_the_holders_that_were_shown() {
    let mut model = of(some());
    assert_eq!(model.act(Action::Force, at(1)), Step::Stay);
    assert_eq!(model.act(Action::No, at(1)), Step::Stay);
    assert_eq!(model.act(Action::Yes, at(1)), Step::Stay, "the question is closed");
    model.act(Action::Force, at(1));
    // Another holder comes while the question is open.
    looks(&mut model, vec![held("a", "other", 99)], 2);
    let Step::Release(target) = model.act(Action::Yes, at(2)) else { panic!("released") };
    assert_eq!((target.key.as_str(), target.holders[0].fence.get()), ("a", 9));
    looks(&mut model, some(), 3);
    model.act(Action::End, at(3));
    model.act(Action::Force, at(3));
    assert_eq!(model.mode, Mode::Table, "nobody holds d");
    assert!(model.notice.expect("said").text.contains("nobody holds d"));
}

#[test]
fn the_bar_is_a_part_of_the_longest_time_that_was_seen() {
    let with = |since, remaining| {
        let mut row = held("a", "x", 1);
        let holder = &mut row.seen.holders[0];
        holder.since = Duration::from_secs(since);
        holder.remaining = Duration::from_secs(remaining);
        row
    };
    let part = |model: &Model, now| model.part(&model.rows()[0], at(now)).expect("held");
    // Never renewed: 10 s of 30 s are over.
    let model = of(vec![with(10, 30)]);
    assert!((part(&model, 0) - 0.75).abs() < 0.01);
    assert!((part(&model, 20) - 0.25).abs() < 0.01, "it goes down between looks");
    // Renewed: the longest of all looks.
    let mut model = of(vec![with(100, 20)]);
    assert!((part(&model, 0) - 1.0).abs() < 0.01);
    looks(&mut model, vec![with(101, 40)], 2);
    looks(&mut model, vec![with(111, 30)], 3);
    assert!((part(&model, 0) - 0.75).abs() < 0.01);
}
