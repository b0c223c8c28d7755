//! Yardsticks: what the machine does with the same work left out.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use hdrhistogram::Histogram;
use serde::Serialize;
use serde_json::Value;

use super::super::files;
use super::super::output::Failure;
use super::fixture::Server;
use super::machine::thread_s;
use super::unexpected;
use crate::disk::{FileMode, OpenMode};

/// What one probe writes, as the smallest journal frame has it.
const PROBE_BYTES: usize = 4_096;

/// An answer of as many bytes as a sealed intent's.
#[derive(Debug, Clone, Serialize)]
struct Reply {
    answer: String,
}

/// A trivial JSON handler on the serving stack of the service: reads the body as JSON, writes as many bytes as `answer`.
pub(super) fn trivial_server(answer_bytes: usize) -> Result<Server, Failure> {
    let frame = r#"{"answer":""}"#.len();
    let reply = Arc::new(Reply { answer: "x".repeat(answer_bytes.saturating_sub(frame)) });
    Server::start(Router::new().route("/v1/intents", post(reply_to)).with_state(reply))
}

async fn reply_to(State(reply): State<Arc<Reply>>, Json(body): Json<Value>) -> (StatusCode, Json<Reply>) {
    // An object, as every intent is: the body is read, not only received.
    let status = if body.is_object() { StatusCode::CREATED } else { StatusCode::BAD_REQUEST };
    (status, Json(Reply::clone(&reply)))
}

/// Appends 4 KiB and syncs, one after the other; the times in nanoseconds.
pub(super) fn append_and_sync(directory: &Path, count: u64) -> Result<Histogram<u64>, Failure> {
    let path = directory.join("probe");
    let disk = files::disk();
    let written = (|| {
        let file = disk.open(&path, OpenMode::CreateNew(FileMode::Shared))?;
        let mut times = Vec::new();
        let block = [0x5A; PROBE_BYTES];
        for number in 0..count {
            let started = Instant::now();
            file.write_all_at(&block, number * PROBE_BYTES as u64)?;
            file.sync_data()?;
            times.push(started.elapsed());
        }
        disk.remove(&path)?;
        Ok::<_, std::io::Error>(times)
    })();
    let mut histogram = Histogram::new_with_bounds(1_000, 60_000_000_000, 3).map_err(unexpected)?;
    for time in written.map_err(unexpected)? {
        histogram.saturating_record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }
    Ok(histogram)
}

/// How much of something this thread does in a second of its own processor time, so that other work on the machine
/// matters little. `work` says how much it did; it runs again and again for about `length`.
pub(super) fn done_per_core_s(
    length: Duration,
    mut work: impl FnMut() -> Result<u64, Failure>,
) -> Result<f64, Failure> {
    let (started, used_before) = (Instant::now(), thread_s());
    let mut done = 0;
    loop {
        done += work()?;
        let took = started.elapsed();
        if took >= length {
            // The system counts by its own ticks: where it has counted nothing yet, the clock on the wall must do.
            let used = Some(thread_s() - used_before).filter(|used| *used > 0.0);
            return Ok(done as f64 / used.unwrap_or(took.as_secs_f64()));
        }
    }
}
