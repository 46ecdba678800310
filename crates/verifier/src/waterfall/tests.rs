//! Pictures of what happens to events, as text and as SVG; and what is found by which id.

use std::path::Path;

use proptest::prelude::*;

use super::{Kind, Node, Unknown, Wanted, Waterfalls};
use crate::spans::Spans;
use crate::spans::example::{Event, Made, lines};

fn read(made: &[Made]) -> Spans {
    let mut spans = Spans::default();
    spans.read_from(lines(made).as_bytes(), Path::new("spans.jsonl")).unwrap();
    spans
}

fn picture(made: &[Made], wanted: &str) -> Waterfalls {
    Waterfalls::find(&read(made), wanted.parse().unwrap()).unwrap()
}

fn nodes(waterfalls: &Waterfalls) -> Vec<&Node> {
    fn add<'a>(node: &'a Node, all: &mut Vec<&'a Node>) {
        all.push(node);
        node.children.iter().for_each(|child| add(child, all));
    }
    let mut all = Vec::new();
    let sections = waterfalls.traces.iter().flat_map(|trace| &trace.events);
    sections.flat_map(|section| &section.nodes).for_each(|node| add(node, &mut all));
    all
}

fn fan_out_of_two() -> Event {
    let failing = [(6_800, "status", Some(500)), (11_900, "delivered", Some(200))];
    Event::new(1).to(&failing).to(&[(6_900, "delivered", Some(204))])
}

#[test]
fn a_fan_out_of_two_with_a_failing_first_attempt() {
    let event = fan_out_of_two();
    let picture = picture(&event.spans(0), &event.event_id.to_string());
    insta::assert_snapshot!("fan_out_as_text", picture.text(120));
    insta::assert_snapshot!("fan_out_as_narrow_text", picture.text(0));
    insta::assert_snapshot!("fan_out_as_svg", picture.svg());
    insta::assert_json_snapshot!("fan_out_as_json", picture);
}

#[test]
fn a_retry_five_minutes_later_does_not_squash_the_rest() {
    let event = Event::new(2).to(&[(6_800, "timeout", None), (300_010_000, "delivered", Some(200))]);
    let picture = picture(&event.spans(0), &format!("{:032x}", event.trace().trace_id));
    insta::assert_snapshot!("late_retry_as_text", picture.text(120));
    insta::assert_snapshot!("late_retry_as_svg", picture.svg());
    assert_eq!(picture.traces[0].breaks.len(), 1);
}

#[test]
fn two_events_of_one_trace_are_grouped_by_event() {
    let (mut first, mut second) = (Event::new(5), Event::new(6));
    (first.event_type, second.event_type) = ("payment.processing", "payment.succeeded");
    second.traceparent.as_mut().unwrap().trace_id = first.traceparent.unwrap().trace_id;
    second.payment_id = first.payment_id;
    let (first, second) = (first.to(&[(6_800, "delivered", Some(200))]), second.to(&[(6_800, "delivered", Some(200))]));
    let mut made = [first.spans(0), second.spans(9_000)].concat();
    for span in made.iter_mut().filter(|span| span.name == "payments.change") {
        // The caller has its own span, which is not ours to see.
        span.parent = 0xcafe;
    }
    let both = picture(&made, &first.payment_id.to_string());
    insta::assert_snapshot!("two_events_as_text", both.text(120));
    insta::assert_snapshot!("two_events_as_svg", both.svg());
    let one = picture(&made, &second.event_id.to_string());
    assert_eq!(one.traces[0].events.len(), 1);
    assert_eq!(one.traces[0].events[0].event_id, Some(second.event_id.to_string()));
}

#[test]
fn what_a_dead_process_has_not_sent_is_shown_as_missing() {
    let event = Event::new(3).to(&[(6_800, "unknown", None), (900_000, "delivered", Some(200))]);
    let mut made = event.spans(0);
    // The webhook has arrived, and the process died before it knew.
    let first = made.iter().find(|span| span.name == "payload.read").unwrap().clone();
    let post = domain::trace::of_attempt(event.deliveries[0].attempts[0].attempt_id, domain::trace::Hop::Post);
    let receive = made.iter().find(|span| span.name == "webhook.receive").unwrap().clone();
    let (from_us, to_us) = (first.to_us + 500, first.to_us + 1_500);
    made.push(Made { id: 77, parent: post, from_us, to_us, ..receive });
    let picture = picture(&made, &event.event_id.to_string());
    insta::assert_snapshot!("a_death_as_text", picture.text(120));
    let missing: Vec<_> = nodes(&picture).into_iter().filter(|node| node.kind == Kind::Missing).collect();
    assert_eq!(
        missing.iter().map(|node| node.name.as_str()).collect::<Vec<_>>(),
        ["delivery.attempt 1", "webhook.post"]
    );
}

#[test]
fn a_payment_is_found_with_all_its_traces_in_their_order() {
    let (created, mut changed) = (Event::new(1), Event::new(2));
    changed.event_type = "payment.succeeded";
    changed.payment_id = created.payment_id;
    let made = [changed.spans(5_000_000), created.spans(0), Event::new(3).spans(0)].concat();
    let found = picture(&made, &created.payment_id.to_string());
    let expected = [&created, &changed].map(|event| format!("{:032x}", event.trace().trace_id));
    assert_eq!(found.traces.iter().map(|trace| trace.trace_id.clone()).collect::<Vec<_>>(), expected);
    assert_eq!(found.svg().matches("class=\"title\"").count(), 4, "a heading for each trace and each event");
}

#[test]
fn an_id_that_is_none_and_one_that_nobody_names_say_what_to_do() {
    let none = "dlv_019a0b1c2d3e7f00a1b2c3d4e5f60718".parse::<Wanted>().unwrap_err();
    insta::assert_snapshot!("no_id", none.to_string());
    let made = fan_out_of_two().spans(0);
    let wanted = "evt_019a0b1c2d3e7f00a1b2c3d4e5f60718".parse().unwrap();
    let unknown: Unknown = Waterfalls::find(&read(&made), wanted).unwrap_err();
    insta::assert_snapshot!("unknown_id", unknown.to_string());
}

#[test]
fn restates_span_is_shown_where_it_is_linked_to_first() {
    let event = fan_out_of_two();
    let mut made = event.spans(0);
    // Both first attempts are made in one invocation.
    let linked = made.iter().find(|span| span.name == "delivery.attempt").unwrap().links.clone();
    made.iter_mut().filter(|span| span.name == "delivery.attempt").for_each(|span| span.links.clone_from(&linked));
    let picture = picture(&made, &event.event_id.to_string());
    assert_eq!(nodes(&picture).iter().filter(|node| node.kind == Kind::Linked).count(), 1);
}

#[test]
fn spans_that_hang_on_each_other_are_shown_once_each_and_a_text_can_do_no_harm() {
    let mut made = fan_out_of_two().spans(0);
    made.retain(|span| span.service != "Restate");
    let (a, b) = (made[2].id, made[4].id);
    (made[2].parent, made[4].parent) = (b, a);
    made[3].service = "<script>\u{1b}[2J\"".to_owned();
    let picture = picture(&made, &format!("{:032x}", made[0].trace));
    assert_eq!(nodes(&picture).iter().filter(|node| node.kind == Kind::Span).count(), made.len());
    assert!(!picture.text(120).contains('\u{1b}'));
    assert!(!picture.svg().contains("<script>") && picture.svg().contains("&lt;script&gt;"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_the_times_and_parents_each_span_has_a_line_that_fits(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..400_000_000_u64, 0..60_000_000_u64), 0..12),
        width in 0..200_usize,
    ) {
        let mut made = fan_out_of_two().spans(0);
        made.retain(|span| span.service != "Restate");
        for (which, on, from_us, length_us) in changes {
            let parent = made[on.index(made.len())].id;
            let n = which.index(made.len());
            (made[n].parent, made[n].from_us, made[n].to_us) = (parent, from_us, from_us + length_us);
        }
        let picture = picture(&made, &format!("{:032x}", made[0].trace));
        let spans = nodes(&picture).into_iter().filter(|node| node.kind == Kind::Span).count();
        prop_assert!(spans == made.len(), "{} of {}", spans, made.len());
        let text = picture.text(width);
        let is_whole = |line: &&str| !line.starts_with('┊') && !line.contains("pay_");
        let longest = text.lines().filter(is_whole).map(|line| line.chars().count()).max();
        prop_assert!(longest <= Some(width.max(72)), "{}", text);
        prop_assert!(picture.svg().ends_with("</svg>\n"));
    }
}
