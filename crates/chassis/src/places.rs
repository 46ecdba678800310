//! A bound on the requests under way. What comes above it is told at once to come back, so that those inside keep their
//! latency, and memory does not grow with what cannot be done.

use std::num::NonZeroUsize;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;

use crate::Problem;

/// So many requests may be under way. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Places(Arc<Semaphore>);

impl Places {
    /// For so many requests.
    #[must_use]
    pub fn new(most: NonZeroUsize) -> Self {
        Self(Arc::new(Semaphore::new(most.get().min(Semaphore::MAX_PERMITS))))
    }
}

/// The middleware: 503 with `Retry-After` where no place is free.
pub async fn admit(State(places): State<Places>, request: Request, next: Next) -> Response {
    match places.0.try_acquire() {
        Ok(_place) => next.run(request).await,
        Err(_) => busy().into_response(),
    }
}

fn busy() -> Problem {
    let detail = "more is under way than this service can do at once; nothing was done of this, try again";
    Problem { retry_after_s: Some(1), ..Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail) }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::middleware::from_fn_with_state;
    use axum::routing::get;
    use tokio::sync::Notify;

    use super::*;
    use crate::{Lifecycle, client, server};

    #[tokio::test]
    async fn what_comes_above_the_bound_is_told_at_once_to_come_back() {
        let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (own_begun, own_go_on) = (begun.clone(), go_on.clone());
        let wait = move || {
            let (begun, go_on) = (own_begun.clone(), own_go_on.clone());
            async move {
                begun.notify_one();
                go_on.notified().await;
            }
        };
        let router =
            Router::new().route("/", get(wait)).layer(from_fn_with_state(Places::new(NonZeroUsize::MIN), admit));
        let lifecycle = Lifecycle::default();
        let listener = server::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        server::serve(&lifecycle, listener, router);
        let client = client::build(client::Limits::default()).unwrap();
        let first = lifecycle.spawn(client.get(&url).send());
        begun.notified().await;

        let second = client.get(&url).send().await.unwrap();
        assert_eq!((second.status().as_u16(), second.headers()["retry-after"].to_str().unwrap()), (503, "1"));
        let problem: Problem = second.json().await.unwrap();
        assert_eq!(problem.code, "busy");
        let health = client.get(format!("{url}/health")).send().await.unwrap();
        assert_eq!(health.status().as_u16(), 200, "whoever watches the process is not turned away");
        go_on.notify_one();
        assert_eq!(first.await.unwrap().unwrap().status().as_u16(), 200);
        go_on.notify_one();
        assert_eq!(client.get(&url).send().await.unwrap().status().as_u16(), 200, "the place is free again");
        lifecycle.stop();
    }
}
