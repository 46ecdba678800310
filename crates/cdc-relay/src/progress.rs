//! How far the log is safe in Kafka: which position may be acknowledged to PostgreSQL.
//!
//! Transactions come in the order of their commits; Kafka acknowledges their records in any order.
//! Invariant: the position only ever covers transactions whose every record Kafka has acknowledged, and never ends
//! inside a transaction.

use std::collections::VecDeque;

/// The transactions that are not yet safe, oldest first, and the position before them.
#[derive(Debug, Default)]
pub struct Progress {
    /// Oldest first; the newest may still be open.
    transactions: VecDeque<Transaction>,
    /// The number of the oldest.
    first: u64,
    /// Whether the newest has no commit yet.
    open: bool,
    /// The end of the newest transaction that is safe together with all before it.
    applied: Option<u64>,
}

#[derive(Debug)]
struct Transaction {
    end_lsn: u64,
    outstanding: u64,
}

/// Begin, change and commit did not come in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stream sent {what}")]
pub struct OutOfOrder {
    what: &'static str,
}

impl Progress {
    /// A transaction begins.
    ///
    /// # Errors
    /// If the one before has no commit.
    pub fn begin(&mut self) -> Result<(), OutOfOrder> {
        if self.open {
            return Err(OutOfOrder { what: "a begin inside a transaction" });
        }
        self.open = true;
        self.transactions.push_back(Transaction { end_lsn: 0, outstanding: 0 });
        Ok(())
    }

    /// A record of the open transaction goes to Kafka; returns the number to acknowledge it by.
    ///
    /// # Errors
    /// If no transaction is open.
    pub fn send(&mut self) -> Result<u64, OutOfOrder> {
        match self.transactions.back_mut() {
            Some(newest) if self.open => {
                newest.outstanding += 1;
                Ok(self.first + self.transactions.len() as u64 - 1)
            }
            _ => Err(OutOfOrder { what: "a change outside of a transaction" }),
        }
    }

    /// The open transaction is complete; it ends at `end_lsn`.
    ///
    /// # Errors
    /// If no transaction is open.
    pub fn commit(&mut self, end_lsn: u64) -> Result<(), OutOfOrder> {
        match self.transactions.back_mut() {
            Some(newest) if self.open => newest.end_lsn = end_lsn,
            _ => return Err(OutOfOrder { what: "a commit outside of a transaction" }),
        }
        self.open = false;
        self.advance();
        Ok(())
    }

    /// The server has read its log up to `wal_end` and found nothing more for us. Without this an idle publication
    /// would hold back the log of a busy server for ever.
    pub fn idle(&mut self, wal_end: u64) {
        if self.open {
            return;
        }
        // Behind unsafe transactions the position belongs to the last of them: with it, it becomes safe.
        match self.transactions.back_mut() {
            Some(newest) => newest.end_lsn = newest.end_lsn.max(wal_end),
            None => self.applied = self.applied.max(Some(wal_end)),
        }
    }

    /// Kafka has a record of the transaction with that number.
    pub fn acknowledge(&mut self, number: u64) {
        let index = number.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        if let Some(transaction) = index.and_then(|index| self.transactions.get_mut(index)) {
            transaction.outstanding = transaction.outstanding.saturating_sub(1);
        }
        self.advance();
    }

    /// The position that may be acknowledged; `None` while there is none yet.
    #[must_use]
    pub fn applied(&self) -> Option<u64> {
        self.applied
    }

    /// Whether a transaction has begun whose commit has not come.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open
    }

    fn advance(&mut self) {
        while let Some(oldest) = self.transactions.front() {
            let is_open = self.open && self.transactions.len() == 1;
            if is_open || oldest.outstanding > 0 {
                return;
            }
            self.applied = self.applied.max(Some(oldest.end_lsn));
            self.transactions.pop_front();
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transaction(progress: &mut Progress, records: usize, end_lsn: u64) -> Vec<u64> {
        progress.begin().unwrap();
        let numbers = (0..records).map(|_| progress.send().unwrap()).collect();
        progress.commit(end_lsn).unwrap();
        numbers
    }

    #[test]
    fn only_the_longest_acknowledged_prefix_is_safe() {
        let mut progress = Progress::default();
        let first = transaction(&mut progress, 2, 10);
        let second = transaction(&mut progress, 1, 20);
        let third = transaction(&mut progress, 1, 30);
        progress.acknowledge(second[0]);
        progress.acknowledge(first[0]);
        assert_eq!(progress.applied(), None, "the first transaction lacks a record");
        progress.acknowledge(first[1]);
        assert_eq!(progress.applied(), Some(20));
        progress.acknowledge(third[0]);
        assert_eq!(progress.applied(), Some(30));
    }

    #[test]
    fn an_open_transaction_is_never_safe_however_much_of_it_is_acknowledged() {
        let mut progress = Progress::default();
        progress.begin().unwrap();
        let number = progress.send().unwrap();
        progress.acknowledge(number);
        assert_eq!(progress.applied(), None);
        assert!(progress.is_open());
        let number = progress.send().unwrap();
        progress.commit(10).unwrap();
        assert!(!progress.is_open());
        assert_eq!(progress.applied(), None);
        progress.acknowledge(number);
        assert_eq!(progress.applied(), Some(10));
    }

    #[test]
    fn a_transaction_without_records_is_safe_behind_safe_ones() {
        let mut progress = Progress::default();
        let first = transaction(&mut progress, 1, 10);
        transaction(&mut progress, 0, 20);
        assert_eq!(progress.applied(), None);
        progress.acknowledge(first[0]);
        assert_eq!(progress.applied(), Some(20));
    }

    #[test]
    fn an_idle_server_moves_the_position_only_between_transactions() {
        let mut progress = Progress::default();
        progress.idle(5);
        assert_eq!(progress.applied(), Some(5));
        progress.begin().unwrap();
        progress.idle(50);
        assert_eq!(progress.applied(), Some(5), "a transaction is open");
        let number = progress.send().unwrap();
        progress.commit(10).unwrap();
        progress.idle(60);
        assert_eq!(progress.applied(), Some(5), "a record is outstanding");
        progress.acknowledge(number);
        assert_eq!(progress.applied(), Some(60));
    }

    #[test]
    fn the_position_never_goes_back() {
        let mut progress = Progress::default();
        progress.idle(100);
        progress.idle(50);
        assert_eq!(progress.applied(), Some(100));
        let numbers = transaction(&mut progress, 1, 80);
        progress.acknowledge(numbers[0]);
        assert_eq!(progress.applied(), Some(100));
    }

    #[test]
    fn messages_out_of_order_are_errors() {
        let mut progress = Progress::default();
        assert!(progress.send().is_err());
        assert!(progress.commit(1).is_err());
        progress.begin().unwrap();
        assert!(progress.begin().is_err());
    }

    #[test]
    fn every_order_of_acknowledgements_ends_at_the_last_commit_and_never_passes_an_unsafe_one() {
        // Three transactions of 2, 1 and 2 records: all 120 orders.
        for order in permutations(5) {
            let mut progress = Progress::default();
            let numbers: Vec<u64> =
                [(2, 10), (1, 20), (2, 30)].iter().flat_map(|(n, end)| transaction(&mut progress, *n, *end)).collect();
            let mut safe = [false; 5];
            for index in order {
                safe[index] = true;
                progress.acknowledge(numbers[index]);
                let expected = match (safe[0] && safe[1], safe[2], safe[3] && safe[4]) {
                    (false, ..) => None,
                    (true, false, _) => Some(10),
                    (true, true, false) => Some(20),
                    (true, true, true) => Some(30),
                };
                assert_eq!(progress.applied(), expected);
            }
        }
    }

    fn permutations(count: usize) -> Vec<Vec<usize>> {
        if count == 0 {
            return vec![Vec::new()];
        }
        let shorter = permutations(count - 1);
        shorter
            .iter()
            .flat_map(|order| {
                (0..=order.len()).map(|place| {
                    let mut order = order.clone();
                    order.insert(place, count - 1);
                    order
                })
            })
            .collect()
    }
}
