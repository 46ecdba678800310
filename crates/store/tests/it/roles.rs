//! Each service's role has the rights that it needs and no more.

use std::fmt::Write as _;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgConnection, PgPool};

/// The whole list, so that a right more or less is seen.
#[sqlx::test(migrations = "../../migrations")]
async fn the_rights_are_these(pool: PgPool) {
    let rights: Vec<(String, String, String)> = sqlx::query_as(
        "select grantee::text, table_name::text,
            string_agg(lower(privilege_type) || columns, ', ' order by privilege_type) as rights
         from (
            select grantee, table_name, privilege_type, '' as columns
            from information_schema.role_table_grants
            where grantee like 'everhook%'
            union all
            select grantee, table_name, privilege_type,
                ' (' || string_agg(column_name, ', ' order by column_name) || ')' as columns
            from information_schema.role_column_grants c
            where grantee like 'everhook%' and not exists (
                select from information_schema.role_table_grants t
                where (t.grantee, t.table_name, t.privilege_type) = (c.grantee, c.table_name, c.privilege_type))
            group by grantee, table_name, privilege_type
         ) as all_rights
         group by grantee, table_name order by grantee, table_name",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    let mut text = String::new();
    for (role, table, rights) in rights {
        writeln!(text, "{role} {table}: {rights}").unwrap();
    }
    insta::assert_snapshot!("rights", text);
}

/// What would hurt most, tried for real.
#[sqlx::test(migrations = "../../migrations")]
async fn what_is_not_allowed_is_refused(pool: PgPoolOptions, connect: PgConnectOptions) {
    drop(pool);
    for (role, statement) in [
        ("everhook_payments", "select from domain_events"),
        ("everhook_payments", "insert into domain_events select * from domain_events"),
        ("everhook_payments", "delete from payments"),
        ("everhook_payments", "select from deliveries"),
        ("everhook_payments", "select from endpoint_secrets"),
        ("everhook_payments", "select ensure_partitions(1)"),
        ("everhook_payments", "select move_horizon('90 days')"),
        ("everhook_portal", "select drop_day('attempts', '2026-01-01', '90 days')"),
        ("everhook_payments", "alter table payments disable trigger payments_event_on_insert"),
        ("everhook_payments", "set session_replication_role = replica"),
        ("everhook_payments", "select write_test_event('ep_')"),
        ("everhook_data", "select write_test_event('ep_')"),
        ("everhook_portal", "insert into domain_events select * from domain_events"),
        ("everhook_portal", "select from endpoint_secrets"),
        ("everhook_portal", "update endpoint_secrets set ciphertext = ''"),
        ("everhook_portal", "insert into payments select * from payments"),
        ("everhook_portal", "update deliveries set state = 'delivered'"),
        ("everhook_data", "update payments set status = 'failed'"),
        ("everhook_data", "insert into domain_events select * from domain_events"),
        ("everhook_data", "update endpoints set url = 'http://elsewhere'"),
        ("everhook_data", "delete from deliveries"),
        ("everhook_data", "update attempts set outcome = 'delivered'"),
        ("everhook_data", "update parked_records set value = ''"),
        ("everhook_data", "update endpoint_secrets set ciphertext = ''"),
        ("everhook_data", "insert into endpoint_secrets (secret_id, created_at) values ('sec_', now())"),
        ("everhook_data", "insert into endpoints select * from endpoints"),
        ("everhook_relay", "select from payments"),
        ("everhook_relay", "insert into domain_events select * from domain_events"),
        ("everhook_relay", "create table here (now integer)"),
    ] {
        let mut connection = as_role(&connect, role).await;
        let refused = sqlx::query(statement).execute(&mut connection).await;
        let code = refused.as_ref().err().and_then(|error| error.as_database_error()?.code().map(|c| c.into_owned()));
        assert_eq!(code.as_deref(), Some("42501"), "{role}: {statement}: {refused:?}");
    }
}

/// The trigger's function writes events with its owner's rights. On a table of one's own it would write any event.
#[sqlx::test(migrations = "../../migrations")]
async fn nobody_puts_the_event_s_trigger_on_a_table_of_their_own(pool: PgPoolOptions, connect: PgConnectOptions) {
    drop(pool);
    for role in ["everhook_payments", "everhook_portal", "everhook_data", "everhook_relay"] {
        let mut connection = as_role(&connect, role).await;
        sqlx::query("create temporary table forged (payment_id text, version bigint, merchant_id text, status text)")
            .execute(&mut connection)
            .await
            .unwrap();
        let refused = sqlx::query(
            "create trigger forge after insert on forged for each row execute function payments_write_event()",
        )
        .execute(&mut connection)
        .await;
        assert!(refused.is_err(), "{role} can forge events");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_payment_needs_no_right_on_events(pool: PgPool) {
    let mut connection = pool.acquire().await.unwrap();
    for statement in [
        "set role everhook_payments",
        "insert into merchants (merchant_id, name) values (new_id('mer_', now()), 'Bakery')",
        "insert into payments (payment_id, merchant_id, amount, currency)
            select new_id('pay_', now()), merchant_id, 1000, 'USD' from merchants",
        "update payments set status = 'processing'",
        "reset role",
    ] {
        sqlx::query(statement).execute(&mut *connection).await.unwrap();
    }
    let events: i64 =
        sqlx::query_scalar("select count(*) from domain_events").fetch_one(&mut *connection).await.unwrap();
    assert_eq!(events, 2);
}

async fn as_role(connect: &PgConnectOptions, role: &str) -> PgConnection {
    let mut connection = PgConnection::connect_with(connect).await.unwrap();
    // As a login role would be that is a member of this group and of no other.
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("set session authorization {role}")))
        .execute(&mut connection)
        .await
        .unwrap();
    connection
}
