//! A span of time that is asked about.

use std::fmt::Display;
use std::time::Duration;

use domain::time::Timestamp;
use store::span::Span;

use crate::clock::now;
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

/// What is left of a list whose ids have this prefix: made in the window, of which both ends may be open, and before the id
/// `before`.
pub(crate) fn span<I: Display>(
    prefix: &str,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    before: Option<I>,
) -> Result<Span, Error> {
    in_order(from, to)?;
    let (from, to) = (from.map(Timestamp::into_inner), to.map(Timestamp::into_inner));
    Ok(Span::new(prefix, from, to, before, now().into_inner()))
}

/// A window: both ends may be open.
fn in_order(from: Option<Timestamp>, to: Option<Timestamp>) -> Result<(), Error> {
    if from.is_some_and(|from| from.unix_micros() < 0) {
        return Err(Error::Window { field: "from", detail: "a window begins after 1970" });
    }
    if to.zip(from).is_some_and(|(to, from)| to <= from) {
        return Err(Error::Window { field: "to", detail: "a window ends after it has begun" });
    }
    Ok(())
}
