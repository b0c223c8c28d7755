//! What stands before the services: who may ask, and how much is read of a message.
//!
//! The library reads and decodes a message before it calls a service. So the credential is looked at here first, and the
//! bytes of a message come out of the room that all bodies share, as they arrive.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http_body::{Frame, SizeHint};
use tonic::Status;
use tonic::server::NamedService;

use super::intents::Intents;
use super::log::Log;
use super::status::{ended, status};
use super::v1::intent_service_server::IntentServiceServer;
use super::v1::log_service_server::LogServiceServer;
use crate::api::http::credentials::bearer;
use crate::service::{Room, Service, ServiceError};

/// Whether a call is a stream in one direction or both: it may last, and its own rules bound it.
pub(in crate::api) fn is_stream(path: &str) -> bool {
    let method = path.rsplit_once('/').map_or("", |(_, method)| method);
    matches!(method, "SubmitStream" | "Follow" | "Watch" | "ServerReflectionInfo")
}

/// Refuses what can be refused before a message is read.
pub(super) async fn guard(State(service): State<Arc<Service>>, request: Request, next: Next) -> Response {
    if let Err(error) = check(&service, &request) {
        return status(&service, &error).into_http();
    }
    if is_stream(request.uri().path()) {
        return next.run(request).await;
    }
    // Held until the answer is there: the message lives as long.
    let held = Held::default();
    let (theirs, of_body) = (Arc::clone(&service), held.clone());
    let request = request.map(|body| Body::new(Metered { body, service: theirs, held: of_body }));
    next.run(request).await
}

/// What is known before the message is.
fn check(service: &Service, request: &Request) -> Result<(), ServiceError> {
    let path = request.uri().path().trim_start_matches('/');
    let (name, method) = path.split_once('/').unwrap_or((path, ""));
    match name {
        IntentServiceServer::<Intents>::NAME => {
            service.authenticate(bearer(request.headers())?)?;
            if method == "Submit" { service.check_admission() } else { Ok(()) }
        }
        LogServiceServer::<Log>::NAME => service.authorize_log_read(bearer(request.headers())?),
        _ => Ok(()),
    }
}

/// The room that one call has taken.
#[derive(Clone, Default)]
struct Held(Arc<Mutex<Option<Room>>>);

impl Held {
    fn add(&self, more: Room) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *held {
            Some(room) => room.add(more),
            none => *none = Some(more),
        }
    }
}

/// A body whose bytes are taken out of the room for bodies before the decoder has them.
struct Metered {
    body: Body,
    service: Arc<Service>,
    held: Held,
}

impl HttpBody for Metered {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
            None => return Poll::Ready(None),
            Some(Err(error)) => return Poll::Ready(Some(Err(Status::from_error(error.into_inner())))),
            Some(Ok(frame)) => frame,
        };
        if let Some(bytes) = frame.data_ref() {
            match self.service.room_for(bytes.len()) {
                Ok(room) => self.held.add(room),
                Err(error) => return Poll::Ready(Some(Err(ended(&error)))),
            }
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
