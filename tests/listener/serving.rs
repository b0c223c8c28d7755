//! A listener on loopback on a runtime of its own, and raw requests.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use foreseal::api::http::{Listener, ListenerLimits};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// No answer takes this long, however slow the machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Serving {
    pub(crate) address: SocketAddr,
    pub(crate) runtime: Runtime,
    stop: Option<oneshot::Sender<()>>,
    served: Option<JoinHandle<()>>,
}

impl Serving {
    /// Serves on a free port of loopback until told to stop.
    pub(crate) fn start<F>(
        limits: ListenerLimits,
        serve: impl FnOnce(Listener, Box<dyn Future<Output = ()> + Send + Unpin>) -> F,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let bound = runtime.block_on(tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let address = bound.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let until = Box::new(Box::pin(async move { drop(stopped.await) }));
        let served = runtime.spawn(serve(Listener::from(bound).with_limits(limits), until));
        Self { address, runtime, stop: Some(stop), served: Some(served) }
    }

    /// Tells it to stop, and says how long it took to.
    pub(crate) fn stop(&mut self) -> Duration {
        let since = Instant::now();
        drop(self.stop.take());
        let served = self.served.take().unwrap();
        self.runtime.block_on(async { tokio::time::timeout(PATIENCE, served).await }).unwrap().unwrap();
        since.elapsed()
    }

    /// A connection on which this was sent.
    pub(crate) fn send(&self, bytes: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(bytes).unwrap();
        stream
    }
}

/// Reads until the other side closes; how long that took.
pub(crate) fn rest(stream: &mut TcpStream) -> (Vec<u8>, Duration) {
    let since = Instant::now();
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes);
    assert!(read.is_ok() || since.elapsed() < PATIENCE, "nothing ended it: {read:?}");
    (bytes, since.elapsed())
}

/// Reads one answer with a length, and leaves the connection open.
pub(crate) fn answer(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        bytes.push(byte[0]);
    }
    let head = String::from_utf8(bytes).unwrap();
    let length = head.to_ascii_lowercase();
    let length =
        length.split_once("content-length: ").unwrap().1.split("\r\n").next().unwrap().parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    head + &String::from_utf8(body).unwrap()
}

/// Whether nothing comes for so long.
pub(crate) fn is_silent(stream: &TcpStream, time: Duration) -> bool {
    stream.set_read_timeout(Some(time)).unwrap();
    let silent = stream.peek(&mut [0]).is_err();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    silent
}
