//! Connections that are kept in hand between statements.
//!
//! The pool asks the server after each use whether the connection is still good: a round trip that costs both sides
//! about as much as a short statement. Where one statement is all there is to a request, that is saved here.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, PgPool, Postgres};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::Error;

/// So many of the pool's connections are never kept, so that whoever uses the pool finds one.
const LEFT_TO_THE_POOL: u32 = 2;

/// Most of a pool's connections, for short statements. Cheap to clone.
#[derive(Debug, Clone)]
pub struct KeptConnections(Arc<Kept>);

#[derive(Debug)]
struct Kept {
    pool: PgPool,
    idle: Mutex<Vec<PoolConnection<Postgres>>>,
    /// Invariant: with a permit in hand, either a connection is idle here or the pool has one, soon at the latest.
    permits: Semaphore,
    may_keep: bool,
}

/// A connection in use. Dropped without [`InUse::keep_after`], it goes to the pool, which finds out whether it is good.
#[derive(Debug)]
pub struct InUse<'a> {
    connection: PoolConnection<Postgres>,
    kept: &'a Kept,
    _permit: SemaphorePermit<'a>,
}

impl KeptConnections {
    /// Takes connections from this pool as they are needed.
    #[must_use]
    pub fn of(pool: PgPool) -> Self {
        let most = pool.options().get_max_connections();
        let may_keep = most > LEFT_TO_THE_POOL;
        let permits = if may_keep { most - LEFT_TO_THE_POOL } else { most };
        let permits = Semaphore::new(usize::try_from(permits).unwrap_or(Semaphore::MAX_PERMITS));
        Self(Arc::new(Kept { pool, idle: Mutex::default(), permits, may_keep }))
    }

    /// As [`KeptConnections::of`], but every connection may be kept: for a pool that nobody else uses.
    #[must_use]
    pub fn all_of(pool: PgPool) -> Self {
        let permits = usize::try_from(pool.options().get_max_connections()).unwrap_or(Semaphore::MAX_PERMITS);
        Self(Arc::new(Kept { pool, idle: Mutex::default(), permits: Semaphore::new(permits), may_keep: true }))
    }

    /// A connection that was kept, or a new one; waits while as many as may be are in use.
    ///
    /// # Errors
    /// If the pool gives none in its time.
    pub async fn take(&self) -> Result<InUse<'_>, Error> {
        let kept = &*self.0;
        let failed = |source| Error { doing: "taking a connection", source };
        let permit = tokio::time::timeout(kept.pool.options().get_acquire_timeout(), kept.permits.acquire())
            .await
            .map_err(|_| failed(sqlx::Error::PoolTimedOut))?
            .map_err(|_| failed(sqlx::Error::PoolClosed))?;
        let idle = kept.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => kept.pool.acquire().await.map_err(failed)?,
        };
        Ok(InUse { connection, kept, _permit: permit })
    }
}

impl InUse<'_> {
    /// Keeps the connection for the next statement if the last one succeeded; after anything else, the pool finds out
    /// whether the connection is still good.
    pub fn keep_after<T, E>(self, done: &Result<T, E>) {
        if done.is_ok() {
            self.keep();
        }
    }

    /// Keeps the connection for the next statement: all that was done on it has succeeded, and no transaction is open.
    pub fn keep(self) {
        if self.kept.may_keep {
            self.kept.idle.lock().unwrap_or_else(PoisonError::into_inner).push(self.connection);
        }
    }
}

impl Deref for InUse<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for InUse<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}
