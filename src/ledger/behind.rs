//! What is written behind the commits: tiles, index rows, snapshots, counts of refusals. One thread, bounded queue.
//!
//! Nothing here is needed to acknowledge an intent, and all of it can be rebuilt; but a disk that fails here fails
//! everywhere, so any error poisons.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use super::clock::Stopwatch;
use super::sequencer::Command;
use super::shared::Shared;
use super::snapshot::{self, Snapshot};

/// How long index rows wait for company.
const FLUSH_EVERY: Duration = Duration::from_secs(1);
/// How often counts of refusals are sealed.
const REFUSED_EVERY: Duration = Duration::from_secs(60);

/// Something to write.
pub(super) enum Behind {
    /// Full tiles, and index rows if they are many.
    Write,
    /// A snapshot.
    Snapshot(Box<Snapshot>),
    /// End, after writing what there is.
    Stop,
}

/// Runs until told to stop or until a write fails.
pub(super) fn run(shared: &Shared, work: &Receiver<Behind>, sequencer: &SyncSender<Command>) {
    let mut flushed = Stopwatch::start();
    let mut refused = Stopwatch::start();
    loop {
        let order = match work.recv_timeout(FLUSH_EVERY) {
            Ok(order) => order,
            Err(RecvTimeoutError::Timeout) => Behind::Write,
            Err(RecvTimeoutError::Disconnected) => Behind::Stop,
        };
        // The clock is watched also while nothing is sealed.
        let _ = shared.clock.now();
        let stop = matches!(order, Behind::Stop);
        let due = stop || flushed.elapsed() >= FLUSH_EVERY;
        if let Err(reason) = write(shared, order, due) {
            shared.poison(format!("writing behind: {reason}"));
            return;
        }
        if due {
            flushed = Stopwatch::start();
        }
        if stop {
            return;
        }
        if refused.elapsed() >= REFUSED_EVERY {
            refused = Stopwatch::start();
            let _ = sequencer.try_send(Command::SealRefused);
        }
    }
}

fn write(shared: &Shared, order: Behind, flush: bool) -> Result<(), String> {
    shared.tiles.write_behind().map_err(|e| e.to_string())?;
    if matches!(order, Behind::Stop) {
        // A directory at rest is whole: a copy of it needs nothing made again.
        shared.tiles.sync().map_err(|e| e.to_string())?;
    }
    if flush || shared.index.waiting() >= super::index::RUN_ROWS {
        let durable = shared.published().size;
        if shared.index.waiting() > 0 {
            shared.index.flush(durable).map_err(|e| e.to_string())?;
        }
    }
    if let Behind::Snapshot(taken) = order {
        // Packs first: a snapshot is only as good as the tiles below its edge.
        shared.tiles.sync().map_err(|e| e.to_string())?;
        let directory = shared.layout.snapshots();
        snapshot::write(&*shared.disk, &directory, &shared.keyring, &taken).map_err(|e| e.to_string())?;
    }
    Ok(())
}
