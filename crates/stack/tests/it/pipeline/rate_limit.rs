//! Three consumers deliver to an endpoint that takes so many a second.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use serde_json::json;
use verifier::account::Endpoint;

use super::*;

/// With debug binaries 50 a second is all that two cores can do, or more: what leaves then is what the machine manages, and says
/// nothing of the rate.
const RATE: usize = if cfg!(debug_assertions) { 10 } else { 50 };
const EVENTS: usize = 20 * RATE;
const CONSUMERS: [&str; 3] = ["webhook-consumer", "webhook-consumer-2", "webhook-consumer-3"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_consumers_together_keep_within_the_endpoint_s_rate() {
    let mut lab = Lab::start(&[]).await;
    for further in &CONSUMERS[1..] {
        lab.stack.start(further).await.unwrap();
    }
    let ready =
        lab.set_up_for(1, Until::Payments(EVENTS as u64), Pace::Open { rate: 1.6 * RATE as f64, most: 64 }, 0).await;
    let endpoint = &ready.endpoints[0];
    lab.operate(&format!("/endpoints/{}", endpoint.endpoint_id), json!({"rate_limit": RATE})).await;
    let before = ticks_of_all(&lab).await;
    let lifecycle = Lifecycle::default();
    let watch = Watch::start();
    let all_are_made = tokio::select! {
        () = in_turns(&lab) => unreachable!("it has no end"),
        moment = async {
            drive(&ready, &lifecycle).await;
            let all_are_made = verifier::now().unix_micros();
            let only = HashSet::from([endpoint.endpoint_id]);
            let arrived = || async {
                let arrived = lab.simulator().arrived(&only, ANSWER).await.unwrap();
                (arrived == EVENTS as u64, arrived)
            };
            until("every event to arrive", Duration::from_secs(60), arrived).await;
            all_are_made
        } => moment,
    };
    let worked: Vec<u64> = ticks_of_all(&lab).await.iter().zip(&before).map(|(after, before)| after - before).collect();
    assert!(worked.iter().all(|ticks| ticks * 10 >= worked.iter().sum()), "all of them are to work: {worked:?}");
    lab.verdict(Duration::from_secs(10)).await;

    let stalls = watch.ended();
    let mut at = arrivals(&lab, endpoint).await;
    at.sort_unstable();
    let seconds: Vec<Second> = (0..at.len()).map(|from| Second::of(&at[from..], &stalls)).collect();
    let fullest = seconds.iter().max_by_key(|second| second.arrived).unwrap();
    let too_full: Vec<&Second> = seconds.iter().filter(|second| second.arrived > second.allowed()).collect();
    let average = |at: &[i64]| (at.len() - 1) as f64 * 1e6 / (at[at.len() - 1] - at[0]) as f64;
    let whole = average(&at);
    // As long as payments are made, too, a slow machine has too much to do to fill the rate.
    let rest = &at[at.partition_point(|moment| *moment < all_are_made)..];
    let delivering = average(rest);
    eprintln!(
        "{fullest:?}, {} of {} undisturbed; {whole:.1} on average, {delivering:.1} of the last {}, CPU {worked:?}",
        seconds.iter().filter(|second| second.stalled_ms == 0).count(),
        seconds.len(),
        rest.len()
    );
    assert!(too_full.is_empty(), "{RATE} a second are allowed, and there were {too_full:?}");
    assert!(whole <= RATE as f64, "{whole:.1} a second on average");
    assert!(rest.len() > RATE * 5, "only {} waited when all were made", rest.len());
    assert!(delivering >= 0.9 * RATE as f64, "{delivering:.1} a second on average once all were made");
    lab.stop().await;
}

/// When each was accepted, by the receiver's clock, in microseconds.
async fn arrivals(lab: &Lab, endpoint: &Endpoint) -> Vec<i64> {
    let arrivals = lab.simulator().all_arrivals(endpoint.endpoint_id, ANSWER).await.unwrap();
    arrivals.iter().map(|arrival| arrival.first_at.unix_micros()).collect()
}

/// Restate sends what begins to the deployment that was registered last, so each consumer has work in turn.
async fn in_turns(lab: &Lab) {
    let client = chassis::client::build(chassis::client::Limits::default()).unwrap();
    let deployments = lab.url(Door::RestateAdmin).join("/deployments").unwrap();
    let mut urls = Vec::new();
    for consumer in CONSUMERS {
        urls.push(advertised(lab.stack.pid(consumer).await.unwrap()));
    }
    for url in urls.iter().cycle() {
        let request = client.post(deployments.clone()).json(&json!({"uri": url, "force": true}));
        let status = request.send().await.unwrap().status();
        assert!(status.is_success(), "{url} could not be registered: {status}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Where Restate reaches a consumer: of its command line.
pub(super) fn advertised(pid: u32) -> String {
    let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
    let mut words = line.split('\0').skip_while(|word| *word != "--advertised-url");
    words.nth(1).unwrap().to_owned()
}

/// The CPU time of each consumer, in the system's ticks.
async fn ticks_of_all(lab: &Lab) -> Vec<u64> {
    let mut all = Vec::new();
    for consumer in CONSUMERS {
        let pid = lab.stack.pid(consumer).await.unwrap();
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        all.push(fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap());
    }
    all
}

/// Looks that often, and is told how long that took in microseconds; answers from when until when something was disturbed.
fn disturbances(ended: &AtomicBool, every: Duration, mut is_disturbed: impl FnMut(i64) -> bool) -> Vec<(i64, i64)> {
    let mut seen = Vec::new();
    let mut before = verifier::now().unix_micros();
    while !ended.load(Ordering::Relaxed) {
        std::thread::sleep(every);
        let now = verifier::now().unix_micros();
        if is_disturbed(now - before) {
            seen.push((before, now));
        }
        before = now;
    }
    seen
}

/// For how long something on this machine has waited for a core, in microseconds, if the kernel counts it.
fn waited_us() -> i64 {
    let Ok(pressure) = std::fs::read_to_string("/proc/pressure/cpu") else { return 0 };
    let some = pressure.lines().find(|line| line.starts_with("some ")).unwrap();
    some.rsplit_once("total=").unwrap().1.parse().unwrap()
}

/// A second of arrivals.
#[derive(Debug)]
struct Second {
    arrived: usize,
    /// For so long in it, and in the two seconds before, something that was to run did not: what was to leave then leaves
    /// together with the next.
    stalled_ms: i64,
}

impl Second {
    /// From the first of these moments on.
    fn of(at: &[i64], stalls: &[(i64, i64)]) -> Self {
        let (from, to) = (at[0] - 2_000_000, at[0] + 1_000_000);
        let within = |(begin, end): &(i64, i64)| (end.min(&to) - begin.max(&from)).max(0);
        let arrived = at.iter().take_while(|moment| **moment < to).count();
        Self { arrived, stalled_ms: stalls.iter().map(within).sum::<i64>() / 1_000 }
    }

    /// So many may arrive in it: the rate, two for what happens on the way, and what the stalls held back.
    fn allowed(&self) -> usize {
        RATE + 2 + RATE * self.stalled_ms as usize / 1_000
    }
}

/// Sees for how long at a time this machine does not run what is to run: a noisy one stands still now and then, or has more to
/// do than it can.
struct Watch {
    ended: Arc<AtomicBool>,
    seen: Vec<JoinHandle<Vec<(i64, i64)>>>,
}

impl Watch {
    /// Less is the scheduler's ordinary business.
    const WORTH_TELLING_US: i64 = 10_000;
    /// Each sees its core.
    const WATCHERS: usize = 2;

    fn start() -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let watch = |every, is_disturbed: Box<dyn FnMut(i64) -> bool + Send>| {
            let ended = ended.clone();
            std::thread::spawn(move || disturbances(&ended, every, is_disturbed))
        };
        let stalls = |_| watch(Duration::from_millis(1), Box::new(|took_us| took_us > Self::WORTH_TELLING_US));
        let mut seen: Vec<_> = (0..Self::WATCHERS).map(stalls).collect();
        // Or something had to wait for a core for most of the time: what is awake goes first, so that the others do not see it.
        let mut before = waited_us();
        let is_crowded = move |took_us| {
            let now = waited_us();
            (now - std::mem::replace(&mut before, now)) * 2 > took_us
        };
        seen.push(watch(Duration::from_millis(100), Box::new(is_crowded)));
        Self { ended, seen }
    }

    /// The stalls, from when until when, in microseconds.
    fn ended(self) -> Vec<(i64, i64)> {
        self.ended.store(true, Ordering::Relaxed);
        self.seen.into_iter().flat_map(|watcher| watcher.join().unwrap()).collect()
    }
}
