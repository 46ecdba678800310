//! Starts again what dies, and gives up on what will not live.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use crate::Stack;
use crate::process::describe;
use crate::process::log::Failure;
use crate::progress::Progress;

/// A part that dies more often than this within [`DEATHS_WITHIN`] will not live.
const DEATHS: usize = 3;
const DEATHS_WITHIN: Duration = Duration::from_secs(20);

/// When each part died lately.
#[derive(Debug, Default)]
struct Deaths(BTreeMap<String, VecDeque<Instant>>);

impl Deaths {
    /// Notes a death; false if it was one too many.
    fn bear(&mut self, name: &str, now: Instant) -> bool {
        let deaths = self.0.entry(name.to_owned()).or_default();
        deaths.retain(|death| now.duration_since(*death) < DEATHS_WITHIN);
        deaths.push_back(now);
        deaths.len() <= DEATHS
    }
}

/// Starts again whatever dies in the stack, for as long as that helps.
///
/// # Errors
/// When a part dies again and again, or lives and is of no use: the only way that this ends.
pub async fn keep_alive(stack: &Stack, progress: &Progress) -> anyhow::Result<()> {
    let mut deaths = Deaths::default();
    // Side by side: one may be waiting for another that is dead too.
    let mut starts = FuturesUnordered::new();
    loop {
        tokio::select! {
            died = stack.died() => {
                let (name, status) = died?;
                let (how, log) = (describe(status), stack.folder().log(&name));
                if !deaths.bear(&name, Instant::now()) {
                    let seconds = DEATHS_WITHIN.as_secs();
                    let sentence = format!("{name} {how}, again and again within {seconds} s; its log says why");
                    return Err(Failure::new(sentence, &log).into());
                }
                progress.say(&format!("{name} {how} (log: {}); starting it again", log.display()));
                starts.push(async move { stack.start(&name).await });
            }
            Some(started) = starts.next(), if !starts.is_empty() => match started {
                // One that died on its way is told and counted above.
                Err(error) if !is_death(&error) => return Err(error),
                _ => {}
            },
        }
    }
}

fn is_death(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Failure>().is_some_and(|failure| failure.ended)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_part_dying_in_quick_succession_is_too_much() {
        let mut deaths = Deaths::default();
        let start = Instant::now();
        for second in [0, 30, 60, 90, 120] {
            assert!(deaths.bear("kafka", start + Duration::from_secs(second)));
        }
        for name in ["data-service", "portal", "postgres"] {
            assert!((121..124).all(|second| deaths.bear(name, start + Duration::from_secs(second))));
        }
        assert!(!deaths.bear("portal", start + Duration::from_secs(124)));
    }
}
