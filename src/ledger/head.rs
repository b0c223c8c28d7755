//! The head file: the latest published checkpoint, kept outside the data directory.
//!
//! It is how a data directory that was restored from an older copy is noticed. A thread writes it behind, at most
//! every 100 ms, so it can lag the log by that much; it never leads it.

use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::layout::Layout;
use crate::disk::{Disk, FileMode, read_file, write_file_atomically};

const INTERVAL: Duration = Duration::from_millis(100);
const CHECKPOINT_MAX_BYTES: u64 = 1 << 20;

/// Reads the head file. `None` where there is none yet.
///
/// # Errors
/// What the system says.
pub fn read(disk: &dyn Disk, layout: &Layout) -> io::Result<Option<String>> {
    match read_file(disk, &layout.head(), CHECKPOINT_MAX_BYTES) {
        Ok(bytes) => String::from_utf8(bytes).map(Some).map_err(|_| io::ErrorKind::InvalidData.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes the head file, durably.
///
/// # Errors
/// What the system says.
pub fn write(disk: &dyn Disk, layout: &Layout, checkpoint: &str) -> io::Result<()> {
    write_file_atomically(disk, &layout.head(), checkpoint.as_bytes(), FileMode::Private)
}

/// Writes the head file behind the commits.
#[derive(Debug)]
pub struct HeadKeeper {
    shared: Arc<(Mutex<Pending>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Pending {
    checkpoint: Option<Arc<str>>,
    stopping: bool,
}

impl HeadKeeper {
    /// Starts the thread. `failed` is called once when a write fails; the service must then stop.
    #[must_use]
    pub fn start(
        disk: Arc<dyn Disk>,
        layout: Layout,
        failed: impl FnOnce(io::Error) + Send + 'static,
    ) -> Self {
        let shared = Arc::new((Mutex::new(Pending::default()), Condvar::new()));
        let theirs = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            if let Err(error) = keep(&*disk, &layout, &theirs) {
                failed(error);
            }
        });
        Self { shared, thread: Some(thread) }
    }

    /// Hands over the newest checkpoint. Never blocks on the disk.
    pub fn publish(&self, checkpoint: Arc<str>) {
        let (pending, wake) = &*self.shared;
        pending.lock().unwrap_or_else(PoisonError::into_inner).checkpoint = Some(checkpoint);
        wake.notify_one();
    }
}

impl Drop for HeadKeeper {
    fn drop(&mut self) {
        let (pending, wake) = &*self.shared;
        pending.lock().unwrap_or_else(PoisonError::into_inner).stopping = true;
        wake.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn keep(disk: &dyn Disk, layout: &Layout, shared: &(Mutex<Pending>, Condvar)) -> io::Result<()> {
    let (pending, wake) = shared;
    loop {
        let mut guard = pending.lock().unwrap_or_else(PoisonError::into_inner);
        while guard.checkpoint.is_none() && !guard.stopping {
            guard = wake.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
        let stopping = guard.stopping;
        let checkpoint = guard.checkpoint.take();
        drop(guard);
        if let Some(checkpoint) = checkpoint {
            write(disk, layout, &checkpoint)?;
        }
        if stopping {
            return Ok(());
        }
        // Spacing, so that a busy log does not spend its disk on this file. Cut short when stopping.
        let guard = pending.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = wake.wait_timeout_while(guard, INTERVAL, |pending| !pending.stopping);
    }
}
