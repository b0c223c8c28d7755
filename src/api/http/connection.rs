//! One connection: what is counted of it, and when it is closed although its client would not.
//!
//! Nothing here costs a request more than a few counters: one timer a connection looks at them once a tick, and patience
//! is a number of ticks. So a limit of 10 s is reached after 10 to 11 s.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::{Request, Response};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::codegen::Service as _;

use crate::api::grpc::guard::is_stream;

/// What HTTP/2 begins with (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes that are read and thrown away after the last answer: a client that is still sending would lose the answer to a
/// reset otherwise.
const LINGER_BYTES: usize = 2 << 20;
/// How long that goes on.
const LINGER_TICKS: u32 = 2;
/// How long a connection that was told to finish may take to close, with no request on it.
const CLOSING_TICKS: u32 = 5;

/// What happened on a connection so far.
#[derive(Debug, Default)]
pub(super) struct Activity {
    read_bytes: AtomicU64,
    written_bytes: AtomicU64,
    /// Bytes wait to be written, and the client takes none.
    is_blocked: AtomicBool,
    begun: AtomicU64,
    ended: AtomicU64,
    /// Answers that are no streams and were not taken whole.
    answers: AtomicU64,
    /// Pieces of answers that were taken.
    pieces: AtomicU64,
    /// Bytes that had been read when the last request ended.
    read_at_end: AtomicU64,
    is_http2: AtomicBool,
    /// Our side is closed.
    is_shut: AtomicBool,
    /// The service stops: nobody lingers.
    is_hasty: AtomicBool,
}

impl Activity {
    pub(super) fn make_haste(&self) {
        self.is_hasty.store(true, Ordering::Relaxed);
    }
}

/// How many ticks a connection may take for what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    pub(super) head: u32,
    pub(super) idle: u32,
    pub(super) stalled: u32,
}

/// What is to be done with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing.
    GoOn,
    /// It takes no more requests, answers those it has, and closes.
    Finish,
    /// It is closed as it is.
    Cut,
}

/// Looks at a connection once a tick.
#[derive(Debug)]
pub(super) struct Watch {
    activity: Arc<Activity>,
    patience: Patience,
    begun: u64,
    written_bytes: u64,
    pieces: u64,
    waiting_for_head: u32,
    idle: u32,
    stalled: u32,
    closing: Option<u32>,
    lingering: u32,
}

impl Watch {
    pub(super) fn new(activity: Arc<Activity>, patience: Patience) -> Self {
        Self {
            activity,
            patience,
            begun: 0,
            written_bytes: 0,
            pieces: 0,
            waiting_for_head: 0,
            idle: 0,
            stalled: 0,
            closing: None,
            lingering: 0,
        }
    }

    /// The connection was told to finish.
    pub(super) fn finishing(&mut self) {
        self.closing.get_or_insert(0);
    }

    pub(super) fn tick(&mut self) -> Verdict {
        let seen = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let now = &*self.activity;
        let (begun, written_bytes) = (seen(&now.begun), seen(&now.written_bytes));
        let pieces = seen(&now.pieces);
        // The system takes no more bytes, or the client of HTTP/2 grants none.
        let is_blocked = now.is_blocked.load(Ordering::Relaxed) && written_bytes == self.written_bytes;
        let is_stalled = is_blocked || seen(&now.answers) > 0 && pieces == self.pieces;
        self.stalled = if is_stalled { self.stalled + 1 } else { 0 };
        let is_busy = begun != seen(&now.ended) || begun != self.begun;
        // Of HTTP/2 there is always something to read: it answers pings.
        let head_begun = begun == 0 || seen(&now.read_bytes) != seen(&now.read_at_end);
        let waits_for_head = !is_busy && head_begun && !now.is_http2.load(Ordering::Relaxed);
        self.waiting_for_head = if waits_for_head { self.waiting_for_head + 1 } else { 0 };
        self.idle = if is_busy { 0 } else { self.idle + 1 };
        if now.is_shut.load(Ordering::Relaxed) {
            self.lingering += 1;
        }
        self.closing = self.closing.map(|ticks| if is_busy { 0 } else { ticks + 1 });
        (self.begun, self.written_bytes, self.pieces) = (begun, written_bytes, pieces);
        let patience = self.patience;
        if self.stalled > patience.stalled
            || self.waiting_for_head > patience.head
            || self.lingering > LINGER_TICKS
            || self.closing.is_some_and(|ticks| ticks > CLOSING_TICKS)
        {
            Verdict::Cut
        } else if self.idle > patience.idle && self.closing.is_none() {
            Verdict::Finish
        } else {
            Verdict::GoOn
        }
    }
}

/// A connection's bytes, counted.
#[derive(Debug)]
pub(super) struct Counted<I> {
    inner: I,
    activity: Arc<Activity>,
    linger_bytes: usize,
    /// What of the preface is still to come; `None` once it came or something else did.
    preface: Option<&'static [u8]>,
}

impl<I> Counted<I> {
    pub(super) fn new(inner: I, activity: Arc<Activity>) -> Self {
        Self { inner, activity, linger_bytes: LINGER_BYTES, preface: Some(PREFACE) }
    }

    fn compare(&mut self, expected: &'static [u8], read: &[u8]) {
        let (compared, rest) = expected.split_at_checked(read.len()).unwrap_or((expected, &[]));
        self.preface = (read.starts_with(compared) && !rest.is_empty()).then_some(rest);
        if read.starts_with(compared) && rest.is_empty() {
            self.activity.is_http2.store(true, Ordering::Relaxed);
        }
    }

    fn wrote(&self, written: &Poll<io::Result<usize>>) {
        match written {
            Poll::Ready(Ok(bytes)) => {
                self.activity.written_bytes.fetch_add(*bytes as u64, Ordering::Relaxed);
                self.activity.is_blocked.store(false, Ordering::Relaxed);
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.activity.is_blocked.store(true, Ordering::Relaxed),
        }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Counted<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        let new = buffer.filled().get(before..).unwrap_or_default();
        self.activity.read_bytes.fetch_add(new.len() as u64, Ordering::Relaxed);
        if let Some(expected) = self.preface {
            self.compare(expected, new);
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Counted<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.wrote(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(context, slices);
        self.wrote(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    /// Closes our side, and then takes what the client still sends, so that it can read our last answer.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.activity.is_shut.load(Ordering::Relaxed) {
            ready!(Pin::new(&mut self.inner).poll_shutdown(context))?;
            self.activity.is_shut.store(true, Ordering::Relaxed);
        }
        let mut thrown_away = [0; 4096];
        while self.linger_bytes > 0 && !self.activity.is_hasty.load(Ordering::Relaxed) {
            let mut buffer = ReadBuf::new(&mut thrown_away);
            if ready!(Pin::new(&mut self.inner).poll_read(context, &mut buffer)).is_err() {
                break;
            }
            match buffer.filled().len() {
                0 => break,
                bytes => self.linger_bytes = self.linger_bytes.saturating_sub(bytes),
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// The routes, as one connection has them.
#[derive(Debug, Clone)]
pub(super) struct Routes {
    pub(super) routes: Router,
    pub(super) activity: Arc<Activity>,
}

/// A request, from its head to the end of its answer's body.
#[derive(Debug)]
struct InHand(Arc<Activity>);

impl InHand {
    fn begin(activity: &Arc<Activity>) -> Self {
        activity.begun.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(activity))
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        let read = self.0.read_bytes.load(Ordering::Relaxed);
        self.0.read_at_end.store(read, Ordering::Relaxed);
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}

impl hyper::service::Service<Request<Incoming>> for Routes {
    type Response = Response<Answer>;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let in_hand = InHand::begin(&self.activity);
        let may_last = is_stream(request.uri().path());
        let answer = self.routes.clone().call(request);
        Box::pin(async move { Ok(answer.await?.map(|body| Answer::new(body, in_hand, may_last))) })
    }
}

/// The body of an answer; while it is there, its request is in hand.
#[derive(Debug)]
pub(super) struct Answer {
    body: Body,
    in_hand: InHand,
    may_last: bool,
}

impl Answer {
    fn new(body: Body, in_hand: InHand, may_last: bool) -> Self {
        if !may_last {
            in_hand.0.answers.fetch_add(1, Ordering::Relaxed);
        }
        Self { body, in_hand, may_last }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if !self.may_last {
            self.in_hand.0.answers.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let piece = ready!(Pin::new(&mut self.body).poll_frame(context));
        self.in_hand.0.pieces.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(piece)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience { head: 3, idle: 10, stalled: 4 };

    fn watched() -> (Arc<Activity>, Watch) {
        let activity = Arc::new(Activity::default());
        (Arc::clone(&activity), Watch::new(activity, PATIENCE))
    }

    /// The first verdict that is not to go on, and after how many ticks.
    fn verdict(watch: &mut Watch, each: impl Fn()) -> (u32, Verdict) {
        for ticks in 1..100 {
            each();
            let verdict = watch.tick();
            if verdict != Verdict::GoOn {
                return (ticks, verdict);
            }
        }
        (100, Verdict::GoOn)
    }

    fn read(activity: &Activity) {
        activity.read_bytes.fetch_add(1, Ordering::Relaxed);
    }

    #[test]
    fn a_head_must_be_whole_in_time_however_its_bytes_trickle() {
        let (activity, mut watch) = watched();
        assert_eq!(verdict(&mut watch, || ()), (4, Verdict::Cut));
        let (trickling, mut watch) = watched();
        assert_eq!(verdict(&mut watch, || read(&trickling)), (4, Verdict::Cut));
        // The second request of a connection too.
        drop(InHand::begin(&activity));
        let mut watch = Watch::new(Arc::clone(&activity), PATIENCE);
        assert_eq!(watch.tick(), Verdict::GoOn);
        assert_eq!(verdict(&mut watch, || read(&activity)), (4, Verdict::Cut));
    }

    #[test]
    fn http2_is_what_begins_with_all_of_its_preface_in_whatever_pieces() {
        let is_http2 = |pieces: &[&[u8]]| {
            let mut counted = Counted::new((), Arc::new(Activity::default()));
            for piece in pieces {
                if let Some(expected) = counted.preface {
                    counted.compare(expected, piece);
                }
            }
            counted.activity.is_http2.load(Ordering::Relaxed)
        };
        for at in 0..PREFACE.len() {
            let (first, second) = PREFACE.split_at(at);
            assert!(is_http2(&[first, second]) && is_http2(&[first, second, b"more"]));
            assert!(is_http2(&[first, &[second, b"more"].concat()]));
            assert!(!is_http2(&[first]) && !is_http2(&[first, b"GET / HTTP/1.1\r\n\r\n"]));
            assert!(!is_http2(&[first, b"GET", PREFACE]));
        }
    }

    #[test]
    fn between_requests_a_connection_finishes_and_one_with_a_request_never_does() {
        let (activity, mut watch) = watched();
        let in_hand = InHand::begin(&activity);
        assert_eq!(verdict(&mut watch, || read(&activity)), (100, Verdict::GoOn));
        drop(in_hand);
        assert_eq!(verdict(&mut watch, || ()), (11, Verdict::Finish));
        watch.finishing();
        assert_eq!(verdict(&mut watch, || ()), (CLOSING_TICKS + 1, Verdict::Cut));
        // HTTP/2 reads pings all the time.
        let (activity, mut watch) = watched();
        activity.is_http2.store(true, Ordering::Relaxed);
        assert_eq!(verdict(&mut watch, || read(&activity)), (11, Verdict::Finish));
    }

    #[test]
    fn an_answer_must_be_taken_and_a_slow_reader_may_take_it_slowly() {
        let (activity, mut watch) = watched();
        let _in_hand = InHand::begin(&activity);
        activity.is_blocked.store(true, Ordering::Relaxed);
        let slowly = || {
            activity.written_bytes.fetch_add(1, Ordering::Relaxed);
        };
        assert_eq!(verdict(&mut watch, slowly), (100, Verdict::GoOn));
        assert_eq!(verdict(&mut watch, || ()), (5, Verdict::Cut));
        // HTTP/2: the client grants nothing, so nothing is written and nothing blocks.
        let (activity, mut watch) = watched();
        let answer = Answer::new(Body::from("x"), InHand::begin(&activity), false);
        let taken = || {
            activity.pieces.fetch_add(1, Ordering::Relaxed);
        };
        assert_eq!(verdict(&mut watch, taken), (100, Verdict::GoOn));
        assert_eq!(verdict(&mut watch, || ()), (5, Verdict::Cut));
        drop(answer);
        let _stream = Answer::new(Body::empty(), InHand::begin(&activity), true);
        let mut watch = Watch::new(Arc::clone(&activity), PATIENCE);
        assert_eq!(verdict(&mut watch, || ()), (100, Verdict::GoOn));
    }
}
