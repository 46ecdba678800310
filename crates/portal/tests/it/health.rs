//! How an endpoint does: well, failing, and with a warning before it is disabled.

use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::Lab;
use crate::ledger::ENDPOINT;

#[sqlx::test(migrations = "../../migrations")]
async fn an_endpoint_that_fails_is_shown_with_when_it_will_be_disabled(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await.with_endpoint().await;
    let path = format!("/endpoints/{ENDPOINT}/health");
    let well = json!({
        "health": "well", "failures": 0, "failing_since": null, "disable_at": null, "next_probe_at": null,
    });
    assert_eq!(lab.get(&path).await.body, well);
    for (since, until, probe, health) in [
        ("2 days", "'3 days'", "null", "failing"),
        ("3 days", "'2 days'", "clock_timestamp()", "warning"),
        ("9 days", "null", "null", "failing"),
    ] {
        let fail = format!(
            "insert into gates (endpoint_id, failures, failing_since, disable_at, probe_at)
             values ('{ENDPOINT}', 7, now() - interval '{since}', now() + {until}::interval, {probe})
             on conflict (endpoint_id) do update set failing_since = excluded.failing_since,
                disable_at = excluded.disable_at, probe_at = excluded.probe_at"
        );
        sqlx::query(sqlx::AssertSqlSafe(fail)).execute(&lab.database).await.unwrap();
        let shown = lab.get(&path).await.body;
        assert_eq!((&shown["health"], &shown["failures"]), (&json!(health), &json!(7)), "{shown}");
        assert!(shown["failing_since"].is_string(), "{shown}");
        assert_eq!(shown["disable_at"].is_string(), until != "null", "{shown}");
        assert_eq!(shown["next_probe_at"].is_string(), probe != "null", "{shown}");
    }
    assert_eq!(lab.get("/endpoints/ep_019a0b1c2d3e7f00a1b2c3d4e5f60718/health").await.status, 404);
}
