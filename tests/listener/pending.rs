//! What waits for the disk: reads of it wait with it, and a full queue refuses before it reads.

use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use foreseal::api::http;
use foreseal::disk::{Disk, FaultyDisk};
use foreseal::ledger::clock::{Clock as _, SystemClock};
use foreseal::ledger::layout::Layout;
use foreseal::ledger::{Ledger, LedgerOptions, init};
use foreseal::record::limits;
use foreseal::service::{Caller, HandedIn, NewAgent, Service, SubmissionHeaders};
use serde_json::{Value, json};

use super::gated_disk::{Gate, GatedDisk};
use super::serving::{Serving, answer, is_silent};

struct Stage {
    serving: Serving,
    service: Arc<Service>,
    gate: Arc<Gate>,
    token: String,
}

impl Stage {
    fn new() -> Self {
        let gate = Arc::new(Gate::default());
        let gated: Arc<dyn Disk> = Arc::new(GatedDisk { inner: FaultyDisk::new(7), gate: Arc::clone(&gate) });
        let layout = Layout::new(Path::new("/ledger"), None);
        let mut options = LedgerOptions::new(Arc::new(SystemClock));
        // Small, for a disk in memory; and the only frames are those of what is submitted.
        options.journal.segment_bytes = 1 << 20;
        options.marker_after = None;
        init(&gated, &layout, "test.example/pending", &options).unwrap();
        let (ledger, _) = Ledger::open(&gated, &layout, &options).unwrap();
        let service = Arc::new(Service::new(Arc::new(ledger), false));
        let theirs = Arc::clone(&service);
        let limits = http::ListenerLimits::default();
        let serving = Serving::start(limits, |listener, stop| http::serve(listener, theirs, stop));
        let new = NewAgent { name: "bot".to_owned(), roles: Vec::new(), public_key: None };
        let registered = serving.runtime.block_on(service.register_agent(&Caller::Operator(0), new)).unwrap();
        Self { serving, service, gate, token: registered.token.unwrap() }
    }

    fn get(&self, id: &str, part: &str) -> TcpStream {
        let token = &self.token;
        self.serving.send(
            format!(
                "GET /v1/intents/{id}{part} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
            )
            .as_bytes(),
        )
    }

    fn post(&self, intent: &Value) -> TcpStream {
        let body = intent.to_string();
        let mut stream = self.head(body.len());
        stream.write_all(body.as_bytes()).unwrap();
        stream
    }

    fn head(&self, length: usize) -> TcpStream {
        let token = &self.token;
        self.serving.send(
            format!(
                "POST /v1/intents HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\n\r\n"
            )
            .as_bytes(),
        )
    }

    /// Waits until the intent has its place in the log.
    fn until_pending(&self, id: &str) {
        let id = id.parse().unwrap();
        while !self.service.ledger().is_pending(id, None) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Whatever a test found, the committer must not wait for ever.
        self.gate.open();
    }
}

/// A new id, made from the time and a number.
fn new_id(number: u64) -> String {
    let millis = u64::try_from(SystemClock.now().as_millis()).unwrap();
    let mut random = [0x5a; 10];
    random[2..].copy_from_slice(&number.to_be_bytes());
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid().to_string()
}

fn intent(id: &str) -> Value {
    json!({ "id": id, "agent": "bot", "session": "s", "calls": [{ "id": "c1", "tool": "t", "args": {} }] })
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

#[test]
fn a_read_of_what_is_pending_waits_until_it_is_durable_and_gets_the_same_bytes() {
    let stage = Stage::new();
    let id = new_id(1);
    // Of what nobody sent, nothing is awaited.
    assert!(answer(&mut stage.get(&id, "")).starts_with("HTTP/1.1 404"));
    stage.gate.close();
    let mut posted = stage.post(&intent(&id));
    stage.until_pending(&id);
    let mut reads = ["", "/receipt", "/payload"].map(|part| stage.get(&id, part));
    for read in &reads {
        assert!(is_silent(read, Duration::from_millis(500)), "answered before it was durable");
    }
    assert!(is_silent(&posted, Duration::from_millis(100)));
    // Another's id is not waited for.
    assert!(answer(&mut stage.get(&new_id(2), "")).starts_with("HTTP/1.1 404"));
    stage.gate.open();
    let sealed = answer(&mut posted);
    assert!(sealed.starts_with("HTTP/1.1 201"), "{sealed}");
    let read = reads.each_mut().map(answer);
    for said in &read {
        assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    }
    assert_eq!(body(&read[0]), body(&sealed));
}

#[test]
fn a_read_of_what_was_never_written_says_that_it_is_not_known() {
    let stage = Stage::new();
    let id = new_id(1);
    stage.gate.close();
    let mut posted = stage.post(&intent(&id));
    stage.until_pending(&id);
    let mut read = stage.get(&id, "");
    assert!(is_silent(&read, Duration::from_millis(300)));
    stage.gate.break_down();
    for said in [answer(&mut posted), answer(&mut read)] {
        assert!(said.starts_with("HTTP/1.1 500") && said.contains("\"outcome_unknown\""), "{said}");
    }
}

#[test]
fn nobody_waits_for_a_disk_longer_than_for_any_request() {
    let stage = Stage::new();
    let id = new_id(1);
    stage.gate.close();
    let mut posted = stage.post(&intent(&id));
    stage.until_pending(&id);
    let mut read = stage.get(&id, "/receipt");
    for said in [answer(&mut posted), answer(&mut read)] {
        assert!(said.starts_with("HTTP/1.1 504") && said.contains("\"timed_out\""), "{said}");
    }
    stage.gate.open();
    // It was not known then, and is now.
    let mut again = answer(&mut stage.post(&intent(&id)));
    assert!(again.starts_with("HTTP/1.1 201"), "{again}");
    again = answer(&mut stage.get(&id, ""));
    assert!(again.starts_with("HTTP/1.1 200"), "{again}");
}

#[test]
fn where_the_queue_is_full_an_intent_is_refused_before_its_body_is_read() {
    let stage = Stage::new();
    stage.gate.close();
    let caller = stage.service.authenticate(Some(&stage.token)).unwrap();
    let headers = SubmissionHeaders::default();
    let fill = |number: usize| -> HandedIn {
        let body = intent(&new_id(number as u64)).to_string().into_bytes();
        stage.service.hand_in(&caller, body, &headers).unwrap()
    };
    let handed_in: Vec<HandedIn> = (0..limits::QUEUE_MAX_INTENTS).map(fill).collect();
    let refused = answer(&mut stage.head(500));
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("\"overloaded\""), "{refused}");
    assert!(refused.to_ascii_lowercase().contains("\r\nretry-after: 1\r\n"), "{refused}");
    stage.gate.open();
    for handed_in in handed_in {
        stage.serving.runtime.block_on(stage.service.answer(handed_in)).unwrap();
    }
    assert!(answer(&mut stage.post(&intent(&new_id(0xffff)))).starts_with("HTTP/1.1 201"));
}
