//! A key of the keyboard as an action. The same key means different things while a filter is typed
//! or a question is open.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::model::{Mode, Model};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Quit,
    Stop,
    /// Draw all of it.
    Redraw,
    Up(usize),
    Down(usize),
    PageUp,
    PageDown,
    Home,
    End,
    Sort,
    Reverse,
    Details,
    Help,
    Filter,
    /// Back to the table.
    Close,
    Type(char),
    Erase,
    /// No filter any more.
    Clear,
    Force,
    Yes,
    No,
}

/// The keys, for the help on the screen.
pub(crate) const KEYS: [(&str, &str); 13] = [
    ("Up Down k j", "choose a row"),
    ("PgUp PgDn", "a page up or down"),
    ("Home End g G", "the first or last row"),
    ("/", "filter by key, kind, holder or waiter"),
    ("Esc", "back: no details, then no filter; then quit"),
    ("s", "sort by the next column"),
    ("r", "reverse the order"),
    ("Enter", "details of the key: all holders and waiters"),
    ("f", "release by force: shows the holder and asks"),
    ("?", "this help"),
    ("Ctrl-Z", "stop; fg goes on"),
    ("Ctrl-L", "draw the screen anew"),
    ("q Ctrl-C", "quit"),
];

/// The action of a key; `None` if it has none here.
pub(crate) fn action(model: &Model, key: KeyEvent) -> Option<Action> {
    let mode = &model.mode;
    if key.kind == KeyEventKind::Release {
        return None;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return match (mode, key.code) {
            (_, KeyCode::Char('c')) => Some(Action::Quit),
            (_, KeyCode::Char('z')) => Some(Action::Stop),
            (_, KeyCode::Char('l')) => Some(Action::Redraw),
            (Mode::Filter, KeyCode::Char('u')) => Some(Action::Clear),
            (Mode::Filter, KeyCode::Char('h')) => Some(Action::Erase),
            (Mode::Table, KeyCode::Char('n')) => Some(Action::Down(1)),
            (Mode::Table, KeyCode::Char('p')) => Some(Action::Up(1)),
            (Mode::Confirm(_), _) => Some(Action::No),
            _ => None,
        };
    }
    match mode {
        Mode::Confirm(_) if key.code != KeyCode::Char('y') => Some(Action::No),
        // On a slow line, Esc and the key behind it look like this.
        _ if key.modifiers.contains(KeyModifiers::ALT) => None,
        Mode::Table => in_table(key.code, model),
        Mode::Filter => in_filter(key.code),
        Mode::Help => Some(Action::Close),
        Mode::Confirm(_) => Some(Action::Yes),
    }
}

fn in_table(key: KeyCode, model: &Model) -> Option<Action> {
    Some(match key {
        KeyCode::Char('q') => Action::Quit,
        // Back by one step: what is open in front of the table, then what narrows it.
        KeyCode::Esc if model.has_details => Action::Details,
        KeyCode::Esc if !model.filter.is_empty() => Action::Clear,
        KeyCode::Esc => Action::Quit,
        KeyCode::Char('s') => Action::Sort,
        KeyCode::Char('r') => Action::Reverse,
        KeyCode::Char('/') => Action::Filter,
        KeyCode::Char('?' | 'h') => Action::Help,
        KeyCode::Char('f') => Action::Force,
        KeyCode::Char('g') => Action::Home,
        KeyCode::Char('G') => Action::End,
        KeyCode::Enter => Action::Details,
        _ => return movement(key),
    })
}

fn movement(key: KeyCode) -> Option<Action> {
    Some(match key {
        KeyCode::Up | KeyCode::Char('k') => Action::Up(1),
        KeyCode::Down | KeyCode::Char('j') => Action::Down(1),
        KeyCode::PageUp => Action::PageUp,
        KeyCode::PageDown => Action::PageDown,
        KeyCode::Home => Action::Home,
        KeyCode::End => Action::End,
        _ => return None,
    })
}

fn in_filter(key: KeyCode) -> Option<Action> {
    match key {
        KeyCode::Enter => Some(Action::Close),
        KeyCode::Esc => Some(Action::Clear),
        KeyCode::Backspace => Some(Action::Erase),
        KeyCode::Char(c) => Some(Action::Type(c)),
        other => movement(other),
    }
}

#[cfg(test)]
mod tests {
    use tenure::Key;

    use super::super::model::Target;
    use super::*;

    fn model(mode: &Mode) -> Model {
        let mut model = Model::new();
        model.mode = mode.clone();
        model
    }

    fn press(mode: &Mode, code: KeyCode) -> Option<Action> {
        action(&model(mode), KeyEvent::new(code, KeyModifiers::NONE))
    }

    #[test]
    fn only_y_confirms() {
        let key = Key::new("k").expect("a key");
        let target = Target { key, holders: vec![], gone: None };
        let mode = Mode::Confirm(target);
        assert_eq!(press(&mode, KeyCode::Char('y')), Some(Action::Yes));
        for other in [KeyCode::Enter, KeyCode::Char('n'), KeyCode::Char('q'), KeyCode::Esc] {
            assert_eq!(press(&mode, other), Some(Action::No), "{other:?}");
        }
        let alt_y = KeyEvent::new(KeyCode::Char('y'), KeyModifiers::ALT);
        assert_eq!(action(&model(&mode), alt_y), None);
        let ctrl_y = KeyEvent::new(KeyCode::Char('y'), KeyModifiers::CONTROL);
        assert_eq!(action(&model(&mode), ctrl_y), Some(Action::No));
    }

    #[test]
    fn letters_are_text_while_a_filter_is_typed() {
        for letter in ['q', 'f', 's', '?', '锁'] {
            let typed = press(&Mode::Filter, KeyCode::Char(letter));
            assert_eq!(typed, Some(Action::Type(letter)));
        }
        assert_eq!(press(&Mode::Filter, KeyCode::Down), Some(Action::Down(1)));
        assert_eq!(press(&Mode::Table, KeyCode::Char('q')), Some(Action::Quit));
    }

    #[test]
    fn escape_goes_back_by_one_step_before_it_quits() {
        let escape = |model: &Model| action(model, KeyEvent::new(KeyCode::Esc, KeyModifiers::NONE));
        let mut model = model(&Mode::Table);
        (model.has_details, model.filter) = (true, "x".into());
        assert_eq!(escape(&model), Some(Action::Details));
        model.has_details = false;
        assert_eq!(escape(&model), Some(Action::Clear));
        model.filter.clear();
        assert_eq!(escape(&model), Some(Action::Quit));
        assert_eq!(press(&Mode::Help, KeyCode::Esc), Some(Action::Close));
    }
}
