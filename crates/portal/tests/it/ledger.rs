//! A ledger as it may be found: one row of each kind, made by hand.

use crate::Lab;

pub(crate) const MERCHANT: &str = "mer_00000000000000000000000000000001";
pub(crate) const ENDPOINT: &str = "ep_00000000000000000000000000000001";

/// A payment's id by its number.
pub(crate) fn payment(number: u32) -> String {
    format!("pay_{number:032}")
}

/// A job of the endpoint.
pub(crate) const JOB: &str = "job_00000000000000000000000000000001";

/// A delivery's id by its number. It counts as made now, so that it lies in a partition of today.
pub(crate) fn delivery(number: u32) -> String {
    format!("dlv_{number:032}")
}

impl Lab {
    /// A merchant with an endpoint.
    pub(crate) async fn with_endpoint(self) -> Self {
        self.execute(
            "insert into merchants (merchant_id, name) values ('mer_00000000000000000000000000000001', 'Bakery');
             insert into endpoints (endpoint_id, merchant_id, url)
             values ('ep_00000000000000000000000000000001', 'mer_00000000000000000000000000000001', 'https://x.test/')",
        )
        .await;
        self
    }

    /// A payment, and so an event; answers the event's id.
    pub(crate) async fn pay(&self, number: u32) -> String {
        sqlx::query("insert into payments (payment_id, merchant_id, amount, currency) values ($1, $2, 1000, 'USD')")
            .bind(payment(number))
            .bind(MERCHANT)
            .execute(&self.database)
            .await
            .unwrap();
        sqlx::query_scalar("select event_id from domain_events where object_id = $1 and object_version = 1")
            .bind(payment(number))
            .fetch_one(&self.database)
            .await
            .unwrap()
    }

    /// The row of an event on the ledger, which names these deliveries.
    pub(crate) async fn route(&self, event_id: &str, deliveries: &[u32]) {
        sqlx::query(
            "insert into routed_events (event_id, invocation_id, from_cdc, fan_out, delivery_ids, committed_at,
                captured_at, handled_at)
             values ($1, 'inv_1', true, cardinality($2::text[]), $2, now(), now(), now())",
        )
        .bind(event_id)
        .bind(deliveries.iter().map(|number| delivery(*number)).collect::<Vec<_>>())
        .execute(&self.database)
        .await
        .unwrap();
    }

    /// A delivery of an event that was due so many seconds ago.
    pub(crate) async fn deliver(&self, number: u32, event_id: &str, state: &str, reason: Option<&str>, due_s_ago: i32) {
        sqlx::query(
            "insert into deliveries (delivery_id, event_id, endpoint_id, state, reason, claim, attempts, due_at)
             values ($1, $2, $3, $4, $5, 1, 1, clock_timestamp() - make_interval(secs => $6))",
        )
        .bind(delivery(number))
        .bind(event_id)
        .bind(ENDPOINT)
        .bind(state)
        .bind(reason)
        .bind(f64::from(due_s_ago))
        .execute(&self.database)
        .await
        .unwrap();
    }

    /// A running job of the endpoint.
    pub(crate) async fn with_job(self) -> Self {
        self.execute(
            "insert into jobs (job_id, merchant_id, endpoint_id, kind, made_by, states, lowest_id, below_id)
             values ('job_00000000000000000000000000000001', 'mer_00000000000000000000000000000001',
                 'ep_00000000000000000000000000000001', 'recover', 'operator', '{exhausted}', 'dlv_', 'dlv_~')",
        )
        .await;
        self
    }

    /// Begins an attempt whose lease ends so many seconds from now.
    pub(crate) async fn begin(&self, number: u32, lease_s: i32) {
        sqlx::query(
            "update deliveries set owner = 'inv_1', begun_at = clock_timestamp(),
                lease_until = clock_timestamp() + make_interval(secs => $2)
             where delivery_id = $1",
        )
        .bind(delivery(number))
        .bind(f64::from(lease_s))
        .execute(&self.database)
        .await
        .unwrap();
    }
}
