//! Jobs: what somebody may ask for of many deliveries.

use serde::{Deserialize, Serialize};

/// What a job does with each delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One delivery is sent once more.
    Resend,
    /// Those of a time that did not succeed are sent once more.
    Recover,
    /// The endpoint is enabled again, and what was parked is settled.
    Enable,
}

impl Kind {
    /// The word for it in SQL and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Resend => "resend",
            Self::Recover => "recover",
            Self::Enable => "enable",
        }
    }

    /// The kind of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Resend, Self::Recover, Self::Enable].into_iter().find(|kind| kind.as_str() == word)
    }
}

/// What becomes of what was parked when its endpoint is enabled again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParkedChoice {
    /// All of it is sent.
    #[default]
    All,
    /// Of each object the latest is sent, and takes the place of the others.
    LatestPerObject,
    /// Nothing is sent: it stays parked, and can be resent.
    None,
}

impl ParkedChoice {
    /// The word for it in SQL and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::LatestPerObject => "latest_per_object",
            Self::None => "none",
        }
    }

    /// The choice of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::All, Self::LatestPerObject, Self::None].into_iter().find(|choice| choice.as_str() == word)
    }
}
