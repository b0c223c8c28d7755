//! A journal written anew by a hand that holds every key: frames, tags, payloads, checkpoints, as the ledger writes them.

use foreseal::journal::{FrameKey, FrameView, Position, frames_from, segment_file_name};
use foreseal::ledger::keyring::{Ciphertext, Keyring};
use foreseal::ledger::payload::Payload;
use foreseal::merkle::{Frontier, leaf_hash};
use foreseal::note::{Checkpoint, LogSigner};
use foreseal::record::entry::Entry;

use crate::support::{ORIGIN, Site, checkpoint};

/// A leaf and what was sealed with it.
pub struct Sealed {
    pub index: u64,
    pub entry: Vec<u8>,
    pub payload: Option<Payload>,
}

pub fn frames(site: &Site) -> Vec<FrameView> {
    let journal = site.layout.journal();
    let start = Position { segment: 0, offset: 0 };
    frames_from(&site.faulty, &journal, start).unwrap().map(|frame| frame.unwrap().1).collect()
}

pub fn ring(site: &Site) -> Keyring {
    Keyring::open(site.disk(), &site.layout, ORIGIN).unwrap()
}

/// Every leaf of a ledger at rest.
pub fn leaves(site: &Site) -> Vec<Sealed> {
    let ring = ring(site);
    let mut leaves = Vec::new();
    for frame in frames(site) {
        for (number, entry) in (0u32..).zip(frame.entries()) {
            let payload = frame.payloads().find(|payload| payload.entry == number).map(|payload| {
                let id = Entry::parse(entry).unwrap().id().unwrap();
                ring.open_payload(&Ciphertext::of(&payload), id.as_bytes()).unwrap()
            });
            let index = leaves.len() as u64;
            leaves.push(Sealed { index, entry: entry.to_vec(), payload });
        }
    }
    leaves
}

/// A copy of the ledger in which `change` was let at every leaf. What has to be signed, tagged and encrypted is.
pub fn rewritten(site: &Site, change: impl FnMut(&mut Sealed)) -> Site {
    rewritten_by(site, ring(site).frame_key(), change)
}

/// The same, tagged with another key.
pub fn rewritten_by(site: &Site, tag: &FrameKey, mut change: impl FnMut(&mut Sealed)) -> Site {
    let copy = site.moved_to(site.faulty.snapshot());
    let (ring, views) = (ring(site), frames(site));
    let secret = String::from_utf8(site.faulty.contents(&site.layout.log_key()).unwrap()).unwrap();
    let signer = LogSigner::from_secret_text(secret.trim()).unwrap();
    let journal = site.layout.journal();
    let segment_len = site.faulty.contents(&journal.join(segment_file_name(0))).unwrap().len();
    let mut segments: Vec<Vec<u8>> = vec![vec![0; segment_len]];
    let (mut at, mut previous) = (Position { segment: 0, offset: 0 }, [0; 32]);
    let mut log = Frontier::new();
    for view in views {
        let mut frame = view.to_frame();
        let before = checkpoint(std::str::from_utf8(&frame.checkpoint).unwrap());
        let now = Checkpoint { size: log.size(), root: log.root(), ..before };
        frame.checkpoint = signer.sign_checkpoint(&now).unwrap().into_bytes();
        let first = log.size();
        let mut payloads = Vec::new();
        for (number, entry) in (0u32..).zip(&mut frame.entries) {
            let id = Entry::parse(entry).unwrap().id().unwrap();
            let sealed = frame.payloads.iter().find(|payload| payload.entry == number).cloned();
            let payload = view
                .payloads()
                .find(|payload| payload.entry == number)
                .map(|payload| ring.open_payload(&Ciphertext::of(&payload), id.as_bytes()).unwrap());
            let mut leaf = Sealed { index: first + u64::from(number), entry: std::mem::take(entry), payload };
            change(&mut leaf);
            log.append(leaf_hash(&leaf.entry));
            *entry = leaf.entry;
            if let (Some(mut sealed), Some(payload)) = (sealed, leaf.payload) {
                let again = ring.seal(sealed.key_epoch, id.as_bytes(), &payload).unwrap();
                (sealed.kid, sealed.ciphertext) = (again.kid, again.bytes);
                payloads.push(sealed);
            }
        }
        frame.payloads = payloads;
        let mut bytes = Vec::new();
        frame.encode(at, &previous, tag, &mut bytes).unwrap();
        if at.offset as usize + bytes.len() > segment_len {
            at = Position { segment: at.segment + 1, offset: 0 };
            segments.push(vec![0; segment_len]);
        }
        previous = frame.encode(at, &previous, tag, &mut bytes).unwrap();
        let start = at.offset as usize;
        segments[at.segment as usize][start..start + bytes.len()].copy_from_slice(&bytes);
        at.offset += bytes.len() as u64;
    }
    for (number, segment) in (0..).zip(&segments) {
        copy.faulty.place(&journal.join(segment_file_name(number)), segment).unwrap();
    }
    // What was prepared ahead holds nothing.
    for name in (segments.len() as u64..).map(segment_file_name) {
        let path = journal.join(name);
        let Some(old) = copy.faulty.contents(&path) else { break };
        copy.faulty.place(&path, &vec![0; old.len()]).unwrap();
    }
    copy
}
