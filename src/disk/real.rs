//! The machine's own disk.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;

use super::{DirMode, Disk, DiskFile, DiskLock, EntryKind, FileMode, Held, OpenMode};

/// The operating system's file system.
///
/// # What is assumed of the media
/// 1. **A successful sync is true.** When fdatasync or fsync returned without an error, the file's bytes and
///    length survive loss of power. Disks with a volatile cache that ignore flushes break promise 4, and no
///    software above them can tell.
/// 2. **512-byte sectors are written whole or not at all.** A write of many sectors may be torn between any
///    two of them, in any order; one sector never shows a mixture of old and new bytes.
/// 3. **A rename within one directory is atomic**: after loss of power the name points to the old file or to
///    the new one. It is durable only after the directory's own fsync; so are creation and removal.
/// 4. **A failed fsync says nothing about later ones.** Linux marks the pages clean: reads go on showing bytes
///    that never reached the disk, and the next fsync answers success. Nothing here retries.
/// 5. **Bits do rot, and writes may go astray.** What is read back is believed only as far as its checksums go;
///    that is the business of the rooms above.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl RealDisk {
    /// The permission bits of what a path names, as `chmod` writes them.
    ///
    /// # Errors
    /// `NotFound`, or what the system says.
    pub fn permission_bits(&self, path: &Path) -> io::Result<u32> {
        Ok(std::fs::metadata(path)?.permissions().mode() & 0o777)
    }

    /// Removes a directory and everything in it; nothing there is no error. For copies that a person asked for: no
    /// room that keeps data removes a directory.
    ///
    /// # Errors
    /// What the system says; part of it may be gone then.
    pub fn remove_tree(&self, path: &Path) -> io::Result<()> {
        match std::fs::remove_dir_all(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}

impl Disk for RealDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        match mode {
            OpenMode::Read => options.read(true),
            OpenMode::ReadWrite => options.read(true).write(true),
            OpenMode::CreateNew(FileMode::Shared) => options.read(true).write(true).create_new(true),
            OpenMode::CreateNew(FileMode::Private) => {
                options.read(true).write(true).create_new(true).mode(0o600)
            }
        };
        let file = options.open(path)?;
        // Unix opens directories for reading without complaint; reads would fail later and less clearly.
        if mode == OpenMode::Read && file.metadata()?.is_dir() {
            return Err(io::Error::from(io::ErrorKind::IsADirectory));
        }
        Ok(Arc::new(RealFile(file)))
    }

    fn create_dir_all(&self, path: &Path, mode: DirMode) -> io::Result<()> {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        if mode == DirMode::Private {
            builder.mode(0o700);
        }
        builder.create(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(path)? {
            let name = entry?.file_name().into_string().map_err(|name| {
                let shown = name.to_string_lossy().into_owned();
                io::Error::new(io::ErrorKind::InvalidData, format!("file name is not UTF-8: {shown:?}"))
            })?;
            names.push(name);
        }
        names.sort_unstable();
        Ok(names)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let dir = File::open(path)?;
        if !dir.metadata()?.is_dir() {
            return Err(io::Error::from(io::ErrorKind::NotADirectory));
        }
        dir.sync_all()
    }

    fn kind(&self, path: &Path) -> io::Result<Option<EntryKind>> {
        match std::fs::metadata(path) {
            Ok(found) if found.is_file() => Ok(Some(EntryKind::File)),
            Ok(found) if found.is_dir() => Ok(Some(EntryKind::Directory)),
            Ok(_) => Ok(Some(EntryKind::Other)),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn lock_exclusive(&self, path: &Path) -> io::Result<Option<DiskLock>> {
        let opened =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
        let file = match opened {
            // Who may only read, an auditor, locks what is there.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
                ) =>
            {
                File::open(path)?
            }
            opened => opened?,
        };
        match file.try_lock() {
            Ok(()) => Ok(Some(DiskLock::holding(LockedFile { _file: file }))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

/// Closing the file releases the lock; the file itself stays, or two processes could lock two of them.
struct LockedFile {
    _file: File,
}

impl Held for LockedFile {}

#[derive(Debug)]
struct RealFile(File);

impl DiskFile for RealFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.0.sync_all()
    }
}
