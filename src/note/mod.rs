//! Room `note`: what a log says of itself, and who vouches for it.
//!
//! **Does**: signed notes, checkpoints, witness cosignatures, the keys of both in their text forms, and the trust policy
//! that says whose word counts. The only room that signs for the log.
//!
//! **Does not**: decide *whether* a head may be signed (room `ledger` does, under its own promises), build or check
//! proofs (room `merkle`), read files or clocks, fetch keys. A key found inside evidence is never used.
//!
//! **May use**: `merkle`.
//!
//! **Invariants**
//! - What parses prints again byte for byte, except a trust policy, whose comments and spacing are not kept.
//! - Ed25519 is verified strictly: no small-order or non-canonical key, no malleable signature.
//! - One known key whose signature fails makes the whole note worthless, whatever else verifies.
//! - A log key vouches only for checkpoints whose origin is the key's own name, and signs no other.
//! - Seeds are wiped when dropped, and appear in no `Debug` and no error.
//!
//! Sources: C2SP [signed-note](https://c2sp.org/signed-note), [tlog-checkpoint](https://c2sp.org/tlog-checkpoint),
//! [tlog-cosignature](https://c2sp.org/tlog-cosignature), [tlog-policy](https://c2sp.org/tlog-policy).

mod checkpoint;
mod key;
mod name;
mod signed;
mod signer;
mod trust;

pub use checkpoint::{Checkpoint, CheckpointError};
pub use key::{Algorithm, KeyId, MAX_TIMESTAMP, VerifierKey, VerifierKeyError, VerifyError};
pub use name::{KeyName, MAX_NAME_BYTES, NameError};
pub use signed::{
    MAX_NOTE_BYTES, MAX_SIGNATURES, NoteError, NoteParseError, NoteSignature, Opened, SignatureLineError,
    SignedNote, VerifiedSignature,
};
pub use signer::{LogSigner, SeedTextError, SignError, WitnessSigner};
pub use trust::{
    CosignedBy, InvalidCheckpoint, MAX_POLICY_BYTES, PolicyError, PolicyProblem, Quorum, TrustError,
    TrustPolicy, TrustedLog, TrustedWitness, Undecided, VerifiedCheckpoint,
};
