//! How long a call takes at most: what its client grants it by `grpc-timeout`, and to answer never more than the limit.
//!
//! A call that is over time ends with `timed_out`, which claims nothing: what it handed in may still be sealed.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use http_body::{Frame, SizeHint};
use tokio::time::Sleep;
use tonic::Status;

use super::status::{ended, named, status};
use crate::record::limits;
use crate::service::{ErrorCode, Service, ServiceError};

/// To the answer, or to the beginning of a stream.
const ANSWER_MAX: Duration = Duration::from_millis(limits::REQUEST_MAX_MS);
/// Of the number in a `grpc-timeout`, by the protocol.
const TIMEOUT_MAX_DIGITS: usize = 8;

/// Holds calls to their time, and gives the refusals of the gRPC library their codes.
pub(super) async fn keep(State(service): State<Arc<Service>>, request: Request, next: Next) -> Response {
    let granted = match granted(request.headers()) {
        Ok(granted) => granted,
        Err(error) => return status(&service, &error).into_http(),
    };
    let is_compressed = request.headers().get("grpc-encoding").is_some_and(|coding| coding != "identity");
    let deadline = granted.map(|granted| Box::pin(tokio::time::sleep(granted)));
    let patience = granted.map_or(ANSWER_MAX, |granted| granted.min(ANSWER_MAX));
    let Ok(response) = tokio::time::timeout(patience, next.run(request)).await else {
        let error = late(patience);
        // Who grants little time is told so and nobody else; that the service's own is over, its operator should know.
        let is_ours = patience == ANSWER_MAX;
        let refused = if is_ours { status(&service, &error) } else { ended(&error) };
        return refused.into_http();
    };
    let refused =
        Status::from_header_map(response.headers()).and_then(|it| named(&service, &it, is_compressed));
    let response = refused.map_or(response, Status::into_http);
    match (deadline, granted) {
        (Some(deadline), Some(granted)) => {
            response.map(|body| Body::new(UntilDeadline { body, deadline, granted, is_over: false }))
        }
        _ => response,
    }
}

/// An answer within a stream that comes in time, or what is known without one.
pub(super) async fn in_time<T>(
    answer: impl Future<Output = Result<T, ServiceError>>,
) -> Result<T, ServiceError> {
    tokio::time::timeout(ANSWER_MAX, answer).await.unwrap_or_else(|_| Err(late(ANSWER_MAX)))
}

fn late(patience: Duration) -> ServiceError {
    let detail = format!("no answer within the {} ms that the call had", patience.as_millis());
    ServiceError::new(ErrorCode::TimedOut, detail)
}

/// The time that the client grants the call, if it says so.
fn granted(headers: &HeaderMap) -> Result<Option<Duration>, ServiceError> {
    let mut said = headers.get_all("grpc-timeout").iter();
    let Some(value) = said.next() else { return Ok(None) };
    let granted = timeout(value).filter(|_| said.next().is_none());
    granted.map(Some).ok_or_else(|| {
        let detail = "grpc-timeout is one number of up to 8 digits with one of the units H M S m u n";
        ServiceError::new(ErrorCode::MalformedRequest, detail)
    })
}

/// A `Timeout` of the protocol: <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>.
fn timeout(value: &HeaderValue) -> Option<Duration> {
    let text = value.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > TIMEOUT_MAX_DIGITS || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number.saturating_mul(3_600)),
        "M" => Duration::from_secs(number.saturating_mul(60)),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

/// The body of an answer or a stream, cut off between two messages when the time is over.
struct UntilDeadline {
    body: Body,
    deadline: Pin<Box<Sleep>>,
    granted: Duration,
    is_over: bool,
}

impl HttpBody for UntilDeadline {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        if self.deadline.as_mut().poll(context).is_pending() {
            let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
            return Poll::Ready(frame);
        }
        self.is_over = true;
        // Whoever makes the stream learns that nobody reads it any more.
        self.body = Body::empty();
        let mut trailers = HeaderMap::new();
        let added = ended(&late(self.granted)).add_header(&mut trailers);
        Poll::Ready(Some(added.map(|()| Frame::trailers(trailers)).map_err(axum::Error::new)))
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_the_protocol_writes_them() {
        let read = |text: &'static str| timeout(&HeaderValue::from_static(text));
        for (text, granted) in [
            ("1n", Duration::from_nanos(1)),
            ("250u", Duration::from_micros(250)),
            ("30m", Duration::from_millis(30)),
            ("0S", Duration::ZERO),
            ("00000002M", Duration::from_secs(120)),
            ("99999999H", Duration::from_secs(99_999_999 * 3_600)),
        ] {
            assert_eq!(read(text), Some(granted), "{text}");
        }
        for text in ["", "m", "1", "1s", "1.5S", "-1S", "+1S", " 1S", "1 S", "100000000m", "1ä", "1S,2S"] {
            let value = HeaderValue::from_bytes(text.as_bytes()).unwrap();
            assert_eq!(timeout(&value), None, "{text}");
        }
    }
}
