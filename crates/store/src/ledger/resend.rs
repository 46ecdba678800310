//! Storing that deliveries are sent once more.

use domain::ledger::State;
use sqlx::PgConnection;

use super::bounds;
use crate::Error;

/// A delivery that is resent, as it was seen before, and its new claim.
#[derive(Debug, Clone)]
pub struct Resent {
    /// Which.
    pub delivery_id: String,
    /// As it was seen.
    pub seen_state: State,
    /// As it was seen.
    pub seen_claim: i32,
    /// New.
    pub claim: i32,
}

/// Stores `domain::ledger::resend` for the deliveries that are still as they were seen; answers their ids. They are due at
/// once, and keep when they were delivered. No delivery may be in `resent` twice.
///
/// # Errors
/// If the statement fails; then nothing is stored.
pub async fn resend_on(connection: &mut PgConnection, mut resent: Vec<Resent>) -> Result<Vec<String>, Error> {
    resent.sort_unstable_by(|a, b| a.delivery_id.cmp(&b.delivery_id));
    let ids: Vec<String> = resent.iter().map(|one| one.delivery_id.clone()).collect();
    let (lowest, highest) = bounds(&ids);
    sqlx::query_scalar!(
        r#"
        update deliveries d
        set state = 'pending', reason = null, claim = r.claim, unknowns = 0, doubt_until = null, due_at = clock_timestamp(),
            schedule_from = d.attempts, owner = null, begun_at = null, lease_until = null, ended_at = null,
            accepted_at = case when d.state = 'delivered' then coalesce(d.accepted_at, d.ended_at, clock_timestamp())
                else d.accepted_at end
        from unnest($1::text[], $2::text[], $3::integer[], $4::integer[])
            as r (delivery_id, seen_state, seen_claim, claim)
        where d.delivery_id = r.delivery_id
            and d.delivery_id = any($1) and d.delivery_id >= $5 and d.delivery_id <= $6
            and d.state = r.seen_state and d.claim = r.seen_claim
        returning d.delivery_id as "delivery_id!"
        "#,
        &ids,
        &resent.iter().map(|one| one.seen_state.as_str().to_owned()).collect::<Vec<_>>(),
        &resent.iter().map(|one| one.seen_claim).collect::<Vec<_>>(),
        &resent.iter().map(|one| one.claim).collect::<Vec<_>>(),
        lowest,
        highest,
    )
    .fetch_all(connection)
    .await
    .map_err(Error::doing("storing that deliveries are resent"))
}
