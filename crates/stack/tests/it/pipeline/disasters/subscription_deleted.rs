//! Restate's subscription is deleted through its admin API, several times, under load.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_subscription_is_made_anew_and_nothing_is_missing_or_repeated() {
    let mut lab = Lab::start(&NO_SWEEP).await;
    let strike = async |lab: &Lab| {
        for _ in 0..3 {
            lab.grows(BY_CDC, 50).await;
            let before = lab.subscriptions().await;
            for subscription in &before {
                lab.restate(Method::DELETE, &format!("/subscriptions/{subscription}"), None).await;
            }
            until("the subscription to be made anew", LONG, || async {
                let now = lab.subscriptions().await;
                (now.len() == 1 && now != before, now)
            })
            .await;
        }
        lab.grows(BY_CDC, 50).await;
    };
    let (verdict, ()) = lab.under_load(0, strike).await;
    // What was read and not committed was read again, and ended at `open`.
    assert_eq!(verdict.repeated, 0);
    assert_eq!(lab.count(BY_THE_SWEEP).await, 0, "the group goes on where it was");
    lab.stop().await;
}
