//! A disk whose journal syncs when it is let.

use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};

use foreseal::disk::{DirMode, Disk, DiskFile, DiskLock, EntryKind, FaultyDisk, OpenMode};

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Way {
    #[default]
    Open,
    Closed,
    /// Every sync fails.
    Broken,
}

#[derive(Debug, Default)]
pub(crate) struct Gate {
    way: Mutex<Way>,
    moved: Condvar,
}

impl Gate {
    pub(crate) fn close(&self) {
        self.set(Way::Closed);
    }

    pub(crate) fn open(&self) {
        self.set(Way::Open);
    }

    pub(crate) fn break_down(&self) {
        self.set(Way::Broken);
    }

    fn set(&self, way: Way) {
        *self.way.lock().unwrap() = way;
        self.moved.notify_all();
    }

    fn pass(&self) -> io::Result<()> {
        let way = self.way.lock().unwrap();
        match *self.moved.wait_while(way, |way| *way == Way::Closed).unwrap() {
            Way::Broken => Err(io::Error::other("the gate broke down")),
            _ => Ok(()),
        }
    }
}

#[derive(Debug)]
pub(crate) struct GatedDisk {
    pub(crate) inner: FaultyDisk,
    pub(crate) gate: Arc<Gate>,
}

#[derive(Debug)]
struct GatedFile {
    inner: Arc<dyn DiskFile>,
    gate: Arc<Gate>,
}

impl Disk for GatedDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let inner = self.inner.open(path, mode)?;
        let is_journal = path.extension().is_some_and(|extension| extension == "seg");
        Ok(if is_journal { Arc::new(GatedFile { inner, gate: Arc::clone(&self.gate) }) } else { inner })
    }

    fn create_dir_all(&self, path: &Path, mode: DirMode) -> io::Result<()> {
        self.inner.create_dir_all(path, mode)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.inner.remove(path)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<String>> {
        self.inner.read_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.inner.sync_dir(path)
    }

    fn kind(&self, path: &Path) -> io::Result<Option<EntryKind>> {
        self.inner.kind(path)
    }

    fn lock_exclusive(&self, path: &Path) -> io::Result<Option<DiskLock>> {
        self.inner.lock_exclusive(path)
    }
}

impl DiskFile for GatedFile {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.inner.read_exact_at(buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.inner.write_all_at(bytes, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.gate.pass()?;
        self.inner.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.inner.sync_all()
    }
}
