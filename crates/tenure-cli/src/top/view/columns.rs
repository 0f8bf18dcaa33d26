//! The widths of the columns in a table: numbers whole, texts as wide as they need or as fits. On a
//! narrow screen some columns are left out.

use crate::top::model::Column;
use crate::top::row::Widths;

/// The remaining time as text.
const TIME: usize = 6;

/// The bar beside it, at least and at most.
const BAR: [usize; 2] = [4, 20];

/// The columns before the first one, for the mark of the selected row.
pub(super) const MARK: u16 = 1;

/// A column, where it begins, and how wide it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) column: Column,
    pub(super) x: u16,
    pub(super) width: u16,
}

/// The columns of a table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Columns {
    pub(super) places: Vec<Place>,
    /// The part of the remaining time's column that is its bar.
    pub(super) bar: u16,
}

impl Columns {
    /// For texts that need so much, and a table of so many columns.
    pub(super) fn of(needed: Widths, room: u16) -> Self {
        let mut hidden: &[Column] = &[];
        let mut bar = BAR[0];
        let room = usize::from(room - MARK);
        // The first sacrifice that is enough.
        for (without, least_bar) in [
            (&[][..], BAR[0]),
            (&[], 0),
            (&[Column::Host], 0),
            (&[Column::Host, Column::Pid], 0),
            (&[Column::Host, Column::Pid, Column::Kind], 0),
        ] {
            (hidden, bar) = (without, least_bar);
            if least(needed, hidden, bar) <= room {
                break;
            }
        }
        let mut widths = Column::ALL.map(|column| least_of(column, needed, bar));
        let mut left = room.saturating_sub(least(needed, hidden, bar));
        // One column after the other gets one more, until each has what it needs.
        loop {
            let before = left;
            for (column, width) in Column::ALL.iter().zip(&mut widths) {
                let wants = wanted_of(*column, needed, bar) > *width && !hidden.contains(column);
                if wants && left > 0 {
                    *width += 1;
                    left -= 1;
                }
            }
            if left == before {
                break;
            }
        }
        bar += widths[6] - least_of(Column::Remaining, needed, bar);
        Self::placed(hidden, &widths, bar)
    }

    fn placed(hidden: &[Column], widths: &[usize; 8], bar: usize) -> Self {
        let mut x = MARK;
        let mut places = Vec::new();
        for (column, width) in Column::ALL.into_iter().zip(widths) {
            if !hidden.contains(&column) {
                let width = u16::try_from(*width).unwrap_or(u16::MAX);
                places.push(Place { column, x, width });
                x += width + 1;
            }
        }
        Self { places, bar: u16::try_from(bar).unwrap_or_default() }
    }
}

/// The least room of all columns that are not hidden, with the gaps between them.
fn least(needed: Widths, hidden: &[Column], bar: usize) -> usize {
    let shown = Column::ALL.iter().filter(|column| !hidden.contains(column));
    shown.map(|column| least_of(*column, needed, bar) + 1).sum::<usize>() - 1
}

/// Texts may be cut to so much; numbers never are.
fn least_of(column: Column, needed: Widths, bar: usize) -> usize {
    match column {
        Column::Key => needed.title.clamp(4, 12),
        Column::Kind => needed.kind.clamp(5, 10),
        Column::Holder => needed.name.clamp(7, 8),
        Column::Host => needed.host.clamp(5, 6),
        Column::Pid => needed.pid.max(4),
        Column::Fence => needed.fence.max(6),
        Column::Remaining if bar > 0 => TIME + 1 + bar,
        Column::Remaining => TIME,
        Column::Waiters => 5,
    }
}

fn wanted_of(column: Column, needed: Widths, bar: usize) -> usize {
    match column {
        Column::Key => needed.title.max(4),
        Column::Kind => needed.kind.max(5),
        Column::Holder => needed.name.max(7),
        Column::Host => needed.host.max(5),
        Column::Remaining if bar > 0 => TIME + 1 + BAR[1],
        _ => least_of(column, needed, bar),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEEDED: Widths = Widths { title: 30, kind: 8, name: 20, host: 12, pid: 7, fence: 16 };

    fn end(columns: &Columns) -> u16 {
        columns.places.last().map_or(0, |place| place.x + place.width)
    }

    #[test]
    fn all_columns_fit_into_80_and_numbers_are_whole() {
        let columns = Columns::of(NEEDED, 80);
        assert_eq!(columns.places.len(), 8);
        assert!(end(&columns) <= 80, "{columns:?}");
        assert_eq!((columns.places[4].width, columns.places[5].width), (7, 16));
    }

    #[test]
    fn on_200_columns_nothing_is_cut() {
        let columns = Columns::of(NEEDED, 200);
        let widths: Vec<_> = columns.places.iter().map(|place| place.width).collect();
        assert_eq!(widths, [30, 8, 20, 12, 7, 16, 27, 5]);
        assert_eq!(columns.bar, 20);
    }

    #[test]
    fn a_narrow_screen_leaves_columns_out() {
        let columns = Columns::of(NEEDED, 60);
        assert!(end(&columns) <= 60, "{columns:?}");
        let has = |column| columns.places.iter().any(|place| place.column == column);
        assert!(has(Column::Key) && has(Column::Fence) && has(Column::Waiters));
        assert!(!has(Column::Host));
    }
}
