//! Full tiles and full entry bundles on disk: fixed slots per level, bundles one after another with an offset file.
//!
//! Everything here can be rebuilt from the journal. Each slot and each bundle carries a checksum, checked at every
//! read, so that rot is an error and never an answer.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::disk::{DirMode, Disk, DiskFile, FileMode, OpenMode, create_dir_durably};
use crate::evidence::audit::ReadLogError;
use crate::merkle::{TILE_WIDTH, Tile, tile_bytes};

const CHECKSUM_BYTES: u64 = 4;
const OFFSET_RECORD_BYTES: u64 = 16;
/// 256 entries of at most 65,535 bytes and their lengths.
const BUNDLE_MAX_BYTES: u32 = 256 * (65_535 + 2);

/// The pack files of one ledger.
#[derive(Debug)]
pub struct Packs {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    files: Mutex<HashMap<String, Arc<dyn DiskFile>>>,
}

fn slot_bytes() -> u64 {
    tile_bytes(TILE_WIDTH) as u64 + CHECKSUM_BYTES
}

fn level_file(level: u8) -> String {
    format!("hashes-{level}.pack")
}

const BUNDLES: &str = "entries.pack";
const OFFSETS: &str = "entries.offsets";

impl Packs {
    /// Packs in `directory`, made if it is not there.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(disk: Arc<dyn Disk>, directory: &Path) -> io::Result<Self> {
        create_dir_durably(&*disk, directory, DirMode::Private)?;
        Ok(Self::at(disk, directory))
    }

    /// Packs in `directory`, to be read only.
    #[must_use]
    pub fn at(disk: Arc<dyn Disk>, directory: &Path) -> Self {
        Self { disk, directory: directory.to_owned(), files: Mutex::default() }
    }

    fn file(&self, name: &str, write: bool) -> io::Result<Arc<dyn DiskFile>> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = files.get(name) {
            return Ok(Arc::clone(file));
        }
        let path = self.directory.join(name);
        let file = if !write {
            self.disk.open(&path, OpenMode::Read)?
        } else if self.disk.exists(&path)? {
            self.disk.open(&path, OpenMode::ReadWrite)?
        } else {
            let file = self.disk.open(&path, OpenMode::CreateNew(FileMode::Private))?;
            self.disk.sync_dir(&self.directory)?;
            file
        };
        // A handle that was opened to read cannot write, so only writable ones are shared.
        if write {
            files.insert(name.to_owned(), Arc::clone(&file));
        }
        Ok(file)
    }

    /// Opens for writing what the writer will write, so that readers share its handles.
    ///
    /// # Errors
    /// What the system says.
    pub fn prepare(&self) -> io::Result<()> {
        for name in [&level_file(0), BUNDLES, OFFSETS] {
            self.file(name, true)?;
        }
        for name in (1..8).map(level_file) {
            if self.disk.exists(&self.directory.join(&name))? {
                self.file(&name, true)?;
            }
        }
        Ok(())
    }

    /// Writes a full tile into its slot.
    ///
    /// # Errors
    /// What the system says.
    pub fn write_tile(&self, level: u8, index: u64, tile: &Tile) -> io::Result<()> {
        let mut bytes = tile.to_bytes();
        bytes.extend_from_slice(&tile_checksum(level, index, &bytes).to_be_bytes());
        let offset = index.checked_mul(slot_bytes()).ok_or(io::ErrorKind::FileTooLarge)?;
        self.file(&level_file(level), true)?.write_all_at(&bytes, offset)
    }

    /// Reads a full tile.
    ///
    /// # Errors
    /// [`ReadLogError`]: it is not there, could not be read, or is damaged.
    pub fn read_tile(&self, level: u8, index: u64) -> Result<Tile, ReadLogError> {
        let what = || format!("tile {level}/{index}");
        let bytes = self.read(&level_file(level), index, slot_bytes(), slot_bytes(), &what)?;
        let damaged = |why: &str| ReadLogError::Damaged { what: what(), why: why.to_owned() };
        let (hashes, checksum) = bytes.split_last_chunk::<4>().ok_or_else(|| damaged("too short"))?;
        if tile_checksum(level, index, hashes) != u32::from_be_bytes(*checksum) {
            return Err(damaged("its checksum does not match"));
        }
        Tile::from_bytes(hashes).map_err(|e| damaged(&e.to_string()))
    }

    /// Writes a full bundle at `offset`, where the one before ends.
    ///
    /// # Errors
    /// What the system says.
    pub fn write_bundle(&self, index: u64, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file(BUNDLES, true)?.write_all_at(bytes, offset)?;
        let length = u32::try_from(bytes.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let mut record = offset.to_be_bytes().to_vec();
        record.extend_from_slice(&length.to_be_bytes());
        record.extend_from_slice(&bundle_checksum(index, &record, bytes).to_be_bytes());
        let at = index.checked_mul(OFFSET_RECORD_BYTES).ok_or(io::ErrorKind::FileTooLarge)?;
        self.file(OFFSETS, true)?.write_all_at(&record, at)
    }

    /// Reads a full bundle; also says where it ends in its file.
    ///
    /// # Errors
    /// [`ReadLogError`]
    pub fn read_bundle(&self, index: u64) -> Result<(Vec<u8>, u64), ReadLogError> {
        let what = || format!("entry bundle {index}");
        let damaged = |why: &str| ReadLogError::Damaged { what: what(), why: why.to_owned() };
        let record = self.read(OFFSETS, index, OFFSET_RECORD_BYTES, OFFSET_RECORD_BYTES, &what)?;
        let (head, checksum) = record.split_last_chunk::<4>().ok_or_else(|| damaged("its offset is cut"))?;
        let (offset, length) = head.split_first_chunk::<8>().ok_or_else(|| damaged("its offset is cut"))?;
        let offset = u64::from_be_bytes(*offset);
        let length = length.try_into().map(u32::from_be_bytes).map_err(|_| damaged("its offset is cut"))?;
        let end = offset.checked_add(u64::from(length)).filter(|_| length <= BUNDLE_MAX_BYTES);
        let end = end.ok_or_else(|| damaged("its offset record is not possible"))?;
        let bytes = self.read_at(BUNDLES, offset, u64::from(length), &what)?;
        if bundle_checksum(index, head, &bytes) != u32::from_be_bytes(*checksum) {
            return Err(damaged("its checksum does not match"));
        }
        Ok((bytes, end))
    }

    fn read(
        &self,
        name: &str,
        index: u64,
        stride: u64,
        length: u64,
        what: &dyn Fn() -> String,
    ) -> Result<Vec<u8>, ReadLogError> {
        let offset = index.checked_mul(stride).ok_or_else(|| ReadLogError::Missing(what()))?;
        self.read_at(name, offset, length, what)
    }

    fn read_at(
        &self,
        name: &str,
        offset: u64,
        length: u64,
        what: &dyn Fn() -> String,
    ) -> Result<Vec<u8>, ReadLogError> {
        let read = || {
            let file = self.file(name, false)?;
            let length = usize::try_from(length).map_err(|_| io::ErrorKind::FileTooLarge)?;
            let mut bytes = vec![0; length];
            file.read_exact_at(&mut bytes, offset)?;
            Ok::<_, io::Error>(bytes)
        };
        read().map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::NotFound => ReadLogError::Missing(what()),
            _ => ReadLogError::Unreachable { what: what(), why: error.to_string() },
        })
    }

    /// Makes everything written so far durable.
    ///
    /// # Errors
    /// What the system says; the service must then stop.
    pub fn sync(&self) -> io::Result<()> {
        let files: Vec<_> =
            self.files.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        files.iter().try_for_each(|file| file.sync_data())
    }

    /// Whether there is a place with packs at all: a backup may leave it out, and the next start makes it again.
    ///
    /// # Errors
    /// What the system says.
    pub fn are_there(&self) -> io::Result<bool> {
        self.disk.exists(&self.directory)
    }

    /// Names and lengths of the files there are, for `fsck`.
    ///
    /// # Errors
    /// What the system says.
    pub fn lengths(&self) -> io::Result<Vec<(String, u64)>> {
        if !self.are_there()? {
            return Ok(Vec::new());
        }
        let names = self.disk.read_dir(&self.directory)?;
        names
            .into_iter()
            .map(|name| {
                let length = self.disk.open(&self.directory.join(&name), OpenMode::Read)?.len()?;
                Ok((name, length))
            })
            .collect()
    }

    /// Whether every file is at least as long as a log of `size` leaves makes it. What is in them is not looked at.
    ///
    /// # Errors
    /// What the system says.
    pub fn reach(&self, size: u64, bundles_end: u64) -> io::Result<bool> {
        for (name, length) in
            Self::lengths_for(size, bundles_end).into_iter().filter(|(_, length)| *length > 0)
        {
            let path = self.directory.join(&name);
            if !self.disk.exists(&path)? || self.disk.open(&path, OpenMode::Read)?.len()? < length {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The lengths that the files of a log of `size` leaves have, given where its last full bundle ends.
    #[must_use]
    pub fn lengths_for(size: u64, bundles_end: u64) -> Vec<(String, u64)> {
        let mut tiles = size / u64::from(TILE_WIDTH);
        let mut lengths =
            vec![(BUNDLES.to_owned(), bundles_end), (OFFSETS.to_owned(), tiles * OFFSET_RECORD_BYTES)];
        for level in 0..8 {
            lengths.push((level_file(level), tiles * slot_bytes()));
            tiles /= u64::from(TILE_WIDTH);
        }
        lengths
    }
}

/// Covers the hashes and their place: a tile in another's slot does not match.
fn tile_checksum(level: u8, index: u64, hashes: &[u8]) -> u32 {
    let sum = crc32c::crc32c_append(crc32c::crc32c(&[level]), &index.to_be_bytes());
    crc32c::crc32c_append(sum, hashes)
}

/// Covers the bundle, its place and its number: a bundle in another's place does not match.
fn bundle_checksum(index: u64, head: &[u8], bytes: &[u8]) -> u32 {
    let sum = crc32c::crc32c(&index.to_be_bytes());
    crc32c::crc32c_append(crc32c::crc32c_append(sum, head), bytes)
}
