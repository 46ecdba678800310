//! What one payment of a load will be: the same for the same seed and number.

use domain::payment::Status;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

const CURRENCIES: [&str; 4] = ["EUR", "GBP", "JPY", "USD"];

/// A payment and its changes of status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// In minor units.
    pub amount: i64,
    /// ISO 4217.
    pub currency: &'static str,
    /// Legal one after the other, from pending.
    pub changes: Vec<Status>,
}

impl Plan {
    /// The plan of payment number `n`.
    #[must_use]
    pub fn new(seed: u64, n: u64, changes: usize) -> Self {
        let mut dice = StdRng::seed_from_u64(seed ^ n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut status = Status::Pending;
        let changes = (0..changes)
            .map_while(|done| {
                let is_last = done + 1 == changes;
                // A final status before the last change would leave no legal one.
                let next = status.legal().iter().filter(|next| is_last || !next.legal().is_empty());
                status = *next.collect::<Vec<_>>().choose(&mut dice).copied()?;
                Some(status)
            })
            .collect();
        let currency = CURRENCIES.choose(&mut dice).copied().unwrap_or("USD");
        Self { amount: dice.random_range(1..=1_000_000), currency, changes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plan_has_as_many_legal_changes_as_wanted() {
        for n in 0..500 {
            let changes = usize::try_from(n % 9).unwrap();
            let plan = Plan::new(7, n, changes);
            assert_eq!(plan.changes.len(), changes);
            plan.changes.iter().try_fold(Status::Pending, |from, to| from.change_to(*to)).unwrap();
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_payments_and_another_one_others() {
        let plans = |seed| (0..20).map(|n| Plan::new(seed, n, 3)).collect::<Vec<_>>();
        assert_eq!(plans(1), plans(1));
        assert_ne!(plans(1), plans(2));
    }
}
