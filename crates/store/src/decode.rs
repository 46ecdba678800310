//! Columns that hold text of a known form, read as what they mean.

use std::error::Error as StdError;
use std::str::FromStr;

use crate::Error;

/// Parses a column; a text of another form is the database's fault, not the caller's.
pub(crate) fn parsed<T>(doing: &'static str, text: &str) -> Result<T, Error>
where
    T: FromStr,
    T::Err: StdError + Send + Sync + 'static,
{
    text.parse().map_err(|error: T::Err| Error { doing, source: sqlx::Error::Decode(error.into()) })
}
