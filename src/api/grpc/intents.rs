//! `foreseal.v1.IntentService`.

use std::sync::Arc;

use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};

use super::messages::{self, caller, id, submission, token};
use super::status::status;
use super::v1::intent_service_server::IntentService;
use super::v1::{
    GetIntentRequest, GetIntentResponse, GetPayloadRequest, GetPayloadResponse, GetReceiptRequest,
    GetReceiptResponse, SubmitRequest, SubmitResponse, SubmitStreamRequest, SubmitStreamResponse,
};
use super::{Streams, submit_stream};
use crate::api::http::intents::blocking;
use crate::evidence::Answer;
use crate::service::{Service, ServiceError};

/// Seals and reads back.
#[derive(Debug)]
pub(super) struct Intents {
    pub(super) service: Arc<Service>,
    pub(super) streams: Streams,
}

impl Intents {
    fn refused(&self) -> impl Fn(ServiceError) -> Status {
        |error| status(&self.service, &error)
    }

    async fn read(
        &self,
        metadata: &MetadataMap,
        asked: &str,
        agent: Option<String>,
    ) -> Result<Answer, ServiceError> {
        let caller = caller(&self.service, metadata)?;
        let id = id(asked)?;
        let theirs = Arc::clone(&self.service);
        self.service.settle(&caller, id, agent.as_deref()).await;
        blocking(move || theirs.intent(&caller, id, agent.as_deref())).await
    }
}

#[tonic::async_trait]
impl IntentService for Intents {
    type SubmitStreamStream = ReceiverStream<Result<SubmitStreamResponse, Status>>;

    async fn submit(&self, request: Request<SubmitRequest>) -> Result<Response<SubmitResponse>, Status> {
        let sealed = async {
            let caller = caller(&self.service, request.metadata())?;
            let (body, headers) = submission(request.into_inner().submission)?;
            let answer = self.service.submit(&caller, body, &headers).await?;
            messages::sealed(&answer)
        };
        let sealed = sealed.await.map_err(self.refused())?;
        Ok(Response::new(SubmitResponse { sealed: Some(sealed) }))
    }

    async fn submit_stream(
        &self,
        request: Request<Streaming<SubmitStreamRequest>>,
    ) -> Result<Response<Self::SubmitStreamStream>, Status> {
        let opened = || {
            let token = token(request.metadata())?;
            self.service.authenticate(token.as_ref().map(|token| token.as_str()))?;
            self.service.check_going_on()?;
            Ok((token, self.streams.open()?))
        };
        let (token, place) = opened().map_err(self.refused())?;
        let answers = submit_stream::start(Arc::clone(&self.service), token, request.into_inner(), place);
        Ok(Response::new(answers))
    }

    async fn get_intent(
        &self,
        request: Request<GetIntentRequest>,
    ) -> Result<Response<GetIntentResponse>, Status> {
        let (metadata, _, GetIntentRequest { id, agent }) = request.into_parts();
        let read = self.read(&metadata, &id, agent).await.and_then(|answer| messages::sealed(&answer));
        let sealed = read.map_err(self.refused())?;
        Ok(Response::new(GetIntentResponse { sealed: Some(sealed) }))
    }

    async fn get_receipt(
        &self,
        request: Request<GetReceiptRequest>,
    ) -> Result<Response<GetReceiptResponse>, Status> {
        let (metadata, _, GetReceiptRequest { id, agent }) = request.into_parts();
        let answer = self.read(&metadata, &id, agent).await.map_err(self.refused())?;
        Ok(Response::new(GetReceiptResponse { receipt: answer.receipt }))
    }

    async fn get_payload(
        &self,
        request: Request<GetPayloadRequest>,
    ) -> Result<Response<GetPayloadResponse>, Status> {
        let read = async {
            let caller = caller(&self.service, request.metadata())?;
            let GetPayloadRequest { id: asked, agent } = request.into_inner();
            let id = id(&asked)?;
            let theirs = Arc::clone(&self.service);
            self.service.settle(&caller, id, agent.as_deref()).await;
            let view = blocking(move || theirs.payload(&caller, id, agent.as_deref())).await?;
            messages::payload(view)
        };
        Ok(Response::new(read.await.map_err(self.refused())?))
    }
}
