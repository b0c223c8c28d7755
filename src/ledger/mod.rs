//! The ledger: intents in log order, decided, sealed, durable, signed; and everything derived from that.
//!
//! Does: own the state and the disk ([`sequencer`](self) decides, one committer writes and signs), recover both after a
//! crash with the code that runs them, keep tiles, index, snapshots and keys, answer reads from what is published, and
//! account for every byte it wrote ([`fsck`]); derive its decisions again from what lies at rest (`rederive`).
//!
//! Does not: know HTTP, credentials' owners' permissions, or policies' meaning; it never rolls back, retries a write, or
//! serves what it cannot verify.
//!
//! May use: merkle, note, record, policy, evidence, disk, journal.
//!
//! Invariants:
//! - An answer exists only for what is durable and under a signed checkpoint; pending entries are visible to nobody.
//! - The state is the fold over entries; everything else here is a cache over the journal and can be deleted.
//! - After a failed write nothing is sealed by this process any more.
//! - No checkpoint is signed that does not extend the head that is known.
//!
//! The path of one intent: [`Ledger::submit`] -> `sequencer` (stamp, decide, encode, fold) -> `committer` (frame, sync,
//! tree, sign, publish, wake) -> [`Ledger::receipt`].

#[cfg(feature = "server")]
mod admin;
pub mod at_rest;
#[cfg(feature = "server")]
mod behind;
pub mod checked_file;
pub mod clock;
#[cfg(feature = "server")]
mod committer;
#[cfg(feature = "replay")]
mod deciding;
#[cfg(feature = "server")]
mod error;
#[cfg(feature = "server")]
mod find;
pub mod find_at_rest;
pub mod fsck;
#[cfg(feature = "server")]
mod hand_out;
pub mod head;
#[cfg(feature = "server")]
mod index;
#[cfg(feature = "server")]
mod init;
pub mod keyring;
mod layered_map;
pub mod layout;
mod log_key;
#[cfg(feature = "server")]
mod measures;
#[cfg(feature = "server")]
mod open;
#[cfg(feature = "server")]
mod open_error;
pub mod packs;
pub mod payload;
#[cfg(feature = "server")]
mod pending;
mod recent;
#[cfg(feature = "replay")]
pub mod rederive;
#[cfg(feature = "server")]
mod replay;
#[cfg(feature = "server")]
mod running;
#[cfg(feature = "server")]
mod sequencer;
#[cfg(feature = "server")]
mod shared;
pub mod snapshot;
pub mod state;
#[cfg(feature = "server")]
mod steady_clock;
#[cfg(feature = "server")]
mod testimony;
pub mod tiles;

#[cfg(feature = "server")]
pub use admin::{Admin, Change, NewPolicy};
#[cfg(feature = "server")]
pub use committer::SealedLeaf;
#[cfg(feature = "server")]
pub use error::LedgerError;
#[cfg(feature = "server")]
pub use find::{Found, Kept};
#[cfg(feature = "server")]
pub use hand_out::TakeLeaf;
#[cfg(feature = "server")]
pub use init::{Initialised, init, new_token};
#[cfg(feature = "server")]
pub use measures::{Distribution, Histogram, Measures};
#[cfg(feature = "server")]
pub use open::{LedgerOptions, OpenReport};
#[cfg(feature = "server")]
pub use open_error::OpenError;
#[cfg(feature = "server")]
pub(crate) use running::Threads;
#[cfg(feature = "server")]
pub use running::{Admission, Ledger};
#[cfg(feature = "server")]
pub use sequencer::{Accepted, Admitted, IntentReply, SignalsAhead, VerifiedSignature};
#[cfg(feature = "server")]
pub use shared::{News, Published};
#[cfg(feature = "server")]
pub use testimony::{Heard, Testimony, Told};
