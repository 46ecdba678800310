//! Prints an error together with everything that caused it, on one line.

use std::error::Error;
use std::fmt;

/// Displays `error: cause: cause of the cause`. A cause that the error before it has already quoted is left out:
/// some libraries do both.
pub struct Chain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.0.to_string();
        f.write_str(&said)?;
        let mut next = self.0.source();
        while let Some(cause) = next {
            let text = cause.to_string();
            if !said.ends_with(&text) {
                write!(f, ": {text}")?;
                said = text;
            }
            next = cause.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Failure {
        #[error("can't open the door")]
        Door(#[source] Box<Failure>),
        #[error("lock: {0}")]
        Quoting(#[source] Box<Failure>),
        #[error("no key")]
        Key,
    }

    #[test]
    fn every_cause_is_said_once() {
        let error = Failure::Door(Box::new(Failure::Quoting(Box::new(Failure::Key))));
        assert_eq!(Chain(&error).to_string(), "can't open the door: lock: no key");
        assert_eq!(Chain(&Failure::Door(Box::new(Failure::Key))).to_string(), "can't open the door: no key");
    }
}
