//! `POST /internal/jobs`: takes the next step of a job, for whoever reconciles; and lets those in who stay at the gates of
//! endpoints, where nothing moves.
//!
//! Invariant: a step moves its deliveries and the job's place behind them in one transaction, so that a crash repeats none
//! and forgets none. What is moved and not heard of, since the answer was lost, is overdue like anything else.

use std::collections::{BTreeSet, HashMap, HashSet};

use axum::Json;
use axum::extract::State;
use chassis::error_chain::Chain;
use chassis::{JsonBody, Problem};
use domain::job::{Kind, ParkedChoice};
use domain::ledger::{self, Delivery, State as DeliveryState, Step};
use domain::protocol::{Later, Overdue, OverdueQuery};
use store::PgConnection;
use store::ledger::{Line, Resent, RunningJob, Seen, Turns};
use store::transaction::{begin, commit};

use super::overdue::LEASE_MS;
use super::{gates, next, order, storable};
use crate::app::{App, Core};

/// So many deliveries are moved by one step, and fewer where each takes the lock of its line.
const AT_ONCE: i64 = 200;
const AT_ONCE_IN_LINE: i64 = 50;

/// So many deliveries of the endpoint are looked at by one step, however few of them are to be moved.
const MOST_LOOKED_AT: i64 = 5_000;

/// A step could not be taken; the other jobs go first.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("the database refused")]
    Store(#[from] store::Error),
    #[error("moving deliveries of the job {job_id}")]
    Step { job_id: String, source: order::Error },
    #[error("the job {job_id} says {word}, which means nothing to this program: it is older than the schema")]
    Unreadable { job_id: String, word: String },
}

/// What a job does with a delivery whose turn it is.
#[derive(Clone, Copy)]
enum Move {
    Resend,
    Replace,
    Decline,
}

/// What a job does with each.
enum Plan {
    Resend(Vec<String>),
    Settle(ParkedChoice),
}

/// Deliveries that the step sends once more, and how many it could move.
#[derive(Default)]
struct Moved {
    again: Vec<Later>,
    done: usize,
}

/// The deliveries that a job sends now, for the holder of the lease; nothing for anybody else.
pub async fn post(State(app): State<App>, JsonBody(query): JsonBody<OverdueQuery>) -> Result<Json<Overdue>, Problem> {
    look(&app.core, &storable(query.holder)).await.map(Json).map_err(|error| {
        tracing::warn!(error = %Chain(&error), "a job could not be moved on");
        Problem::unavailable()
    })
}

async fn look(core: &Core, holder: &str) -> Result<Overdue, Error> {
    let has_jobs = store::ledger::has_running_jobs(&core.rare).await?;
    let still = gates::still_gates(core).await?;
    // Mostly there is nothing, and then nothing is written.
    if (!has_jobs && still.is_empty()) || !store::ledger::take_lease(&core.rare, "reconciler", holder, LEASE_MS).await?
    {
        return Ok(Overdue::default());
    }
    let (mut deliveries, mut more) = gates::let_in_where_nothing_moves(core, &still).await;
    if has_jobs {
        match step(core).await {
            Ok(moved) => {
                deliveries.extend(moved);
                more = true;
            }
            // Whoever was let in is told in any case.
            Err(error) => put_behind(core, &error).await,
        }
    }
    Ok(Overdue { leads: true, events: Vec::new(), deliveries, more })
}

/// The job that could not be moved on does not keep the others from it.
async fn put_behind(core: &Core, error: &Error) {
    tracing::warn!(error = %Chain(error), "a job could not be moved on");
    if let Error::Step { job_id, .. } | Error::Unreadable { job_id, .. } = error
        && let Err(error) = store::ledger::put_job_behind(&core.rare, job_id).await
    {
        tracing::warn!(error = %Chain(&error), job.id = job_id, "it could not be put behind the others");
    }
}

async fn step(core: &Core) -> Result<Vec<Later>, Error> {
    let mut connection = core.recording.take().await?;
    let mut transaction = begin(&mut connection).await?;
    let Some(job) = store::ledger::lock_job(&mut transaction).await? else { return Ok(Vec::new()) };
    let Progress { moved, looked_at, done, skipped } = match proceed(&mut transaction, &job).await {
        Err(Error::Store(source)) => return Err(Error::Step { job_id: job.job_id, source: source.into() }),
        done => done?,
    };
    commit(transaction).await?;
    connection.keep();
    let is_last = looked_at.is_none();
    tracing::info!(job.id = job.job_id, endpoint.id = job.endpoint_id, done, skipped, is_last, "a job is moved on");
    Ok(moved.again)
}

/// What a step has come to.
struct Progress {
    moved: Moved,
    looked_at: Option<String>,
    done: i64,
    skipped: i64,
}

async fn proceed(connection: &mut PgConnection, job: &RunningJob) -> Result<Progress, Error> {
    let plan = plan(job)?;
    let (turns, total) = turns(connection, job, &plan).await?;
    let moved = move_all(connection, &plan, &turns.delivery_ids)
        .await
        .map_err(|source| Error::Step { job_id: job.job_id.clone(), source })?;
    if !moved.again.is_empty() {
        // Whoever has something sent once more thinks that the endpoint is back.
        store::ledger::try_circuit(connection, &job.endpoint_id).await?;
    }
    let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let (done, skipped) = (count(moved.done), count(turns.delivery_ids.len() - moved.done));
    store::ledger::step_job(connection, &job.job_id, turns.looked_at.as_deref(), done, skipped, total).await?;
    Ok(Progress { moved, looked_at: turns.looked_at, done, skipped })
}

fn plan(job: &RunningJob) -> Result<Plan, Error> {
    let unreadable = |word: &str| Error::Unreadable { job_id: job.job_id.clone(), word: word.to_owned() };
    let all = [DeliveryState::Delivered, DeliveryState::Parked, DeliveryState::Exhausted, DeliveryState::Superseded];
    let all = || all.map(|state| state.as_str().to_owned()).to_vec();
    match Kind::from_word(&job.kind).ok_or_else(|| unreadable(&job.kind))? {
        Kind::Resend => Ok(Plan::Resend(all())),
        Kind::Recover => Ok(Plan::Resend(job.states.clone().unwrap_or_default())),
        Kind::Enable => {
            let word = job.parked.as_deref().unwrap_or_default();
            ParkedChoice::from_word(word).map(Plan::Settle).ok_or_else(|| unreadable(word))
        }
    }
}

async fn turns(
    connection: &mut PgConnection,
    job: &RunningJob,
    plan: &Plan,
) -> Result<(Turns, Option<i64>), store::Error> {
    let ids = std::slice::from_ref(&job.endpoint_id);
    let endpoint = store::ledger::endpoints_on(connection, &[], ids).await?.pop();
    let limit = match endpoint.is_some_and(|endpoint| endpoint.order.is_in_line()) {
        true => AT_ONCE_IN_LINE,
        false => AT_ONCE,
    };
    let states = match plan {
        Plan::Resend(states) => states.as_slice(),
        Plan::Settle(_) => &[],
    };
    let total = match job.has_begun {
        true => None,
        false => store::ledger::count_turns(connection, job, states).await?,
    };
    let turns = match plan {
        Plan::Resend(states) => store::ledger::turns(connection, job, states, limit, MOST_LOOKED_AT).await?,
        Plan::Settle(_) => store::ledger::parked_turns(connection, job, limit).await?,
    };
    Ok((turns, total))
}

async fn move_all(connection: &mut PgConnection, plan: &Plan, ids: &[String]) -> Result<Moved, order::Error> {
    if ids.is_empty() {
        return Ok(Moved::default());
    }
    let followed: HashSet<String> = match plan {
        Plan::Settle(ParkedChoice::LatestPerObject) => {
            store::ledger::followed(connection, ids).await?.into_iter().collect()
        }
        Plan::Settle(ParkedChoice::All | ParkedChoice::None) | Plan::Resend(_) => HashSet::new(),
    };
    let what = |delivery_id: &String| match plan {
        Plan::Resend(_) | Plan::Settle(ParkedChoice::All) => Move::Resend,
        Plan::Settle(ParkedChoice::LatestPerObject) if followed.contains(delivery_id) => Move::Replace,
        Plan::Settle(ParkedChoice::LatestPerObject) => Move::Resend,
        Plan::Settle(ParkedChoice::None) => Move::Decline,
    };
    let mut seen = store::ledger::deliveries_on(connection, ids).await?;
    keep_those_with_events(connection, &mut seen).await?;
    let (resent, settled): (Vec<&Seen>, Vec<&Seen>) =
        seen.iter().partition(|seen| matches!(what(&seen.delivery_id), Move::Resend));
    let (in_line, alone): (Vec<&Seen>, Vec<&Seen>) = resent.into_iter().partition(|seen| seen.in_line.is_some());
    let mut moved = resend_alone(connection, &alone).await?;
    moved.done += settle(connection, &settled, what).await?;
    let in_line = resend_in_line(connection, &in_line).await?;
    moved.done += in_line.done;
    moved.again.extend(in_line.again);
    Ok(moved)
}

/// What has ended, or is declined, does not keep its event's day, and without its event it can't be sent. The horizon is behind whatever is
/// dropped, and stays where it is until this transaction ends.
async fn keep_those_with_events(connection: &mut PgConnection, seen: &mut Vec<Seen>) -> Result<(), store::Error> {
    let ids: Vec<String> = seen.iter().map(|seen| seen.event_id.clone()).collect();
    let kept: HashMap<String, bool> = store::ledger::events_on(connection, &ids)
        .await?
        .into_iter()
        .map(|event| (event.event_id, event.before_horizon))
        .collect();
    seen.retain(|seen| {
        let keeps_its_day = seen.state == DeliveryState::Parked && !seen.declined;
        kept.get(&seen.event_id).is_some_and(|before_horizon| keeps_its_day || !before_horizon)
    });
    Ok(())
}

async fn resend_alone(connection: &mut PgConnection, alone: &[&Seen]) -> Result<Moved, store::Error> {
    let rows: Vec<Resent> = alone
        .iter()
        .filter_map(|seen| ledger::resend(next::as_delivery(seen, "")).map(|delivery| resent(seen, delivery)))
        .collect();
    if rows.is_empty() {
        return Ok(Moved::default());
    }
    let claims: Vec<(String, i32)> = rows.iter().map(|row| (row.delivery_id.clone(), row.claim)).collect();
    let written: HashSet<String> = store::ledger::resend_on(connection, rows).await?.into_iter().collect();
    let again = claims.into_iter().filter(|(id, _)| written.contains(id)).filter_map(|(id, claim)| {
        Some(Later { delivery_id: id.parse().ok()?, claim: claim.unsigned_abs(), delay_ms: 0 })
    });
    Ok(Moved { again: again.collect(), done: written.len() })
}

/// The lines are locked all at once, in the order in which everybody locks them.
async fn resend_in_line(connection: &mut PgConnection, in_line: &[&Seen]) -> Result<Moved, order::Error> {
    let lines: BTreeSet<Line> = in_line
        .iter()
        .filter_map(|seen| {
            let (object_id, _) = seen.in_line.clone()?;
            Some(Line { endpoint_id: seen.endpoint_id.clone(), object_id })
        })
        .collect();
    if lines.is_empty() {
        return Ok(Moved::default());
    }
    store::ledger::lock_lines(connection, &lines).await?;
    let mut moved = Moved::default();
    for seen in in_line {
        match order::resend(connection, &seen.delivery_id).await? {
            order::Resent::Again(later) => {
                moved.again.push(later);
                moved.done += 1;
            }
            order::Resent::Replaced => moved.done += 1,
            order::Resent::Not => {}
        }
    }
    Ok(moved)
}

async fn settle(
    connection: &mut PgConnection,
    settled: &[&Seen],
    what: impl Fn(&String) -> Move,
) -> Result<usize, store::Error> {
    let step = |seen: &Seen| -> Option<Step> {
        let delivery = next::as_delivery(seen, "");
        match what(&seen.delivery_id) {
            Move::Replace => ledger::replace(delivery),
            Move::Decline => ledger::decline(delivery),
            Move::Resend => None,
        }
    };
    let rows: Vec<_> = settled
        .iter()
        .filter_map(|seen| step(seen).map(|step| next::step_row(seen, &step, None, Vec::new())))
        .collect();
    match rows.is_empty() {
        true => Ok(0),
        false => Ok(store::ledger::write_steps_on(connection, rows).await?.len()),
    }
}

/// The row of a delivery that is sent once more.
pub fn resent(seen: &Seen, delivery: Delivery) -> Resent {
    Resent {
        delivery_id: seen.delivery_id.clone(),
        seen_state: seen.state,
        seen_claim: seen.claim,
        claim: i32::try_from(delivery.claim).unwrap_or(i32::MAX),
    }
}
