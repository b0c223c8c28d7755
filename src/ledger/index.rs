//! Where an intent is, by its id: a cache over the log that can be deleted.
//!
//! Rows not yet in the database are in memory and asked first. What the index says is a hint, checked by its user
//! against the leaf; what it does not say is believed, which is why its blocks carry checksums ([`CheckedFile`]).

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use redb::{Database, ReadableDatabase, ReadableTable as _, TableDefinition};
use uuid::Uuid;

use self::unwritten::Unwritten;
use super::checked_file::CheckedFile;
use crate::disk::{Disk, FileMode, OpenMode};
use crate::journal::Position;
use crate::record::entry::Entry;

const ROWS: TableDefinition<'_, [u8; 24], [u8; 24]> = TableDefinition::new("intents");
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const INDEXED_TO: &str = "indexed_to";
/// Rows that are worth a commit of their own.
pub(super) const RUN_ROWS: usize = 8_192;
const CACHE_BYTES: usize = 16 << 20;

/// An intent's key: its id, then its agent, so that rows are in the order of time. What applications say has keys alike, by
/// their registrations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct IntentKey {
    /// The intent's id.
    pub id: Uuid,
    /// The leaf index of the registration of its agent, application or tool server.
    pub agent: u64,
}

impl IntentKey {
    /// The key of a call's one outcome. In the place of an id it has the call: leaf index and number. Ids of the present are
    /// greater, so the shortcut over the greatest key stays one; and no id stands beside a tool server's registration.
    pub(super) fn of_outcome(intent: u64, call: u32, tool: u64) -> Self {
        let id = Uuid::from_u128((u128::from(intent) << 64) | u128::from(call));
        Self { id, agent: tool }
    }
}

/// The key under which an entry is found, if it is one that is looked for by its id.
pub(super) fn key_of(entry: &Entry) -> Option<IntentKey> {
    Some(match entry {
        Entry::Intent(entry) => IntentKey { id: entry.id, agent: entry.agent },
        Entry::Session(entry) => IntentKey { id: entry.id, agent: entry.application },
        Entry::Turn(entry) => IntentKey { id: entry.id, agent: entry.application },
        Entry::Outcome(entry) => IntentKey::of_outcome(entry.intent, entry.call, entry.tool),
        _ => return None,
    })
}

/// Where an intent is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    /// Its leaf index.
    pub index: u64,
    /// The frame that holds it; `None` until it is durable.
    pub frame: Option<Position>,
}

/// The index could not answer. Stop the service, delete the index file, start again: it is rebuilt.
#[derive(Debug, thiserror::Error)]
#[error("the index cannot be used: {0}")]
pub struct IndexError(String);

impl<E: Into<redb::Error>> From<E> for IndexError {
    fn from(error: E) -> Self {
        Self(error.into().to_string())
    }
}

/// The index.
#[derive(Debug)]
pub(super) struct Index {
    /// `None` once it is closed.
    database: RwLock<Option<Database>>,
    file: Arc<CheckedFile>,
    disk: Arc<dyn Disk>,
    path: PathBuf,
    tail: Mutex<BTreeMap<IntentKey, Row>>,
    /// No row of the database has a greater key. Ids are in the order of time, so almost every new one is greater, and
    /// the database need not be asked whether it knows it.
    greatest: Mutex<Option<IntentKey>>,
}

impl Index {
    /// Opens the index of a log of `size` leaves, or makes an empty one where there is none, where it is damaged, or
    /// where it reaches beyond the log.
    ///
    /// # Errors
    /// [`IndexError`] when not even an empty one can be made.
    pub(super) fn open(disk: &Arc<dyn Disk>, path: &Path, size: u64) -> Result<Self, IndexError> {
        let io = |error: io::Error| IndexError(error.to_string());
        if disk.exists(path).map_err(io)? {
            if let Ok(index) = Self::open_database(disk, path, OpenMode::ReadWrite)
                && index.indexed_to().is_ok_and(|indexed_to| indexed_to <= size)
            {
                return Ok(index);
            }
            disk.remove(path).map_err(io)?;
        }
        let made = Self::open_database(disk, path, OpenMode::CreateNew(FileMode::Private));
        if made.is_err() {
            // Half of one must not be taken for whole by whoever sees it in the cache.
            let _ = disk.remove(path);
        }
        made
    }

    /// Opens the index to look at it; the file stays as it is, whatever is done with this.
    ///
    /// # Errors
    /// [`IndexError`] where there is none, or it is damaged.
    pub(super) fn inspect(disk: &Arc<dyn Disk>, path: &Path) -> Result<Self, IndexError> {
        let io = |error: io::Error| IndexError(error.to_string());
        let open = || disk.open(path, OpenMode::Read).and_then(CheckedFile::new).map_err(io);
        let backend = Unwritten::over(open()?);
        Self::over(backend, Arc::new(open()?), disk, path)
    }

    fn open_database(disk: &Arc<dyn Disk>, path: &Path, mode: OpenMode) -> Result<Self, IndexError> {
        let io = |error: io::Error| IndexError(error.to_string());
        let file = disk.open(path, mode).and_then(CheckedFile::new).map_err(io)?;
        if !file.was_closed() {
            // Whoever wrote it last was cut short: a torn block may lie anywhere, also where nothing reads it yet.
            file.verify().map_err(io)?;
        }
        let file = Arc::new(file);
        Self::over(Backend(Arc::clone(&file)), file, disk, path)
    }

    fn over(
        backend: impl redb::StorageBackend,
        file: Arc<CheckedFile>,
        disk: &Arc<dyn Disk>,
        path: &Path,
    ) -> Result<Self, IndexError> {
        let database = Database::builder().set_cache_size(CACHE_BYTES).create_with_backend(backend)?;
        let transaction = database.begin_write()?;
        transaction.open_table(ROWS)?;
        transaction.open_table(META)?;
        transaction.commit()?;
        let table = database.begin_read()?.open_table(ROWS)?;
        let greatest = table.last()?.map(|(key, _)| IntentKey::from_bytes(key.value()));
        let (disk, path) = (Arc::clone(disk), path.to_owned());
        let database = RwLock::new(Some(database));
        Ok(Self { database, file, disk, path, tail: Mutex::default(), greatest: Mutex::new(greatest) })
    }

    /// Lets go of the file; nothing is read or written afterwards. `clean`: nothing went wrong, so that the next one to
    /// open it can believe it without reading all of it. Where a write or sync failed, the file is removed: the system's
    /// cache may show what the disk does not hold, and whoever opened it next could not tell.
    ///
    /// # Errors
    /// [`IndexError`]; the next one reads all of it then.
    pub(super) fn close(&self, clean: bool) -> Result<(), IndexError> {
        let database = self.database.write().unwrap_or_else(PoisonError::into_inner).take();
        if database.is_some() {
            // The database writes its last words when it is dropped.
            drop(database);
            let io = |error: io::Error| IndexError(error.to_string());
            if clean && !self.file.has_failed() {
                self.file.close().map_err(io)?;
            }
            if self.file.has_failed() {
                self.disk.remove(&self.path).map_err(io)?;
                self.disk.sync_dir(self.path.parent().unwrap_or(Path::new("."))).map_err(io)?;
            }
        }
        Ok(())
    }

    fn database(&self) -> RwLockReadGuard<'_, Option<Database>> {
        self.database.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every leaf before this one is in the database.
    ///
    /// # Errors
    /// [`IndexError`]
    pub(super) fn indexed_to(&self) -> Result<u64, IndexError> {
        let database = self.database();
        let table = open(&database)?.begin_read()?.open_table(META)?;
        Ok(table.get(INDEXED_TO)?.map_or(0, |value| value.value()))
    }

    fn tail(&self) -> std::sync::MutexGuard<'_, BTreeMap<IntentKey, Row>> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn greatest(&self) -> Option<IntentKey> {
        *self.greatest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes an intent that has its place in the log and is not durable yet.
    pub(super) fn announce(&self, key: IntentKey, index: u64) {
        self.tail().insert(key, Row { index, frame: None });
    }

    /// Notes that intents are durable, in this frame. Returns how many rows wait for the database.
    pub(super) fn place(&self, keys: impl IntoIterator<Item = (IntentKey, u64)>, frame: Position) -> usize {
        let mut tail = self.tail();
        for (key, index) in keys {
            tail.insert(key, Row { index, frame: Some(frame) });
        }
        tail.len()
    }

    /// Whether a row with this id, of this agent or of any, is not yet in the first `size` leaves on the disk. Asks memory
    /// alone: what is pending is in no database.
    #[must_use]
    pub(super) fn has_pending(&self, id: Uuid, agent: Option<u64>, size: u64) -> bool {
        let (first, last) = (agent.unwrap_or(0), agent.unwrap_or(u64::MAX));
        let keys = IntentKey { id, agent: first }..=IntentKey { id, agent: last };
        self.tail().range(keys).any(|(_, row)| row.frame.is_none() || row.index >= size)
    }

    /// Rows that are not in the database yet.
    #[must_use]
    pub(super) fn waiting(&self) -> usize {
        self.tail().len()
    }

    /// Looks an intent up.
    ///
    /// # Errors
    /// [`IndexError`]; never a wrong "not there".
    pub(super) fn get(&self, key: &IntentKey) -> Result<Option<Row>, IndexError> {
        if let Some(row) = self.tail().get(key) {
            return Ok(Some(*row));
        }
        if self.greatest().is_none_or(|greatest| *key > greatest) {
            return Ok(None);
        }
        let database = self.database();
        let table = open(&database)?.begin_read()?.open_table(ROWS)?;
        Ok(table.get(key.to_bytes())?.map(|value| Row::from_bytes(value.value())))
    }

    /// Every agent's intent with this id, at most `limit`.
    ///
    /// # Errors
    /// [`IndexError`]
    pub(super) fn with_id(&self, id: Uuid, limit: usize) -> Result<Vec<(IntentKey, Row)>, IndexError> {
        let (first, last) = (IntentKey { id, agent: 0 }, IntentKey { id, agent: u64::MAX });
        let mut found: BTreeMap<IntentKey, Row> =
            self.tail().range(first..=last).map(|(key, row)| (*key, *row)).collect();
        let database = self.database();
        let table = open(&database)?.begin_read()?.open_table(ROWS)?;
        for row in table.range(first.to_bytes()..=last.to_bytes())?.take(limit) {
            let (key, value) = row?;
            found.entry(IntentKey::from_bytes(key.value())).or_insert(Row::from_bytes(value.value()));
        }
        Ok(found.into_iter().take(limit).collect())
    }

    /// Moves the durable rows of leaves before `durable` into the database, in one transaction.
    ///
    /// # Errors
    /// [`IndexError`]
    pub(super) fn flush(&self, durable: u64) -> Result<(), IndexError> {
        let rows: Vec<(IntentKey, Row)> = {
            let tail = self.tail();
            let placed = tail.iter().filter(|(_, row)| row.frame.is_some() && row.index < durable);
            placed.map(|(key, row)| (*key, *row)).collect()
        };
        self.insert(&rows, durable)?;
        let mut tail = self.tail();
        for (key, row) in &rows {
            if tail.get(key) == Some(row) {
                tail.remove(key);
            }
        }
        Ok(())
    }

    /// Writes rows and how far the index now reaches, together or not at all.
    ///
    /// # Errors
    /// [`IndexError`]
    pub(super) fn insert(&self, rows: &[(IntentKey, Row)], indexed_to: u64) -> Result<(), IndexError> {
        if let Some(last) = rows.iter().map(|(key, _)| *key).max() {
            // Before they are there: never after.
            let mut greatest = self.greatest.lock().unwrap_or_else(PoisonError::into_inner);
            *greatest = (*greatest).max(Some(last));
        }
        let database = self.database();
        let mut transaction = open(&database)?.begin_write()?;
        transaction.set_quick_repair(true);
        {
            let mut table = transaction.open_table(ROWS)?;
            for (key, row) in rows {
                table.insert(key.to_bytes(), row.to_bytes())?;
            }
            transaction.open_table(META)?.insert(INDEXED_TO, indexed_to)?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// Number of rows in the database.
    ///
    /// # Errors
    /// [`IndexError`]
    pub(super) fn row_count(&self) -> Result<u64, IndexError> {
        use redb::ReadableTableMetadata as _;
        let database = self.database();
        Ok(open(&database)?.begin_read()?.open_table(ROWS)?.len()?)
    }
}

fn open(database: &Option<Database>) -> Result<&Database, IndexError> {
    database.as_ref().ok_or_else(|| IndexError("it was closed".to_owned()))
}

/// The database's own view of the file, which outlives it.
#[derive(Debug)]
struct Backend(Arc<CheckedFile>);

impl redb::StorageBackend for Backend {
    fn len(&self) -> Result<u64, io::Error> {
        Ok(self.0.length())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        self.0.set_length(len)
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        self.0.sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.0.write(offset, data)
    }
}

impl IntentKey {
    fn to_bytes(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        let (id, agent) = bytes.split_at_mut(16);
        id.copy_from_slice(self.id.as_bytes());
        agent.copy_from_slice(&self.agent.to_be_bytes());
        bytes
    }

    fn from_bytes(bytes: [u8; 24]) -> Self {
        let (id, agent) = bytes.split_at(16);
        Self {
            id: Uuid::from_slice(id).unwrap_or_default(),
            agent: agent.try_into().map(u64::from_be_bytes).unwrap_or_default(),
        }
    }
}

impl Row {
    fn to_bytes(self) -> [u8; 24] {
        let frame = self.frame.unwrap_or(Position { segment: u64::MAX, offset: u64::MAX });
        let mut bytes = [0; 24];
        let numbers = [self.index, frame.segment, frame.offset];
        for (place, number) in bytes.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_be_bytes());
        }
        bytes
    }

    fn from_bytes(bytes: [u8; 24]) -> Self {
        let mut numbers =
            bytes.chunks_exact(8).map(|b| b.try_into().map(u64::from_be_bytes).unwrap_or_default());
        let mut next = || numbers.next().unwrap_or_default();
        Self { index: next(), frame: Some(Position { segment: next(), offset: next() }) }
    }
}

mod unwritten;

#[cfg(test)]
mod tests;
