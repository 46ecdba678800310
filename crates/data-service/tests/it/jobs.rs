//! Jobs: deliveries that are sent once more, step by step, each once though a process dies between two steps.

use std::collections::HashSet;

use domain::ids::EventId;
use domain::ledger::{Order, Stop};
use domain::outcome::Outcome;
use domain::protocol::Answer;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::answers::{attempt, attempts, is_about, later, stop, successors};
use crate::lab::{Job, Lab, Wants};
use crate::service::{DELIVERED, FAILED, result};

const EXHAUSTED: &[&str] = &["exhausted", "parked"];

/// An endpoint with one attempt for each event.
fn one_attempt() -> Wants {
    Wants { schedule_ms: Some(vec![0]), ..Wants::default() }
}

/// An endpoint whose so many deliveries are exhausted.
async fn exhausted(lab: &Lab, wants: Wants, many: usize) -> (String, Vec<EventId>) {
    let merchant = lab.merchant().await;
    let endpoint = lab.endpoint(&merchant, wants).await;
    let mut events = Vec::new();
    for _ in 0..many {
        let event_id = lab.payment(&merchant).await.event_id;
        let first = lab.service.open_one(event_id, "inv_1").await;
        lab.service.record(&first, Outcome::Aborted).await;
        events.push(event_id);
    }
    (endpoint, events)
}

/// Exhausted deliveries of an event as if so many had been made, behind the service's back.
async fn many_exhausted(lab: &Lab, merchant: &str, endpoint_id: &str, many: i64) {
    let event_id = lab.payment(merchant).await.event_id;
    sqlx::query(
        "insert into deliveries
            (delivery_id, event_id, endpoint_id, state, reason, claim, attempts, due_at, ended_at)
         select new_id('dlv_', clock_timestamp()), $3, $1, 'exhausted', 'schedule_used_up', 1, 1, now(), now()
         from generate_series(1, $2)",
    )
    .bind(endpoint_id)
    .bind(many)
    .bind(event_id.to_string())
    .execute(&lab.database)
    .await
    .unwrap();
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_exhausted_delivery_is_resent_with_the_schedule_from_its_beginning(
    pool: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let lab = Lab::start(pool, connect).await;
    let schedule = Wants { schedule_ms: Some(vec![0, 60_000]), ..Wants::default() };
    let merchant = lab.merchant().await;
    let endpoint = lab.endpoint(&merchant, schedule).await;
    let event_id = lab.payment(&merchant).await.event_id;
    let first = lab.service.open_one(event_id, "inv_1").await;
    later(lab.service.record(&first, FAILED).await);
    lab.execute("update deliveries set due_at = now()").await;
    let second = attempt(lab.service.next(first.delivery_id, 1, "inv_2").await);
    assert_eq!(stop(lab.service.record(&second, FAILED).await), Stop::Ended);
    assert_eq!(lab.delivery(event_id).await.state, "exhausted");

    let job = lab.job(&endpoint, Job::Resend).await;
    let sent = lab.service.finish_jobs().await;
    assert_eq!((sent.len(), sent[0].claim, sent[0].delay_ms), (1, 2, 0));
    assert_eq!(lab.progress(&job).await, ("done".to_owned(), Some(1), 1, 0));
    let third = attempt(lab.service.next(first.delivery_id, 2, "inv_3").await);
    assert_eq!((third.attempt, third.request.headers == first.request.headers), (3, false));
    assert_eq!(crate::lab::header(&third.request, "webhook-id"), event_id.to_string());
    let wait = later(lab.service.record(&third, FAILED).await);
    assert!(is_about(wait.delay_ms, std::time::Duration::from_secs(60)), "{wait:?}");
    lab.execute("update deliveries set due_at = now()").await;
    let fourth = attempt(lab.service.next(first.delivery_id, 2, "inv_4").await);
    assert_eq!(stop(lab.service.record(&fourth, FAILED).await), Stop::Ended);
    let row = lab.delivery(event_id).await;
    assert_eq!((row.state.as_str(), row.attempts), ("exhausted", 4));
    assert_eq!(stop(lab.service.next(first.delivery_id, 1, "inv_5").await), Stop::Ended, "the old claim");
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_was_delivered_is_delivered_again_though_its_resend_fails(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let merchant = lab.merchant().await;
    let endpoint = lab.endpoint(&merchant, one_attempt()).await;
    let event_id = lab.payment(&merchant).await.event_id;
    let first = lab.service.open_one(event_id, "inv_1").await;
    stop(lab.service.record(&first, DELIVERED).await);
    lab.job(&endpoint, Job::Resend).await;
    assert_eq!(lab.service.finish_jobs().await.len(), 1);
    assert_eq!(lab.delivery(event_id).await.state, "pending");
    let accepted = "select count(*) from deliveries where accepted_at is not null";
    assert_eq!(lab.count(accepted).await, 1);

    // The old 2xx once more, since its answer was lost: it ends nothing, and is logged once.
    stop(lab.service.record(&first, DELIVERED).await);
    assert_eq!(lab.delivery(event_id).await.state, "pending");
    assert_eq!(lab.log(first.delivery_id).await.len(), 1);
    let second = attempt(lab.service.next(first.delivery_id, 2, "inv_2").await);
    stop(lab.service.record(&first, DELIVERED).await);
    assert_eq!(lab.delivery(event_id).await.owner.as_deref(), Some("inv_2"), "the attempt goes on");
    // Both in one batch: the new result must not go with the old one.
    let both = [result(&first, DELIVERED), result(&second, FAILED)];
    let answers = lab.service.record_all(&both).await;
    assert!(answers.iter().any(|answer| matches!(answer, Answer::Stop { why: Stop::StaleClaim, .. })), "{answers:?}");
    if answers.iter().any(|answer| matches!(answer, Answer::Failed)) {
        stop(lab.service.record(&second, FAILED).await);
    }
    let row = lab.delivery(event_id).await;
    assert_eq!((row.state.as_str(), row.reason, row.attempts), ("delivered", None, 2));
    let outcomes: Vec<String> = lab.log(first.delivery_id).await.into_iter().map(|one| one.outcome).collect();
    assert_eq!(outcomes, ["delivered", "status"]);

    // And once more, with success.
    lab.job(&endpoint, Job::Resend).await;
    let sent = lab.service.finish_jobs().await;
    let third = attempt(lab.service.next(first.delivery_id, sent[0].claim, "inv_3").await);
    stop(lab.service.record(&third, DELIVERED).await);
    assert_eq!(lab.delivery(event_id).await.state, "delivered");
    assert_eq!(lab.count(accepted).await, 1);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_2xx_of_before_the_resend_that_was_never_recorded_is_logged(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let merchant = lab.merchant().await;
    let endpoint = lab.endpoint(&merchant, one_attempt()).await;
    let event_id = lab.payment(&merchant).await.event_id;
    let first = lab.service.open_one(event_id, "inv_1").await;
    // It dies with its result, and its successor delivers.
    lab.execute("update deliveries set due_at = now() - interval '1 hour', lease_until = now() - interval '1 s'").await;
    let taken = lab.service.overdue_deliveries().await;
    let second = attempt(lab.service.next(first.delivery_id, taken[0].claim, "inv_2").await);
    stop(lab.service.record(&second, DELIVERED).await);
    lab.job(&endpoint, Job::Resend).await;
    lab.service.finish_jobs().await;
    assert_eq!(stop(lab.service.record(&first, DELIVERED).await), Stop::StaleClaim);
    assert_eq!(lab.delivery(event_id).await.state, "pending", "it was known to be accepted");
    let outcomes: Vec<(i32, String)> =
        lab.log(first.delivery_id).await.into_iter().map(|one| (one.number, one.outcome)).collect();
    assert_eq!(outcomes.iter().filter(|one| **one == (1, "delivered".to_owned())).count(), 1, "{outcomes:?}");
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_job_goes_on_where_it_stopped_whichever_process_takes_the_next_step(
    pool: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let lab = Lab::start(pool, connect).await;
    let merchant = lab.merchant().await;
    let endpoint = lab.endpoint(&merchant, one_attempt()).await;
    many_exhausted(&lab, &merchant, &endpoint, 1_000).await;
    let other = lab.another().await;
    let job = lab.job(&endpoint, Job::Recover(EXHAUSTED)).await;
    let mut seen = HashSet::new();
    for (service, holder) in [(&lab.service, "a"), (&other, "a"), (&lab.service, "b"), (&other, "a")] {
        let step = service.job_step_for(holder).await;
        assert_eq!(step.leads, holder == "a", "the lease is the reconciler's");
        for one in step.deliveries {
            assert!(seen.insert(one.delivery_id), "{} is sent twice", one.delivery_id);
        }
    }
    assert_eq!(seen.len(), 600);
    assert_eq!(lab.progress(&job).await, ("running".to_owned(), Some(1_000), 600, 0));
    // A step whose commit never came is taken again, and moves the same.
    lab.execute("update leases set until = now() - interval '1 s'").await;
    let rest = lab.service.finish_jobs().await;
    assert!(rest.iter().all(|one| seen.insert(one.delivery_id)));
    assert_eq!((seen.len(), rest.len()), (1_000, 400));
    assert_eq!(lab.progress(&job).await, ("done".to_owned(), Some(1_000), 1_000, 0));
    assert_eq!(lab.count("select count(*) from deliveries where state = 'pending' and claim = 2").await, 1_000);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_cancelled_job_moves_nothing_more(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let merchant = lab.merchant().await;
    let endpoint = lab.endpoint(&merchant, one_attempt()).await;
    many_exhausted(&lab, &merchant, &endpoint, 300).await;
    let job = lab.job(&endpoint, Job::Recover(EXHAUSTED)).await;
    assert_eq!(lab.service.job_step().await.deliveries.len(), 200);
    lab.execute("update jobs set state = 'cancelled', ended_at = now()").await;
    assert_eq!(lab.service.finish_jobs().await, []);
    assert_eq!(lab.progress(&job).await, ("cancelled".to_owned(), Some(300), 200, 0));
    assert_eq!(lab.count("select count(*) from deliveries where state = 'exhausted'").await, 100);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_job_takes_only_the_states_and_the_time_that_it_is_about(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let (endpoint, events) = exhausted(&lab, Wants::default(), 3).await;
    lab.execute(
        "update deliveries set state = 'superseded', reason = null
         where delivery_id = (select max(delivery_id) from deliveries)",
    )
    .await;
    let job = lab.job(&endpoint, Job::Recover(EXHAUSTED)).await;
    lab.execute("update jobs set lowest_id = (select delivery_id from deliveries order by 1 offset 1 limit 1)").await;
    let sent = lab.service.finish_jobs().await;
    assert_eq!(sent.len(), 1);
    assert_eq!(lab.progress(&job).await, ("done".to_owned(), Some(1), 1, 0));
    assert_eq!(sent[0].delivery_id.to_string(), lab.delivery(events[1]).await.delivery_id);
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_has_ended_is_not_resent_once_its_event_may_be_gone(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let (endpoint, events) = exhausted(&lab, Wants::default(), 2).await;
    lab.execute(
        "update deliveries set state = 'parked', reason = 'no_secret'
         where delivery_id = (select max(delivery_id) from deliveries)",
    )
    .await;
    lab.execute("update horizon set event_id = 'evt_f'").await;
    let job = lab.job(&endpoint, Job::Recover(EXHAUSTED)).await;
    let sent = lab.service.finish_jobs().await;
    assert_eq!(lab.progress(&job).await, ("done".to_owned(), Some(2), 1, 1));
    assert_eq!(
        sent[0].delivery_id.to_string(),
        lab.delivery(events[1]).await.delivery_id,
        "what is parked keeps its day"
    );
}

#[sqlx::test(migrations = "../../migrations")]
async fn jobs_take_turns_and_one_that_can_t_go_on_holds_up_nobody(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let merchant = lab.merchant().await;
    let (large, small) = (lab.endpoint(&merchant, one_attempt()).await, lab.endpoint(&merchant, one_attempt()).await);
    many_exhausted(&lab, &merchant, &large, 1_000).await;
    let first = lab.job(&large, Job::Recover(EXHAUSTED)).await;
    assert_eq!(lab.service.job_step().await.deliveries.len(), 200);
    many_exhausted(&lab, &merchant, &small, 1).await;
    let second = lab.job(&small, Job::Recover(EXHAUSTED)).await;
    assert_eq!(lab.service.job_step().await.deliveries.len(), 1, "who has waited longest goes first");
    assert_eq!(lab.progress(&second).await.0, "done");
    lab.execute("update endpoints set state = 'paused'").await;
    assert!(!lab.service.job_step().await.more, "it waits for its endpoint");
    assert_eq!(lab.progress(&first).await.0, "running");
    lab.execute("update endpoints set state = 'enabled'").await;
    assert_eq!(lab.service.finish_jobs().await.len(), 800);
}

#[sqlx::test(migrations = "../../migrations")]
async fn one_in_line_takes_its_place_again_and_holds_up_the_later_ones(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let merchant = lab.merchant().await;
    let endpoint = lab.endpoint(&merchant, Wants { order: Order::PerObject, ..Wants::default() }).await;
    let payment = lab.payment(&merchant).await;
    let first = lab.service.open_one(payment.event_id, "inv_1").await;
    lab.service.record(&first, Outcome::Aborted).await;
    lab.job(&endpoint, Job::Recover(EXHAUSTED)).await;
    let sent = lab.service.finish_jobs().await;
    assert_eq!(sent.len(), 1);
    assert_eq!(lab.count("select count(*) from lines").await, 1, "it stands in its line");
    let second = lab.change(&payment, "processing").await;
    assert!(attempts(lab.service.open(second, "inv_2").await).is_empty(), "it would overtake");
    assert_eq!(lab.delivery(second).await.state, "held");
    let again = attempt(lab.service.next(first.delivery_id, 2, "inv_3").await);
    let told = successors(lab.service.record(&again, DELIVERED).await);
    assert_eq!(told.len(), 1);
    let later_one = attempt(lab.service.next(told[0].delivery_id, told[0].claim, "inv_4").await);
    lab.service.record(&later_one, DELIVERED).await;
    assert_eq!(lab.count("select count(*) from lines").await, 0);
    // A job that finds nothing to be moved leaves no empty line behind.
    lab.job(&endpoint, Job::Recover(EXHAUSTED)).await;
    assert_eq!(lab.service.finish_jobs().await, []);
    assert_eq!(lab.count("select count(*) from lines").await, 0);
}

#[sqlx::test(migrations = "../../migrations")]
async fn where_the_latest_only_is_wanted_an_earlier_one_is_not_resent(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let merchant = lab.merchant().await;
    let endpoint = lab.endpoint(&merchant, Wants { order: Order::LatestOnly, ..Wants::default() }).await;
    let payment = lab.payment(&merchant).await;
    let first = lab.service.open_one(payment.event_id, "inv_1").await;
    lab.service.record(&first, Outcome::Aborted).await;
    let second = lab.service.open_one(lab.change(&payment, "processing").await, "inv_2").await;
    lab.service.record(&second, Outcome::Aborted).await;
    let job = lab.job(&endpoint, Job::Recover(EXHAUSTED)).await;
    let sent = lab.service.finish_jobs().await;
    assert_eq!(sent.iter().map(|one| one.delivery_id).collect::<Vec<_>>(), [second.delivery_id]);
    assert_eq!(lab.progress(&job).await, ("done".to_owned(), Some(2), 1, 1));
    assert_eq!(lab.delivery(payment.event_id).await.state, "exhausted");
}

#[sqlx::test(migrations = "../../migrations")]
async fn only_the_consumer_may_move_jobs_on(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let request = lab.service.request(reqwest::Method::POST, "/internal/jobs");
    let refused = lab.service.send(request.bearer_auth(crate::service::PORTAL).json(&serde_json::json!({}))).await;
    assert_eq!(refused.status, 401);
}
