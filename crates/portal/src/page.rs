//! The one form of all lists: a page of items, newest first, and the cursor of the next page.

use std::fmt::Display;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The most items of a page, where nothing else is said.
pub(crate) const MOST_ITEMS: usize = 250;

/// How many items a page has where nobody says so.
const ITEMS: usize = 50;

/// With a filter that no index knows, so many rows are looked at for one page. So a page may have few items, or none,
/// and a next one nevertheless.
pub(crate) const MOST_LOOKED_AT: i64 = 10_000;

/// A page of a list, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Page<T> {
    /// May be fewer than `limit`, even none, although there is a next page: only so many rows are looked at for one.
    pub(crate) items: Vec<T>,
    /// Give it as `cursor` to get the next page; null if this is the last one.
    pub(crate) next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// The same page of what `shown` makes of the items.
    pub(crate) fn map<U>(self, shown: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(shown).collect(), next_cursor: self.next_cursor }
    }

    /// The same page of what `shown` makes of the items.
    ///
    /// # Errors
    /// The first that `shown` says.
    pub(crate) fn try_map<U, E>(self, shown: impl FnMut(T) -> Result<U, E>) -> Result<Page<U>, E> {
        let items = self.items.into_iter().map(shown).collect::<Result<_, _>>()?;
        Ok(Page { items, next_cursor: self.next_cursor })
    }

    /// The list goes on below this id, if it does not go on already.
    pub(crate) fn or_below(mut self, id: Option<String>) -> Self {
        self.next_cursor = self.next_cursor.or_else(|| id.map(cursor));
        self
    }
}

/// The parameter `limit`: from 1 to `MOST`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Limit<const MOST: usize = MOST_ITEMS>(usize);

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
        Self(ITEMS)
    }
}

impl<const MOST: usize> Limit<MOST> {
    /// As many as a page may have.
    pub(crate) const MOST: Self = Self(MOST);

    /// How many rows a page has at most.
    pub(crate) fn get(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }

    /// How many rows to read: one more than the page has tells whether there is another page.
    pub(crate) fn rows(self) -> i64 {
        self.get().saturating_add(1)
    }

    /// The page of these rows, of which one may be of the next page.
    pub(crate) fn page<T, I: Display>(self, mut rows: Vec<T>, id: impl FnOnce(&T) -> I) -> Page<T> {
        let is_last = rows.len() <= self.0;
        rows.truncate(self.0);
        let next_cursor = rows.last().filter(|_| !is_last).map(|last| cursor(id(last)));
        Page { items: rows, next_cursor }
    }
}

/// The parameter `cursor`: the id of the item after which the page begins, in a form that nobody takes for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String", bound = "I: FromStr")]
pub(crate) struct Cursor<I>(pub(crate) I);

/// The parameter can't be used.
#[derive(Debug, thiserror::Error)]
#[error("this is no cursor of this list; give the next_cursor of a page as it is, or none to begin at the newest")]
pub(crate) struct NotACursor;

impl<I: FromStr> TryFrom<String> for Cursor<I> {
    type Error = NotACursor;

    fn try_from(text: String) -> Result<Self, NotACursor> {
        let id = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        id.and_then(|id| id.parse().ok()).map(Self).ok_or(NotACursor)
    }
}

/// The cursor of the page after this id.
pub(crate) fn cursor(id: impl Display) -> String {
    URL_SAFE_NO_PAD.encode(id.to_string())
}

#[cfg(test)]
mod tests {
    use domain::ids::{EventId, MerchantId};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_a_full_page_with_more_behind_it_has_a_next_one() {
        let limit = Limit::<3>::try_from("2".to_owned()).unwrap();
        let page = |rows: &[i32]| {
            let page = limit.page(rows.to_vec(), |n| *n);
            (page.items, page.next_cursor)
        };
        assert_eq!(page(&[3, 2, 1]), (vec![3, 2], Some(cursor(2))));
        assert_eq!(page(&[3, 2]), (vec![3, 2], None));
        assert_eq!(page(&[]), (Vec::new(), None));
        for wrong in ["0", "4", "-1", "", "1.5", "all"] {
            assert!(Limit::<3>::try_from(wrong.to_owned()).is_err(), "{wrong} was taken for a limit");
        }
    }

    #[test]
    fn a_cursor_is_of_its_list() {
        let event_id: EventId = "evt_019a0b1c2d3e7f00a1b2c3d4e5f60718".parse().unwrap();
        assert_eq!(Cursor::<EventId>::try_from(cursor(event_id)).unwrap(), Cursor(event_id));
        assert!(Cursor::<MerchantId>::try_from(cursor(event_id)).is_err());
        for wrong in ["", "evt_019a0b1c2d3e7f00a1b2c3d4e5f60718", "%", "_w"] {
            assert!(Cursor::<EventId>::try_from(wrong.to_owned()).is_err(), "{wrong} was taken for a cursor");
        }
    }

    proptest! {
        #[test]
        fn a_cursor_is_read_as_it_was_written_or_refused(uuid: u128, text in "[A-Za-z0-9_-]{0,60}|.{0,20}") {
            let id = EventId::from_uuid(uuid::Uuid::from_u128(uuid));
            prop_assert_eq!(Cursor::<EventId>::try_from(cursor(id)).ok(), Some(Cursor(id)));
            prop_assert!(Cursor::<EventId>::try_from(text).is_err(), "no chance makes an id");
        }

        #[test]
        fn a_limit_is_within_its_bounds(number: i32, text in "[+-]?[0-9]{1,22}|.{0,8}") {
            prop_assert_eq!(Limit::<250>::try_from(number.to_string()).is_ok(), (1..=250).contains(&number));
            if let Ok(limit) = Limit::<250>::try_from(text) {
                prop_assert!((1..=250).contains(&limit.get()));
            }
        }
    }
}
