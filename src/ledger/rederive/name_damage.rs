//! Which part of a damaged frame was changed: each payload authenticates by itself.

use super::walk::{Judge, what_is_sealed};
use crate::journal::FrameView;
use crate::ledger::keyring::{Ciphertext, Keyring, KeyringError};
use crate::record::entry::Entry;

/// Names the payloads of a frame that do not authenticate; where all do, its leaves.
pub(super) fn in_frame(frame: &FrameView, keys: &Keyring, judge: &mut dyn Judge) {
    let first = frame.header().first_index;
    let mut named = false;
    for payload in frame.payloads() {
        let index = first.saturating_add(u64::from(payload.entry));
        let entry = usize::try_from(payload.entry).ok().and_then(|number| frame.entry(number));
        let Some(entry) = entry.and_then(|entry| Entry::parse(entry).ok()) else { continue };
        let Some(id) = entry.id() else { continue };
        match keys.open_payload(&Ciphertext::of(&payload), id.as_bytes()) {
            Ok(_) | Err(KeyringError::NoEpoch(_)) => {}
            Err(error) => {
                named = true;
                judge.changed(index, what_is_sealed(index, &entry), error.to_string());
            }
        }
    }
    if !named && !frame.is_marker() {
        let last = frame.header().next_index().saturating_sub(1);
        judge.changed(
            first,
            format!("frame of leaves {first} to {last}"),
            "an entry, the checkpoint or the tag in it was changed: its payloads authenticate".to_owned(),
        );
    }
}
