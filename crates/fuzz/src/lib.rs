//! Throws bytes at everything that reads what others send, and says what must be true whatever the bytes are.
//!
//! A target is a function that takes any bytes and panics where a promise is broken. The readers are the product's own.
//! libfuzzer/ runs the targets under libFuzzer; the test below runs them over the corpus, and over what chance makes of it.

mod answer;
mod api;
mod message;
mod pgoutput;
mod retry_after;
mod url;

pub use answer::answer;
pub use api::api;
pub use message::message;
pub use pgoutput::pgoutput;
pub use retry_after::retry_after;
pub use url::url;

/// Takes any bytes.
pub type Target = fn(&[u8]);

/// Each target by its name, which is the name of its folder in corpus/ and of its program in libfuzzer/.
pub const TARGETS: [(&str, Target); 6] = [
    ("answer", answer),
    ("api", api),
    ("message", message),
    ("pgoutput", pgoutput),
    ("retry_after", retry_after),
    ("url", url),
];

/// The first byte chooses one of `count`, the rest is for the chosen one.
fn choice(data: &[u8], count: usize) -> Option<(usize, &[u8])> {
    data.split_first().map(|(first, rest)| (usize::from(*first) % count, rest))
}

#[cfg(test)]
mod tests;
