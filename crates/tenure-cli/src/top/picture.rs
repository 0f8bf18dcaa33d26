//! The picture of the screen for the README: a frame of fixed rows as SVG. `TENURE_REGENERATE=1`
//! writes it anew.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};
use tenure::runtime::Moment;
use tenure::{Claim, Value};

use super::input::Action;
use super::row::Row;
use super::row::sample::{holder, row, waiter};
use super::view::{Clock, Theme, tests};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/images/top.svg");

/// Width and height of a cell, and the place of its letter's base line, in pixels.
const CELL: [u32; 3] = [8, 18, 14];

/// Space around the screen, in pixels.
const EDGE: u32 = 10;

const SIZE: (u16, u16) = (100, 18);

const BACKGROUND: &str = "#0d1117";
const LETTERS: &str = "#d1d7e0";

/// A holder with so many seconds of its lease left, that has held it for so many.
fn lasting(label: &str, fence: u64, since: u64, remaining: u64) -> tenure::protocol::HolderView {
    let (since, remaining) = (Duration::from_secs(since), Duration::from_secs(remaining));
    let fence = 1_796_000_400_000_000 + fence;
    tenure::protocol::HolderView { since, remaining, ..holder(label, fence) }
}

fn rows() -> Vec<Row> {
    let mutex = |key: &str, label: &str, fence, since, remaining| {
        row(key, |seen| seen.holders = vec![lasting(label, fence, since, remaining)])
    };
    let mut dead = mutex("backup:orders", "pg_dump (postgres@db2, pid 9127)", 412_377, 21, 9);
    dead.is_dead = true;
    dead.widths.pid += " dead".len();
    let migrate = row("migrate", |seen| {
        seen.holders = vec![lasting("alembic (deploy@ci1, pid 20931)", 118_402, 4, 26)];
        seen.waiters = vec![
            waiter("alembic (deploy@ci2, pid 771)", 3),
            waiter("alembic (deploy@ci3, pid 1902)", 1),
        ];
    });
    let encode = row("encode", |seen| {
        seen.limit = Some(4);
        seen.holders =
            (1..4).map(|n| lasting("ffmpeg (media@media1, pid 88)", 90 + n, 12, 18)).collect();
        for holder in &mut seen.holders {
            holder.exclusive = false;
        }
        seen.waiters = vec![waiter("ffmpeg (media@media3, pid 91)", 8)];
    });
    let site = row("catalogue", |seen| {
        seen.limit = Some(Claim::MAX);
        seen.holders = vec![lasting("web1:310:server", 7_001, 2, 28)];
        seen.holders.push(lasting("web2:544:server", 7_002, 2, 28));
        for holder in &mut seen.holders {
            holder.exclusive = false;
        }
    });
    let leader = row("scheduler", |seen| {
        seen.holders = vec![lasting("scheduler (app@app2, pid 1412)", 33, 1, 4)];
        seen.holders[0].value = Value::new("app2:8080").ok();
    });
    let report = mutex("nightly-report", "write-report (report@db1, pid 6120)", 550_031, 14, 16);
    vec![dead, site, encode, migrate, report, leader]
}

/// The screen as the README shows it.
fn picture() -> String {
    let at = |millis: u64| Moment::from_micros(millis * 1_000);
    let clock = Clock { now: at(5_000), wall: 10_831_000_000 };
    // The look before: two of the keys were free, another one was held, and all leases were new.
    let is_old = |row: &Row| !["catalogue", "encode"].contains(&row.key.as_str());
    let mut before: Vec<_> = rows().into_iter().filter(is_old).collect();
    for row in &mut before {
        for holder in &mut row.seen.holders {
            let is_leader = holder.value.is_some();
            holder.remaining = Duration::from_secs(if is_leader { 5 } else { 30 });
        }
    }
    before.push(row("export", |seen| seen.holders = vec![lasting("db1:6007:export", 1, 1, 1)]));
    let mut model = tests::model(before);
    model.begin(at(4_997));
    let seen_now = |row| Row { at: clock.now, ..row };
    model.arrive(rows().into_iter().map(seen_now).collect(), clock.now);
    model.complete(clock.now);
    model.act(Action::Down(3), clock.now);
    model.act(Action::Details, clock.now);
    svg(&tests::frame(&mut model, clock, &Theme::FULL, SIZE))
}

fn svg(buffer: &Buffer) -> String {
    let [width, height, base] = CELL;
    let (columns, lines) = (u32::from(buffer.area.width), u32::from(buffer.area.height));
    let (w, h) = (columns * width + 2 * EDGE, lines * height + 2 * EDGE);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w} {h}\" width=\"{w}\" \
         height=\"{h}\">\n<style>text{{font:13px ui-monospace,Menlo,Consolas,monospace;\
         white-space:pre}}</style>\n<rect width=\"{w}\" height=\"{h}\" rx=\"6\" \
         fill=\"{BACKGROUND}\"/>\n"
    );
    for (y, line) in (0..).zip(buffer.content().chunks(buffer.area.width.into())) {
        let top = EDGE + y * height;
        let mut x = 0;
        for run in line.chunk_by(|a, b| look(a) == look(b)) {
            let count = u32::try_from(run.len()).expect("a line is short");
            let (left, span) = (EDGE + x * width, count * width);
            let (fore, back, is_bold) = look(&run[0]);
            if back != BACKGROUND {
                let _ = writeln!(
                    text,
                    "<rect x=\"{left}\" y=\"{top}\" width=\"{span}\" height=\"{height}\" \
                     fill=\"{back}\"/>"
                );
            }
            let letters: String = run.iter().map(Cell::symbol).collect();
            if !letters.trim().is_empty() {
                let weight = if is_bold { " font-weight=\"bold\"" } else { "" };
                let letters = letters.replace('&', "&amp;").replace('<', "&lt;");
                let letters = letters.replace('>', "&gt;");
                let _ = writeln!(
                    text,
                    "<text x=\"{left}\" y=\"{}\" textLength=\"{span}\" fill=\"{fore}\"{weight} \
                     xml:space=\"preserve\">{letters}</text>",
                    top + base
                );
            }
            x += count;
        }
    }
    text + "</svg>\n"
}

/// The colours of a cell's letter and of its background, and whether it is bold.
fn look(cell: &Cell) -> (&'static str, &'static str, bool) {
    let fore = match cell.fg {
        Color::Red => "#f47067",
        Color::Green => "#57ab5a",
        Color::Yellow => "#daaa3f",
        Color::Cyan => "#56d4dd",
        Color::DarkGray => "#768390",
        _ => LETTERS,
    };
    let is_bold = cell.modifier.contains(Modifier::BOLD);
    match cell.modifier.contains(Modifier::REVERSED) {
        true => (BACKGROUND, fore, is_bold),
        false => (fore, BACKGROUND, is_bold),
    }
}

#[test]
fn the_picture_in_the_documents_is_what_the_program_draws() {
    let drawn = picture();
    if std::env::var_os("TENURE_REGENERATE").is_some() {
        let directory = Path::new(FILE).parent().expect("a directory");
        std::fs::create_dir_all(directory).expect("the directory is ours");
        std::fs::write(FILE, &drawn).expect("the picture is ours");
    }
    let kept = std::fs::read_to_string(FILE).unwrap_or_default();
    let how = "TENURE_REGENERATE=1 cargo test -p tenure-cli the_picture";
    assert!(kept == drawn, "docs/images/top.svg is not what top draws now; {how} writes it");
}
