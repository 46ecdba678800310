//! The picture for a terminal: the tree with the durations on the left, the bars on the right.

use std::fmt::Write as _;

use super::axis::{Axis, Layout};
use super::words::{cut, duration};
use super::{Kind, Node, Waterfall, Waterfalls};

/// Narrower, nothing can be read.
pub(super) const NARROWEST: usize = 72;
const OF_DURATION: usize = 11;
/// The bars have at least this part of the width.
const OF_BARS: usize = 3;

impl Waterfalls {
    /// Lines of at most so many characters, of which 72 are the least.
    #[must_use]
    pub fn text(&self, width: usize) -> String {
        let texts: Vec<_> = self.traces.iter().map(|trace| of_trace(trace, width.max(NARROWEST))).collect();
        texts.join("\n")
    }
}

/// A line before the bars are drawn.
struct Line<'a> {
    /// The tree's branches.
    before: String,
    node: &'a Node,
}

fn of_trace(trace: &Waterfall, width: usize) -> String {
    let mut text = format!("trace {}\n{}, {}\n", trace.trace_id, trace.began_at, duration(trace.duration_ns));
    let axis = Axis { from_ns: 0, to_ns: trace.duration_ns, breaks: trace.breaks.clone() };
    let sections: Vec<Vec<Line>> = trace.events.iter().map(|section| lines(&section.nodes)).collect();
    let with_bar = sections.iter().flatten().filter(|line| line.node.kind != Kind::Delivery);
    let longest = with_bar.map(|line| line.label().chars().count()).max().unwrap_or(0);
    let of_label = longest.min(width - width / OF_BARS - OF_DURATION - 1);
    let layout = axis.layout(width - of_label - OF_DURATION - 1, 1, 1);
    for (section, lines) in trace.events.iter().zip(sections) {
        text.push('\n');
        match &section.event_id {
            Some(event_id) => text.push_str(event_id),
            None => text.push_str("spans of no event"),
        }
        for id in [&section.payment_id, &section.merchant_id].into_iter().flatten() {
            let _ = write!(text, " {id}");
        }
        text.push('\n');
        for line in lines {
            line.write(&mut text, &layout, of_label, width);
        }
    }
    if !trace.breaks.is_empty() {
        text.push('\n');
    }
    for one in &trace.breaks {
        let (left_out, after) = (duration(one.duration_ns), duration(one.after_ns));
        let _ = writeln!(
            text,
            "{BREAK} {left_out} are left out, {after} after the beginning: nothing begins or ends there"
        );
    }
    text
}

fn lines(nodes: &[Node]) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    for node in nodes {
        lines.push(Line { before: String::new(), node });
        add_children(node, "", &mut lines);
    }
    lines
}

fn add_children<'a>(node: &'a Node, before: &str, lines: &mut Vec<Line<'a>>) {
    let last = node.children.len().saturating_sub(1);
    for (n, child) in node.children.iter().enumerate() {
        let (branch, further) = if n == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        lines.push(Line { before: format!("{before}{branch}"), node: child });
        add_children(child, &format!("{before}{further}"), lines);
    }
}

const BREAK: char = '┊';

impl Line<'_> {
    fn label(&self) -> String {
        let Node { kind, name, says, service, .. } = self.node;
        let mut label = format!("{}{name}", self.before);
        if *kind == Kind::Linked {
            let _ = write!(label, " ({})", service.as_deref().unwrap_or_default());
        }
        if let Some(says) = says {
            let _ = write!(label, ": {says}");
        }
        label
    }

    fn write(&self, text: &mut String, layout: &Layout, of_label: usize, width: usize) {
        let label = self.label();
        let line = match self.node.kind {
            // It has no bar, so its name may be as long as the line.
            Kind::Delivery => cut(&label, width),
            Kind::Span | Kind::Missing | Kind::Linked | Kind::Wait => {
                let label = cut(&label, of_label);
                let took = duration(self.node.duration_ns);
                format!("{label:<of_label$}{took:>OF_DURATION$} {}", self.bar(layout))
            }
        };
        text.push_str(line.trim_end());
        text.push('\n');
    }

    fn bar(&self, layout: &Layout) -> String {
        let node = self.node;
        let full = match node.kind {
            Kind::Wait => '·',
            Kind::Missing => '?',
            Kind::Linked => '░',
            Kind::Span | Kind::Delivery => '█',
        };
        let [from, to] = [node.after_ns, node.after_ns + node.duration_ns].map(|ns| layout.place(ns));
        let most = layout.width().saturating_sub(1);
        let [first, end] = [(from + 1e-6).floor(), (to - 1e-6).ceil()].map(whole);
        let (first, end) = (first.min(most), end.max(first.min(most) + 1));
        let is_thin = to - from < 0.5 && full == '█';
        let mut cells: Vec<char> = vec![' '; layout.width()];
        for cell in cells.iter_mut().take(end).skip(first) {
            *cell = if is_thin { '▏' } else { full };
        }
        for piece in layout.breaks() {
            let is_within = node.after_ns <= piece.from_ns && node.after_ns + node.duration_ns >= piece.to_ns;
            for cell in cells.iter_mut().take(piece.to).skip(piece.from) {
                *cell = if is_within { '╱' } else { BREAK };
            }
        }
        cells.into_iter().collect()
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place on a line is a small number from 0"
)]
fn whole(place: f64) -> usize {
    place.max(0.0) as usize
}
