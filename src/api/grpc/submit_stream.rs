//! `SubmitStream`: one task takes intents in order, another answers them in order.
//!
//! What lies between them is bounded by number and bytes. While it is full nothing is taken, so that the client's own
//! sending comes to a halt: HTTP/2 grants it no more.

use std::sync::Arc;

use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};
use zeroize::Zeroizing;

use super::deadline::in_time;
use super::messages::{sealed, submission};
use super::status::{ended, message, named};
use super::v1::submit_stream_response::Result as Fate;
use super::v1::{Submission, SubmitStreamRequest, SubmitStreamResponse};
use crate::record::limits;
use crate::service::{ErrorCode, HandedIn, Room, Service, ServiceError};

type Reply = Result<SubmitStreamResponse, Status>;

/// What comes next, in the order of the client's messages.
enum Turn {
    /// An intent, and its share of the window's bytes and of the service's.
    Taken(Result<HandedIn, ServiceError>, (OwnedSemaphorePermit, Room)),
    /// Nothing more is taken, for this reason.
    End(Status),
}

/// Starts answering. `place` is held until the last answer.
pub(super) fn start(
    service: Arc<Service>,
    token: Option<Zeroizing<String>>,
    requests: Streaming<SubmitStreamRequest>,
    place: OwnedSemaphorePermit,
) -> ReceiverStream<Reply> {
    let (to_answer, turns) = mpsc::channel(limits::STREAM_WINDOW_MAX_INTENTS);
    let (replies, answers) = mpsc::channel(1);
    tokio::spawn(take(Arc::clone(&service), token, requests, to_answer));
    tokio::spawn(async move {
        answer(&service, turns, replies).await;
        drop(place);
    });
    ReceiverStream::new(answers)
}

async fn take(
    service: Arc<Service>,
    token: Option<Zeroizing<String>>,
    mut requests: Streaming<SubmitStreamRequest>,
    to_answer: Sender<Turn>,
) {
    let bytes = Arc::new(Semaphore::new(limits::STREAM_WINDOW_MAX_BYTES));
    let ending = service.ending();
    tokio::pin!(ending);
    let end = loop {
        let next = tokio::select! {
            biased;
            error = &mut ending => break ended(&error),
            () = to_answer.closed() => return,
            next = requests.message() => next,
        };
        let next = match next {
            Ok(Some(next)) => next.submission,
            Ok(None) => return,
            Err(status) => break named(&service, &status, false).unwrap_or(status),
        };
        // What is over the limit is refused in its turn; until then it takes the whole window.
        let length = next.as_ref().map_or(0, |next| next.declared.len()).min(limits::STREAM_WINDOW_MAX_BYTES);
        let share = Arc::clone(&bytes).acquire_many_owned(u32::try_from(length).unwrap_or(u32::MAX));
        let Ok(share) = share.await else { return };
        // As long as there is no room in all of the service, this client waits: it is not refused in the midst of a stream.
        let Some(room) = room_for(&service, length, &to_answer).await else { return };
        let taken = hand_in(&service, token.as_ref(), next);
        if to_answer.send(Turn::Taken(taken, (share, room))).await.is_err() {
            return;
        }
    };
    // A client that is gone needs no end.
    let _ = to_answer.send(Turn::End(end)).await;
}

/// Room in memory, as soon as there is some; `None` when the client is gone.
async fn room_for(service: &Service, bytes: usize, to_answer: &Sender<Turn>) -> Option<Room> {
    tokio::select! {
        room = service.wait_for_room(bytes) => room,
        () = to_answer.closed() => None,
    }
}

/// The credential is looked at for each intent: it may have ended since the stream began.
fn hand_in(
    service: &Service,
    token: Option<&Zeroizing<String>>,
    next: Option<Submission>,
) -> Result<HandedIn, ServiceError> {
    let caller = service.authenticate(token.map(|token| token.as_str()))?;
    let (body, headers) = submission(next)?;
    service.hand_in(&caller, body, &headers)
}

async fn answer(service: &Service, mut turns: Receiver<Turn>, replies: Sender<Reply>) {
    let mut number = 0;
    while let Some(turn) = turns.recv().await {
        let (taken, _share) = match turn {
            Turn::Taken(taken, share) => (taken, share),
            Turn::End(status) => {
                let _ = replies.send(Err(status)).await;
                return;
            }
        };
        let fate = match taken {
            Ok(handed_in) => in_time(service.answer(handed_in)).await.and_then(|answer| sealed(&answer)),
            Err(error) => Err(error),
        };
        // Without a credential there is nothing to go on with.
        let end = fate.as_ref().err().filter(|error| error.code == ErrorCode::Unauthenticated).map(ended);
        let result = match fate {
            Ok(sealed) => Fate::Sealed(sealed),
            Err(error) => Fate::Error(message(service, &error)),
        };
        let reply = SubmitStreamResponse { number, result: Some(result) };
        if replies.send(Ok(reply)).await.is_err() {
            return;
        }
        if let Some(status) = end {
            let _ = replies.send(Err(status)).await;
            return;
        }
        number += 1;
    }
}
