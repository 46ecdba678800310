//! A payment, and the changes of status that are legal.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::{MerchantId, PaymentId};
use crate::time::Timestamp;

/// Where a payment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Made, nothing done yet.
    Pending,
    /// The payer must do something.
    RequiresAction,
    /// With the bank.
    Processing,
    /// Paid.
    Succeeded,
    /// Refused for good.
    Failed,
    /// Called off before it was paid.
    Canceled,
    /// The payer contests it.
    Disputed,
    /// Paid back.
    Refunded,
}

/// A change of status that the rules do not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a payment that is {from} can't become {to}")]
pub struct IllegalStatus {
    /// Where the payment stands.
    pub from: Status,
    /// What was wanted.
    pub to: Status,
}

/// The text names no status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a payment status")]
pub struct NotAStatus {
    text: String,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 8] = [
        Self::Pending,
        Self::RequiresAction,
        Self::Processing,
        Self::Succeeded,
        Self::Failed,
        Self::Canceled,
        Self::Disputed,
        Self::Refunded,
    ];

    /// What may come next.
    #[must_use]
    pub const fn legal(self) -> &'static [Self] {
        match self {
            Self::Pending => &[Self::RequiresAction, Self::Processing, Self::Canceled, Self::Failed],
            Self::RequiresAction => &[Self::Processing, Self::Canceled, Self::Failed],
            Self::Processing => &[Self::RequiresAction, Self::Succeeded, Self::Failed],
            Self::Succeeded => &[Self::Refunded, Self::Disputed],
            Self::Disputed => &[Self::Succeeded, Self::Refunded],
            Self::Failed | Self::Canceled | Self::Refunded => &[],
        }
    }

    /// The new status, if the change is legal.
    ///
    /// # Errors
    /// If it is not.
    pub fn change_to(self, to: Self) -> Result<Self, IllegalStatus> {
        if self.legal().contains(&to) { Ok(to) } else { Err(IllegalStatus { from: self, to }) }
    }

    /// The word for it in SQL, JSON and event types.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::RequiresAction => "requires_action",
            Self::Processing => "processing",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Disputed => "disputed",
            Self::Refunded => "refunded",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Status {
    type Err = NotAStatus;

    fn from_str(text: &str) -> Result<Self, NotAStatus> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| NotAStatus { text: text.chars().take(40).collect() })
    }
}

/// A payment as the API answers it and as merchants receive it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// Its id.
    pub payment_id: PaymentId,
    /// Whose it is.
    pub merchant_id: MerchantId,
    /// In minor units of the currency.
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
    /// Where it stands.
    pub status: Status,
    /// From 1, raised by each change.
    pub version: i64,
    /// The platform's own word for it.
    pub reference: Option<String>,
    /// For people.
    pub description: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_legal_changes_construct_and_every_status_can_be_reached() {
        for from in Status::ALL {
            for to in Status::ALL {
                assert_eq!(from.change_to(to).is_ok(), from.legal().contains(&to), "{from} to {to}");
            }
            assert_eq!(from.as_str().parse(), Ok(from));
            assert!(from == Status::Pending || Status::ALL.iter().any(|s| s.legal().contains(&from)), "{from}");
        }
    }
}
