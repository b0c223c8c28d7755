//! A bundle on its way out: one piece at a time, read again from where it lies.

use std::sync::Arc;

use uuid::Uuid;

use super::error::{ErrorCode, ServiceError};
use super::exports::{Show, content_of, reveal};
use crate::evidence::bundle::container::{ContentDigest, directory, local_header, total_bytes};
use crate::evidence::bundle::{ENTRIES, Member, Part, Scope};
use crate::ledger::{Ledger, LedgerError};

const PIECE_BYTES: usize = 64 * 1024;

/// A bundle whose hand-out is sealed.
#[derive(Debug)]
pub struct BundleStream {
    ledger: Arc<Ledger>,
    scope: Scope,
    parts: Vec<Part>,
    shows: Vec<Show>,
    directory: Vec<u8>,
    /// Leaf index of the `export` entry.
    pub index: u64,
    /// Its id.
    pub id: Uuid,
    /// Bytes of the whole.
    pub bytes: u64,
}

impl BundleStream {
    pub(super) fn new(
        ledger: Arc<Ledger>,
        scope: Scope,
        index: u64,
        id: Uuid,
        parts: Vec<Part>,
        shows: Vec<Show>,
    ) -> Result<Self, ServiceError> {
        let members: Vec<Member> = parts.iter().map(|part| part.member.clone()).collect();
        let too_large =
            || ServiceError::new(ErrorCode::ExportTooLarge, "the bundle does not fit its container");
        let directory = directory(&members).ok_or_else(too_large)?;
        Ok(Self { ledger, scope, parts, shows, directory, index, id, bytes: total_bytes(&members) })
    }

    /// Hands out every byte in order, until `take` answers `false`. What is read again must be what was digested:
    /// otherwise the bundle ends early, and whoever receives it sees that it is not whole.
    ///
    /// # Errors
    /// [`ErrorCode::Damaged`]
    pub fn send(self, take: &mut dyn FnMut(Vec<u8>) -> bool) -> Result<(), ServiceError> {
        let mut shows = self.shows.iter();
        for part in &self.parts {
            if !take(local_header(&part.member)) {
                return Ok(());
            }
            let mut out =
                Checked { take: &mut *take, digest: ContentDigest::default(), piece: Vec::new(), open: true };
            match (&part.content, part.member.name.as_str()) {
                (Some(content), _) => out.put(content),
                (None, ENTRIES) => {
                    self.ledger.for_each_entry::<LedgerError>(self.scope, &mut |_, leaf| {
                        out.put(leaf);
                        out.put(b"\n");
                        if out.open { Ok(()) } else { Err(LedgerError::Stopping) }
                    })?;
                }
                (None, _) => {
                    let show = shows
                        .next()
                        .ok_or_else(|| LedgerError::Damaged("a document is missing".to_owned()))?;
                    out.put(&content_of(&reveal(&self.ledger, show)?)?);
                }
            }
            if !out.finish(&part.member)? {
                return Ok(());
            }
        }
        take(self.directory);
        Ok(())
    }
}

/// Cuts content into pieces and digests it again.
struct Checked<'a> {
    take: &'a mut dyn FnMut(Vec<u8>) -> bool,
    digest: ContentDigest,
    piece: Vec<u8>,
    open: bool,
}

impl Checked<'_> {
    fn put(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
        for chunk in bytes.chunks(PIECE_BYTES) {
            self.piece.extend_from_slice(chunk);
            if self.piece.len() >= PIECE_BYTES {
                self.open = self.open && (self.take)(std::mem::take(&mut self.piece));
            }
        }
    }

    fn finish(mut self, member: &Member) -> Result<bool, ServiceError> {
        if !self.piece.is_empty() {
            self.open = self.open && (self.take)(std::mem::take(&mut self.piece));
        }
        if self.digest.finish(&member.name).as_ref() == Some(member) {
            Ok(self.open)
        } else {
            Err(LedgerError::Damaged(format!("{} is not what it was when it was digested", member.name))
                .into())
        }
    }
}
