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
use crate::note::MAX_NOTE_BYTES;

const INTERVAL: Duration = Duration::from_millis(100);

/// Reads the head file. `None` where there is none yet.
///
/// # Errors
/// What the system says.
pub fn read(disk: &dyn Disk, layout: &Layout) -> io::Result<Option<String>> {
    match read_file(disk, &layout.head(), MAX_NOTE_BYTES as u64) {
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
    /// Starts the thread. `failed` is called once when a write fails, or the thread does; the service must then stop.
    #[must_use]
    pub fn start(disk: Arc<dyn Disk>, layout: Layout, failed: impl FnOnce(String) + Send + 'static) -> Self {
        let shared = Arc::new((Mutex::new(Pending::default()), Condvar::new()));
        let theirs = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let told = Told(Some(failed));
            told.tell(keep(&*disk, &layout, &theirs));
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

/// Says that the thread failed, even if it ends in a panic.
struct Told<F: FnOnce(String)>(Option<F>);

impl<F: FnOnce(String)> Told<F> {
    fn tell(mut self, kept: io::Result<()>) {
        let failed = self.0.take();
        if let (Err(error), Some(failed)) = (kept, failed) {
            failed(error.to_string());
        }
    }
}

impl<F: FnOnce(String)> Drop for Told<F> {
    fn drop(&mut self) {
        if let Some(failed) = self.0.take() {
            failed("the thread that writes it ended in a panic".to_owned());
        }
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

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::mpsc::channel;

    use super::*;
    use crate::disk::{DirMode, Fault, FaultyDisk, Trigger};

    #[test]
    fn a_failed_write_and_a_panic_are_told() {
        let disk = FaultyDisk::new(1);
        let layout = Layout::new(Path::new("/ledger"), None);
        disk.create_dir_all(&layout.keys, DirMode::Private).unwrap();
        disk.inject(Trigger::Mutation(disk.mutations()), Fault::Error);
        let (told, heard) = channel();
        let keeper = HeadKeeper::start(Arc::new(disk), layout, move |why| told.send(why).unwrap());
        keeper.publish("note".into());
        assert!(!heard.recv().unwrap().contains("panic"));
        let (told, heard) = channel();
        let guard = Told(Some(move |why| told.send(why).unwrap()));
        let thread = std::thread::spawn(move || {
            let _guard = guard;
            std::panic::resume_unwind(Box::new("a defect"));
        });
        assert!(thread.join().is_err());
        assert!(heard.recv().unwrap().contains("panic"));
    }
}
