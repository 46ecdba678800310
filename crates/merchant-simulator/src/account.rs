//! The account of one endpoint: what came, what was accepted, what was refused and why.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use domain::signature::{self, Key, Refused};
use domain::time::Timestamp;
use serde::{Serialize, Serializer};

use crate::body::Body;
use crate::mood::Mood;

/// So many rejections are kept; the count goes on.
const KEPT_REJECTIONS: usize = 1_000;

/// One endpoint: its keys, its mood, and everything that it received.
#[derive(Debug)]
pub struct Account {
    keys: Vec<Key>,
    mood: Mood,
    resets: u64,
    counts: Counts,
    known: HashMap<Arc<str>, Known>,
    arrivals: Vec<Arrival>,
    rejections: VecDeque<Rejection>,
}

/// What became of an account's requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Everything that was received in full.
    pub requests: u64,
    /// Webhook ids that were accepted at least once.
    pub accepted_unique: u64,
    /// Acceptances after the first of their id.
    pub repeats: u64,
    /// Requests without a valid signature or timestamp.
    pub rejected_signature: u64,
    /// Well signed requests that the mood did not accept.
    pub refused_by_mood: u64,
}

#[derive(Debug, Clone, Copy)]
enum Known {
    /// Seen so often, and never accepted.
    Refused { attempts: u32 },
    /// At this place of the arrivals.
    Accepted { index: usize },
}

/// One accepted webhook id.
#[derive(Debug, Serialize)]
pub struct Arrival {
    /// The header `webhook-id`.
    #[serde(serialize_with = "as_text")]
    pub webhook_id: Arc<str>,
    /// What the body of the first acceptance said.
    #[serde(flatten)]
    pub body: Body,
    /// When the first accepted request was fully received.
    pub first_at: Timestamp,
    /// When each later accepted request was.
    pub repeats: Vec<Timestamp>,
    /// The object version that each later one showed, in the order of `repeats`.
    pub repeat_versions: Vec<Option<i64>>,
    /// Well signed requests with this id, accepted or not.
    pub attempts_seen: u32,
    /// Always true: what was never accepted is no arrival.
    pub accepted: bool,
}

/// One request whose signature was not accepted. Its id is only what the sender claims.
#[derive(Debug, Clone, Serialize)]
pub struct Rejection {
    /// The header `webhook-id`, if there was one.
    pub webhook_id: Option<String>,
    /// Why.
    pub reason: Rejected,
    /// When it was fully received.
    pub received_at: Timestamp,
}

/// Why a request is not taken for the sender's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Rejected {
    /// `webhook-id`, `webhook-timestamp` or `webhook-signature` is missing or unreadable.
    #[error("webhook-id, webhook-timestamp and webhook-signature are needed")]
    Headers,
    /// The timestamp is too old or too new.
    #[error("webhook-timestamp is more than five minutes from now")]
    Timestamp,
    /// No signature matches.
    #[error("no signature in webhook-signature matches")]
    Signature,
}

/// A well signed request that has no answer yet.
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    webhook_id: &'a str,
    received_at: Timestamp,
    resets: u64,
}

/// The three headers of Standard Webhooks, as far as they are there.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    /// `webhook-id`.
    pub id: Option<&'a str>,
    /// `webhook-timestamp`, in seconds.
    pub timestamp_s: Option<i64>,
    /// `webhook-signature`.
    pub signature: Option<&'a str>,
}

impl Account {
    /// An account that has received nothing and is well.
    #[must_use]
    pub fn new(keys: Vec<Key>) -> Self {
        Self {
            keys,
            mood: Mood::Well,
            resets: 0,
            counts: Counts::default(),
            known: HashMap::new(),
            arrivals: Vec::new(),
            rejections: VecDeque::new(),
        }
    }

    /// Verifies with these keys from now on, of which one is enough; keeps the counts.
    pub fn replace_keys(&mut self, keys: Vec<Key>) {
        self.keys = keys;
    }

    /// Answers in this mood from now on.
    pub fn set_mood(&mut self, mood: Mood) {
        self.mood = mood;
    }

    /// How it answers now.
    #[must_use]
    pub fn mood(&self) -> Mood {
        self.mood
    }

    /// What became of its requests.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Everything accepted, in the order of first acceptance.
    #[must_use]
    pub fn arrivals(&self) -> &[Arrival] {
        &self.arrivals
    }

    /// The last thousand requests whose signature was not accepted, oldest first.
    pub fn rejections(&self) -> impl Iterator<Item = &Rejection> {
        self.rejections.iter()
    }

    /// Counts a request and verifies it.
    ///
    /// # Errors
    /// Says why it is rejected; the rejection is on the account then.
    pub fn receive<'a>(&mut self, signed: Signed<'a>, body: &[u8], now: Timestamp) -> Result<Received<'a>, Rejected> {
        self.counts.requests += 1;
        match self.verify(signed, body, now) {
            Ok(webhook_id) => {
                self.count_attempt(webhook_id);
                Ok(Received { webhook_id, received_at: now, resets: self.resets })
            }
            Err(reason) => {
                self.counts.rejected_signature += 1;
                if self.rejections.len() == KEPT_REJECTIONS {
                    self.rejections.pop_front();
                }
                let webhook_id = signed.id.map(str::to_owned);
                self.rejections.push_back(Rejection { webhook_id, reason, received_at: now });
                Err(reason)
            }
        }
    }

    /// Puts a well signed request on the account that is answered with success.
    /// One from before a reset is forgotten with everything else of that time.
    pub fn accept(&mut self, received: Received<'_>, body: Body) {
        let Received { webhook_id, received_at, resets } = received;
        if resets != self.resets {
            return;
        }
        let attempts = match self.known.get(webhook_id) {
            Some(&Known::Accepted { index }) => {
                self.counts.repeats += 1;
                if let Some(arrival) = self.arrivals.get_mut(index) {
                    arrival.repeats.push(received_at);
                    arrival.repeat_versions.push(body.shown_version());
                }
                return;
            }
            Some(&Known::Refused { attempts }) => attempts,
            None => 1,
        };
        self.counts.accepted_unique += 1;
        let webhook_id: Arc<str> = webhook_id.into();
        self.known.insert(webhook_id.clone(), Known::Accepted { index: self.arrivals.len() });
        self.arrivals.push(Arrival {
            webhook_id,
            body,
            first_at: received_at,
            repeats: Vec::new(),
            repeat_versions: Vec::new(),
            attempts_seen: attempts,
            accepted: true,
        });
    }

    /// Counts a well signed request that the mood does not accept.
    pub fn refuse(&mut self) {
        self.counts.refused_by_mood += 1;
    }

    /// Forgets everything but the keys.
    pub fn reset(&mut self) {
        *self = Self { resets: self.resets + 1, ..Self::new(std::mem::take(&mut self.keys)) };
    }

    fn verify<'a>(&self, signed: Signed<'a>, body: &[u8], now: Timestamp) -> Result<&'a str, Rejected> {
        let (Some(id), Some(timestamp_s), Some(signatures)) = (signed.id, signed.timestamp_s, signed.signature) else {
            return Err(Rejected::Headers);
        };
        match signature::verify(&self.keys, signature::Signed { id, timestamp_s, signatures, body }, now.unix_seconds())
        {
            Ok(()) => Ok(id),
            Err(Refused::Timestamp) => Err(Rejected::Timestamp),
            Err(Refused::Signature) => Err(Rejected::Signature),
        }
    }

    fn count_attempt(&mut self, webhook_id: &str) {
        match self.known.get_mut(webhook_id) {
            Some(Known::Refused { attempts }) => *attempts += 1,
            Some(&mut Known::Accepted { index }) => {
                if let Some(arrival) = self.arrivals.get_mut(index) {
                    arrival.attempts_seen += 1;
                }
            }
            None => {
                self.known.insert(webhook_id.into(), Known::Refused { attempts: 1 });
            }
        }
    }
}

fn as_text<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}
