//! `Follow`: what is sealed, as it is sealed.
//!
//! Leaves are read from tiles and packs when the reader has taken what came before, so that a slow reader costs a message
//! or two and no more, however far it is behind. Nothing is kept for it.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{self, Sender};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use zeroize::Zeroizing;

use super::messages::checkpoint;
use super::status::{ended, status};
use super::v1::follow_response::Item;
use super::v1::{Entries, FollowRequest, FollowResponse};
use crate::api::http::intents::blocking;
use crate::service::{Service, ServiceError};

/// One reader.
struct Follower {
    service: Arc<Service>,
    token: Option<Zeroizing<String>>,
    /// The first leaf that was not sent.
    next: u64,
    checkpoints_only: bool,
    items: Sender<Result<FollowResponse, Status>>,
}

/// Why a stream ends.
enum End {
    /// For this reason.
    Error(ServiceError),
    /// The reader is gone.
    Gone,
}

impl From<ServiceError> for End {
    fn from(error: ServiceError) -> Self {
        Self::Error(error)
    }
}

/// Starts sending. `place` is held as long as that goes on.
pub(super) fn start(
    service: Arc<Service>,
    token: Option<Zeroizing<String>>,
    asked: FollowRequest,
    place: OwnedSemaphorePermit,
) -> ReceiverStream<Result<FollowResponse, Status>> {
    let (items, stream) = mpsc::channel(1);
    let FollowRequest { from, checkpoints_only } = asked;
    let mut follower = Follower { service, token, next: from, checkpoints_only, items };
    tokio::spawn(async move {
        if let End::Error(error) = follower.run().await {
            // A stream that ends because the service does is no refusal.
            let status = match follower.service.check_going_on() {
                Ok(()) => status(&follower.service, &error),
                Err(_) => ended(&error),
            };
            let _ = follower.items.send(Err(status)).await;
        }
        drop(place);
    });
    ReceiverStream::new(stream)
}

impl Follower {
    async fn run(&mut self) -> End {
        let service = Arc::clone(&self.service);
        let (ending, mut growth) = (service.ending(), service.growth());
        tokio::pin!(ending);
        let mut told = None;
        loop {
            let caught_up = tokio::select! {
                biased;
                error = &mut ending => return End::Error(error),
                caught_up = self.catch_up(told) => caught_up,
            };
            match caught_up {
                Ok(size) => told = Some(size),
                Err(end) => return end,
            }
            tokio::select! {
                biased;
                error = &mut ending => return End::Error(error),
                () = self.items.closed() => return End::Gone,
                () = growth.next() => {}
            }
        }
    }

    /// Sends what was published since the size the reader was `told`, and says the size that it was told now.
    async fn catch_up(&mut self, told: Option<u64>) -> Result<u64, End> {
        let published = self.service.published();
        self.authorize()?;
        if self.checkpoints_only {
            self.next = published.size;
        }
        while self.next < published.size {
            let (from, to, theirs) = (self.next, published.size, Arc::clone(&self.service));
            let leaves = blocking(move || theirs.entries(from, to)).await?;
            self.authorize()?;
            let entries: Vec<Vec<u8>> = leaves.iter().map(|leaf| leaf.to_vec()).collect();
            drop(leaves);
            self.next += entries.len() as u64;
            self.send(Item::Entries(Entries { first: from, entries })).await?;
        }
        if told != Some(published.size) {
            let checkpoint = checkpoint(&published.checkpoint, published.size, published.root);
            self.send(Item::Checkpoint(checkpoint)).await?;
        }
        Ok(published.size)
    }

    /// The credential may have ended since the stream began.
    fn authorize(&self) -> Result<(), ServiceError> {
        self.service.authorize_log_read(self.token.as_ref().map(|token| token.as_str()))
    }

    async fn send(&self, item: Item) -> Result<(), End> {
        let sent = self.items.send(Ok(FollowResponse { item: Some(item) })).await;
        sent.map_err(|_| End::Gone)
    }
}
