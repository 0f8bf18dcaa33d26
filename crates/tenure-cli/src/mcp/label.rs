//! The name under which others see a lock of a session: `CLIENT/NAME: PURPOSE (USER@HOST, pid N)`,
//! with `ticket` in place of the process if the lock stays when the session ends.

use tenure::Label;

use crate::label::{By, place};

/// The longest part before the user and host, in characters.
const NAME_MAX: usize = 100;

/// The parts that an agent says about itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names<'a> {
    /// The program that the agent runs in, as it names itself.
    pub(super) client: Option<&'a str>,
    pub(super) name: Option<&'a str>,
    pub(super) purpose: Option<&'a str>,
    /// The lock outlives this process.
    pub(super) stays: bool,
}

impl Names<'_> {
    /// The label of a lock. Every part is cut rather than the place where its holder runs.
    pub(super) fn label(self) -> Label {
        let said = |text: Option<&str>| {
            let text: String = text?.trim().chars().take(NAME_MAX).collect();
            (!text.is_empty()).then_some(text)
        };
        let mut shown = said(self.client).unwrap_or_else(|| "agent".into());
        shown.extend(said(self.name).map(|name| format!("/{name}")));
        shown.extend(said(self.purpose).map(|purpose| format!(": {purpose}")));
        let by = if self.stays { By::Ticket } else { By::Process(std::process::id()) };
        let place = place(by);
        let mut room = Label::MAX_BYTES.saturating_sub(place.len() + 1);
        let fits = |c: &char| {
            room = room.saturating_sub(c.len_utf8());
            room > 0
        };
        let shown: String = shown.chars().take(NAME_MAX).take_while(fits).collect();
        Label::new(format!("{shown} {place}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_the_holder_is_never_cut() {
        let long = "é".repeat(500);
        for (client, name, purpose, begins) in [
            (Some("claude-code"), Some("reviewer"), Some("schema"), "claude-code/reviewer: schema"),
            (Some("claude-code"), None, None, "claude-code"),
            (None, Some("a"), None, "agent/a"),
            (Some(" "), None, Some("x"), "agent: x"),
            (Some(&*long), Some(&*long), None, "éé"),
        ] {
            for (stays, by) in [(false, By::Process(std::process::id())), (true, By::Ticket)] {
                let label = Names { client, name, purpose, stays }.label();
                assert!(label.as_str().starts_with(begins), "{label}");
                assert!(label.as_str().ends_with(&place(by)), "{label}");
            }
        }
    }
}
