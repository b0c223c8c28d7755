//! A client of the service, with a token; every wait has an end.

use std::time::Duration;

use foreseal::api::grpc::v1::intent_service_client::IntentServiceClient;
use foreseal::api::grpc::v1::log_service_client::LogServiceClient;
use foreseal::api::grpc::v1::submit_stream_response::Result as Fate;
use foreseal::api::grpc::v1::{
    self, FollowRequest, FollowResponse, GetIntentRequest, Sealed, Submission, SubmitRequest,
    SubmitStreamRequest, SubmitStreamResponse,
};
use serde_json::Value;
use tonic::metadata::MetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};

use super::process::{PATIENCE, Server};

/// Sends the token with every call.
#[derive(Clone)]
pub(crate) struct Bearer(Option<String>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            let value = MetadataValue::try_from(format!("Bearer {token}")).unwrap();
            request.metadata_mut().insert("authorization", value);
        }
        Ok(request)
    }
}

#[derive(Clone)]
pub(crate) struct Grpc {
    pub(crate) intents: IntentServiceClient<InterceptedService<Channel, Bearer>>,
    pub(crate) log: LogServiceClient<InterceptedService<Channel, Bearer>>,
}

/// Waits, but not for ever.
pub(crate) async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it takes too long")
}

pub(crate) async fn channel(server: &Server) -> Channel {
    // Little is kept for a client that does not read.
    let endpoint = Endpoint::from_shared(server.url()).unwrap().initial_stream_window_size(65_535);
    within(endpoint.connect()).await.unwrap()
}

impl Grpc {
    pub(crate) async fn connect(server: &Server, token: Option<&str>) -> Self {
        Self::over(channel(server).await, token)
    }

    pub(crate) fn over(channel: Channel, token: Option<&str>) -> Self {
        let bearer = Bearer(token.map(str::to_owned));
        Self {
            intents: IntentServiceClient::with_interceptor(channel.clone(), bearer.clone()),
            log: LogServiceClient::with_interceptor(channel, bearer),
        }
    }

    pub(crate) async fn submit(&mut self, intent: &[u8]) -> Result<Sealed, Status> {
        let request = SubmitRequest { submission: Some(submission(intent)) };
        within(self.intents.submit(request)).await.map(|answer| answer.into_inner().sealed.unwrap())
    }

    pub(crate) async fn get(&mut self, id: &str) -> Result<Sealed, Status> {
        let request = GetIntentRequest { id: id.to_owned(), agent: None };
        within(self.intents.get_intent(request)).await.map(|answer| answer.into_inner().sealed.unwrap())
    }

    /// Sends all of them as fast as they are taken, and gives what comes back.
    pub(crate) async fn stream(&mut self, intents: Vec<Vec<u8>>) -> Answers {
        let requests = tokio_stream::iter(intents.into_iter().map(|intent| next(&intent)));
        Answers(within(self.intents.submit_stream(requests)).await.unwrap().into_inner())
    }

    pub(crate) async fn follow(&mut self, from: u64) -> Result<Items, Status> {
        let request = FollowRequest { from, checkpoints_only: false };
        within(self.log.follow(request)).await.map(|items| Items(items.into_inner()))
    }

    pub(crate) async fn checkpoint(&mut self) -> v1::Checkpoint {
        let request = v1::GetCheckpointRequest {};
        within(self.log.get_checkpoint(request)).await.unwrap().into_inner().checkpoint.unwrap()
    }
}

pub(crate) fn submission(intent: &[u8]) -> Submission {
    Submission { declared: intent.to_vec(), seed: None, signature: None }
}

pub(crate) fn next(intent: &[u8]) -> SubmitStreamRequest {
    SubmitStreamRequest { submission: Some(submission(intent)) }
}

/// The answers of a stream.
pub(crate) struct Answers(pub(crate) Streaming<SubmitStreamResponse>);

impl Answers {
    /// The next answer; `Ok(None)` at the end that the client asked for.
    pub(crate) async fn next(&mut self) -> Result<Option<(u64, Fate)>, Status> {
        let answer = within(self.0.message()).await?;
        Ok(answer.map(|answer| (answer.number, answer.result.unwrap())))
    }

    /// All that is left, and how it ended.
    pub(crate) async fn rest(mut self) -> (Vec<(u64, Fate)>, Option<Status>) {
        let mut all = Vec::new();
        loop {
            match self.next().await {
                Ok(Some(answer)) => all.push(answer),
                Ok(None) => return (all, None),
                Err(status) => return (all, Some(status)),
            }
        }
    }
}

/// What a follower gets.
pub(crate) struct Items(pub(crate) Streaming<FollowResponse>);

impl Items {
    pub(crate) async fn next(&mut self) -> Result<v1::follow_response::Item, Status> {
        Ok(within(self.0.message()).await?.expect("it has no end of its own").item.unwrap())
    }

    /// Whether nothing comes for a while.
    pub(crate) async fn is_quiet(&mut self) -> bool {
        tokio::time::timeout(Duration::from_millis(300), self.0.message()).await.is_err()
    }
}

pub(crate) fn body(intent: &Value) -> Vec<u8> {
    intent.to_string().into_bytes()
}

/// The stable code beside a status.
pub(crate) fn code_of(status: &Status) -> String {
    let code = status.metadata().get("foreseal-code");
    code.unwrap_or_else(|| panic!("no code: {status:?}")).to_str().unwrap().to_owned()
}

#[track_caller]
pub(crate) fn sealed(fate: Fate) -> Sealed {
    match fate {
        Fate::Sealed(sealed) => sealed,
        Fate::Error(error) => panic!("{error:?}"),
    }
}
