//! Which offsets Kafka has given our records. It gives none twice, unless it has lost what it had acknowledged: a topic
//! was wiped, or a broker came back without the end of its files.

use std::collections::BTreeMap;

/// Where Kafka has put a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The partition.
    pub partition: i32,
    /// The offset in it.
    pub offset: i64,
}

/// The next offset that each partition has to give, as far as this process knows.
#[derive(Debug, Default)]
pub struct Offsets {
    next: BTreeMap<i32, i64>,
}

/// Records that were acknowledged and are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost {
    /// Of which partition.
    pub partition: i32,
    /// The first offset that is given anew.
    pub from: i64,
    /// The first that was not given before.
    pub to: i64,
}

impl Offsets {
    /// Takes note of a record that was acknowledged; says what must have been lost before it.
    pub fn take(&mut self, place: Place) -> Option<Lost> {
        let Place { partition, offset } = place;
        // Where Kafka does not say, it is -1.
        if offset < 0 {
            return None;
        }
        let before = self.next.insert(partition, offset + 1);
        let to = before.filter(|next| offset < *next)?;
        Some(Lost { partition, from: offset, to })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(partition: i32, offset: i64) -> Place {
        Place { partition, offset }
    }

    #[test]
    fn offsets_that_only_grow_have_lost_nothing() {
        let mut offsets = Offsets::default();
        // Others write to the topic, too, so that there may be gaps.
        for (partition, offset) in [(0, 7), (1, 3), (0, 8), (0, 100), (1, 4), (0, -1), (0, 101)] {
            assert_eq!(offsets.take(place(partition, offset)), None);
        }
    }

    #[test]
    fn an_offset_that_is_given_again_tells_once_what_is_gone() {
        let mut offsets = Offsets::default();
        for offset in 0..50 {
            assert_eq!(offsets.take(place(1, offset)), None);
        }
        assert_eq!(offsets.take(place(0, 0)), None);
        assert_eq!(offsets.take(place(1, 40)), Some(Lost { partition: 1, from: 40, to: 50 }));
        assert_eq!(offsets.take(place(1, 41)), None, "it was told");
        assert_eq!(offsets.take(place(1, 0)), Some(Lost { partition: 1, from: 0, to: 42 }), "and then it was wiped");
    }
}
