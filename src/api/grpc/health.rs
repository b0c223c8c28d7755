//! `grpc.health.v1.Health`: what `/readyz` says, for whoever balances load over gRPC.
//!
//! The whole service (the empty name) and `foreseal.v1.IntentService` serve when intents would be sealed now;
//! `foreseal.v1.LogService` serves until the service stops. As over HTTP, no credential is needed.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::server::NamedService;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::Health;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::Streams;
use super::intents::Intents;
use super::log::Log;
use super::status::ended;
use super::v1::intent_service_server::IntentServiceServer;
use super::v1::log_service_server::LogServiceServer;
use crate::service::{ErrorCode, Service, ServiceError};

/// How often a watcher is told of a clock that went wrong or right again; what else changes is told at once.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// Tells whether the service is ready.
#[derive(Debug)]
pub(super) struct Readiness {
    pub(super) service: Arc<Service>,
    pub(super) streams: Streams,
}

/// `None` for a service that is not there.
fn serving(service: &Service, name: &str) -> Option<ServingStatus> {
    let going_on = service.check_going_on();
    let ready = match name {
        "" | IntentServiceServer::<Intents>::NAME => going_on.and_then(|()| service.readiness()),
        LogServiceServer::<Log>::NAME => going_on,
        _ => return None,
    };
    Some(if ready.is_ok() { ServingStatus::Serving } else { ServingStatus::NotServing })
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

#[tonic::async_trait]
impl Health for Readiness {
    type WatchStream = ReceiverStream<Result<HealthCheckResponse, Status>>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let status = serving(&self.service, &request.get_ref().service).ok_or_else(|| {
            ended(&ServiceError::new(ErrorCode::NotFound, "there is no service of this name"))
        })?;
        Ok(Response::new(response(status)))
    }

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let place = self.streams.open().map_err(|error| ended(&error))?;
        let (told, stream) = mpsc::channel(1);
        let service = Arc::clone(&self.service);
        let name = request.into_inner().service;
        tokio::spawn(async move {
            let ending = service.ending();
            tokio::pin!(ending);
            let (mut last, mut ended_by) = (None, None);
            loop {
                // The specification's answer to a name that is not known: it may become known.
                let status = serving(&service, &name).unwrap_or(ServingStatus::ServiceUnknown);
                if last != Some(status) && told.send(Ok(response(status))).await.is_err() {
                    break;
                }
                last = Some(status);
                if let Some(error) = ended_by {
                    let _ = told.send(Err(ended(&error))).await;
                    break;
                }
                tokio::select! {
                    biased;
                    error = &mut ending => ended_by = Some(error),
                    () = told.closed() => break,
                    () = tokio::time::sleep(WATCH_INTERVAL) => {}
                }
            }
            drop(place);
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}
