//! The picture as SVG: no scripts, no fonts from elsewhere, legible in light and dark.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::axis::{Axis, Layout};
use super::words::{cut, duration};
use super::{Kind, Node, Waterfall, Waterfalls};

const WIDTH: usize = 1_120;
const MARGIN: usize = 16;
const LINE: usize = 22;
const INDENT: usize = 14;
/// Where durations end, and where bars begin.
const DURATIONS: usize = 480;
const BARS: usize = 496;
/// A character of the tree is about so wide.
const CHARACTER: usize = 7;
const OF_BREAK: usize = 26;

const STYLE: &str = "\
:root{color-scheme:light dark}\
text{font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;fill:#1f2328}\
.title{font-weight:600}.dim{fill:#59636e}.page{fill:#fff}\
.wait{fill:none;stroke:#59636e;stroke-dasharray:3 3}.missing{fill:none;stroke:#b35900;stroke-dasharray:2 2}\
.linked{opacity:.45}.failed{stroke:#d1242f;stroke-width:2}.break{stroke:#59636e;stroke-dasharray:2 3}\
.s0{fill:#0969da}.s1{fill:#1a7f37}.s2{fill:#8250df}.s3{fill:#bc4c00}.s4{fill:#57606a}.s5{fill:#bf3989}\
@media (prefers-color-scheme:dark){text{fill:#f0f6fc}.dim{fill:#9198a1}.page{fill:#0d1117}\
.wait,.break{stroke:#9198a1}.missing{stroke:#e3b341}.failed{stroke:#ff7b72}\
.s0{fill:#4493f8}.s1{fill:#3fb950}.s2{fill:#ab7df8}.s3{fill:#f0883e}.s4{fill:#9198a1}.s5{fill:#f778ba}}";

impl Waterfalls {
    /// One drawing with all traces, one below the other.
    #[must_use]
    pub fn svg(&self) -> String {
        let mut services = BTreeSet::new();
        for section in self.traces.iter().flat_map(|trace| &trace.events) {
            section.nodes.iter().for_each(|node| add_services(node, &mut services));
        }
        let services: Vec<&str> = services.into_iter().collect();
        let mut drawing = Drawing { body: String::new(), y: MARGIN, services };
        self.traces.iter().for_each(|trace| drawing.trace(trace));
        drawing.legend();
        let height = drawing.y + MARGIN;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
             viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"Waterfall of {}\">\n<style>{STYLE}</style>\n\
             <rect class=\"page\" width=\"100%\" height=\"100%\"/>\n{}</svg>\n",
            self.traces.iter().map(|trace| format!("trace {}", trace.trace_id)).collect::<Vec<_>>().join(", "),
            drawing.body
        )
    }
}

fn add_services<'a>(node: &'a Node, services: &mut BTreeSet<&'a str>) {
    services.extend(node.service.as_deref());
    node.children.iter().for_each(|child| add_services(child, services));
}

/// What is drawn so far.
struct Drawing<'a> {
    body: String,
    /// Where the next line begins.
    y: usize,
    services: Vec<&'a str>,
}

impl Drawing<'_> {
    fn trace(&mut self, trace: &Waterfall) {
        let axis = Axis { from_ns: 0, to_ns: trace.duration_ns, breaks: trace.breaks.clone() };
        let layout = axis.layout(WIDTH - BARS - MARGIN, OF_BREAK, 24);
        self.text(MARGIN, "title", &format!("trace {}", trace.trace_id));
        self.next();
        self.text(MARGIN, "dim", &format!("{}, {}", trace.began_at, duration(trace.duration_ns)));
        for (piece, one) in layout.breaks().zip(&trace.breaks) {
            let middle = BARS + (piece.from + piece.to) / 2;
            self.anchored(middle, "middle", &duration(one.duration_ns));
        }
        self.next();
        let top = self.y;
        for section in &trace.events {
            let ids = [section.event_id.as_deref().or(Some("spans of no event")), section.payment_id.as_deref()];
            let heading = ids.into_iter().flatten().collect::<Vec<_>>().join("  ");
            self.text(MARGIN, "title", &heading);
            self.next();
            section.nodes.iter().for_each(|node| self.node(node, 0, &layout));
        }
        for place in layout.breaks().flat_map(|piece| [piece.from, piece.to]) {
            let (x, bottom) = (BARS + place, self.y);
            let _ = writeln!(self.body, "<path class=\"break\" d=\"M{x} {top}V{bottom}\"/>");
        }
        self.next();
    }

    fn node(&mut self, node: &Node, depth: usize, layout: &Layout) {
        let x = MARGIN + depth * INDENT;
        let mut label = node.name.clone();
        if let Some(says) = &node.says {
            let _ = write!(label, ": {says}");
        }
        let has_bar = node.kind != Kind::Delivery;
        let (end, class) = if has_bar { (DURATIONS - 70, "") } else { (WIDTH - MARGIN, "dim") };
        let class = if node.kind == Kind::Wait { "dim" } else { class };
        self.text(x, class, &cut(&label, end.saturating_sub(x) / CHARACTER));
        if has_bar {
            self.anchored(DURATIONS, "end", &duration(node.duration_ns));
            self.bar(node, &label, layout);
        }
        self.next();
        node.children.iter().for_each(|child| self.node(child, depth + 1, layout));
    }

    fn bar(&mut self, node: &Node, label: &str, layout: &Layout) {
        #[expect(clippy::cast_precision_loss, reason = "a picture has few places")]
        let left = BARS as f64;
        let [from, to] = [node.after_ns, node.after_ns + node.duration_ns].map(|ns| layout.place(ns));
        let place = self.services.iter().position(|service| node.service.as_deref() == Some(service)).unwrap_or(0);
        let class = match node.kind {
            Kind::Wait => "wait".to_owned(),
            Kind::Missing => "missing".to_owned(),
            Kind::Linked => format!("linked s{}", place % 6),
            Kind::Span | Kind::Delivery if node.is_error => format!("failed s{}", place % 6),
            Kind::Span | Kind::Delivery => format!("s{}", place % 6),
        };
        let mut title =
            format!("{label}, {}, {} after the beginning", duration(node.duration_ns), duration(node.after_ns));
        if let Some(service) = &node.service {
            let _ = write!(title, ", {service}");
        }
        if let Some(span_id) = &node.span_id {
            let _ = write!(title, ", span {span_id}");
        }
        let (y, height) = (self.y + 4, LINE - 8);
        let _ = writeln!(
            self.body,
            "<rect class=\"{class}\" x=\"{:.1}\" y=\"{y}\" width=\"{:.1}\" height=\"{height}\" rx=\"2\"><title>{}</title></rect>",
            left + from,
            (to - from).max(1.5),
            escaped(&title)
        );
    }

    fn legend(&mut self) {
        let mut x = MARGIN;
        for (n, service) in self.services.clone().into_iter().enumerate() {
            let y = self.y + 6;
            let _ = writeln!(
                self.body,
                "<rect class=\"s{}\" x=\"{x}\" y=\"{y}\" width=\"10\" height=\"10\" rx=\"2\"/>",
                n % 6
            );
            self.text(x + 16, "dim", service);
            x += 40 + service.chars().count() * CHARACTER;
        }
        self.next();
    }

    fn text(&mut self, x: usize, class: &str, text: &str) {
        let y = self.y + LINE - 7;
        let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
        let _ = writeln!(self.body, "<text{class} x=\"{x}\" y=\"{y}\">{}</text>", escaped(text));
    }

    fn anchored(&mut self, x: usize, anchor: &str, text: &str) {
        let y = self.y + LINE - 7;
        let text = escaped(text);
        let _ = writeln!(self.body, "<text class=\"dim\" x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{text}</text>");
    }

    fn next(&mut self) {
        self.y += LINE;
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
