//! A file of 4 KiB blocks, each with its checksum: what the index's database is kept in.
//!
//! The database verifies its own checksums only when it repairs. Underneath it, every block that is read is checked, so
//! that a flipped bit is an error and never a row that is silently missing.
//!
//! The first block is not the user's: it says whether the file was closed, or is being written, or was when a crash
//! came. Only then can a block be torn that nobody has read yet, and only then all of them are worth reading.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::DiskFile;

const BLOCK: usize = 4096;
const BLOCK_BYTES: u64 = BLOCK as u64;
const STORED: usize = BLOCK + 4;
const STORED_BYTES: u64 = STORED as u64;

const CLOSED: &[u8] = b"foreseal blocks 1 closed\n";
const IN_USE: &[u8] = b"foreseal blocks 1 in use\n";

/// The file, seen as the bytes between the checksums.
#[derive(Debug)]
pub struct CheckedFile {
    file: Arc<dyn DiskFile>,
    /// Serialises read-modify-write of blocks.
    state: Mutex<State>,
    was_closed: bool,
}

#[derive(Debug)]
struct State {
    length: u64,
    /// The first block says so, durably.
    in_use: bool,
    /// A write or sync failed: it is never called closed again.
    failed: bool,
}

fn damaged(block: u64) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("block {block} of the index does not match its checksum"),
    )
}

fn checksum(block: u64, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&block.to_be_bytes()), bytes)
}

impl CheckedFile {
    /// Wraps a file, new or written by this type. Nothing is written yet.
    ///
    /// # Errors
    /// `InvalidData` where the first block is damaged, or what the system says.
    pub fn new(file: Arc<dyn DiskFile>) -> io::Result<Self> {
        let stored = file.len()?;
        let length = (stored / STORED_BYTES).saturating_sub(1) * BLOCK_BYTES;
        let state = Mutex::new(State { length, in_use: false, failed: false });
        let mut checked = Self { file, state, was_closed: true };
        if stored > 0 {
            let first = checked.read_stored(0)?;
            checked.was_closed =
                match first.iter().rposition(|byte| *byte != 0).map(|last| first.split_at(last + 1)) {
                    Some((CLOSED, _)) => true,
                    Some((IN_USE, _)) => false,
                    _ => return Err(damaged(0)),
                };
        }
        Ok(checked)
    }

    /// Whether the last one to write it closed it. A new file counts as closed.
    #[must_use]
    pub fn was_closed(&self) -> bool {
        self.was_closed
    }

    /// Whether a write or sync of this process failed. Then reads may show what never reached the disk, and what they
    /// show proves nothing about it.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.state().failed
    }

    /// Bytes between the checksums.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.state().length
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that all of it is written and durable. Nothing may be written afterwards.
    ///
    /// # Errors
    /// What the system says, or that an earlier write failed: then it stays in use for whoever opens it next.
    pub fn close(&self) -> io::Result<()> {
        let mut state = self.state();
        if state.failed {
            return Err(io::Error::other("an earlier write failed"));
        }
        if state.in_use {
            self.file.sync_data()?;
            self.write_first(CLOSED)?;
            state.in_use = false;
        }
        Ok(())
    }

    fn write_first(&self, says: &[u8]) -> io::Result<()> {
        let mut block = says.to_vec();
        block.resize(BLOCK, 0);
        self.write_stored(0, block)?;
        self.file.sync_data()
    }

    /// Runs a change of the file; before the first one it is durably in use.
    fn change(&self, change: impl FnOnce(&mut State) -> io::Result<()>) -> io::Result<()> {
        let mut state = self.state();
        let begun = if state.in_use { Ok(()) } else { self.write_first(IN_USE) };
        let done = begun.and_then(|()| {
            state.in_use = true;
            change(&mut state)
        });
        state.failed |= done.is_err();
        done
    }

    fn read_block(&self, block: u64) -> io::Result<Vec<u8>> {
        self.read_stored(block + 1)
    }

    fn write_block(&self, block: u64, bytes: Vec<u8>) -> io::Result<()> {
        self.write_stored(block + 1, bytes)
    }

    fn read_stored(&self, block: u64) -> io::Result<Vec<u8>> {
        let mut stored = vec![0; STORED];
        self.file.read_exact_at(&mut stored, block * STORED_BYTES)?;
        let (bytes, sum) = stored.split_last_chunk::<4>().ok_or_else(|| damaged(block))?;
        if checksum(block, bytes) != u32::from_be_bytes(*sum) {
            return Err(damaged(block));
        }
        stored.truncate(BLOCK);
        Ok(stored)
    }

    fn write_stored(&self, block: u64, mut bytes: Vec<u8>) -> io::Result<()> {
        let sum = checksum(block, &bytes);
        bytes.extend_from_slice(&sum.to_be_bytes());
        self.file.write_all_at(&bytes, block * STORED_BYTES)
    }

    /// Reads, checking every block touched.
    ///
    /// # Errors
    /// `InvalidData` naming the block, or what the system says.
    pub fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut offset = offset;
        let mut rest = out;
        while !rest.is_empty() {
            let (block, within) = split(offset);
            let bytes = self.read_block(block)?;
            let available = bytes.get(within..).unwrap_or_default();
            let count = available.len().min(rest.len());
            let (now, later) = rest.split_at_mut(count);
            now.copy_from_slice(available.get(..count).unwrap_or_default());
            rest = later;
            offset += count as u64;
        }
        Ok(())
    }

    /// Writes; a block written in part keeps its other bytes.
    ///
    /// # Errors
    /// As [`CheckedFile::read`].
    pub fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(|_| {
            let mut offset = offset;
            let mut rest = data;
            while !rest.is_empty() {
                let (block, within) = split(offset);
                let count = (BLOCK - within).min(rest.len());
                let (now, later) = rest.split_at(count);
                let bytes = if count == BLOCK {
                    now.to_vec()
                } else {
                    let mut bytes = self.read_block(block)?;
                    if let Some(place) = bytes.get_mut(within..within + count) {
                        place.copy_from_slice(now);
                    }
                    bytes
                };
                self.write_block(block, bytes)?;
                rest = later;
                offset += count as u64;
            }
            Ok(())
        })
    }

    /// Grows with zeros, or shrinks. Lengths are rounded up to whole blocks.
    ///
    /// # Errors
    /// What the system says.
    pub fn set_length(&self, length: u64) -> io::Result<()> {
        self.change(|state| {
            let (old, new) = (state.length.div_ceil(BLOCK_BYTES), length.div_ceil(BLOCK_BYTES));
            self.file.set_len((new + 1) * STORED_BYTES)?;
            for block in old..new {
                self.write_block(block, vec![0; BLOCK])?;
            }
            state.length = new * BLOCK_BYTES;
            Ok(())
        })
    }

    /// Makes everything written durable.
    ///
    /// # Errors
    /// What the system says.
    pub fn sync(&self) -> io::Result<()> {
        let synced = self.file.sync_data();
        self.state().failed |= synced.is_err();
        synced
    }

    /// Reads every block; the first that does not match is the error.
    ///
    /// # Errors
    /// As [`CheckedFile::read`]; a file that ends within a block is damaged too.
    pub fn verify(&self) -> io::Result<()> {
        let stored = self.file.len()?;
        if stored % STORED_BYTES != 0 {
            return Err(damaged(stored / STORED_BYTES));
        }
        (0..stored / STORED_BYTES).try_for_each(|block| self.read_stored(block).map(drop))
    }
}

fn split(offset: u64) -> (u64, usize) {
    (offset / BLOCK_BYTES, usize::try_from(offset % BLOCK_BYTES).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::disk::{Disk, FaultyDisk, FileMode, OpenMode};

    proptest! {
        #[test]
        fn it_is_a_file_and_every_flipped_bit_is_seen(
            writes in proptest::collection::vec((0u64..20_000, proptest::collection::vec(any::<u8>(), 1..6000)), 1..8),
            flip in 0u64..(8 * STORED_BYTES), bit in 0u8..8,
        ) {
            let disk = FaultyDisk::new(1);
            let file = disk.open(Path::new("/f"), OpenMode::CreateNew(FileMode::Shared)).unwrap();
            let checked = CheckedFile::new(file).unwrap();
            checked.set_length(6 * BLOCK_BYTES + 7).unwrap();
            let mut model = vec![0u8; 7 * BLOCK];
            for (offset, bytes) in &writes {
                checked.write(*offset, bytes).unwrap();
                let offset = usize::try_from(*offset).unwrap();
                model[offset..offset + bytes.len()].copy_from_slice(bytes);
            }
            let mut read = vec![0; model.len()];
            checked.read(0, &mut read).unwrap();
            prop_assert_eq!(&read, &model);
            checked.verify().unwrap();
            prop_assert!(disk.flip_bit(Path::new("/f"), flip, bit));
            prop_assert!(checked.verify().is_err());
            match (flip / STORED_BYTES).checked_sub(1) {
                Some(block) => prop_assert!(checked.read(block * BLOCK_BYTES, &mut [0]).is_err()),
                None => prop_assert!(reopened(&disk).is_err()),
            }
        }
    }

    fn reopened(disk: &FaultyDisk) -> io::Result<CheckedFile> {
        disk.open(Path::new("/f"), OpenMode::ReadWrite).and_then(CheckedFile::new)
    }

    #[test]
    fn it_is_closed_only_if_it_was_closed_after_the_last_write() {
        let disk = FaultyDisk::new(2);
        let file = disk.open(Path::new("/f"), OpenMode::CreateNew(FileMode::Shared)).unwrap();
        let checked = CheckedFile::new(file).unwrap();
        assert!(checked.was_closed());
        checked.set_length(1).unwrap();
        assert!(!reopened(&disk).unwrap().was_closed());
        checked.close().unwrap();
        let again = reopened(&disk).unwrap();
        assert!(again.was_closed());
        assert_eq!(again.length(), BLOCK_BYTES);
        // Reading does not open it for use; the first write does, before anything else is changed.
        again.read(0, &mut [0; 8]).unwrap();
        assert!(reopened(&disk).unwrap().was_closed());
        again.write(8, b"x").unwrap();
        assert!(!reopened(&disk).unwrap().was_closed());
        disk.inject(crate::disk::Trigger::Mutation(disk.mutations()), crate::disk::Fault::Error);
        assert!(again.write(9, b"y").is_err());
        assert!(again.close().is_err(), "after a failed write it is never called closed");
        assert!(!reopened(&disk).unwrap().was_closed());
    }
}
