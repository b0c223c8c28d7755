//! Which part of a damaged frame was changed: each payload authenticates by itself.

use super::difference::Difference;
use super::walk::what_is_sealed;
use crate::journal::FrameView;
use crate::ledger::keyring::{Ciphertext, Keyring, KeyringError};
use crate::record::entry::Entry;

/// The payloads of a frame that do not authenticate; where all do, its leaves.
pub(super) fn of_frame(frame: &FrameView, keys: &Keyring) -> Vec<Difference> {
    let first = frame.header().first_index;
    let mut named: Vec<Difference> = frame
        .payloads()
        .filter_map(|payload| {
            let entry = Entry::parse(frame.entry(usize::try_from(payload.entry).ok()?)?).ok()?;
            let opened = keys.open_payload(&Ciphertext::of(&payload), entry.id()?.as_bytes());
            let index = first.saturating_add(u64::from(payload.entry));
            match opened {
                Ok(_) | Err(KeyringError::NoEpoch(_)) => None,
                Err(error) => {
                    Some(Difference::changed(index, what_is_sealed(index, &entry), error.to_string()))
                }
            }
        })
        .collect();
    if named.is_empty() && !frame.is_marker() {
        let last = frame.header().next_index().saturating_sub(1);
        let what = format!("frame of leaves {first} to {last}");
        named.push(Difference::changed(
            first,
            what,
            "its payloads authenticate, so an entry, the checkpoint or the tag in it was changed".to_owned(),
        ));
    }
    named
}
