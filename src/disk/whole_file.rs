//! Sequences of operations whose order is what makes them safe.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::{DirMode, Disk, FileMode, OpenMode};

/// Ends the name of every file that is not finished. Whatever bears it after a restart is rubbish.
pub const TEMPORARY_SUFFIX: &str = ".tmp";

/// The unfinished file's name beside `path`: its own with [`TEMPORARY_SUFFIX`].
#[must_use]
pub fn temporary_path(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(TEMPORARY_SUFFIX);
    PathBuf::from(name)
}

/// The directory that holds `path`'s name: what to sync after creating, renaming or removing it.
pub(super) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// A whole file's bytes, if they are at most `max_bytes`.
///
/// # Errors
/// `FileTooLarge` beyond the limit, before anything is read; `UnexpectedEof` if the file shrinks meanwhile.
pub fn read_file(disk: &dyn Disk, path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    let file = disk.open(path, OpenMode::Read)?;
    let len = file.len()?;
    if len > max_bytes {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("{} has {len} bytes, the limit is {max_bytes}", path.display()),
        ));
    }
    let len = usize::try_from(len).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// Makes a file that must not exist yet; of two who try, one gets `AlreadyExists`. Durable when it returns `Ok`; cut
/// short, it leaves a file that is not whole.
///
/// # Errors
/// `AlreadyExists`, or what the system says.
pub fn write_new_file(disk: &dyn Disk, path: &Path, bytes: &[u8], mode: FileMode) -> io::Result<()> {
    let file = disk.open(path, OpenMode::CreateNew(mode))?;
    file.write_all_at(bytes, 0)?;
    file.sync_all()?;
    disk.sync_dir(parent(path))
}

/// Replaces or creates a file so that, whatever happens, its name shows all of the old bytes or all of the new.
/// Durable when it returns `Ok`. One writer per path at a time.
///
/// The calls, in order:
/// ```text
/// unlink(path.tmp)                 if a crash left one
/// openat(path.tmp, O_CREAT|O_EXCL)
/// pwrite, fsync, close
/// rename(path.tmp, path)
/// fsync(directory)
/// ```
///
/// # Errors
/// After an error before the rename the old file stands. If the directory's sync fails, which of the two will
/// be there after loss of power is unknown.
pub fn write_file_atomically(disk: &dyn Disk, path: &Path, bytes: &[u8], mode: FileMode) -> io::Result<()> {
    let temporary = temporary_path(path);
    if disk.exists(&temporary)? {
        disk.remove(&temporary)?;
    }
    let written = disk.open(&temporary, OpenMode::CreateNew(mode)).and_then(|file| {
        file.write_all_at(bytes, 0)?;
        file.sync_all()
    });
    if let Err(error) = written.and_then(|()| disk.rename(&temporary, path)) {
        // Best effort, so that a full disk is not kept full by rubbish; what stays goes at the next start.
        let _ = disk.remove(&temporary);
        return Err(error);
    }
    disk.sync_dir(parent(path))
}

/// Creates a directory and those missing above it, each durable before the next is made in it.
/// Existing directories keep their mode; the nearest existing one is synced too, because a crash may have
/// come between its child's creation and that sync.
///
/// # Errors
/// As the disk says; some of the directories may then exist.
pub fn create_dir_durably(disk: &dyn Disk, path: &Path, mode: DirMode) -> io::Result<()> {
    let mut missing = Vec::new();
    let mut at = path;
    while !disk.exists(at)? {
        missing.push(at);
        match at.parent() {
            Some(above) if !above.as_os_str().is_empty() => at = above,
            _ => break,
        }
    }
    if missing.is_empty() {
        missing.push(path);
    }
    for dir in missing.into_iter().rev() {
        disk.create_dir_all(dir, mode)?;
        // A root has nothing above it, and needs nothing.
        if dir.parent().is_some() {
            disk.sync_dir(parent(dir))?;
        }
    }
    Ok(())
}

/// Removes what unfinished writes left in a directory, and makes that durable. Returns how many there were.
///
/// # Errors
/// As the disk says.
pub fn remove_stale_temporaries(disk: &dyn Disk, dir: &Path) -> io::Result<usize> {
    let mut removed = 0;
    for name in disk.read_dir(dir)? {
        if name.ends_with(TEMPORARY_SUFFIX) {
            disk.remove(&dir.join(name))?;
            removed += 1;
        }
    }
    if removed > 0 {
        disk.sync_dir(dir)?;
    }
    Ok(removed)
}
