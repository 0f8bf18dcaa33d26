//! Whole frames, drawn without a terminal.

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;
use tenure::protocol::{Guarded, Inspection, NodeView, State};

use super::super::input::Action;
use super::super::row::Row;
use super::super::row::sample::{held, holder, row, waiter};
use super::*;

const CLOCK: Clock = Clock { now: Moment::from_micros(0), wall: 43_231_000_000 };

pub(crate) fn model(rows: Vec<Row>) -> Model {
    let mut model = Model::new();
    model.begin(CLOCK.now);
    model.arrive(rows, CLOCK.now);
    model.complete(CLOCK.now);
    model
}

/// The frame of a model on a screen of this size.
pub(crate) fn frame(
    model: &mut Model,
    clock: Clock,
    theme: &Theme,
    (width, height): (u16, u16),
) -> Buffer {
    let backend = TestBackend::new(width, height);
    let mut terminal = Terminal::new(backend).expect("no terminal is needed");
    let store = "redis://locks.internal (every host that reaches it)";
    let draw = |frame: &mut Frame<'_>| {
        model.fit(super::height(model, clock, frame.area()));
        super::draw(model, store, clock, theme, frame);
    };
    terminal.draw(draw).expect("it draws");
    terminal.backend().buffer().clone()
}

/// The lines of a frame, without the spaces at their ends.
fn lines(buffer: &Buffer) -> Vec<String> {
    let width = usize::from(buffer.area.width);
    let line = |cells: &[ratatui::buffer::Cell]| {
        let text: String = cells.iter().map(ratatui::buffer::Cell::symbol).collect();
        text.trim_end().to_owned()
    };
    buffer.content().chunks(width).map(line).collect()
}

fn shown(rows: Vec<Row>, size: (u16, u16)) -> Vec<String> {
    lines(&frame(&mut model(rows), CLOCK, &Theme::PLAIN, size))
}

fn some() -> Vec<Row> {
    let semaphore = row("encode", |seen| {
        seen.limit = Some(3);
        seen.holders = vec![holder("db1:17:ffmpeg", 1_764_453_600_000_007)];
        seen.waiters = vec![waiter("db2:18:ffmpeg", 4), waiter("db3:19:ffmpeg", 2)];
    });
    vec![held("deploy", "ci1:4711:deploy.sh", 1_764_453_600_000_042), semaphore]
}

#[test]
fn every_column_on_80_by_24() {
    let lines = shown(some(), (80, 24));
    let title = " tenure top  redis://locks.internal (every host that reaches it)   12:00:31 UTC";
    assert_eq!(lines[0], title);
    assert_eq!(lines[1], " 2 keys  2 held  2 waiting  grants -/s  read in 0ms");
    for (line, expected) in [
        "KEY^ KIND HOLDER HOST PID FENCE LEFT WAIT",
        ">deploy mutex deploy.sh ci1 4711 1764453600000042 30s ######### ",
        "encode sem 1/3 ffmpeg db1 17 1764453600000007 30s ######### 2",
    ]
    .iter()
    .zip(&lines[2..])
    .map(|(expected, line)| (line, expected))
    {
        let words: Vec<_> = line.split_whitespace().collect();
        let expected: Vec<_> = expected.split_whitespace().collect();
        assert_eq!(words.len(), expected.len(), "{line}");
        for (word, expected) in words.iter().zip(&expected) {
            let is_bar = word.starts_with("##");
            assert!(word == expected || is_bar && expected.starts_with("##"), "{line}");
        }
    }
    assert_eq!(lines[23], format!(" {HINTS}"));
    assert!(HINTS.len() < 80);
}

#[test]
fn on_200_by_50_long_texts_are_whole() {
    let key = "a-key-that-is-rather-long-since-it-names-the-tenant-and-the-job";
    let lines = shown(vec![held(key, "host-with-a-name.internal:1:a-long-command", 7)], (200, 50));
    assert!(lines[3].contains(key), "{}", lines[3]);
    assert!(
        lines[3].contains(" host-with-a-name.internal ") && lines[3].contains("a-long-command")
    );
    assert!(lines[3].contains(&"#".repeat(20)));
    assert_eq!((lines.len(), &*lines[49]), (50, &*format!(" {HINTS}")));
}

#[test]
fn a_small_terminal_is_told_the_size_that_is_needed() {
    for size in [(59, 24), (80, 9), (10, 3), (1, 1)] {
        let lines = shown(some(), size).join(" ");
        assert!(size.0 < 50 || lines.contains("needs 60 x 10"), "{lines}");
    }
    assert!(shown(some(), (60, 10))[3].contains("deploy"));
}

#[test]
fn wide_and_hostile_texts_keep_the_columns_in_line() {
    let hostile = "evil\u{1b}[2J\u{202e}\u{7}:1:x\u{9b}y";
    let rows = vec![
        held("a", "h:1:c", 1),
        held("锁锁", "主机:2:备份", 2),
        row("b\u{202e}", |seen| seen.holders.push(holder(hostile, 3))),
    ];
    let buffer = frame(&mut model(rows), CLOCK, &Theme::FULL, (80, 24));
    let heading = lines(&buffer).remove(2);
    let fence = heading.find("FENCE").expect("a heading") + "FENCE".len() - 1;
    for (y, digit) in [(3, "1"), (4, "3"), (5, "2")] {
        // The mark of the order has one column.
        let x = u16::try_from(heading[..fence].chars().count()).expect("small");
        assert_eq!(buffer[(x, y)].symbol(), digit, "line {y}");
    }
    let all: String = buffer.content().iter().map(ratatui::buffer::Cell::symbol).collect();
    assert!(!all.contains(|c: char| c.is_control() || c == '\u{202e}'), "{all:?}");
    assert!(all.contains("锁"));
}

#[test]
fn without_colours_no_cell_has_one() {
    let mut model = model(some());
    model.begin(CLOCK.now);
    model.fail("away".into(), CLOCK.now);
    model.act(Action::Details, CLOCK.now);
    model.act(Action::Force, CLOCK.now);
    let colours = |buffer: &Buffer| {
        buffer.content().iter().filter(|c| c.fg != Color::Reset || c.bg != Color::Reset).count()
    };
    assert_eq!(colours(&frame(&mut model, CLOCK, &Theme::PLAIN, (80, 24))), 0);
    assert!(colours(&frame(&mut model, CLOCK, &Theme::FULL, (80, 24))) > 0);
    let text = lines(&frame(&mut model, CLOCK, &Theme::PLAIN, (80, 24))).join("\n");
    assert!(text.is_ascii(), "{text}");
}

#[test]
fn a_failure_says_since_when_and_the_rows_stay() {
    let mut model = model(some());
    let at = |seconds| Moment::from_micros(seconds * 1_000_000);
    model.begin(at(1));
    let late = |seconds| Clock { now: at(seconds), wall: CLOCK.wall + seconds * 1_000_000 };
    let waited = lines(&frame(&mut model, late(4), &Theme::PLAIN, (80, 24)));
    assert_eq!(waited[2], " the store has not answered since 12:00:32 UTC (3s)");
    model.fail("redis://h did not answer within 5s".into(), at(6));
    let failed = lines(&frame(&mut model, late(8), &Theme::PLAIN, (80, 24)));
    let told = " stale since 12:00:32 UTC (7s): redis://h did not answer within 5s";
    assert_eq!(failed[2], told);
    assert!(failed[4].contains("deploy") && failed[4].contains("22s"), "{}", failed[4]);
}

#[test]
fn details_have_all_holders_waiters_nodes_and_the_guard() {
    let change = |seen: &mut Inspection| {
        seen.limit = Some(3);
        seen.holders = vec![holder("db1:1:a", 1), holder("db2:2:b", 2)];
        seen.waiters = vec![waiter("db3:3:c", 4)];
        seen.nodes = vec![NodeView {
            name: "redis://n1".into(),
            answered: false,
            holds: false,
            said: "nobody listens".into(),
            took: Duration::ZERO,
        }];
        let known_for = Duration::from_secs(3);
        seen.guarded = Some(Guarded { known_for, left: Duration::from_secs(60) });
    };
    let mut model = model(vec![row("encode", change)]);
    model.act(Action::Details, CLOCK.now);
    let text = lines(&frame(&mut model, CLOCK, &Theme::PLAIN, (120, 50))).join("\n");
    for part in [
        "held by db1:1:a for 1m15s, lease 30s, fence 1",
        "held by db2:2:b for 1m15s, lease 30s, fence 2",
        "waiting: db3:3:c for 4s",
        "nodes: 0 of 1",
        "nothing new is granted until 12:01:31 UTC",
    ] {
        assert!(text.contains(part), "{part}:\n{text}");
    }
    // On a small screen, the rest is counted.
    let text = lines(&frame(&mut model, CLOCK, &Theme::PLAIN, (80, 12))).join("\n");
    assert!(text.contains("lines more: tenure status KEY"), "{text}");
}

#[test]
fn the_question_shows_the_holder_and_its_fence() {
    let mut model = model(some());
    model.act(Action::Force, CLOCK.now);
    let text = lines(&frame(&mut model, CLOCK, &Theme::PLAIN, (60, 10))).join("\n");
    for part in ["Release deploy by force?", "ci1:4711:deploy.sh", "1764453600000042", "y: release"]
    {
        assert!(text.contains(part), "{part}:\n{text}");
    }
}

#[test]
fn a_dead_process_and_a_foreign_value_are_marked() {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let foreign = row("list", |seen| seen.state = State::Foreign("a list".into()));
    let lines = shown(vec![held("k", &format!("{host}:4194305:gone"), 1), foreign], (100, 24));
    assert!(lines[3].contains("4194305 dead"), "{}", lines[3]);
    assert!(lines[4].contains("foreign"), "{}", lines[4]);
}
