//! A shuffled deck of what can be done to whom: rounds in which each target comes once, and in each round in another way.

use std::collections::VecDeque;

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;

use super::Act;

/// How something is done to a target.
pub(super) type Way<T> = fn(T, &mut StdRng) -> Act;

/// The deck; it is made anew when it is used up.
pub(super) struct Deck<T> {
    targets: Vec<T>,
    ways: Vec<Way<T>>,
    cards: VecDeque<Act>,
    round: usize,
}

impl<T: Copy> Deck<T> {
    /// Of each target in each way.
    pub(super) fn new(targets: &[T], ways: &[Way<T>]) -> Self {
        Self { targets: targets.to_vec(), ways: ways.to_vec(), cards: VecDeque::new(), round: 0 }
    }

    /// The next card that fits; those before it stay for later.
    pub(super) fn draw(&mut self, dice: &mut StdRng, fits: impl Fn(&Act) -> bool) -> Act {
        loop {
            if let Some(card) = self.cards.iter().position(&fits).and_then(|index| self.cards.remove(index)) {
                return card;
            }
            self.shuffle_a_round(dice);
        }
    }

    fn shuffle_a_round(&mut self, dice: &mut StdRng) {
        let ways = self.ways.iter().cycle().skip(self.round);
        let mut round: Vec<Act> = self.targets.iter().zip(ways).map(|(target, way)| way(*target, dice)).collect();
        round.shuffle(dice);
        self.cards.extend(round);
        self.round = (self.round + 1) % self.ways.len().max(1);
    }
}
