//! What must always be true, and what must happen at least once, so that the model is not empty.

use domain::ledger::{Reason, State};
use stateright::Property;

use crate::protocol::{Action, Protocol};
use crate::world::{Row, World, Wrong};

pub const SOMEBODY: &str = "an unfinished delivery has an owner, or the sweep finds it, or a predecessor is unfinished";
pub const BEHIND: &str = "a held delivery is behind an unfinished one";
pub const WHOLE: &str = "a reason goes with parked and exhausted, and an attempt in flight with pending";
pub const ONE_OWNER: &str = "no claim has two invocations";
pub const NO_STALE_END: &str = "no stale claim ends a delivery but by a 2xx";
pub const KEPT: &str = "a recorded 2xx is never forgotten, though it may be resent";
pub const IN_ORDER: &str = "no version begins while an earlier one is unfinished";
pub const ARRIVES_IN_ORDER: &str = "no version arrives while an earlier one is unfinished that was never parked";
pub const NOT_TWICE: &str = "what was never in doubt is accepted at most once";
pub const ONE_ANSWER: &str = "no answer both begins an attempt and leaves something";
pub const IN_TIME: &str = "no attempt begins before it is due, or during another's lease";
pub const SCHEDULED: &str = "no more attempts than scheduled, one for what died and one for each resumption, and anew for \
                             each resend";
pub const RESENT: &str = "a resend of what was accepted ends only after an attempt, but where the endpoint is disabled";
pub const WHOLE_SCHEDULE: &str = "what is resent is exhausted only after all attempts of its schedule";
pub const PROGRESS: &str = "each step that is no mishap brings the world on";
pub const FINISHED: &str = "where nothing moves any more, all is delivered, exhausted, or parked for a true reason";

pub const ONE_AT_A_TIME: &str = "no version begins while a POST of an earlier one is to arrive that nobody doubts";
pub const SUPERSEDED: &str = "what a later version has superseded does not arrive any more";
pub const LATEST: &str = "only what a later version follows is superseded, and only where that is wanted";

/// What a scenario must show at least once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Example {
    TakenOver,
    Resumed,
    Exhausted,
    Repeated,
    Held,
    Superseded,
    Resent,
}

/// True in every world.
pub fn always() -> Vec<Property<Protocol>> {
    vec![
        Property::always(SOMEBODY, |protocol: &Protocol, world: &World| {
            (0..protocol.versions).all(|v| has_somebody(protocol, world, v))
        }),
        Property::always(BEHIND, |_, world: &World| {
            (0..2).all(|v| state(world, v) != Some(State::Held) || !world.is_first(v))
        }),
        Property::always(WHOLE, |_, world: &World| {
            world.ledger.iter().flatten().all(|row| {
                row.reason.is_some() == matches!(row.state(), State::Parked | State::Exhausted)
                    && (row.flight.is_none() || row.state() == State::Pending)
            })
        }),
        Property::always(NO_STALE_END, |_, world: &World| world.wrong != Some(Wrong::StaleEnd)),
        Property::always(KEPT, |_, world: &World| {
            (0..2).all(|v| {
                let is_resent = |row: Row| row.stored.accepted && row.is_unfinished() && world.past[v].resent > 0;
                !world.past[v].recorded
                    || state(world, v) == Some(State::Delivered)
                    || world.ledger[v].is_some_and(is_resent)
            })
        }),
        Property::always(IN_ORDER, |_, world: &World| world.wrong != Some(Wrong::Overtook)),
        Property::always(ARRIVES_IN_ORDER, |_, world: &World| world.wrong != Some(Wrong::OutOfOrder)),
        Property::always(NOT_TWICE, |_, world: &World| {
            world.past.iter().all(|past| past.accepted <= 1 + past.doubts + past.resent)
        }),
        Property::always(RESENT, |protocol: &Protocol, world: &World| {
            // Where the latest only is wanted, a later one takes its place.
            protocol.is_latest
                || (0..2).all(|v| {
                    let is_ended = |row: Row| row.stored.accepted && row.state() == State::Delivered;
                    !world.past[v].awaits || !world.ledger[v].is_some_and(is_ended)
                })
        }),
        Property::always(WHOLE_SCHEDULE, |protocol: &Protocol, world: &World| {
            let scheduled = protocol.rules.schedule.waits().len() as u32;
            world.ledger.iter().flatten().all(|row| {
                row.reason != Some(Reason::ScheduleUsedUp) || row.stored.attempts >= row.resent_from + scheduled
            })
        }),
        Property::always(IN_TIME, |_, world: &World| world.wrong != Some(Wrong::TooEarly)),
        Property::always(SCHEDULED, |protocol: &Protocol, world: &World| {
            let scheduled = protocol.rules.schedule.waits().len() as u32;
            (0..2).all(|v| {
                let attempts = world.ledger[v].map_or(0, |row| row.stored.attempts);
                let times = 1 + u32::from(world.past[v].resent);
                attempts <= (scheduled + 1) * times + u32::from(world.past[v].resumed)
            })
        }),
        Property::always(ONE_AT_A_TIME, |_, world: &World| world.wrong != Some(Wrong::Overlapped)),
        Property::always(SUPERSEDED, |_, world: &World| world.wrong != Some(Wrong::CameAfterAll)),
        Property::always(LATEST, |protocol: &Protocol, world: &World| {
            (0..protocol.versions).all(|v| {
                let is_followed = world.ledger[v + 1..].iter().any(Option::is_some);
                let is_wanted = protocol.is_latest || world.past[v].replaced;
                state(world, v) != Some(State::Superseded) || (is_wanted && is_followed)
            })
        }),
        Property::always(ONE_ANSWER, |_, world: &World| world.wrong != Some(Wrong::Both)),
        Property::always(PROGRESS, |_, world: &World| world.wrong != Some(Wrong::NoProgress)),
        Property::always(FINISHED, |protocol: &Protocol, world: &World| {
            (0..protocol.versions).all(|v| is_finished(world, v)) || !is_quiet(protocol, world)
        }),
    ]
}

/// True where nothing makes two invocations of one: no send arrives twice.
pub fn one_owner() -> Property<Protocol> {
    Property::always(ONE_OWNER, |protocol: &Protocol, world: &World| {
        (0..protocol.versions)
            .filter(|v| world.ledger[*v].is_some_and(|row| row.is_unfinished()))
            .filter_map(|v| world.target(v))
            .all(|target| world.carriers(target) <= 1)
    })
}

/// Must happen, or the model is empty.
pub fn sometimes() -> [(Example, Property<Protocol>); 7] {
    [
        (
            Example::TakenOver,
            Property::sometimes("a delivery is delivered after a take-over", |_, world: &World| {
                (0..2).any(|v| world.past[v].taken_over && state(world, v) == Some(State::Delivered))
            }),
        ),
        (
            Example::Resumed,
            Property::sometimes("a delivery is delivered after it was parked and resumed", |_, world: &World| {
                (0..2).any(|v| world.past[v].resumed > 0 && state(world, v) == Some(State::Delivered))
            }),
        ),
        (
            Example::Exhausted,
            Property::sometimes("a delivery is exhausted", |_, world: &World| {
                (0..2).any(|v| state(world, v) == Some(State::Exhausted))
            }),
        ),
        (
            Example::Repeated,
            Property::sometimes("a webhook is accepted twice", |_, world: &World| {
                (0..2).any(|v| world.past[v].accepted > 1)
            }),
        ),
        (
            Example::Held,
            Property::sometimes("a delivery is delivered after it was held", |_, world: &World| {
                (0..2).any(|v| world.past[v].was_held && state(world, v) == Some(State::Delivered))
            }),
        ),
        (
            Example::Resent,
            Property::sometimes(
                "a delivered webhook is resent, fails, and is delivered as before",
                |_, world: &World| {
                    (0..2).any(|v| {
                        world.ledger[v].is_some_and(|row| row.state() == State::Delivered && row.stored.accepted)
                            && world.past[v].accepted == 1
                    })
                },
            ),
        ),
        (
            Example::Superseded,
            Property::sometimes("a version is superseded and the later one delivered", |_, world: &World| {
                state(world, 0) == Some(State::Superseded) && state(world, 1) == Some(State::Delivered)
            }),
        ),
    ]
}

fn state(world: &World, version: usize) -> Option<State> {
    world.ledger[version].map(|row| row.state())
}

fn is_finished(world: &World, version: usize) -> bool {
    match state(world, version) {
        Some(State::Delivered | State::Exhausted | State::Superseded) => true,
        Some(State::Parked) => {
            !world.is_enabled || world.ledger[version].is_some_and(|row| row.reason == Some(Reason::Declined))
        }
        Some(State::Pending | State::Held) | None => false,
    }
}

fn has_somebody(protocol: &Protocol, world: &World, version: usize) -> bool {
    let Some(target) = world.target(version) else { return true };
    match state(world, version) {
        Some(State::Pending) => {}
        Some(State::Held) if !world.is_first(version) => return true,
        Some(State::Held) => {}
        _ => return true,
    }
    if protocol.is_cared_for(world, target) {
        return true;
    }
    let mut course = Vec::new();
    protocol.course(world, &mut course);
    course.iter().any(|action| match action {
        Action::LetIn(of, _) | Action::SweepTakesOver(of, _) | Action::SweepReleases(of, _) => *of == version,
        // Only the sweep makes anything of these, if nobody has the delivery.
        Action::TimePasses(of) | Action::LeaseLapses(of) => *of == version && protocol.has_sweep,
        _ => false,
    }) || (protocol.has_sweep && world.is_being_made(version))
}

fn is_quiet(protocol: &Protocol, world: &World) -> bool {
    let mut course = Vec::new();
    protocol.course(world, &mut course);
    course.into_iter().all(|action| protocol.after(world, action).is_none())
}
