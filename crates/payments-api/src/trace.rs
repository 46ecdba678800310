//! W3C trace context: the request's trace goes on into the transaction, and with the event out of it.

use std::num::{NonZeroU64, NonZeroU128};
use std::sync::OnceLock;
use std::time::SystemTime;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use chassis::Problem;
use chassis::answer::Answer;
use chassis::spans::{self, Kind, Span};
use domain::ids::{MerchantId, PaymentId};
use domain::trace::{Hop, SampleRatio, TraceId, Traceparent};

use crate::Api;
use crate::error::{Error, InTrace};

/// The trace of a request, with a span of this service.
#[derive(Debug)]
pub(crate) struct Trace {
    own: Traceparent,
    parent_id: Option<u64>,
    began: SystemTime,
    traceparent: String,
    /// Whose payment it is, once that is known.
    merchant_id: OnceLock<MerchantId>,
    /// When the statements began, when they were committed, and what they were.
    commit: OnceLock<(SystemTime, SystemTime, &'static str)>,
}

/// What a request was about, as far as its span says it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct About {
    pub(crate) hop: Hop,
    pub(crate) route: &'static str,
    pub(crate) payment_id: PaymentId,
}

impl Trace {
    /// The value for a header `traceparent`, or for the transaction.
    pub(crate) fn traceparent(&self) -> &str {
        &self.traceparent
    }

    /// Goes on with the trace of the headers, or begins the trace `fresh`, which is kept if `ratio` says so. Whoever has
    /// begun a trace has decided whether it is kept.
    fn of(headers: &HeaderMap, fresh: NonZeroU128, span: NonZeroU64, ratio: SampleRatio) -> Self {
        let mut values = headers.get_all("traceparent").iter();
        let parent: Option<Traceparent> = match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok().and_then(|text| text.parse().ok()),
            _ => None,
        };
        let own = match parent {
            Some(parent) => Traceparent { span_id: span.get(), ..parent },
            None => {
                let trace_id = fresh.get();
                Traceparent { trace_id, span_id: span.get(), is_sampled: ratio.keeps(trace_id) }
            }
        };
        let parent_id = parent.map(|parent| parent.span_id);
        let (merchant_id, commit) = (OnceLock::new(), OnceLock::new());
        Self { own, parent_id, began: SystemTime::now(), traceparent: own.to_string(), merchant_id, commit }
    }

    /// The request is about a payment of this merchant.
    pub(crate) fn concerns(&self, merchant_id: MerchantId) {
        let _ = self.merchant_id.set(merchant_id);
    }

    /// Whether its spans go anywhere.
    fn is_kept(&self) -> bool {
        self.own.is_sampled && spans::are_kept()
    }

    /// The request is answered so; what went wrong is told with its trace.
    pub(crate) fn end(&self, about: About, answer: Result<Answer, Error>) -> Result<Answer, InTrace> {
        self.send(about, &answer);
        answer.map_err(|error| InTrace { error, trace_id: TraceId(self.own.trace_id) })
    }

    fn send(&self, about: About, answer: &Result<Answer, Error>) {
        if !self.is_kept() {
            return;
        }
        let status = match answer {
            Ok(answer) => answer.status.as_u16(),
            Err(error) => Problem::from(error).status,
        };
        // The number of a payment that was not made, or made before, is nobody's.
        let is_made = answer.as_ref().is_ok_and(|answer| !answer.replayed);
        let own = self.own;
        let span = Span::new(about.hop.name(), own.trace_id, own.span_id, (self.began, SystemTime::now()))
            .under(self.parent_id)
            .kind(Kind::Server)
            .with("http.request.method", "POST")
            .with("http.route", about.route)
            .with("http.response.status_code", status)
            .with_some("payment.id", is_made.then(|| about.payment_id.to_string()))
            .with_some("merchant.id", self.merchant_id.get().map(MerchantId::to_string))
            // A refusal is the client's.
            .failed((status >= 500).then(|| "the database did not do its part".into()));
        let commit = self.commit.get().map(|(began, ended, summary)| {
            Span::new(Hop::Commit.name(), own.trace_id, rand::random(), (*began, *ended))
                .under(own.span_id)
                .kind(Kind::Client)
                .with("db.system.name", "postgresql")
                .with("db.query.summary", *summary)
        });
        spans::end(commit.into_iter().chain([span]).collect());
    }

    /// What is written since `began` is committed.
    pub(crate) fn committed(&self, began: SystemTime, summary: &'static str) {
        let _ = self.commit.set((began, SystemTime::now(), summary));
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Trace
where
    Api: FromRef<S>,
{
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let ratio = Api::from_ref(state).sample_ratio;
        Ok(Self::of(&parts.headers, rand::random(), rand::random(), ratio))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRESH: &str = "00-000000000000000000000000000000aa-00000000000000bb-01";

    fn trace(headers: &[&str], ratio: &str) -> Trace {
        let headers = headers.iter().map(|value| ("traceparent".parse().unwrap(), value.parse().unwrap())).collect();
        let (fresh, span) = (NonZeroU128::new(0xaa).unwrap(), NonZeroU64::new(0xbb).unwrap());
        Trace::of(&headers, fresh, span, ratio.parse().unwrap())
    }

    #[test]
    fn a_valid_trace_goes_on_with_a_span_of_ours_and_is_kept_as_its_beginner_wants() {
        let trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
        for (flags, ours) in [("00", "00"), ("01", "01"), ("ff", "01")] {
            let given = format!("00-{trace_id}-00f067aa0ba902b7-{flags}");
            let ours = format!("00-{trace_id}-00000000000000bb-{ours}");
            for ratio in ["0", "1"] {
                let trace = trace(&[&given], ratio);
                assert_eq!((trace.traceparent(), trace.parent_id), (ours.as_str(), Some(0xf0_67aa_0ba9_02b7)));
            }
        }
    }

    #[test]
    fn anything_else_begins_a_trace_that_is_kept_or_not() {
        let valid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        for headers in [&[][..], &["nonsense"], &[valid, valid]] {
            let fresh = trace(headers, "1");
            assert_eq!((fresh.traceparent(), fresh.parent_id), (FRESH, None), "{headers:?}");
        }
        assert!(trace(&[], "0").traceparent().ends_with("-00"));
    }
}
