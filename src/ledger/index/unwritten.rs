//! The index's file for who must not change it: a database writes when it is opened, and what it writes stays in memory.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::super::checked_file::CheckedFile;

const BLOCK: usize = 4096;
const BLOCK_BYTES: u64 = BLOCK as u64;

/// A file below, and the blocks that were written above it.
#[derive(Debug)]
pub(super) struct Unwritten {
    file: CheckedFile,
    above: Mutex<Above>,
}

#[derive(Debug)]
struct Above {
    length: u64,
    /// The file shows through below this offset: as far as it was never cut off.
    shown: u64,
    blocks: BTreeMap<u64, Vec<u8>>,
}

impl Unwritten {
    /// Over a file that is only read.
    pub(super) fn over(file: CheckedFile) -> Self {
        let length = file.length();
        let above = Above { length, shown: length, blocks: BTreeMap::new() };
        Self { file, above: Mutex::new(above) }
    }

    fn above(&self) -> MutexGuard<'_, Above> {
        self.above.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn block(&self, above: &Above, block: u64) -> io::Result<Vec<u8>> {
        if let Some(bytes) = above.blocks.get(&block) {
            return Ok(bytes.clone());
        }
        let mut bytes = vec![0; BLOCK];
        let shown = above.shown.saturating_sub(block * BLOCK_BYTES).min(BLOCK_BYTES);
        let shown = usize::try_from(shown).unwrap_or(BLOCK);
        if let Some(shown) = bytes.get_mut(..shown).filter(|shown| !shown.is_empty()) {
            self.file.read(block * BLOCK_BYTES, shown)?;
        }
        Ok(bytes)
    }
}

impl redb::StorageBackend for Unwritten {
    fn len(&self) -> Result<u64, io::Error> {
        Ok(self.above().length)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let above = self.above();
        if offset.checked_add(out.len() as u64).is_none_or(|end| end > above.length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for_each_part(offset, out.len(), |block, within, part| {
            let bytes = self.block(&above, block)?;
            if let (Some(to), Some(from)) = (out.get_mut(part), bytes.get(within)) {
                to.copy_from_slice(from);
            }
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        let mut above = self.above();
        above.length = len;
        above.shown = above.shown.min(len);
        above.blocks.retain(|block, _| block * BLOCK_BYTES < len);
        // What is cut off comes back as zeros.
        let cut = usize::try_from(len % BLOCK_BYTES).unwrap_or(0);
        if let Some(last) = above.blocks.get_mut(&(len / BLOCK_BYTES)) {
            last.iter_mut().skip(cut).for_each(|byte| *byte = 0);
        }
        Ok(())
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        let mut above = self.above();
        above.length = above.length.max(offset.saturating_add(data.len() as u64));
        for_each_part(offset, data.len(), |block, within, part| {
            let mut bytes = self.block(&above, block)?;
            if let (Some(to), Some(from)) = (bytes.get_mut(within), data.get(part)) {
                to.copy_from_slice(from);
            }
            above.blocks.insert(block, bytes);
            Ok(())
        })
    }
}

type Within = std::ops::Range<usize>;

/// The parts of a range that lie in one block each: the block, where in the block, and where in the range.
fn for_each_part(
    offset: u64,
    length: usize,
    mut each: impl FnMut(u64, Within, Within) -> io::Result<()>,
) -> io::Result<()> {
    let mut done = 0;
    while done < length {
        let at = offset + done as u64;
        let within = usize::try_from(at % BLOCK_BYTES).unwrap_or(0);
        let count = (BLOCK - within).min(length - done);
        each(at / BLOCK_BYTES, within..within + count, done..done + count)?;
        done += count;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;
    use redb::StorageBackend as _;

    use super::*;
    use crate::disk::{Disk, FaultyDisk, FileMode, OpenMode};

    #[derive(Debug, Clone)]
    enum Act {
        Write(u64, Vec<u8>),
        SetLen(u64),
        Read(u64, usize),
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let write = (0u64..30_000, prop::collection::vec(any::<u8>(), 1..6_000));
        let act = prop_oneof![
            write.prop_map(|(at, bytes)| Act::Write(at, bytes)),
            (0u64..40_000).prop_map(Act::SetLen),
            (0u64..30_000, 1usize..9_000).prop_map(|(at, length)| Act::Read(at, length)),
        ];
        prop::collection::vec(act, 1..20)
    }

    proptest! {
        #[test]
        fn it_is_a_file_and_the_one_below_stays_as_it_is(acts in acts(), below in 0u64..25_000) {
            let disk = FaultyDisk::new(1);
            let path = Path::new("/f");
            let file = disk.open(path, OpenMode::CreateNew(FileMode::Shared)).unwrap();
            let file = CheckedFile::new(file).unwrap();
            file.set_length(below).unwrap();
            let bytes: Vec<u8> = (0..file.length()).map(|n| u8::try_from(n % 251).unwrap()).collect();
            file.write(0, &bytes).unwrap();
            file.close().unwrap();
            let before = disk.contents(path).unwrap();
            let file = CheckedFile::new(disk.open(path, OpenMode::Read).unwrap()).unwrap();
            let (above, mut model) = (Unwritten::over(file), bytes);
            for act in acts {
                match act {
                    Act::Write(at, data) => {
                        above.write(at, &data).unwrap();
                        let at = usize::try_from(at).unwrap();
                        model.resize(model.len().max(at + data.len()), 0);
                        model[at..at + data.len()].copy_from_slice(&data);
                    }
                    Act::SetLen(length) => {
                        above.set_len(length).unwrap();
                        model.resize(usize::try_from(length).unwrap(), 0);
                    }
                    Act::Read(at, length) => {
                        let mut read = vec![0; length];
                        let there = model.get(usize::try_from(at).unwrap()..).and_then(|rest| rest.get(..length));
                        prop_assert_eq!(above.read(at, &mut read).ok().map(|()| &read[..]), there);
                    }
                }
                prop_assert_eq!(above.len().unwrap(), model.len() as u64);
            }
            prop_assert!(disk.contents(path).unwrap() == before);
        }
    }
}
