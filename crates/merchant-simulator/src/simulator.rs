//! What the process holds: the accounts, and the signal that ends the answers which would never end.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::http::StatusCode;
use chassis::{Lifecycle, Problem};
use domain::time::Timestamp;
use time::OffsetDateTime;
use tokio::sync::watch;

use crate::account::Account;

/// All accounts, by endpoint id.
#[derive(Debug)]
pub struct Simulator {
    book: Mutex<Book>,
    resets: watch::Sender<u64>,
    lifecycle: Lifecycle,
}

/// The accounts, and what belongs to none of them.
#[derive(Debug, Default)]
pub(crate) struct Book {
    pub(crate) accounts: HashMap<String, Account>,
    /// Webhooks for endpoints without an account: nobody could have verified them.
    pub(crate) unknown_account: u64,
}

impl Simulator {
    /// A simulator without accounts, which lets go of its callers when the process is asked to stop.
    #[must_use]
    pub fn new(lifecycle: Lifecycle) -> Self {
        Self { book: Mutex::default(), resets: watch::Sender::new(0), lifecycle }
    }

    /// The book, for as long as nothing is awaited.
    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        // A handler that died has counted one request too few; the others' accounts are still good.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with one account.
    pub(crate) fn with<T>(&self, endpoint_id: &str, what: impl FnOnce(&mut Account) -> T) -> Result<T, Problem> {
        self.book().accounts.get_mut(endpoint_id).map(what).ok_or_else(|| {
            Problem::new(
                StatusCode::NOT_FOUND,
                "unknown_account",
                format!("{endpoint_id} has no account here; make one with PUT /accounts/{endpoint_id}"),
            )
        })
    }

    /// Forgets what was received, makes everybody well, and lets go of the callers that are kept waiting.
    pub(crate) fn reset(&self) {
        let mut book = self.book();
        book.unknown_account = 0;
        book.accounts.values_mut().for_each(Account::reset);
        self.resets.send_modify(|resets| *resets += 1);
    }

    /// Resolves at the next reset from now on, or when the process is asked to stop.
    pub(crate) fn released(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut resets = self.resets.subscribe();
        let stopped = self.lifecycle.stopped();
        async move {
            tokio::select! {
                _ = resets.changed() => {}
                () = stopped => {}
            }
        }
    }
}

/// The simulator's clock, in microseconds.
pub(crate) fn now() -> Timestamp {
    OffsetDateTime::now_utc().into()
}
