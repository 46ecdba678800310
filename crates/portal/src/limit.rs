//! How many rows a page has, and whether there is another page.

use serde::Deserialize;

/// The parameter `limit`: from 1 to `MOST`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Limit<const MOST: usize>(usize);

/// The parameter can't be used.
#[derive(Debug, thiserror::Error)]
#[error("a limit is a number from 1 to {most}")]
pub(crate) struct NotALimit {
    most: usize,
}

impl<const MOST: usize> TryFrom<String> for Limit<MOST> {
    type Error = NotALimit;

    fn try_from(text: String) -> Result<Self, NotALimit> {
        match text.parse() {
            Ok(limit) if (1..=MOST).contains(&limit) => Ok(Self(limit)),
            _ => Err(NotALimit { most: MOST }),
        }
    }
}

impl<const MOST: usize> Default for Limit<MOST> {
    fn default() -> Self {
        Self(MOST.min(100))
    }
}

impl<const MOST: usize> Limit<MOST> {
    /// How many rows a page has at most.
    pub(crate) fn get(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }

    /// How many rows to read: one more than the page has tells whether there is another page.
    pub(crate) fn rows(self) -> i64 {
        self.get().saturating_add(1)
    }

    /// The page, and its last row's cursor if there is another page.
    pub(crate) fn page<T, C>(self, mut rows: Vec<T>, cursor: impl FnOnce(&T) -> C) -> (Vec<T>, Option<C>) {
        let is_last = rows.len() <= self.0;
        rows.truncate(self.0);
        let next = rows.last().filter(|_| !is_last).map(cursor);
        (rows, next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_full_page_with_more_behind_it_has_a_next_one() {
        let limit = Limit::<3>::try_from("2".to_owned()).unwrap();
        assert_eq!(limit.page(vec![1, 2, 3], |n| *n), (vec![1, 2], Some(2)));
        assert_eq!(limit.page(vec![1, 2], |n| *n), (vec![1, 2], None));
        assert_eq!(limit.page(Vec::new(), |n: &i32| *n), (Vec::new(), None));
        for wrong in ["0", "4", "-1", "", "1.5", "all"] {
            assert!(Limit::<3>::try_from(wrong.to_owned()).is_err(), "{wrong} was taken for a limit");
        }
    }
}
