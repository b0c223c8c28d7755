//! Finding what was sealed in a data directory that no service has open, with its keys. It is read, not verified: `fsck`
//! and `audit` do that.

use std::sync::Arc;

use super::keyring::{Ciphertext, Keyring};
use super::layout::Layout;
use super::log_key::read_signer;
use super::payload::Payload;
use crate::disk::Disk;
use crate::journal::{Position, frames_from};
use crate::record::entry::Entry;

/// Visits the entries that are wanted, in order, with their payloads.
///
/// # Errors
/// In words: a key or a frame that cannot be read, or a payload that does not open.
pub fn for_each_wanted(
    disk: &Arc<dyn Disk>,
    layout: &Layout,
    wanted: &dyn Fn(u64, &Entry) -> bool,
    take: &mut dyn FnMut(u64, Entry, Payload),
) -> Result<(), String> {
    let signer = read_signer(&**disk, layout).map_err(|e| e.to_string())?;
    let keyring = Keyring::open(Arc::clone(disk), layout, signer.verifier().name().as_str())
        .map_err(|e| e.to_string())?;
    let journal = layout.journal();
    let frames = frames_from(&**disk, &journal, Position { segment: 0, offset: 0 });
    for frame in frames.map_err(|e| e.to_string())? {
        let (_, frame) = frame.map_err(|e| e.to_string())?;
        for ((index, number), bytes) in (frame.header().first_index..).zip(0u32..).zip(frame.entries()) {
            let entry = Entry::parse(bytes).map_err(|e| format!("leaf {index}: {e}"))?;
            let Some(id) = entry.id().filter(|_| wanted(index, &entry)) else { continue };
            let sealed = frame.payloads().find(|payload| payload.entry == number);
            let sealed = sealed.ok_or_else(|| format!("leaf {index}: it has no payload"))?;
            let payload = keyring.open_payload(&Ciphertext::of(&sealed), id.as_bytes());
            take(index, entry, payload.map_err(|e| format!("leaf {index}: {e}"))?);
        }
    }
    Ok(())
}
