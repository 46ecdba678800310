//! Text from outside, of a length that is agreed.

use serde::{Deserialize, Serialize};

/// Text of `LEAST` to `MOST` characters without U+0000, which PostgreSQL can't keep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Text<const LEAST: usize, const MOST: usize>(String);

/// The text can't be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAText {
    /// Too short or too long.
    #[error("the text has {given} characters, it may have {least} to {most}")]
    Length {
        /// How many it has.
        given: usize,
        /// The fewest.
        least: usize,
        /// The most.
        most: usize,
    },
    /// It holds U+0000.
    #[error("the text may not hold the character U+0000")]
    Nul,
}

impl<const LEAST: usize, const MOST: usize> Text<LEAST, MOST> {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const LEAST: usize, const MOST: usize> TryFrom<String> for Text<LEAST, MOST> {
    type Error = NotAText;

    fn try_from(text: String) -> Result<Self, NotAText> {
        let given = text.chars().count();
        if !(LEAST..=MOST).contains(&given) {
            return Err(NotAText::Length { given, least: LEAST, most: MOST });
        }
        if text.contains('\0') { Err(NotAText::Nul) } else { Ok(Self(text)) }
    }
}

impl<const LEAST: usize, const MOST: usize> From<Text<LEAST, MOST>> for String {
    fn from(text: Text<LEAST, MOST>) -> Self {
        text.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_is_counted_in_characters_and_nul_is_refused() {
        let text = |text: &str| Text::<1, 3>::try_from(text.to_owned());
        assert_eq!(text("äöü").unwrap().as_str(), "äöü");
        assert_eq!(text("äöüß"), Err(NotAText::Length { given: 4, least: 1, most: 3 }));
        assert!(text("").is_err());
        assert_eq!(text("a\0"), Err(NotAText::Nul));
    }
}
