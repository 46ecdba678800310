//! A span of time that is asked about.

use std::time::Duration;

use domain::time::Timestamp;

use crate::error::Error;

/// Events that occurred from `from` until before `to`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
}

impl Window {
    const LONGEST: Duration = Duration::from_secs(31 * 24 * 3600);

    /// A window of at most 31 days after 1970.
    pub(crate) fn new(from: Timestamp, to: Timestamp) -> Result<Self, Error> {
        in_order(Some(from), Some(to))?;
        if to.since(from) > Self::LONGEST {
            return Err(Error::Window { field: "to", detail: "a window is at most 31 days long" });
        }
        Ok(Self { from, to })
    }
}

/// A window of a list: both ends may be open.
pub(crate) fn in_order(from: Option<Timestamp>, to: Option<Timestamp>) -> Result<(), Error> {
    if from.is_some_and(|from| from.unix_micros() < 0) {
        return Err(Error::Window { field: "from", detail: "a window begins after 1970" });
    }
    if to.zip(from).is_some_and(|(to, from)| to <= from) {
        return Err(Error::Window { field: "to", detail: "a window ends after it has begun" });
    }
    Ok(())
}
