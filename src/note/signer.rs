//! The private half: the log's own key, and a witness's.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{SECRET_KEY_LENGTH, Signer as _, SigningKey};
use zeroize::Zeroizing;

use super::checkpoint::{Checkpoint, CheckpointError};
use super::key::{Algorithm, KeyId, MAX_TIMESTAMP, VerifierKey, cosigned_message, parse_key_id};
use super::name::{KeyName, NameError};
use super::signed::{NoteSignature, SignedNote};

/// Starts the text form of a private key.
const PRIVATE_PREFIX: &str = "PRIVATE+KEY+";

/// Bytes of a seed with its type byte.
const TYPED_SEED: usize = 1 + SECRET_KEY_LENGTH;

/// Base64 characters of those: 33 bytes need no padding.
const TYPED_SEED_BASE64: usize = TYPED_SEED / 3 * 4;

/// The log's Ed25519 key. Wiped when dropped; its `Debug` shows the public half.
///
/// It signs what it is given, once the text is a checkpoint of its own log. That no two inconsistent heads reach it is
/// the ledger's promise.
pub struct LogSigner {
    key: SigningKey,
    verifier: VerifierKey,
}

/// A witness's Ed25519 key, which signs a checkpoint together with a time. For tests, and for running a witness.
pub struct WitnessSigner {
    key: SigningKey,
    verifier: VerifierKey,
}

/// Why nothing was signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The checkpoint is of another log than the key.
    #[error("the key of {key} does not sign checkpoints of {origin}")]
    Origin {
        /// The name of the key.
        key: KeyName,
        /// The origin of the checkpoint.
        origin: String,
    },
    /// Extension lines are outside of what monitors audit, and witnesses in use sign without them.
    #[error("a checkpoint with extension lines is not signed")]
    Extensions,
    /// What was to be cosigned is no checkpoint.
    #[error("what is no checkpoint is not cosigned: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// A time beyond [`MAX_TIMESTAMP`].
    #[error("the time {timestamp} is beyond 2^63 - 1")]
    Timestamp {
        /// The time given.
        timestamp: u64,
    },
}

/// Why a text is no private key. None of these repeats any of it beyond the name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SeedTextError {
    /// Not `PRIVATE+KEY+name+id+key`.
    #[error("a private key is PRIVATE+KEY+name+id+key on one line")]
    Parts,
    /// The name is none.
    #[error("the name of a private key: {0}")]
    Name(#[from] NameError),
    /// Not base64 of an Ed25519 type byte and 32 bytes.
    #[error("the private key of {name} is not base64 of an Ed25519 type byte (01) and a seed of 32 bytes")]
    Seed {
        /// Name of the key.
        name: KeyName,
    },
    /// The id is not that of the key: the text was damaged, or names another log.
    #[error("the private key of {name} has not the id that its text claims")]
    IdMismatch {
        /// Name of the key.
        name: KeyName,
    },
}

impl LogSigner {
    /// The key that this seed gives, under this name: the origin of the log.
    #[must_use]
    pub fn from_seed(name: KeyName, seed: &[u8; SECRET_KEY_LENGTH]) -> LogSigner {
        let key = SigningKey::from_bytes(seed);
        let verifier = VerifierKey::from_key(name, Algorithm::Ed25519, key.verifying_key());
        LogSigner { key, verifier }
    }

    /// Reads the text form that Go's note package writes, without a newline around it:
    /// `PRIVATE+KEY+name+<id in hex>+<base64 of 01 ‖ seed>`.
    ///
    /// # Errors
    /// [`SeedTextError`], which never repeats the secret.
    pub fn from_secret_text(text: &str) -> Result<LogSigner, SeedTextError> {
        let mut parts = text.strip_prefix(PRIVATE_PREFIX).ok_or(SeedTextError::Parts)?.splitn(3, '+');
        let (Some(name), Some(id), Some(secret)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(SeedTextError::Parts);
        };
        let name = KeyName::parse(name)?;
        let mut typed = Zeroizing::new([0; TYPED_SEED]);
        let decoded = STANDARD.decode_slice(secret, &mut *typed);
        let (Ok(TYPED_SEED), [0x01, seed @ ..]) = (decoded, &*typed) else {
            return Err(SeedTextError::Seed { name });
        };
        let signer = LogSigner::from_seed(name, seed);
        if parse_key_id(id) != Some(signer.verifier.id()) {
            return Err(SeedTextError::IdMismatch { name: signer.verifier.name().clone() });
        }
        Ok(signer)
    }

    /// The text form that [`LogSigner::from_secret_text`] reads: a secret, wiped when dropped.
    #[must_use]
    pub fn to_secret_text(&self) -> Zeroizing<String> {
        let mut typed = Zeroizing::new([Algorithm::Ed25519.byte(); TYPED_SEED]);
        let [_, seed @ ..] = &mut *typed;
        seed.copy_from_slice(self.key.as_bytes());
        let mut encoded = Zeroizing::new([0; TYPED_SEED_BASE64]);
        let written = STANDARD.encode_slice(typed.as_slice(), encoded.as_mut_slice());
        debug_assert_eq!(written, Ok(TYPED_SEED_BASE64), "33 bytes are 44 characters");
        let public = format!("{PRIVATE_PREFIX}{}+{}+", self.verifier.name(), hex::encode(self.verifier.id()));
        // Of its final capacity from the start: growing would leave a copy of the secret behind.
        let mut text = Zeroizing::new(String::with_capacity(public.len() + TYPED_SEED_BASE64));
        text.push_str(&public);
        text.extend(encoded.iter().map(|byte| char::from(*byte)));
        text
    }

    /// The public half, for whoever verifies.
    #[must_use]
    pub const fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// Signs a head of this log: the whole signed note, ready to be published.
    ///
    /// # Errors
    /// [`SignError::Origin`] for another log's checkpoint, [`SignError::Extensions`].
    pub fn sign_checkpoint(&self, checkpoint: &Checkpoint) -> Result<String, SignError> {
        let note =
            SignedNote { text: checkpoint.body(), signatures: vec![self.checkpoint_signature(checkpoint)?] };
        Ok(note.to_string())
    }

    /// The signature line alone: for a note that carries several keys while one replaces another.
    ///
    /// # Errors
    /// As [`LogSigner::sign_checkpoint`].
    pub fn checkpoint_signature(&self, checkpoint: &Checkpoint) -> Result<NoteSignature, SignError> {
        // The origin being a key name, and no extension lines: nothing in the body can break out of its line.
        let name = self.verifier.name();
        if name != checkpoint.origin.as_str() {
            return Err(SignError::Origin { key: name.clone(), origin: checkpoint.origin.clone() });
        }
        if !checkpoint.extensions.is_empty() {
            return Err(SignError::Extensions);
        }
        let signature = self.key.sign(checkpoint.body().as_bytes());
        Ok(line(&self.verifier, signature.to_bytes().to_vec()))
    }
}

impl WitnessSigner {
    /// The witness key that this seed gives, under this name. An Ed25519 cosignature does not bind the name: no two
    /// cosigners may share a seed.
    #[must_use]
    pub fn from_seed(name: KeyName, seed: &[u8; SECRET_KEY_LENGTH]) -> WitnessSigner {
        let key = SigningKey::from_bytes(seed);
        let verifier = VerifierKey::from_key(name, Algorithm::Cosignature, key.verifying_key());
        WitnessSigner { key, verifier }
    }

    /// The public half, for whoever verifies.
    #[must_use]
    pub const fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// Cosigns a checkpoint's whole text (extension lines included) as seen at `timestamp`, in seconds since 1970. That
    /// the log is known and the checkpoint consistent with the last one is the caller's to check first.
    ///
    /// # Errors
    /// [`SignError::Checkpoint`] where the text is none, [`SignError::Timestamp`].
    pub fn cosign(&self, checkpoint_text: &str, timestamp: u64) -> Result<NoteSignature, SignError> {
        Checkpoint::parse(checkpoint_text)?;
        if timestamp > MAX_TIMESTAMP {
            return Err(SignError::Timestamp { timestamp });
        }
        let signature = self.key.sign(cosigned_message(timestamp, checkpoint_text).as_bytes());
        let bytes = [&timestamp.to_be_bytes()[..], &signature.to_bytes()].concat();
        Ok(line(&self.verifier, bytes))
    }
}

impl fmt::Debug for LogSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogSigner({})", self.verifier)
    }
}

impl fmt::Debug for WitnessSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WitnessSigner({})", self.verifier)
    }
}

fn line(verifier: &VerifierKey, bytes: Vec<u8>) -> NoteSignature {
    let key_id: KeyId = verifier.id();
    NoteSignature { name: verifier.name().clone(), key_id, bytes }
}
