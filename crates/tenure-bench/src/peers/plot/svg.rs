//! The elements of a plot. Colours are classes, so that one style sheet knows both kinds of page.

use std::fmt::{Display, Write};

/// Text stands on its baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

#[derive(Debug)]
pub(super) struct Svg {
    width: f64,
    height: f64,
    body: String,
}

/// The colours: of text, of the grid, of Tenure, of the others, of bare sockets, and of the lines
/// of several libraries.
const STYLE: &str = "\
text{font:13px system-ui,sans-serif;fill:#1f2328}.soft{fill:#59636e}.bold{font-weight:600}\
.grid{stroke:#d1d9e0}.ours{fill:#0969da;stroke:#0969da}.other{fill:#6e7781;stroke:#6e7781}\
.bare{fill:#afb8c1;stroke:#afb8c1}.c0{fill:#bc4c00;stroke:#bc4c00}\
.c1{fill:#1a7f37;stroke:#1a7f37}.c2{fill:#8250df;stroke:#8250df}.c3{fill:#9a6700;stroke:#9a6700}\
.c4{fill:#bf3989;stroke:#bf3989}.c5{fill:#57606a;stroke:#57606a}.c6{fill:#116329;stroke:#116329}\
rect{fill-opacity:.4}\
@media(prefers-color-scheme:dark){text{fill:#f0f6fc}.soft{fill:#9198a1}.grid{stroke:#3d444d}\
.ours{fill:#4493f8;stroke:#4493f8}.other{fill:#9198a1;stroke:#9198a1}\
.bare{fill:#656c76;stroke:#656c76}.c0{fill:#f0883e;stroke:#f0883e}\
.c1{fill:#3fb950;stroke:#3fb950}.c2{fill:#ab7df8;stroke:#ab7df8}.c3{fill:#d29922;stroke:#d29922}\
.c4{fill:#db61a2;stroke:#db61a2}.c5{fill:#b1bac4;stroke:#b1bac4}.c6{fill:#7ee787;stroke:#7ee787}}\
.label{stroke:none}.bar{stroke:none}.curve{fill:none;stroke-width:2}.ours.curve{stroke-width:3}";

impl Svg {
    pub(super) fn new(width: f64, height: f64, title: &str, subtitle: &str) -> Self {
        let mut svg = Self { width, height, body: String::new() };
        svg.text((12.0, 22.0), Anchor::Start, "bold", title);
        svg.text((12.0, 41.0), Anchor::Start, "soft", subtitle);
        svg
    }

    pub(super) fn text(
        &mut self,
        (x, y): (f64, f64),
        anchor: Anchor,
        class: &str,
        text: impl Display,
    ) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = text.to_string().replace('&', "&amp;").replace('<', "&lt;");
        self.element(format_args!(
            r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" class="{class}">{text}</text>"#
        ));
    }

    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), class: &str) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.element(format_args!(
            r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" class="{class}"/>"#
        ));
    }

    pub(super) fn bar(&mut self, (x, y): (f64, f64), (w, h): (f64, f64), class: &str) {
        self.element(format_args!(
            r#"<rect x="{x:.1}" y="{y:.1}" width="{w:.1}" height="{h:.1}" class="{class} bar"/>"#
        ));
    }

    pub(super) fn dot(&mut self, (x, y): (f64, f64), class: &str) {
        self.element(format_args!(r#"<circle cx="{x:.1}" cy="{y:.1}" r="4" class="{class}"/>"#));
    }

    pub(super) fn curve(&mut self, points: &[(f64, f64)], class: &str) {
        let points: Vec<_> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let points = points.join(" ");
        self.element(format_args!(r#"<polyline points="{points}" class="{class} curve"/>"#));
    }

    fn element(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = writeln!(self.body, "{element}");
    }

    pub(super) fn done(self) -> String {
        let Self { width, height, body } = self;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
             width=\"{width}\" height=\"{height}\">\n<style>{STYLE}</style>\n{body}</svg>\n"
        )
    }
}
