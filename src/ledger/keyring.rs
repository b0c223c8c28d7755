//! Keys at rest: the key-encryption key, the session key, the journal's key, and one payload root per epoch.
//!
//! A payload's key is derived from its epoch's root and the random id in its frame, so sealing a payload needs
//! no write of its own. Each derived key encrypts once, which is why the nonce is constant.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, RwLock};

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::layout::Layout;
use super::payload::{Payload, PayloadFormError};
use super::state::FoldKey;
use crate::disk::{Disk, FileMode, read_file, write_file_atomically};
use crate::journal::{AES_256_GCM, FrameKey, PayloadView};
use crate::record::entry::SessionTag;

const WRAPPED_MAGIC: &[u8; 4] = b"FSK1";
const WRAPPED_BYTES: usize = 4 + 12 + 32 + 16;
/// A payload key seals one payload, so one nonce serves.
const ONLY_NONCE: [u8; 12] = [0; 12];

type Secret = Zeroizing<[u8; 32]>;

/// The keys of one ledger, open.
pub struct Keyring {
    disk: Arc<dyn Disk>,
    layout: Layout,
    origin: String,
    key_encryption_key: Secret,
    session_key: Secret,
    frame_key: FrameKey,
    epochs: RwLock<BTreeMap<u32, Hkdf<Sha256>>>,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyring").field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// Why keys or payloads could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyringError {
    /// A key file could not be read or written.
    #[error("key file {file}: {source}")]
    Io {
        /// The file's name.
        file: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A key file has another form, or was wrapped by another key.
    #[error("key file {0} is damaged, or wrapped by another key")]
    Damaged(String),
    /// No key of this epoch is here.
    #[error("no payload key of epoch {0} is in the key directory")]
    NoEpoch(u32),
    /// The payload does not authenticate under its key.
    #[error("the payload does not authenticate: it, its entry's id, or its key was changed")]
    Payload,
    /// The payload was encrypted by a cipher that this software does not use.
    #[error("the payload names cipher {0}, which this software does not open")]
    Cipher(u8),
    /// The payload authenticates, but has another form.
    #[error(transparent)]
    Form(#[from] PayloadFormError),
    /// The system has no randomness to give.
    #[error("no random bytes from the system: {0}")]
    Random(getrandom::Error),
}

/// Random bytes for keys, ids and seeds.
///
/// # Errors
/// [`KeyringError::Random`]
pub fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, KeyringError> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(&mut *bytes).map_err(KeyringError::Random)?;
    Ok(bytes)
}

/// A payload, encrypted.
#[derive(Debug, Clone)]
pub struct Ciphertext {
    /// The epoch whose root its key is derived from.
    pub epoch: u32,
    /// Which key of that epoch.
    pub kid: [u8; 16],
    /// The cipher, by its number in the journal.
    pub aead: u8,
    /// The ciphertext with its tag.
    pub bytes: Vec<u8>,
}

impl Ciphertext {
    /// As it lies in a frame.
    #[must_use]
    pub fn of(payload: &PayloadView<'_>) -> Self {
        let PayloadView { key_epoch, aead, kid, ciphertext, .. } = *payload;
        Self { epoch: key_epoch, kid, aead, bytes: ciphertext.to_vec() }
    }
}

impl Keyring {
    /// Makes the keys of a new ledger. Nothing is overwritten: an existing key directory is an error.
    ///
    /// # Errors
    /// [`KeyringError`]
    pub fn create(disk: &Arc<dyn Disk>, layout: &Layout, origin: &str) -> Result<(), KeyringError> {
        let kek = random::<32>()?;
        write_key(&**disk, &layout.key_encryption_key(), &*kek)?;
        let session_key = random::<32>()?;
        write_key(&**disk, &layout.session_key(), &wrap(&kek, &session_key, &context(origin, "session"))?)?;
        let frame_key = random::<32>()?;
        write_key(&**disk, &layout.journal_key(), &wrap(&kek, &frame_key, &context(origin, "journal"))?)
    }

    /// Opens the keys of a ledger.
    ///
    /// # Errors
    /// [`KeyringError`]
    pub fn open(disk: Arc<dyn Disk>, layout: &Layout, origin: &str) -> Result<Self, KeyringError> {
        let kek = read_key(&*disk, &layout.key_encryption_key(), 32)?;
        let kek: Secret =
            Zeroizing::new(kek.as_slice().try_into().map_err(|_| KeyringError::Damaged("kek".to_owned()))?);
        let session_key = unwrap(&*disk, &kek, &layout.session_key(), &context(origin, "session"))?;
        let frame_key = unwrap(&*disk, &kek, &layout.journal_key(), &context(origin, "journal"))?;
        let ring = Self {
            layout: layout.clone(),
            origin: origin.to_owned(),
            key_encryption_key: kek,
            session_key,
            frame_key: FrameKey::from_bytes(*frame_key),
            epochs: RwLock::default(),
            disk,
        };
        ring.load_epochs()?;
        Ok(ring)
    }

    fn load_epochs(&self) -> Result<(), KeyringError> {
        let directory = self.layout.epochs();
        for name in self.disk.read_dir(&directory).map_err(|source| io_error(&directory, source))? {
            let Ok(epoch) = name.parse::<u32>() else { continue };
            let root = unwrap(
                &*self.disk,
                &self.key_encryption_key,
                &directory.join(&name),
                &context(&self.origin, &format!("epoch {epoch}")),
            )?;
            self.remember(epoch, &root);
        }
        Ok(())
    }

    fn remember(&self, epoch: u32, root: &[u8; 32]) {
        let derived = Hkdf::<Sha256>::new(None, root);
        self.epochs.write().unwrap_or_else(std::sync::PoisonError::into_inner).insert(epoch, derived);
    }

    /// The log's name.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The key that the journal's frames are tagged with.
    #[must_use]
    pub fn frame_key(&self) -> &FrameKey {
        &self.frame_key
    }

    /// The highest epoch whose root is here.
    #[must_use]
    pub fn last_epoch(&self) -> Option<u32> {
        let epochs = self.epochs.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        epochs.last_key_value().map(|(epoch, _)| *epoch)
    }

    /// Opens a new epoch; its root is durable when this returns, so no payload can outlive its key. Its number is above
    /// every one that is here and above `used`, the highest that payloads name: a lost epoch's number is not given
    /// again, or its payloads would look damaged and not like ones whose key is gone.
    ///
    /// # Errors
    /// [`KeyringError`]
    pub fn open_epoch(&self, used: Option<u32>) -> Result<u32, KeyringError> {
        let epoch = self.last_epoch().max(used).map_or(0, |last| last.saturating_add(1));
        let root = random::<32>()?;
        let wrapped =
            wrap(&self.key_encryption_key, &root, &context(&self.origin, &format!("epoch {epoch}")))?;
        write_key(&*self.disk, &self.layout.epochs().join(format!("{epoch:08}")), &wrapped)?;
        self.remember(epoch, &root);
        Ok(epoch)
    }

    /// Encrypts a payload under a fresh key of `epoch`, bound to the log and the entry's id.
    ///
    /// # Errors
    /// [`KeyringError::NoEpoch`], [`KeyringError::Random`].
    pub fn seal(&self, epoch: u32, id: &[u8; 16], payload: &Payload) -> Result<Ciphertext, KeyringError> {
        let kid = *random::<16>()?;
        let cipher = self.payload_cipher(epoch, &kid)?;
        let mut buffer = payload.encode();
        cipher
            .encrypt_in_place(&Nonce::from(ONLY_NONCE), &self.associated(id), &mut *buffer)
            .map_err(|_| KeyringError::Payload)?;
        Ok(Ciphertext { epoch, kid, aead: AES_256_GCM, bytes: std::mem::take(&mut *buffer) })
    }

    /// Decrypts a payload.
    ///
    /// # Errors
    /// [`KeyringError`]
    pub fn open_payload(&self, sealed: &Ciphertext, id: &[u8; 16]) -> Result<Payload, KeyringError> {
        if sealed.aead != AES_256_GCM {
            return Err(KeyringError::Cipher(sealed.aead));
        }
        let cipher = self.payload_cipher(sealed.epoch, &sealed.kid)?;
        let mut buffer = Zeroizing::new(sealed.bytes.clone());
        cipher
            .decrypt_in_place(&Nonce::from(ONLY_NONCE), &self.associated(id), &mut *buffer)
            .map_err(|_| KeyringError::Payload)?;
        Ok(Payload::decode(&buffer)?)
    }

    fn payload_cipher(&self, epoch: u32, kid: &[u8; 16]) -> Result<Aes256Gcm, KeyringError> {
        let mut key = Zeroizing::new([0u8; 32]);
        let epochs = self.epochs.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let root = epochs.get(&epoch).ok_or(KeyringError::NoEpoch(epoch))?;
        root.expand_multi_info(&[b"foreseal.payload.v1", kid], &mut *key)
            .map_err(|_| KeyringError::Payload)?;
        Ok(Aes256Gcm::new((&*key).into()))
    }

    fn associated(&self, id: &[u8; 16]) -> Vec<u8> {
        [self.origin.as_bytes(), id].concat()
    }

    /// The keyed tag of an agent's session.
    #[must_use]
    pub fn session_tag(&self, agent: u64, session: &str) -> SessionTag {
        let mut tag = [0u8; 16];
        if let Ok(mut mac) = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(&*self.session_key) {
            mac.update(&agent.to_be_bytes());
            mac.update(session.as_bytes());
            let full: [u8; 32] = mac.finalize().into_bytes().into();
            tag.iter_mut().zip(full).for_each(|(out, byte)| *out = byte);
        }
        SessionTag(tag)
    }

    /// The key of the fold's fingerprints.
    #[must_use]
    pub fn fold_key(&self) -> FoldKey {
        let mut secret = Zeroizing::new([0u8; 32]);
        if let Ok(mut mac) = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(&*self.session_key) {
            mac.update(b"foreseal.fold.v1\0");
            let full: [u8; 32] = mac.finalize().into_bytes().into();
            *secret = full;
        }
        FoldKey::new(&secret)
    }

    /// Encrypts bytes that only this service reads back (snapshots).
    ///
    /// # Errors
    /// [`KeyringError::Random`]
    pub fn seal_own(&self, purpose: &str, bytes: &[u8]) -> Result<Vec<u8>, KeyringError> {
        let nonce = random::<12>()?;
        let mut buffer = bytes.to_vec();
        Aes256Gcm::new((&*self.key_encryption_key).into())
            .encrypt_in_place(&Nonce::from(*nonce), &context(&self.origin, purpose), &mut buffer)
            .map_err(|_| KeyringError::Payload)?;
        Ok([nonce.as_slice(), &buffer].concat())
    }

    /// Decrypts what [`Keyring::seal_own`] made for the same purpose.
    ///
    /// # Errors
    /// [`KeyringError::Payload`]
    pub fn open_own(&self, purpose: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
        let (nonce, ciphertext) = sealed.split_first_chunk::<12>().ok_or(KeyringError::Payload)?;
        let mut buffer = Zeroizing::new(ciphertext.to_vec());
        Aes256Gcm::new((&*self.key_encryption_key).into())
            .decrypt_in_place(&Nonce::from(*nonce), &context(&self.origin, purpose), &mut *buffer)
            .map_err(|_| KeyringError::Payload)?;
        Ok(buffer)
    }
}

fn context(origin: &str, purpose: &str) -> Vec<u8> {
    format!("foreseal.keyring.v1\0{origin}\0{purpose}").into_bytes()
}

fn io_error(path: &Path, source: std::io::Error) -> KeyringError {
    let file = path
        .file_name()
        .map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned());
    KeyringError::Io { file, source }
}

fn write_key(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<(), KeyringError> {
    if disk.exists(path).map_err(|source| io_error(path, source))? {
        return Err(io_error(path, std::io::ErrorKind::AlreadyExists.into()));
    }
    write_file_atomically(disk, path, bytes, FileMode::Private).map_err(|source| io_error(path, source))
}

fn read_key(disk: &dyn Disk, path: &Path, length: usize) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
    let bytes = read_file(disk, path, length as u64).map_err(|source| io_error(path, source))?;
    let bytes = Zeroizing::new(bytes);
    if bytes.len() == length { Ok(bytes) } else { Err(damaged(path)) }
}

fn damaged(path: &Path) -> KeyringError {
    KeyringError::Damaged(path.file_name().unwrap_or_default().to_string_lossy().into_owned())
}

fn wrap(kek: &[u8; 32], secret: &[u8; 32], context: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
    let nonce = random::<12>()?;
    let mut buffer = Zeroizing::new(Vec::with_capacity(48));
    buffer.extend_from_slice(secret);
    Aes256Gcm::new(kek.into())
        .encrypt_in_place(&Nonce::from(*nonce), context, &mut *buffer)
        .map_err(|_| KeyringError::Payload)?;
    Ok(Zeroizing::new([WRAPPED_MAGIC.as_slice(), nonce.as_slice(), &buffer].concat()))
}

fn unwrap(disk: &dyn Disk, kek: &[u8; 32], path: &Path, context: &[u8]) -> Result<Secret, KeyringError> {
    let bytes = read_key(disk, path, WRAPPED_BYTES)?;
    let sealed = bytes.strip_prefix(WRAPPED_MAGIC).ok_or_else(|| damaged(path))?;
    let (nonce, ciphertext) = sealed.split_first_chunk::<12>().ok_or_else(|| damaged(path))?;
    let mut buffer = Zeroizing::new(ciphertext.to_vec());
    Aes256Gcm::new(kek.into())
        .decrypt_in_place(&Nonce::from(*nonce), context, &mut *buffer)
        .map_err(|_| damaged(path))?;
    let secret = buffer.as_slice().try_into().map_err(|_| damaged(path))?;
    Ok(Zeroizing::new(secret))
}
