//! What the ledger's threads and its readers share.

use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use super::clock::Clock;
use super::index::Index;
use super::keyring::Keyring;
use super::layout::Layout;
use super::measures::Measures;
use super::state::Registry;
use super::steady_clock::SteadyClock;
use super::tiles::Tiles;
use crate::disk::Disk;
use crate::merkle::Hash;
use crate::note::LogSigner;
use crate::policy::Engine;
use crate::record::entry::RefusedCounts;
use crate::record::time::Timestamp;

/// Shared by all threads of one open ledger.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) layout: Layout,
    pub(super) origin: String,
    pub(super) signer: LogSigner,
    pub(super) clock: SteadyClock,
    pub(super) keyring: Keyring,
    pub(super) tiles: Tiles,
    pub(super) index: Index,
    pub(super) published: RwLock<Arc<Published>>,
    /// The engine that decides next, for what is computed before an intent's turn.
    pub(super) engine: RwLock<Arc<Engine>>,
    /// Admitted intents that have not reached the committer.
    pub(super) upstream: AtomicUsize,
    /// Admitted intents that have no answer yet.
    pub(super) in_hand: AtomicUsize,
    pub(super) snapshot_wanted: AtomicBool,
    pub(super) refused: Mutex<Refused>,
    pub(super) measures: Measures,
    poisoned: OnceLock<String>,
    watchers: RwLock<Vec<Watcher>>,
}

/// What those who watch a ledger are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// More is published.
    Published,
    /// Nothing is sealed any more.
    Poisoned,
}

struct Watcher(Box<dyn Fn(News) + Send + Sync>);

impl std::fmt::Debug for Watcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watcher")
    }
}

/// What anyone may see: durable, under a signed checkpoint.
#[derive(Debug, Clone)]
pub struct Published {
    /// Leaves.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
    /// The signed checkpoint.
    pub checkpoint: Arc<str>,
    /// The time of the last leaf.
    pub last_at: Option<Timestamp>,
    /// Who may act.
    pub registry: Arc<Registry>,
}

/// Refusals not yet sealed.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) counts: RefusedCounts,
    pub(super) since: Timestamp,
}

impl Shared {
    pub(super) fn new(parts: Parts, published: Published) -> Self {
        let since = parts.clock.now();
        Self {
            disk: parts.disk,
            layout: parts.layout,
            origin: parts.origin,
            signer: parts.signer,
            clock: SteadyClock::new(parts.clock),
            keyring: parts.keyring,
            tiles: parts.tiles,
            index: parts.index,
            published: RwLock::new(Arc::new(published)),
            engine: RwLock::new(parts.engine),
            upstream: AtomicUsize::new(0),
            in_hand: AtomicUsize::new(0),
            snapshot_wanted: AtomicBool::new(false),
            refused: Mutex::new(Refused { counts: RefusedCounts::default(), since }),
            measures: Measures::default(),
            poisoned: OnceLock::new(),
            watchers: RwLock::default(),
        }
    }

    pub(super) fn published(&self) -> Arc<Published> {
        Arc::clone(&self.published.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn publish(&self, published: Published) {
        *self.published.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(published);
        self.tell_watchers(News::Published);
    }

    pub(super) fn watch(&self, told: Box<dyn Fn(News) + Send + Sync>) {
        self.watchers.write().unwrap_or_else(PoisonError::into_inner).push(Watcher(told));
    }

    fn tell_watchers(&self, news: News) {
        for watcher in &*self.watchers.read().unwrap_or_else(PoisonError::into_inner) {
            (watcher.0)(news);
        }
    }

    /// From here on nothing is sealed. The first reason stays.
    pub(super) fn poison(&self, reason: impl Into<String>) {
        let _ = self.poisoned.set(reason.into());
        self.tell_watchers(News::Poisoned);
    }

    pub(super) fn poisoned(&self) -> Option<&str> {
        self.poisoned.get().map(String::as_str)
    }
}

/// Held by each of the ledger's threads: one that ends in a panic poisons, so that nobody waits for it in vain.
pub(super) struct PoisonOnPanic(pub(super) Arc<Shared>);

impl Drop for PoisonOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.poison("a thread of the ledger ended in a panic");
        }
    }
}

/// What [`Shared`] is made of.
pub(super) struct Parts {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) layout: Layout,
    pub(super) origin: String,
    pub(super) signer: LogSigner,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) keyring: Keyring,
    pub(super) tiles: Tiles,
    pub(super) index: Index,
    pub(super) engine: Arc<Engine>,
}
