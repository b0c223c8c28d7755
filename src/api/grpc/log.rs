//! `foreseal.v1.LogService`.

use std::sync::Arc;

use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use super::messages::{checkpoint, hashes, token};
use super::status::status;
use super::v1::log_service_server::LogService;
use super::v1::{
    FollowRequest, FollowResponse, GetCheckpointRequest, GetCheckpointResponse, GetConsistencyProofRequest,
    GetConsistencyProofResponse, GetInclusionProofRequest, GetInclusionProofResponse,
};
use super::{Streams, follow};
use crate::api::http::credentials::bearer;
use crate::api::http::intents::blocking;
use crate::service::{ErrorCode, Service, ServiceError};

/// Reads the log.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) service: Arc<Service>,
    pub(super) streams: Streams,
}

impl Log {
    fn refused(&self) -> impl Fn(ServiceError) -> Status {
        |error| status(&self.service, &error)
    }

    fn authorize(&self, metadata: &MetadataMap) -> Result<(), ServiceError> {
        self.service.authorize_log_read(bearer(metadata.as_ref())?)
    }
}

#[tonic::async_trait]
impl LogService for Log {
    type FollowStream = ReceiverStream<Result<FollowResponse, Status>>;

    async fn get_checkpoint(
        &self,
        request: Request<GetCheckpointRequest>,
    ) -> Result<Response<GetCheckpointResponse>, Status> {
        self.authorize(request.metadata()).map_err(self.refused())?;
        let published = self.service.published();
        let checkpoint = checkpoint(&published.checkpoint, published.size, published.root);
        Ok(Response::new(GetCheckpointResponse { checkpoint: Some(checkpoint) }))
    }

    async fn get_inclusion_proof(
        &self,
        request: Request<GetInclusionProofRequest>,
    ) -> Result<Response<GetInclusionProofResponse>, Status> {
        let proof = async {
            self.authorize(request.metadata())?;
            let GetInclusionProofRequest { index, size } = request.into_inner();
            let theirs = Arc::clone(&self.service);
            blocking(move || theirs.inclusion(index, size)).await
        };
        let proof = proof.await.map_err(self.refused())?;
        let path = hashes(&proof.path);
        Ok(Response::new(GetInclusionProofResponse { index: proof.index, size: proof.size, path }))
    }

    async fn get_consistency_proof(
        &self,
        request: Request<GetConsistencyProofRequest>,
    ) -> Result<Response<GetConsistencyProofResponse>, Status> {
        let proof = async {
            self.authorize(request.metadata())?;
            let GetConsistencyProofRequest { from, to } = request.into_inner();
            let theirs = Arc::clone(&self.service);
            blocking(move || theirs.consistency(from, to)).await
        };
        let proof = proof.await.map_err(self.refused())?;
        let hashes = hashes(&proof.proof);
        Ok(Response::new(GetConsistencyProofResponse { from: proof.from, to: proof.to, proof: hashes }))
    }

    async fn follow(&self, request: Request<FollowRequest>) -> Result<Response<Self::FollowStream>, Status> {
        let opened = || {
            let token = token(request.metadata())?;
            self.service.authorize_log_read(token.as_ref().map(|token| token.as_str()))?;
            self.service.check_going_on()?;
            let (from, size) = (request.get_ref().from, self.service.published().size);
            if from > size {
                let detail = format!("leaf {from}: the log has size {size}");
                return Err(ServiceError::new(ErrorCode::NotInLog, detail));
            }
            Ok((token, self.streams.open()?))
        };
        let (token, place) = opened().map_err(self.refused())?;
        let asked = request.into_inner();
        let items = follow::start(Arc::clone(&self.service), token, asked, place);
        Ok(Response::new(items))
    }
}
