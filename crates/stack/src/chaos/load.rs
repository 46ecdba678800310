//! The load under which everything is struck: merchants with several endpoints each, some in order, some in a bad mood.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use serde_json::json;
use url::Url;
use verifier::load::{Options, Order, Pace, Ready, Shape, Until, set_up};

use super::plan::Plan;
use crate::Stack;
use crate::doors::{Doors, Load, WITHIN};
use crate::routes::Link;

/// Merchants.
const MERCHANTS: usize = 5;
/// What each of them has: each event of a payment goes to all of these.
const ORDERS: [Order; 3] = [Order::Any, Order::PerObject, Order::LatestOnly];
/// Status changes of each payment.
const CHANGES: usize = 5;
/// Never more requests under way: after an outage what was owed comes at once, and this is no test of overload.
const MOST_UNDER_WAY: usize = 64;
/// One try of a request.
const ONE_TRY: Duration = Duration::from_secs(10);
/// Beyond the longest outage, so long a request is repeated.
const PATIENCE: Duration = Duration::from_secs(120);

/// Makes merchants and endpoints; nothing is sent yet.
pub(super) async fn prepare(stack: &Stack, doors: &Doors, account: PathBuf, plan: &Plan) -> anyhow::Result<Ready> {
    let load = Load {
        merchants: MERCHANTS,
        changes: CHANGES,
        until: Until::Stopped,
        pace: Pace::Open { rate: plan.rate, most: MOST_UNDER_WAY },
    };
    let longest = plan.faults.iter().map(|fault| fault.for_ms).max().unwrap_or_default();
    let options = Options {
        endpoints_per_merchant: ORDERS.len(),
        seed: plan.seed,
        answer_within: PATIENCE + 2 * Duration::from_millis(longest),
        one_try: ONE_TRY,
        ..doors.load(account, load)?
    };
    let mut ready = set_up(options).await?;
    let text = format!("http://127.0.0.1:{}", stack.routes().port(Link::ConsumersToMerchants, stack.ports()));
    let webhooks = Url::parse(&text).with_context(|| format!("{text} is no URL"))?;
    let simulator = doors.simulator()?;
    for n in 0..ready.endpoints.len() {
        let order = ORDERS.get(n % ORDERS.len()).copied().unwrap_or_default();
        ready.shape(n, &Shape { order, schedule: schedule(), webhooks: webhooks.clone() }).await?;
        let endpoint_id = ready.endpoints.get(n).context("an endpoint is gone")?.endpoint_id;
        // Of each sort of endpoint some are well, some fail now and then, and one is slow.
        let mood = match (n / ORDERS.len()) % MERCHANTS {
            1 => json!({"mood": "failing", "rate": 0.1}),
            2 => json!({"mood": "slow", "delay_ms": 80}),
            3 => json!({"mood": "failing", "rate": 0.3}),
            _ => continue,
        };
        simulator.put_mood(endpoint_id, &mood, WITHIN).await?;
    }
    Ok(ready)
}

/// So many attempts that no outage uses them up.
fn schedule() -> Vec<Duration> {
    let waits = [0, 200, 500, 1_000, 2_000].into_iter().map(Duration::from_millis);
    waits.chain(std::iter::repeat_n(Duration::from_secs(4), 90)).collect()
}
