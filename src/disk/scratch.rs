//! A directory that ends with the one who made it, and what the system tells about itself in files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

static MADE: AtomicU32 = AtomicU32::new(0);

/// A new directory, removed with everything in it when this is dropped.
#[derive(Debug)]
pub struct ScratchDirectory {
    path: PathBuf,
}

impl ScratchDirectory {
    /// Makes one in `parent`, which is made too if it is missing. Its name begins with `prefix` and continues with a
    /// number that no directory there has.
    ///
    /// # Errors
    /// As the system says.
    pub fn make_in(parent: &Path, prefix: &str) -> io::Result<Self> {
        fs::create_dir_all(parent)?;
        loop {
            let number = MADE.fetch_add(1, Ordering::Relaxed);
            let path = parent.join(format!("{prefix}-{number}"));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self { path }),
                // Another process's, or left by one that was killed: of use to somebody, perhaps.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ScratchDirectory {
    fn drop(&mut self) {
        // Nobody is left who could do anything about it.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// The bytes of all files below a directory.
///
/// # Errors
/// As the system says.
pub fn bytes_below(directory: &Path) -> io::Result<u64> {
    let mut sum = 0;
    let mut waiting = vec![directory.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let found = entry.metadata()?;
            if found.is_dir() {
                waiting.push(entry.path());
            } else {
                sum += found.len();
            }
        }
    }
    Ok(sum)
}

/// A text in which the system tells about itself or a process (`/proc`); such files have no length to go by.
///
/// # Errors
/// As the system says.
pub fn system_text(path: &Path) -> io::Result<String> {
    fs::read_to_string(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_there_until_dropped_and_never_somebody_elses() {
        let parent = tempfile::tempdir().unwrap();
        let first = ScratchDirectory::make_in(&parent.path().join("new"), "x").unwrap();
        let second = ScratchDirectory::make_in(&parent.path().join("new"), "x").unwrap();
        assert_ne!(first.path(), second.path());
        fs::write(first.path().join("file"), b"123").unwrap();
        fs::create_dir(first.path().join("below")).unwrap();
        fs::write(first.path().join("below/file"), b"45").unwrap();
        assert_eq!(bytes_below(first.path()).unwrap(), 5);
        let path = first.path().to_owned();
        drop(first);
        assert!(fs::metadata(&path).is_err());
        assert!(fs::metadata(second.path()).is_ok());
    }
}
