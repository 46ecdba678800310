//! PostgreSQL is restored to an earlier moment, while Kafka, Restate and the merchants know of what came later.

use std::collections::{BTreeMap, BTreeSet};

use verifier::phantoms::Phantoms;
use verifier::portal::Portal;

use super::*;

/// What is restored.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Copied {
    /// A base backup, taken while everything runs. It holds no replication slot.
    BaseBackup,
    /// The disk as it was at a moment, the slot as it stood then included.
    Snapshot,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_base_backup_is_restored_and_what_is_undone_is_told_by_id() {
    restore(Copied::BaseBackup).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_with_a_stale_slot_is_restored_and_what_is_undone_is_told_by_id() {
    restore(Copied::Snapshot).await;
}

async fn restore(copied: Copied) {
    let mut lab = Lab::start(&SOON).await;
    let copy = lab.stack.folder().of("backup");
    let ready = lab.load().await;
    let lifecycle = Lifecycle::default();
    let until_the_disaster = async {
        lab.grows(BY_CDC, 100).await;
        match copied {
            Copied::BaseBackup => lab.stack.back_up_postgres(&copy).await.unwrap(),
            Copied::Snapshot => {
                lab.stack.kill9("postgres").await.unwrap();
                lab.stack.snapshot_postgres(&copy).await.unwrap();
                lab.stack.start("postgres").await.unwrap();
            }
        }
        lab.grows(BY_CDC, 100).await;
        // What comes now is taken up by Restate, and nobody can route it.
        lab.stack.kill9("data-service").await.unwrap();
        lab.grows(COMMITTED, 50).await;
        lifecycle.stop();
    };
    tokio::join!(drive(&ready, &lifecycle), until_the_disaster);
    drop(ready);
    lab.all_in_kafka().await;
    let before = events(&lab).await;

    // As operations.md says.
    for service in ["payments-api", "portal", "cdc-relay", "postgres"] {
        lab.stack.stop(service).await.unwrap();
    }
    lab.stack.restore_postgres(&copy).await.unwrap();
    lab.stack.start("postgres").await.unwrap();
    let after = events(&lab).await;
    for service in ["data-service", "portal", "cdc-relay", "payments-api"] {
        lab.stack.start(service).await.unwrap();
    }
    let undone: BTreeMap<_, _> = before.into_iter().filter(|(id, _)| !after.contains_key(id)).collect();
    assert!(undone.len() > 150, "only {} events came after the backup", undone.len());

    // The topic is read once more, so that all of it is held against the database.
    lab.stack.stop("webhook-consumer").await.unwrap();
    for subscription in lab.subscriptions().await {
        lab.restate(Method::DELETE, &format!("/subscriptions/{subscription}"), None).await;
    }
    lab.stack = lab.stack.with_setting("EVERHOOK_GROUP_ID", "everhook-after-the-restore");
    lab.stack.start("webhook-consumer").await.unwrap();
    until("every undone event to be parked, by id", LONG, || async {
        let phantoms = lab.phantoms().await;
        (phantoms == undone.keys().cloned().collect(), (phantoms.len(), undone.len()))
    })
    .await;

    let account = Account::read(&lab.account_file()).unwrap();
    let options = verdict::Options { wait: LONG, ..verdict::Options::default() };
    let witness = Witness::of(&account).unwrap();
    let (restored, seen) = witness.verdict_after_restore(&account, options, &ProgressBar::hidden()).await.unwrap();
    let verdict = &restored.verdict;
    assert_eq!((verdict.lost, verdict.stale, verdict.unsigned, verdict.unknown), (0, 0, 0, 0), "{restored}");
    let told: BTreeSet<_> = verdict.lists.phantom.iter().map(|phantom| phantom.webhook_id.clone()).collect();
    let arrived = seen.arrivals.into_values().flatten().map(|arrival| arrival.webhook_id);
    let expected: BTreeSet<_> = arrived.filter(|id| undone.contains_key(id)).collect();
    assert_eq!(told, expected, "what merchants have got of what is undone");
    assert!(told.len() >= 100, "only {} of {} had arrived", told.len(), undone.len());
    let changes: BTreeSet<_> = restored.undone.iter().map(|u| (u.payment_id.to_string(), u.version)).collect();
    assert_eq!(changes, undone.values().cloned().collect(), "what was promised and is undone");
    eprintln!(
        "{} events are undone; {} of them had arrived; {} of {} others were repeated, {} sent by the sweep",
        undone.len(),
        told.len(),
        verdict.repeated,
        after.len(),
        lab.count(BY_THE_SWEEP).await
    );
    let lost_slot = lab.told("cdc-relay", "the replication slot was lost and has been made anew");
    eprintln!("{lost_slot:?}");
    assert_eq!(lost_slot.is_some(), copied == Copied::BaseBackup);

    // And it works: what is paid now comes through CDC.
    let from = lab.newest_event().await;
    lab.pay(20).await;
    until("40 events to be delivered", LONG, || async {
        let open = lab.count("select count(*) from deliveries where state <> 'delivered'").await;
        let (events, by_the_sweep) = lab.between(&from, "evt_z").await;
        ((open, events, by_the_sweep) == (0, 40, 0), (open, events, by_the_sweep))
    })
    .await;
    lab.stop().await;
}

/// Every event, and which version of which payment it is of.
async fn events(lab: &Lab) -> BTreeMap<String, (String, i64)> {
    let rows: Vec<(String, String, i64)> =
        sqlx::query_as("select event_id, object_id, object_version from domain_events")
            .fetch_all(&mut lab.database().await)
            .await
            .unwrap();
    rows.into_iter().map(|(event_id, payment_id, version)| (event_id, (payment_id, version))).collect()
}

impl Lab {
    /// What `verifier phantoms` lists.
    async fn phantoms(&self) -> BTreeSet<String> {
        let token = Token::from_file(&self.stack.secrets().file("operator-token").unwrap()).unwrap();
        let portal = Portal::new(&self.url(Door::Portal), token, Duration::from_secs(10)).unwrap();
        let listed = Phantoms::among(&portal.parked_records(ANSWER).await.unwrap());
        listed.events.into_iter().map(|phantom| phantom.event_id.to_string()).collect()
    }
}
