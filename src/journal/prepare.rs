//! Segments made ready ahead of the writer: zeros, written in small steps and synced, then named.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::disk::{Disk, DiskFile, FileMode, OpenMode, temporary_path};

use super::segment::segment_path;

/// Who prepares segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preparation {
    /// A thread of its own; the writer only if it outruns that.
    Background,
    /// The writer, when it opens and when it enters a segment: every operation in a fixed order, for tests.
    Inline,
}

/// How long the thread rests between two steps while the writer does not wait for it: its own syncs would
/// otherwise lie on the disk beside every one of the writer's.
const REST: Duration = Duration::from_millis(2);

/// What to make.
#[derive(Debug, Clone)]
pub(super) struct Mould {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) dir: PathBuf,
    pub(super) segment_bytes: u64,
    pub(super) step_bytes: u64,
}

impl Mould {
    /// Makes one segment, zeros throughout, durable with its name when this returns. `go_on` is asked between
    /// steps; `false` gives up with `Interrupted`. The calls, in order:
    /// ```text
    /// unlink(N.seg.tmp)                  if a crash left one
    /// openat(N.seg.tmp, O_CREAT|O_EXCL)
    /// pwrite(zeros), fdatasync           once a step
    /// rename(N.seg.tmp, N.seg)
    /// fsync(directory)
    /// ```
    fn make(&self, segment: u64, go_on: &mut dyn FnMut() -> bool) -> io::Result<()> {
        let path = segment_path(&self.dir, segment);
        let (temporary, file) = create_temporary(&*self.disk, &path)?;
        write_zeros(&*file, 0, self.segment_bytes, self.step_bytes, &mut || {
            file.sync_data()?;
            if go_on() { Ok(()) } else { Err(io::ErrorKind::Interrupted.into()) }
        })?;
        self.disk.rename(&temporary, &path)?;
        self.disk.sync_dir(&self.dir)
    }
}

/// The unfinished file for `path`; one that was left there is removed first.
pub(super) fn create_temporary(disk: &dyn Disk, path: &Path) -> io::Result<(PathBuf, Arc<dyn DiskFile>)> {
    let temporary = temporary_path(path);
    if disk.exists(&temporary)? {
        disk.remove(&temporary)?;
    }
    let file = disk.open(&temporary, OpenMode::CreateNew(FileMode::Private))?;
    Ok((temporary, file))
}

/// Writes zeros from one offset to another in steps, calling `after` behind each.
pub(super) fn write_zeros(
    file: &dyn DiskFile,
    from: u64,
    to: u64,
    step_bytes: u64,
    after: &mut dyn FnMut() -> io::Result<()>,
) -> io::Result<()> {
    let zeros = vec![0; usize::try_from(step_bytes.min(to.saturating_sub(from))).unwrap_or(4096)];
    let mut offset = from;
    while offset < to {
        let rest = usize::try_from(to - offset).unwrap_or(usize::MAX);
        let step = zeros.get(..rest).unwrap_or(&zeros);
        file.write_all_at(step, offset)?;
        offset += step.len() as u64;
        after()?;
    }
    Ok(())
}

/// The writer's supply of prepared segments.
#[derive(Debug)]
pub(super) struct Supply {
    mould: Mould,
    ahead: u64,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    stock: Mutex<Stock>,
    changed: Condvar,
}

#[derive(Debug)]
struct Stock {
    /// The lowest segment that is not ready.
    next: u64,
    /// The thread makes segments below this.
    wanted: u64,
    /// Somebody is making `next`.
    busy: bool,
    stop: bool,
    /// The thread failed: it rests until the writer has made that segment itself, or failed too.
    failed: bool,
    /// The writer waits, or would soon.
    urgent: bool,
    waits: u64,
    inline: u64,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Stock> {
        self.stock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, stock: MutexGuard<'a, Stock>) -> MutexGuard<'a, Stock> {
        self.changed.wait(stock).unwrap_or_else(PoisonError::into_inner)
    }
}

impl Supply {
    /// A supply in which all segments below `next` are there.
    pub(super) fn start(mould: Mould, next: u64, ahead: u64, how: Preparation) -> io::Result<Self> {
        let stock = Stock {
            next,
            wanted: next,
            busy: false,
            stop: false,
            failed: false,
            urgent: false,
            waits: 0,
            inline: 0,
        };
        let shared = Arc::new(Shared { stock: Mutex::new(stock), changed: Condvar::new() });
        let thread = match how {
            Preparation::Inline => None,
            Preparation::Background => {
                let (mould, shared) = (mould.clone(), Arc::clone(&shared));
                let named = std::thread::Builder::new().name("journal-prepare".to_owned());
                Some(named.spawn(move || prepare_in_background(&mould, &shared))?)
            }
        };
        Ok(Self { mould, ahead, shared, thread })
    }

    /// Returns when `segment` is ready, and sees to it that those behind it will be.
    pub(super) fn enter(&self, segment: u64) -> io::Result<()> {
        let mut stock = self.shared.lock();
        let mut waited = false;
        while stock.next <= segment {
            if stock.busy {
                stock.waits += u64::from(!waited);
                waited = true;
                stock.urgent = true;
                stock = self.shared.wait(stock);
                continue;
            }
            stock.inline += u64::from(self.thread.is_some());
            stock = self.make_here(stock)?;
        }
        stock.urgent = false;
        stock.wanted = stock.wanted.max(segment.saturating_add(1).saturating_add(self.ahead));
        if self.thread.is_none() {
            while stock.next < stock.wanted {
                stock = self.make_here(stock)?;
            }
        }
        drop(stock);
        self.shared.changed.notify_all();
        Ok(())
    }

    fn make_here<'a>(&'a self, mut stock: MutexGuard<'a, Stock>) -> io::Result<MutexGuard<'a, Stock>> {
        stock.busy = true;
        let segment = stock.next;
        drop(stock);
        let made = self.mould.make(segment, &mut || true);
        let mut stock = self.shared.lock();
        stock.busy = false;
        stock.failed = false;
        made?;
        stock.next = segment + 1;
        Ok(stock)
    }

    /// How often the writer had to wait for the thread, and how many segments it made itself.
    pub(super) fn counts(&self) -> (u64, u64) {
        let stock = self.shared.lock();
        (stock.waits, stock.inline)
    }
}

impl Drop for Supply {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic in there has been printed, and the process is on its way out.
            let _ = thread.join();
        }
    }
}

fn prepare_in_background(mould: &Mould, shared: &Shared) {
    let mut stock = shared.lock();
    while !stock.stop {
        if stock.busy || stock.failed || stock.next >= stock.wanted {
            stock = shared.wait(stock);
            continue;
        }
        stock.busy = true;
        let segment = stock.next;
        // With one in reserve there is time.
        let ahead = stock.wanted.saturating_sub(segment);
        drop(stock);
        let claim = Claim(shared);
        let made = mould.make(segment, &mut || {
            let (stop, urgent) = {
                let stock = shared.lock();
                (stock.stop, stock.urgent)
            };
            if !stop && !urgent && ahead == 1 {
                std::thread::sleep(REST);
            }
            !stop
        });
        {
            let mut stock = shared.lock();
            match made {
                Ok(()) => stock.next = segment + 1,
                Err(_) => stock.failed = true,
            }
        }
        drop(claim);
        stock = shared.lock();
    }
}

/// Gives the work back and wakes the writer, even if the disk panics.
struct Claim<'a>(&'a Shared);

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.0.lock().busy = false;
        self.0.changed.notify_all();
    }
}
