//! A small HTTP/1.1 client that sends exactly what a test says: one connection a request, nothing decoded but chunks.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// A request that has no answer by then has none.
const TIMEOUT: Duration = Duration::from_secs(45);

/// Who asks whom.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
    pub(crate) token: Option<String>,
}

/// A request, as it will be written.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    method: &'static str,
    path: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
    chunked: bool,
}

/// A request of which the service has all but the end of the body.
pub(crate) struct Begun {
    stream: TcpStream,
    rest: Vec<u8>,
}

/// A whole response.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn new(method: &'static str, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), headers: Vec::new(), body: None, chunked: false }
    }

    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::new("GET", path)
    }

    /// A body of JSON.
    pub(crate) fn post(path: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self::new("POST", path).header("Content-Type", "application/json").body(body)
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn is_post(&self) -> bool {
        self.method == "POST"
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// The body in chunks of unknown number, so that its length is not known beforehand.
    pub(crate) fn chunked(mut self) -> Self {
        self.chunked = true;
        self
    }

    fn encode(&self, client: &Client) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\nHost: {}\r\n", self.method, self.path, client.address);
        head.push_str("Connection: close\r\n");
        if let Some(token) = &client.token {
            head.push_str(&format!("Authorization: Bearer {token}\r\n"));
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let body = self.body.as_deref().unwrap_or_default();
        let mut bytes;
        if self.chunked {
            bytes = format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
            for chunk in body.chunks(64 << 10) {
                bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                bytes.extend_from_slice(chunk);
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(b"0\r\n\r\n");
        } else {
            if self.body.is_some() {
                head.push_str(&format!("Content-Length: {}\r\n", body.len()));
            }
            bytes = format!("{head}\r\n").into_bytes();
            bytes.extend_from_slice(body);
        }
        bytes
    }
}

impl Client {
    /// Asks, and fails the test where there is no whole answer.
    #[track_caller]
    pub(crate) fn send(&self, request: &Request) -> Reply {
        self.try_send(request).unwrap_or_else(|e| panic!("{} {}: {e}", request.method, request.path))
    }

    /// Asks; an error where there is no whole answer.
    pub(crate) fn try_send(&self, request: &Request) -> Result<Reply, String> {
        let text = |e: std::io::Error| e.to_string();
        let mut stream = TcpStream::connect_timeout(&self.address, TIMEOUT).map_err(text)?;
        stream.set_read_timeout(Some(TIMEOUT)).map_err(text)?;
        stream.set_write_timeout(Some(TIMEOUT)).map_err(text)?;
        stream.set_nodelay(true).map_err(text)?;
        // A server may answer before it has read everything, and close; the answer counts.
        let sent = stream.write_all(&request.encode(self));
        let mut bytes = Vec::new();
        let read = stream.read_to_end(&mut bytes);
        let reply = Reply::parse(&bytes, request.method != "HEAD")
            .ok_or_else(|| format!("no whole answer (sent: {sent:?}, read: {read:?})"))?;
        super::described::assert_described(request.method, &request.path, &reply);
        Ok(reply)
    }

    /// Sends all of a request with a body but its last 20 bytes.
    pub(crate) fn begin(&self, request: &Request) -> Begun {
        let bytes = request.encode(self);
        let (first, rest) = bytes.split_at(bytes.len() - 20);
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream.write_all(first).unwrap();
        Begun { stream, rest: rest.to_vec() }
    }

    #[track_caller]
    pub(crate) fn get(&self, path: impl Into<String>) -> Reply {
        self.send(&Request::get(path))
    }

    #[track_caller]
    pub(crate) fn post(&self, path: impl Into<String>, body: impl Into<Vec<u8>>) -> Reply {
        self.send(&Request::post(path, body))
    }

    /// Submits an intent.
    #[track_caller]
    pub(crate) fn submit(&self, intent: &Value) -> Reply {
        self.post("/v1/intents", intent.to_string())
    }

    /// Submits an intent that will be sealed.
    #[track_caller]
    pub(crate) fn seal(&self, intent: &Value) -> Value {
        let reply = self.submit(intent);
        assert_eq!(reply.status, 201, "{}", reply.text());
        reply.json()
    }

    /// The size of the published log.
    #[track_caller]
    pub(crate) fn size(&self) -> u64 {
        let checkpoint = self.get("/checkpoint");
        assert_eq!(checkpoint.status, 200, "{}", checkpoint.text());
        checkpoint.text().lines().nth(1).unwrap().parse().unwrap()
    }
}

impl Begun {
    /// Sends the rest, and waits for the answer.
    #[track_caller]
    pub(crate) fn finish(mut self) -> Reply {
        let rest = std::mem::take(&mut self.rest);
        self.stream.write_all(&rest).unwrap();
        self.wait()
    }

    /// Waits for an answer without sending the rest.
    #[track_caller]
    pub(crate) fn wait(mut self) -> Reply {
        let mut bytes = Vec::new();
        let read = self.stream.read_to_end(&mut bytes);
        Reply::parse(&bytes, true).unwrap_or_else(|| panic!("no whole answer ({read:?})"))
    }
}

impl Reply {
    /// `None` where the answer is not whole.
    pub(crate) fn parse(bytes: &[u8], has_body: bool) -> Option<Self> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&bytes[..end]).ok()?;
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers: Vec<(String, String)> = lines
            .map(|line| line.split_once(':').map(|(n, v)| (n.to_ascii_lowercase(), v.trim().to_owned())))
            .collect::<Option<_>>()?;
        let mut reply = Self { status, headers, body: Vec::new() };
        let rest = &bytes[end + 4..];
        reply.body = if !has_body {
            rest.to_vec()
        } else if reply.header("transfer-encoding") == Some("chunked") {
            unchunk(rest)?
        } else {
            let length = reply.header("content-length")?.parse::<usize>().ok()?;
            rest.get(..length)?.to_vec()
        };
        Some(reply)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {} {}", self.status, self.text()))
    }

    /// The code of a problem.
    pub(crate) fn code(&self) -> String {
        serde_json::from_slice::<Value>(&self.body)
            .ok()
            .and_then(|problem| problem["code"].as_str().map(str::to_owned))
            .unwrap_or_default()
    }
}

fn unchunk(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = bytes.windows(2).position(|window| window == b"\r\n")?;
        let length = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).ok()?, 16).ok()?;
        bytes = &bytes[end + 2..];
        if length == 0 {
            return Some(body);
        }
        body.extend_from_slice(bytes.get(..length)?);
        bytes = bytes.get(length + 2..)?;
    }
}
