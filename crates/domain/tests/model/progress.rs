//! A measure that each step of the ordinary course must raise: so there is no way to go round in circles, and a world
//! in which nothing moves any more is reached at last.

use domain::ledger::State;

use crate::world::{Phase, Reply, Row, Work, World, Zombie};

/// Compared from the front.
pub fn rank(world: &World) -> [i32; 10] {
    let rows = || world.ledger.iter().flatten();
    let sum = |of: fn(&Row) -> i32| rows().map(of).sum::<i32>();
    let unrouted = (0..world.ledger.len()).filter(|version| {
        let event = (Work::Event(*version), &Phase::Ready);
        let is_sent = world.invocations.iter().any(|invocation| (invocation.work, &invocation.phase) == event);
        world.ledger[*version].is_none() && !is_sent
    });
    let unrouted = unrouted.count() as i32 * 30;
    let phases: i32 = world.invocations.iter().map(|invocation| to_come(&invocation.phase, invocation.work)).sum();
    let zombies: i32 = world.zombies.iter().map(|Zombie { reply, .. }| if reply.is_none() { 2 } else { 1 }).sum();
    [
        -i32::from(world.mishaps),
        i32::from(world.is_enabled) - 2 * coming_410s(world),
        rows().count() as i32,
        sum(|row| row.stored.claim as i32),
        sum(|row| match row.state() {
            State::Pending => 0,
            State::Held => 1,
            State::Parked => 2,
            State::Superseded | State::Exhausted => 3,
            State::Delivered => 4,
        }),
        sum(|row| (row.stored.attempts + row.stored.unknowns) as i32),
        sum(|row| i32::from(row.flight.is_none())),
        sum(|row| {
            let is_lapsed = row.flight.is_some_and(|flight| flight.lapsed);
            i32::from(is_lapsed) + i32::from(!row.later) + i32::from(!row.stored.in_doubt)
        }),
        -(unrouted + phases + zombies),
        -owners(world),
    ]
}

/// How many invocations the ledger names that have not ended: a wait ends one, and its continuation is another.
fn owners(world: &World) -> i32 {
    let rows = world.ledger.iter().chain(world.durable.iter().flatten()).flatten();
    let named = rows.flat_map(|row| [row.routed_by, row.flight.and_then(|flight| flight.owner)]);
    named.flatten().count() as i32
}

/// How many 410s are answered and will be recorded: each disables the endpoint.
fn coming_410s(world: &World) -> i32 {
    let is_gone = |phase: &Phase| matches!(phase, Phase::Posted(_, Reply::Gone) | Phase::Deferred(_, Reply::Gone));
    let invocations = world.invocations.iter().filter(|invocation| is_gone(&invocation.phase)).count();
    let zombies = world.zombies.iter().filter(|zombie| zombie.reply == Some(Reply::Gone)).count();
    (invocations + zombies) as i32
}

/// At least how many steps an invocation has still to make.
fn to_come(phase: &Phase, work: Work) -> i32 {
    let ready = |version: usize| if version == 0 { 9 } else { 3 };
    match (phase, work) {
        (Phase::Ready, Work::Event(_)) => 20,
        (Phase::Ready, Work::Attempt(target)) => ready(target.version),
        (Phase::Begun(_), _) => 19,
        (Phase::Posted(..) | Phase::Deferred(..), _) => 18,
        (Phase::Answered(left), _) => 1 + left.iter().map(|target| 1 + ready(target.version)).sum::<i32>(),
    }
}
