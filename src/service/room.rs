//! Room in memory for what clients send, taken before it is read: the bodies of all requests share one budget.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Service;
use super::error::{ErrorCode, ServiceError};
use crate::record::limits;

/// The bytes that bodies may take together.
#[derive(Debug, Clone)]
pub(super) struct Rooms(Arc<Semaphore>);

impl Rooms {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(limits::BODIES_MAX_BYTES)))
    }
}

/// Room for so many bytes; given back when dropped.
#[derive(Debug)]
pub struct Room(OwnedSemaphorePermit);

impl Room {
    /// Gives back what is beyond so many bytes.
    pub fn keep(&mut self, bytes: usize) {
        let beyond = self.0.num_permits().saturating_sub(bytes);
        drop(self.0.split(beyond));
    }

    /// Adds another room to this one.
    pub fn add(&mut self, other: Self) {
        self.0.merge(other.0);
    }
}

fn share(bytes: usize) -> u32 {
    u32::try_from(bytes.min(limits::BODIES_MAX_BYTES)).unwrap_or(u32::MAX)
}

impl Service {
    /// Takes room for a body that is about to be read.
    ///
    /// # Errors
    /// [`ErrorCode::Overloaded`] where there is none.
    pub fn room_for(&self, bytes: usize) -> Result<Room, ServiceError> {
        Arc::clone(&self.rooms.0).try_acquire_many_owned(share(bytes)).map(Room).map_err(|_| {
            let detail = format!(
                "bodies of {} bytes are in memory or on their way, and {bytes} more are too many",
                limits::BODIES_MAX_BYTES - self.rooms.0.available_permits().min(limits::BODIES_MAX_BYTES)
            );
            ServiceError::new(ErrorCode::Overloaded, detail)
        })
    }

    /// Waits for room, for what comes in order and whose sender can be made to wait.
    pub async fn wait_for_room(&self, bytes: usize) -> Option<Room> {
        Arc::clone(&self.rooms.0).acquire_many_owned(share(bytes)).await.ok().map(Room)
    }

    /// Whether an intent would be taken now, as far as that is known before it is read.
    ///
    /// # Errors
    /// [`ErrorCode::Overloaded`], [`ErrorCode::Poisoned`].
    pub fn check_admission(&self) -> Result<(), ServiceError> {
        Ok(self.ledger.check_admission()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_kept_is_given_back_and_what_is_added_stays_taken() {
        let Rooms(rooms) = Rooms::new();
        let take = |bytes| Room(Arc::clone(&rooms).try_acquire_many_owned(share(bytes)).unwrap());
        let mut room = take(limits::BODIES_MAX_BYTES);
        assert_eq!(rooms.available_permits(), 0);
        room.keep(10);
        room.keep(20);
        assert_eq!(rooms.available_permits(), limits::BODIES_MAX_BYTES - 10);
        room.add(take(5));
        assert_eq!(rooms.available_permits(), limits::BODIES_MAX_BYTES - 15);
        drop(room);
        assert_eq!(rooms.available_permits(), limits::BODIES_MAX_BYTES);
        assert_eq!(share(usize::MAX) as usize, limits::BODIES_MAX_BYTES);
    }
}
