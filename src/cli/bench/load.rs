//! The load tool: HTTP/1.1 over kept connections, one request at a time on each, all on the calling thread.
//!
//! It is lean on purpose, because it shares the cores with what it measures: requests are written from bytes that are
//! ready, answers are read as far as their status, length and end.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{JoinHandle, LocalSet};

use super::super::output::Failure;
use super::unexpected;
use super::workload::{Documents, Numbers, Signed};
use crate::ledger::clock::{Clock as _, SystemClock};

/// Longer than any answer here.
const ANSWER_MAX_BYTES: usize = 64 << 10;
/// An answer that takes longer ends the run.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is sent.
#[derive(Debug)]
pub(super) enum Requests {
    /// Documents under new ids, without end.
    Fresh { documents: Documents, token: String },
    /// Signed documents, each sent once, in order.
    Signed { ready: Vec<Signed>, token: String, next: AtomicUsize },
}

impl Requests {
    /// Writes the next request; `false` if there is none.
    fn write_next(&self, numbers: &mut Numbers, out: &mut Vec<u8>) -> bool {
        out.clear();
        match self {
            Self::Fresh { documents, token } => {
                let body = documents.with_id(numbers.next(), numbers.id(SystemClock.now()));
                write_request(out, token, "", &body);
            }
            Self::Signed { ready, token, next } => {
                let Some(signed) = ready.get(next.fetch_add(1, Ordering::Relaxed)) else { return false };
                let headers =
                    format!("Foreseal-Seed: {}\r\nForeseal-Signature: {}\r\n", signed.seed, signed.signature);
                write_request(out, token, &headers, &signed.body);
            }
        }
        true
    }
}

fn write_request(out: &mut Vec<u8>, token: &str, headers: &str, body: &str) {
    use std::io::Write as _;
    // INVARIANT: writing to a Vec cannot fail, so the result carries nothing.
    let _ = write!(
        out,
        "POST /v1/intents HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answers {
    /// Answers with status 201.
    pub(super) good: u64,
    /// Any others.
    pub(super) other: u64,
    /// From the first request to the last answer.
    pub(super) took: Duration,
    /// Of each good answer, in nanoseconds.
    pub(super) latency_ns: Histogram<u64>,
    /// The body of one answer, the last of some connection.
    pub(super) sample: Vec<u8>,
}

impl Answers {
    fn none() -> Result<Self, Failure> {
        // 1 µs to a minute, to three digits.
        let latency_ns = Histogram::new_with_bounds(1_000, 60_000_000_000, 3).map_err(unexpected)?;
        Ok(Self { good: 0, other: 0, took: Duration::ZERO, latency_ns, sample: Vec::new() })
    }

    fn add(&mut self, other: Self) -> Result<(), Failure> {
        self.good += other.good;
        self.other += other.other;
        self.took = self.took.max(other.took);
        if !other.sample.is_empty() {
            self.sample = other.sample;
        }
        self.latency_ns.add(&other.latency_ns).map_err(unexpected)
    }

    fn note(&mut self, status: u16, took: Duration) {
        if status == 201 {
            self.good += 1;
            self.latency_ns.saturating_record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        } else {
            self.other += 1;
        }
    }

    /// Good answers a second.
    pub(super) fn rate_per_s(&self) -> f64 {
        self.good as f64 / self.took.as_secs_f64().max(1e-9)
    }

    /// Latency at a percentile, in microseconds.
    pub(super) fn latency_us(&self, percentile: f64) -> f64 {
        self.latency_ns.value_at_percentile(percentile) as f64 / 1_000.0
    }
}

/// Each client sends its next request when it has its answer.
pub(super) fn closed_loop(
    address: SocketAddr,
    requests: Requests,
    clients: usize,
    length: Duration,
) -> Result<Answers, Failure> {
    let requests = Rc::new(requests);
    on_this_thread(async move {
        let mut tasks = Vec::with_capacity(clients);
        let started = Instant::now();
        for client in 0..clients {
            let mut connection = Connection::open(address, client).await?;
            let requests = Rc::clone(&requests);
            tasks.push(tokio::task::spawn_local(async move {
                let mut answers = Answers::none()?;
                while started.elapsed() < length && connection.prepare(&requests) {
                    let sent = Instant::now();
                    let status = connection.exchange().await.map_err(no_answer)?;
                    answers.note(status, sent.elapsed());
                }
                answers.took = started.elapsed();
                answers.sample = connection.body();
                Ok(answers)
            }));
        }
        gathered(tasks).await
    })
}

/// Requests are due at a steady rate, whether or not answers have come; each client takes every `clients`th. Latency
/// counts from when a request was due, so one that had to wait for its turn is not taken for a quick one.
pub(super) fn open_loop(
    address: SocketAddr,
    requests: Requests,
    clients: usize,
    rate_per_s: f64,
    length: Duration,
) -> Result<Answers, Failure> {
    let stop = std::sync::Arc::new(AtomicBool::new(false));
    let (mut senders, mut receivers) = (Vec::new(), Vec::new());
    for _ in 0..clients {
        let (sender, receiver) = unbounded_channel();
        senders.push(sender);
        receivers.push(receiver);
    }
    let requests = Rc::new(requests);
    let theirs = std::sync::Arc::clone(&stop);
    let answers = on_this_thread(async move {
        let mut connections = Vec::with_capacity(clients);
        for client in 0..clients {
            connections.push(Connection::open(address, client).await?);
        }
        // A thread of its own: the runtime's timer knows whole milliseconds only.
        let pacer = std::thread::spawn(move || pace(&senders, rate_per_s, length, &theirs));
        let tasks = connections.into_iter().zip(receivers).map(|(connection, due)| {
            tokio::task::spawn_local(answer_what_is_due(connection, due, Rc::clone(&requests)))
        });
        let answers = gathered(tasks.collect()).await;
        let _ = pacer.join();
        answers
    });
    stop.store(true, Ordering::Relaxed);
    answers
}

async fn answer_what_is_due(
    mut connection: Connection,
    mut due: UnboundedReceiver<Instant>,
    requests: Rc<Requests>,
) -> Result<Answers, Failure> {
    let mut answers = Answers::none()?;
    let mut first = None;
    while let Some(due) = due.recv().await {
        let first = *first.get_or_insert(due);
        if !connection.prepare(&requests) {
            break;
        }
        let status = connection.exchange().await.map_err(no_answer)?;
        answers.note(status, due.elapsed());
        answers.took = first.elapsed();
    }
    answers.sample = connection.body();
    Ok(answers)
}

/// Tells each client in turn when its next request is due.
fn pace(clients: &[UnboundedSender<Instant>], rate_per_s: f64, length: Duration, stop: &AtomicBool) {
    let between = Duration::from_secs_f64(1.0 / rate_per_s.max(1.0));
    let start = Instant::now();
    let mut due = start;
    for client in clients.iter().cycle() {
        if due.duration_since(start) >= length || stop.load(Ordering::Relaxed) {
            return;
        }
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        if client.send(due).is_err() {
            return;
        }
        due += between;
    }
}

fn on_this_thread<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(unexpected)?;
    LocalSet::new().block_on(&runtime, work)
}

async fn gathered(tasks: Vec<JoinHandle<Result<Answers, Failure>>>) -> Result<Answers, Failure> {
    let mut all = Answers::none()?;
    for task in tasks {
        all.add(task.await.map_err(unexpected)??)?;
    }
    Ok(all)
}

#[expect(clippy::needless_pass_by_value, reason = "given to map_err")]
fn no_answer(error: io::Error) -> Failure {
    Failure::new(format!("a request of the load tool got no answer: {error}"), "see what the service says")
}

/// One kept connection.
struct Connection {
    stream: TcpStream,
    numbers: Numbers,
    request: Vec<u8>,
    answer: Vec<u8>,
    /// How much of `answer` is filled, and where its body begins.
    filled: usize,
    body_at: usize,
}

impl Connection {
    async fn open(address: SocketAddr, number: usize) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address).await.map_err(no_answer)?;
        stream.set_nodelay(true).map_err(no_answer)?;
        let seed = u64::try_from(SystemClock.now().as_millis()).unwrap_or_default();
        Ok(Self {
            stream,
            numbers: Numbers::from(seed.rotate_left(20) ^ number as u64),
            request: Vec::with_capacity(8 << 10),
            answer: vec![0; ANSWER_MAX_BYTES],
            filled: 0,
            body_at: 0,
        })
    }

    fn prepare(&mut self, requests: &Requests) -> bool {
        requests.write_next(&mut self.numbers, &mut self.request)
    }

    /// Sends the request and reads the answer; its status.
    async fn exchange(&mut self) -> io::Result<u16> {
        match tokio::time::timeout(PATIENCE, self.exchange_patiently()).await {
            Ok(status) => status,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    async fn exchange_patiently(&mut self) -> io::Result<u16> {
        let mut rest = self.request.as_slice();
        while !rest.is_empty() {
            match self.stream.try_write(rest) {
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.stream.writable().await?,
                Err(error) => return Err(error),
            }
        }
        self.filled = 0;
        loop {
            self.stream.readable().await?;
            let room = self.answer.get_mut(self.filled..).unwrap_or_default();
            match self.stream.try_read(room) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => self.filled += read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            }
            if let Some(status) = self.whole()? {
                return Ok(status);
            }
        }
    }

    /// The status, if the answer is here to its end.
    fn whole(&mut self) -> io::Result<Option<u16>> {
        let malformed = || io::Error::new(io::ErrorKind::InvalidData, "not an answer this tool can read");
        let filled = self.answer.get(..self.filled).unwrap_or_default();
        let Some(end) = filled.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
        let head = filled.get(..end).and_then(|head| std::str::from_utf8(head).ok()).ok_or_else(malformed)?;
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.get(9..12)).and_then(|code| code.parse().ok());
        let length = lines.find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok()).flatten()
        });
        let (status, length) = status.zip(length).ok_or_else(malformed)?;
        self.body_at = end + 4;
        Ok((self.filled >= self.body_at + length).then_some(status))
    }

    fn body(&self) -> Vec<u8> {
        self.answer.get(self.body_at..self.filled).unwrap_or_default().to_vec()
    }
}
