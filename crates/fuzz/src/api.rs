//! What comes to payments-api and to portal: bodies, queries, ids in paths, headers.

use chassis::Problem;
use domain::event::EventFilter;
use domain::ids::{EventId, PaymentId};
use domain::signature::{Key, Secret};
use domain::time::Timestamp;
use domain::trace::Traceparent;
use portal::TokenKeys;

/// The first byte chooses a reader. It takes the input or says what is wrong with it; what it takes it takes again in the form
/// in which it was understood.
pub fn api(data: &[u8]) {
    let (payments, bodies, queries) = (payments_api::inputs::BODIES, portal::inputs::BODIES, portal::inputs::QUERIES);
    let Some((chosen, input)) = crate::choice(data, payments.len() + bodies.len() + queries.len() + 1) else { return };
    if let Some((operation, read)) = payments.get(chosen) {
        body(operation, input, |input| read(input).map(Some));
    } else if let Some((operation, read)) = bodies.get(chosen - payments.len()) {
        body(operation, input, read);
    } else if let Some((operation, read)) = queries.get(chosen - payments.len() - bodies.len()) {
        let Ok(query) = str::from_utf8(input) else { return };
        if let Err(problem) = read(query) {
            check(operation, query.len(), &problem);
        }
    } else if let Ok(text) = str::from_utf8(input) {
        words(text);
    }
}

fn body(operation: &str, input: &[u8], read: impl Fn(&[u8]) -> Result<Option<String>, Problem>) {
    match read(input) {
        Ok(None) => {}
        Ok(Some(understood)) => match read(understood.as_bytes()) {
            Ok(again) => assert_eq!(again.as_ref(), Some(&understood), "{operation}"),
            Err(problem) => assert!(problem.detail.is_empty(), "{operation} refuses {understood}: {}", problem.detail),
        },
        Err(problem) => check(operation, input.len(), &problem),
    }
}

/// A problem is the client's, has words, and does not grow much beyond what was sent.
fn check(operation: &str, sent: usize, problem: &Problem) {
    assert!(matches!(problem.status, 400 | 415 | 422), "{operation}: {problem:?}");
    assert!(!problem.code.is_empty() && !problem.detail.is_empty(), "{operation}: {problem:?}");
    assert!(
        serde_json::to_string(problem).is_ok_and(|json| json.len() < 2_000 + 12 * sent),
        "{operation}: {problem:?}"
    );
}

/// Single words: ids, moments, filters, durations, secrets, headers.
fn words(text: &str) {
    if let Ok(id) = text.parse::<PaymentId>() {
        assert_eq!(id.to_string(), text);
    }
    if let Ok(id) = text.parse::<EventId>() {
        assert_eq!(id.to_string(), text);
    }
    if let Ok(moment) = text.parse::<Timestamp>() {
        assert_eq!(moment.to_string().parse().map(|again: Timestamp| again.unix_micros()), Ok(moment.unix_micros()));
    }
    if let Ok(filter) = text.parse::<EventFilter>() {
        assert!(filter.matches(text) || text.contains('*'), "{text} does not match itself");
    }
    if let Ok(duration) = chassis::flags::duration(text) {
        assert!(duration >= std::time::Duration::ZERO);
    }
    if let Ok(secret) = Secret::try_from(text.to_owned()) {
        assert!(!format!("{secret:?}").contains(text), "a secret is shown");
    }
    if let Ok(key) = text.parse::<Key>() {
        assert_eq!(key.expose().parse(), Ok(key));
    }
    if let Ok(traceparent) = text.parse::<Traceparent>() {
        assert_eq!(traceparent.to_string().parse(), Ok(traceparent));
    }
    let keys = TokenKeys::from_text("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=");
    let now = Timestamp::from_unix_micros(1_795_000_000_000_000);
    if let (Ok(keys), Some(now)) = (keys, now) {
        assert_eq!(portal::inputs::opened_by(text, &keys, now), None, "{text} opens something");
    }
}
