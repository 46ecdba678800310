//! What can be struck: processes, links, and named points inside our processes.

use serde::{Deserialize, Serialize};

use crate::by_name::by_name;
use crate::routes::Link;

/// A process of the stack that is killed, frozen and restarted. The merchants and the portal are the witness's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Victim {
    /// PostgreSQL, its back ends included.
    Postgres,
    /// The broker.
    Kafka,
    /// Restate.
    Restate,
    /// cdc-relay.
    Relay,
    /// data-service.
    DataService,
    /// payments-api.
    PaymentsApi,
    /// The first webhook-consumer.
    Consumer,
    /// The second one, behind the same address.
    SecondConsumer,
}

/// A named point, and the program that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Point {
    /// An attempt is begun on the ledger, and its POST has not left.
    OpenBeforePost,
    /// The merchant has answered, and nobody has recorded it.
    PostBeforeRecord,
    /// One delivery of an event is recorded, and another one is not.
    FanOutBetweenRecords,
    /// All is recorded, and the journal does not know.
    RecordBeforeJournal,
    /// data-service has raised claims for overdue work, and nobody has sent it.
    ClaimBeforeSend,
    /// Kafka has acknowledged, and the slot's position has not moved.
    KafkaBeforePosition,
    /// A payment is committed, and its client does not know.
    PaymentBeforeAnswer,
    /// Results are committed, and webhook-consumer does not know.
    LedgerBeforeAnswer,
}

impl Victim {
    /// All of them, along the way of an event.
    pub const ALL: [Self; 8] = [
        Self::PaymentsApi,
        Self::Postgres,
        Self::Relay,
        Self::Kafka,
        Self::Restate,
        Self::Consumer,
        Self::SecondConsumer,
        Self::DataService,
    ];

    /// As the stack calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Kafka => "kafka",
            Self::Restate => "restate",
            Self::Relay => "cdc-relay",
            Self::DataService => "data-service",
            Self::PaymentsApi => "payments-api",
            Self::Consumer => "webhook-consumer",
            Self::SecondConsumer => "webhook-consumer-2",
        }
    }

    /// Whether its failure can make somebody send a webhook again. What is before the ledger can't: there a second record of
    /// an event ends.
    #[must_use]
    pub fn repeats(self) -> bool {
        match self {
            Self::Postgres | Self::Restate | Self::DataService | Self::Consumer | Self::SecondConsumer => true,
            Self::Kafka | Self::Relay | Self::PaymentsApi => false,
        }
    }
}

impl Point {
    /// All of them, along the way of an event.
    pub const ALL: [Self; 8] = [
        Self::PaymentBeforeAnswer,
        Self::KafkaBeforePosition,
        Self::OpenBeforePost,
        Self::PostBeforeRecord,
        Self::FanOutBetweenRecords,
        Self::LedgerBeforeAnswer,
        Self::RecordBeforeJournal,
        Self::ClaimBeforeSend,
    ];

    /// As the program calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenBeforePost => "open.before_post",
            Self::PostBeforeRecord => "post.before_record",
            Self::FanOutBetweenRecords => "fan_out.between_records",
            Self::RecordBeforeJournal => "record.before_journal",
            Self::ClaimBeforeSend => "claim.before_send",
            Self::KafkaBeforePosition => "kafka.before_position",
            Self::PaymentBeforeAnswer => "payment.before_answer",
            Self::LedgerBeforeAnswer => "ledger.before_answer",
        }
    }

    /// The program that passes it.
    #[must_use]
    pub fn program(self) -> &'static str {
        match self {
            Self::OpenBeforePost
            | Self::PostBeforeRecord
            | Self::FanOutBetweenRecords
            | Self::RecordBeforeJournal
            | Self::ClaimBeforeSend => "webhook-consumer",
            Self::KafkaBeforePosition => "cdc-relay",
            Self::PaymentBeforeAnswer => "payments-api",
            Self::LedgerBeforeAnswer => "data-service",
        }
    }

    /// Whether a process of this name runs that program.
    #[must_use]
    pub fn is_passed_by(self, process: &str) -> bool {
        process.strip_prefix(self.program()).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    }

    /// As [`Victim::repeats`].
    #[must_use]
    pub fn repeats(self) -> bool {
        matches!(self.program(), "webhook-consumer" | "data-service")
    }
}

/// As [`Victim::repeats`].
#[must_use]
pub fn link_repeats(link: Link) -> bool {
    match link {
        Link::DataServiceToPostgres
        | Link::RestateToConsumers
        | Link::ConsumersToDataService
        | Link::ConsumersToMerchants => true,
        Link::LoadToPaymentsApi
        | Link::PaymentsApiToPostgres
        | Link::RelayToPostgres
        | Link::RelayToKafka
        | Link::RestateToKafka
        | Link::ConsumersToIngress
        | Link::ConsumersToAdmin => false,
    }
}

by_name!(Victim, "process");
by_name!(Point, "point");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_is_found_by_its_name_and_another_name_is_told_the_known_ones() {
        assert!(Victim::ALL.into_iter().all(|victim| victim.name().parse() == Ok(victim)));
        assert!(Point::ALL.into_iter().all(|point| point.name().parse() == Ok(point)));
        let error = "postgre".parse::<Victim>().unwrap_err().to_string();
        assert!(error.starts_with("there is no process postgre; there are payments-api, postgres, "), "{error}");
    }

    #[test]
    fn a_point_is_passed_by_every_process_of_its_program_and_no_other() {
        let point = Point::PostBeforeRecord;
        assert!(point.is_passed_by("webhook-consumer") && point.is_passed_by("webhook-consumer-2"));
        assert!(!point.is_passed_by("data-service") && !point.is_passed_by("webhook-consumers"));
    }
}
