//! Whether Restate's subscription goes on: a consumer that hangs (librdkafka issue 3437) says nothing, but its group
//! commits nothing, either, while the topic grows. And whether the topic still has what the group has read.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::config::Property;

/// Looks at a group without being of it.
pub struct Groups {
    consumer: BaseConsumer,
    group_id: String,
}

/// Kafka did not say how far the group is.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The properties are not Kafka's.
    #[error("setting up the Kafka client")]
    Client(#[source] KafkaError),
    /// The topic's partitions are not known.
    #[error("reading the partitions of {topic}")]
    Partitions {
        /// Which topic.
        topic: String,
        /// What Kafka said.
        source: KafkaError,
    },
    /// The ends of a partition are not known.
    #[error("reading the offsets of {topic}")]
    Ends {
        /// Which topic.
        topic: String,
        /// What Kafka said.
        source: KafkaError,
    },
    /// What the group has committed is not known.
    #[error("reading what the group {group_id} has committed")]
    Committed {
        /// Which group.
        group_id: String,
        /// What Kafka said.
        source: KafkaError,
    },
    /// Who is in the group is not known.
    #[error("reading the members of the group {group_id}")]
    Members {
        /// Which group.
        group_id: String,
        /// What Kafka said.
        source: KafkaError,
    },
}

/// How far a group is in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The offset of the next record that it will read; where it has committed nothing, that of the oldest record.
    pub committed: i64,
    /// The offset that the next record will have.
    pub end: i64,
}

impl Position {
    /// Whether the topic has lost records that the group has read. Restate takes those that get their offsets for
    /// repeats, and drops them.
    pub const fn is_beyond(self) -> bool {
        self.committed > self.end
    }
}

impl Groups {
    /// A client for these brokers, which joins nothing.
    pub fn new(brokers: &str, properties: &[Property], group_id: &str) -> Result<Self, Error> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers);
        for Property { name, value } in properties {
            config.set(name, value);
        }
        config.set("group.id", group_id).set("enable.auto.commit", "false");
        Ok(Self { consumer: config.create().map_err(Error::Client)?, group_id: group_id.to_owned() })
    }

    /// How far the group is in each partition of the topic. Each question to Kafka blocks up to `timeout`.
    pub fn positions(&self, topic: &str, timeout: Duration) -> Result<BTreeMap<i32, Position>, Error> {
        // Nothing is subscribed: what comes is told of broken connections, and would heap up.
        while self.consumer.poll(Duration::ZERO).is_some() {}
        let of_topic = |source| Error::Partitions { topic: topic.to_owned(), source };
        let metadata = self.consumer.fetch_metadata(Some(topic), timeout).map_err(of_topic)?;
        let mut asked = TopicPartitionList::new();
        for partition in metadata.topics().iter().flat_map(rdkafka::metadata::MetadataTopic::partitions) {
            asked.add_partition(topic, partition.id());
        }
        let committed = self
            .consumer
            .committed_offsets(asked, timeout)
            .map_err(|source| Error::Committed { group_id: self.group_id.clone(), source })?;
        let mut positions = BTreeMap::new();
        for element in committed.elements() {
            let (oldest, end) = self
                .consumer
                .fetch_watermarks(topic, element.partition(), timeout)
                .map_err(|source| Error::Ends { topic: topic.to_owned(), source })?;
            let committed = match element.offset() {
                Offset::Offset(offset) => offset,
                _ => oldest,
            };
            positions.insert(element.partition(), Position { committed, end });
        }
        Ok(positions)
    }

    /// How many members the group has. Blocks up to `timeout`.
    pub fn members(&self, timeout: Duration) -> Result<usize, Error> {
        let failed = |source| Error::Members { group_id: self.group_id.clone(), source };
        let list = self.consumer.client().fetch_group_list(Some(&self.group_id), timeout).map_err(failed)?;
        Ok(list.groups().iter().filter(|group| group.name() == self.group_id).map(|group| group.members().len()).sum())
    }
}

/// So many records at the end of a partition may be of a kind that a group never commits.
const NEVER_COMMITTED: i64 = 16;

/// Remembers how far the group was, from one look to the next.
#[derive(Debug)]
pub struct Watch {
    patience: Duration,
    partitions: BTreeMap<i32, Seen>,
    /// What was committed beyond the end of a partition, and told.
    beyond: BTreeMap<i32, i64>,
}

#[derive(Debug)]
struct Seen {
    committed: i64,
    /// The end when this was first seen to be committed.
    end: i64,
    /// When records were first seen to wait behind it.
    behind_since: Option<Instant>,
}

/// A partition grows, and the group does not go on in it; or its end is before what the group has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stall {
    /// Which.
    pub partition: i32,
    /// How far the group is.
    pub position: Position,
    /// For how long it has been there, with records behind it.
    pub for_so_long: Duration,
}

impl Watch {
    /// A group may stand still for so long while its topic grows.
    pub const fn new(patience: Duration) -> Self {
        Self { patience, partitions: BTreeMap::new(), beyond: BTreeMap::new() }
    }

    /// Forgets who stood still: while Kafka or Restate are away, nobody can go on.
    pub fn forget(&mut self) {
        self.partitions.clear();
    }

    /// Forgets what it has told of, too: what was to be done about it may not be done.
    pub fn forget_all(&mut self) {
        *self = Self::new(self.patience);
    }

    /// Takes note of how far the group is; answers the partition in which it has stood still for too long, or whose end
    /// is before what it has committed: that is told once, since a group may commit nothing more where nothing comes.
    ///
    /// A few records that are there already are not enough: an offset that a group never commits, as that of a
    /// transaction's marker, must not look like a hang for ever.
    pub fn look(&mut self, positions: &BTreeMap<i32, Position>, now: Instant) -> Option<Stall> {
        self.partitions.retain(|partition, _| positions.contains_key(partition));
        let mut longest = None;
        for (&partition, &position) in positions {
            let Position { committed, end } = position;
            if position.is_beyond() && self.beyond.insert(partition, committed) != Some(committed) {
                return Some(Stall { partition, position, for_so_long: Duration::ZERO });
            }
            let anew = Seen { committed, end, behind_since: None };
            let seen = self.partitions.entry(partition).or_insert(anew);
            if seen.committed != committed {
                *seen = Seen { committed, end, behind_since: None };
            }
            let is_behind = end > committed && end > seen.end || end - committed > NEVER_COMMITTED;
            if seen.behind_since.is_none() && is_behind {
                seen.behind_since = Some(now);
            }
            let Some(since) = seen.behind_since else { continue };
            let for_so_long = now.duration_since(since);
            if for_so_long >= self.patience && longest.is_none_or(|stall: Stall| stall.for_so_long < for_so_long) {
                longest = Some(Stall { partition, position, for_so_long });
            }
        }
        longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn at(committed: i64, end: i64) -> BTreeMap<i32, Position> {
        BTreeMap::from([(0, Position { committed, end })])
    }

    /// Feeds looks of these seconds; answers the seconds at which there was a stall.
    fn stalls(looks: &[(u64, i64, i64)]) -> Vec<u64> {
        let (mut watch, start) = (Watch::new(PATIENCE), Instant::now());
        let stalled = |&(second, committed, end): &(u64, i64, i64)| {
            watch.look(&at(committed, end), start + Duration::from_secs(second)).map(|_| second)
        };
        looks.iter().filter_map(stalled).collect()
    }

    #[test]
    fn a_group_that_commits_nothing_while_its_topic_grows_has_stalled_after_its_time() {
        assert_eq!(stalls(&[(0, 5, 5), (5, 5, 6), (64, 5, 9), (65, 5, 9), (70, 5, 9)]), [65, 70]);
    }

    #[test]
    fn a_group_that_goes_on_or_has_nothing_to_do_has_not_stalled() {
        assert_eq!(stalls(&[(0, 5, 5), (1_000, 5, 5), (5_000, 5, 5)]), [0; 0], "a quiet topic");
        assert_eq!(stalls(&[(0, 5, 5), (3_600, 5, 6), (3_605, 6, 6), (7_200, 6, 7)]), [0; 0], "after a quiet hour");
        assert_eq!(stalls(&[(0, 5, 50), (50, 6, 90), (100, 7, 200), (150, 8, 300)]), [0; 0], "slow, but on its way");
        assert_eq!(stalls(&[(0, 5, 6), (1_000, 5, 6)]), [0; 0], "a record that is never committed");
    }

    #[test]
    fn many_records_that_wait_are_enough_though_no_more_come() {
        assert_eq!(stalls(&[(0, 5, 100), (59, 5, 100), (60, 5, 100)]), [60]);
        assert_eq!(stalls(&[(0, 5, 100), (59, 6, 100), (118, 7, 100)]), [0; 0]);
    }

    #[test]
    fn one_partition_of_several_is_enough() {
        let (mut watch, start) = (Watch::new(PATIENCE), Instant::now());
        for second in [0_u32, 10, 40, 70, 100] {
            let moving = Position { committed: second.into(), end: i64::from(second) + 3 };
            let stuck = Position { committed: 4, end: 4 + i64::from(second) };
            let stall =
                watch.look(&BTreeMap::from([(0, moving), (1, stuck)]), start + Duration::from_secs(second.into()));
            let expected = (second >= 70).then(|| Stall {
                partition: 1,
                position: stuck,
                for_so_long: Duration::from_secs(u64::from(second) - 10),
            });
            assert_eq!(stall, expected);
        }
    }

    #[test]
    fn a_group_beyond_the_end_is_told_of_at_once_and_once() {
        let (mut watch, start) = (Watch::new(PATIENCE), Instant::now());
        let later = |s: u64| start + Duration::from_secs(s);
        assert_eq!(watch.look(&at(50, 50), start), None);
        watch.forget();
        let stall = watch.look(&at(50, 40), later(5)).unwrap();
        assert!(stall.position.is_beyond());
        watch.forget();
        assert_eq!(watch.look(&at(50, 40), later(200)), None, "nothing comes, so nothing is committed");
        watch.forget_all();
        assert!(watch.look(&at(50, 40), later(210)).is_some(), "what followed may have failed");
        assert_eq!(watch.look(&at(42, 42), later(300)), None);
        assert_eq!(watch.look(&at(42, 30), later(400)).map(|stall| stall.position.end), Some(30), "and again");
    }

    #[test]
    fn what_was_seen_before_an_absence_does_not_count() {
        let (mut watch, start) = (Watch::new(PATIENCE), Instant::now());
        let later = |s: u64| start + Duration::from_secs(s);
        assert_eq!(watch.look(&at(5, 5), start), None);
        assert_eq!(watch.look(&at(5, 6), later(1)), None);
        watch.forget();
        assert_eq!(watch.look(&at(5, 9), later(100)), None);
        assert_eq!(watch.look(&at(5, 10), later(101)), None);
        assert_eq!(watch.look(&at(5, 10), later(160)), None);
        assert!(watch.look(&at(5, 10), later(161)).is_some());
    }

    /// The facts of a group that somebody was in, as a real Kafka tells them.
    #[tokio::test]
    #[ignore = "needs Kafka: scripts/run-tests.sh e2e"]
    async fn kafka_tells_how_far_a_group_is() {
        use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
        use rdkafka::client::DefaultClientContext;
        use rdkafka::consumer::CommitMode;
        use rdkafka::producer::{FutureProducer, FutureRecord};

        const TIMEOUT: Duration = Duration::from_secs(20);
        let brokers = std::env::var("EVERHOOK_TEST_KAFKA").unwrap();
        let name = format!("progress-{}", uuid::Uuid::now_v7());
        let config = |more: &[(&str, &str)]| {
            let mut config = ClientConfig::new();
            config.set("bootstrap.servers", &brokers);
            for (name, value) in more {
                config.set(*name, *value);
            }
            config
        };
        let admin: AdminClient<DefaultClientContext> = config(&[]).create().unwrap();
        let topic = NewTopic::new(&name, 2, TopicReplication::Fixed(1));
        for made in admin.create_topics([&topic], &AdminOptions::new()).await.unwrap() {
            made.unwrap();
        }
        let producer: FutureProducer = config(&[]).create().unwrap();
        let produce = async |partition: i32| {
            let record = FutureRecord::<str, str>::to(&name).partition(partition).payload("x");
            producer.send(record, TIMEOUT).await.unwrap();
        };
        for partition in [0, 0, 0, 1] {
            produce(partition).await;
        }
        let groups = Groups::new(&brokers, &[], &name).unwrap();
        let position = |committed, end| Position { committed, end };
        let deadline = Instant::now() + Duration::from_secs(60);
        // A broker that has never had a group makes its topic of offsets first.
        while let Err(error) = groups.positions(&name, TIMEOUT) {
            assert!(Instant::now() < deadline, "{error:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let positions = || groups.positions(&name, TIMEOUT).unwrap();
        assert_eq!(positions(), BTreeMap::from([(0, position(0, 3)), (1, position(0, 1))]));
        assert_eq!(groups.members(TIMEOUT).unwrap(), 0, "looking is not joining");

        let member: BaseConsumer =
            config(&[("group.id", &name), ("enable.auto.commit", "false"), ("auto.offset.reset", "earliest")])
                .create()
                .unwrap();
        member.subscribe(&[&name]).unwrap();
        let mut read = 0;
        while read < 4 {
            assert!(Instant::now() < deadline, "read {read} of 4");
            read += usize::from(member.poll(Duration::from_millis(100)).is_some_and(|record| record.is_ok()));
        }
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(&name, 0, Offset::Offset(2)).unwrap();
        member.commit(&offsets, CommitMode::Sync).unwrap();
        assert_eq!(positions()[&0], position(2, 3));
        assert_eq!(groups.members(TIMEOUT).unwrap(), 1);

        // It hangs: it is still a member, and the topic grows.
        let mut watch = Watch::new(Duration::ZERO);
        assert_eq!(watch.look(&positions(), Instant::now()), None);
        produce(0).await;
        let stall = watch.look(&positions(), Instant::now()).unwrap();
        assert_eq!((stall.partition, stall.position), (0, position(2, 4)));
    }
}
