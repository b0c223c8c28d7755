//! The log's own key: read from the key directory, and used to recognise what this log signed.

use super::layout::Layout;
use crate::disk::{Disk, read_file};
use crate::note::{Checkpoint, LogSigner, SignedNote, VerifierKey};

const SECRET_TEXT_MAX_BYTES: u64 = 4096;

/// Why there is no signing key.
#[derive(Debug, thiserror::Error)]
pub(super) enum LogKeyError {
    /// The file could not be read.
    #[error("reading the log key: {0}")]
    Io(#[from] std::io::Error),
    /// The file is no key of this form.
    #[error("the log key file is not usable: {0}")]
    Form(String),
}

/// Reads the log's signing key.
pub(super) fn read_signer(disk: &dyn Disk, layout: &Layout) -> Result<LogSigner, LogKeyError> {
    let text = zeroize::Zeroizing::new(read_file(disk, &layout.log_key(), SECRET_TEXT_MAX_BYTES)?);
    let text = std::str::from_utf8(&text).map_err(|_| LogKeyError::Form("not text".to_owned()))?;
    LogSigner::from_secret_text(text.trim()).map_err(|e| LogKeyError::Form(e.to_string()))
}

/// Reads a checkpoint that this log's own key must have signed.
pub(super) fn own_checkpoint(note: &str, key: &VerifierKey) -> Result<Checkpoint, String> {
    let note: SignedNote = note.parse().map_err(|e| format!("{e}"))?;
    note.open([key]).map_err(|e| e.to_string())?;
    let checkpoint = Checkpoint::parse(&note.text).map_err(|e| e.to_string())?;
    if key.name() == checkpoint.origin.as_str() {
        Ok(checkpoint)
    } else {
        Err(format!("it is of the log {}", checkpoint.origin))
    }
}
