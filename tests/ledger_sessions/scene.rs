//! A ledger with one agent, an application, a tool server and tools; and the model of its sessions.

use std::collections::BTreeMap;

use foreseal::ledger::rederive::replay;
use foreseal::ledger::state::{CredentialDigest, PartyKind};
use foreseal::ledger::{Accepted, Change, Heard, LedgerError, Told};
use foreseal::record::entry::{Entry, OutcomeStatus, SessionTag};
use foreseal::record::session::{OutcomeRecord, SessionRecord};
use serde_json::{Value, json};

use crate::support::{Desk, Site, TestAgent, admit, assert_whole, id};

const TOOLS: &str = r#"{"tools":[
  {"server":"mail","name":"contacts","groups":["read"],"input":{"type":"object","properties":{}},
   "output":{"authoritative":[{"at":"/contacts/*/email","type":"email"}],"untrusted":true,"sensitive":true}},
  {"server":"mail","name":"send","groups":["external"],
   "input":{"type":"object","properties":{"to":{"type":"string"},"body":{"type":"string"},"cost":{"type":"number"}}},
   "destinations":[{"at":"/to","type":"email"}],"payload":["/body"],"amount":"/cost"},
  {"server":"mail","name":"search","groups":["read"],"input":{"type":"object","properties":{"query":{"type":"string"}}},
   "destinations":[],"selectors":[{"at":"/query","type":"terms"}],
   "output":{"authoritative":[{"at":"/*/email","type":"email"}]}},
  {"server":"mail","name":"never","input":{"type":"object","properties":{}}}]}"#;
const RULES: &str = r#"@id("all") permit (principal, action, resource);
@id("never") forbid (principal, action == Action::"mail/never", resource);
"#;

pub fn files() -> BTreeMap<String, Vec<u8>> {
    BTreeMap::from([
        ("rules.cedar".to_owned(), RULES.as_bytes().to_vec()),
        ("tools.json".to_owned(), TOOLS.as_bytes().to_vec()),
    ])
}

pub fn call(tool: &str, args: Value) -> Value {
    json!({ "server": "mail", "tool": tool, "args": args })
}

pub fn record(agent: &str, session: &str, more: &Value) -> SessionRecord {
    let mut whole = json!({ "agent": agent, "session": session });
    for (name, value) in more.as_object().unwrap() {
        whole[name] = value.clone();
    }
    serde_json::from_value(whole).unwrap()
}

/// An intent that was sealed.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    pub id: uuid::Uuid,
    pub leaf: u64,
    pub session: SessionTag,
}

/// What happened in a session, as the model keeps it.
#[derive(Debug, Clone)]
enum Event {
    Opened { at: i64, depth: u32 },
    Turn { at: i64 },
    Asked { at: i64, leaf: u64, kinds: Vec<u8>, observed: bool },
    Reported { at: i64, leaf: u64, number: u32 },
    Revoked,
}

pub struct Scene {
    pub site: Site,
    desk: Option<Desk>,
    pub agent: TestAgent,
    pub application: TestAgent,
    pub server: TestAgent,
    open: BTreeMap<String, (u64, SessionTag)>,
    numbers: u64,
    events: BTreeMap<usize, Vec<Event>>,
    runnable: Vec<(usize, Asked, u32, u8)>,
    revoked: bool,
}

impl Scene {
    pub fn new(seed: u64) -> Self {
        Self::with_snapshots(seed, 64 << 20)
    }

    pub fn with_snapshots(seed: u64, snapshot_bytes: u64) -> Self {
        let mut site = Site::new(seed);
        site.options.snapshot_bytes = snapshot_bytes;
        site.init();
        let desk = site.open();
        let agent = desk.add_agent("mailer");
        let application = desk.add_party(PartyKind::Application, "desk");
        let server = desk.add_party(PartyKind::ToolServer, "mail");
        desk.activate(files()).unwrap();
        Self {
            site,
            desk: Some(desk),
            agent,
            application,
            server,
            open: BTreeMap::new(),
            numbers: 0,
            events: BTreeMap::new(),
            runnable: Vec::new(),
            revoked: false,
        }
    }

    pub fn desk(&self) -> &Desk {
        self.desk.as_ref().unwrap()
    }

    pub fn administer(&self, change: Change) {
        self.desk().administer(Some(0), change).unwrap();
    }

    pub fn rotate_application(&mut self) {
        let credential = CredentialDigest::of("another token");
        let (kind, name) = (PartyKind::Application, self.application.name.clone());
        self.administer(Change::RotateParty { kind, name, credential });
        self.application.credential = credential;
    }

    /// A document with an id of its own.
    pub fn intent(&self, session: &str, calls: Vec<Value>) -> Value {
        let numbered = calls.into_iter().enumerate().map(|(i, mut call)| {
            call["id"] = format!("c{i}").into();
            call
        });
        json!({ "agent": "mailer", "session": session, "calls": numbered.collect::<Vec<_>>() })
    }

    fn numbered(&mut self, document: &Value) -> (uuid::Uuid, Value) {
        self.numbers += 1;
        let (id, mut document) = (id(self.numbers), document.clone());
        document["id"] = id.to_string().into();
        (id, document)
    }

    pub fn submit(&mut self, document: &Value) -> Asked {
        let (id, document) = self.numbered(document);
        let accepted = self.desk().submit_with(admit(&self.agent, &document, [7; 32])).unwrap();
        let Accepted::Sealed { leaf, .. } = accepted else { panic!("it is new") };
        let Entry::Intent(entry) = Entry::parse(&leaf.entry).unwrap() else { panic!("an intent") };
        Asked { id, leaf: leaf.index, session: entry.session }
    }

    /// The evaluation that is sealed with an intent.
    pub fn evaluation(&mut self, document: &Value) -> Vec<u8> {
        let asked = self.submit(document);
        self.desk().ledger.find(asked.id, self.agent.index).unwrap().unwrap().payload.evaluation
    }

    /// What the rules see of the first call, records without their tags.
    pub fn context(&mut self, document: &Value) -> Value {
        let evaluation: Value = serde_json::from_slice(&self.evaluation(document)).unwrap();
        untagged(&evaluation["requests"][0]["context"])
    }

    pub fn try_open(&mut self, session: &str, more: Value) -> Result<(u64, SessionTag), LedgerError> {
        let told = Told::Session { agent: self.agent.index, record: record("mailer", session, &more) };
        match self.desk().testify(&self.application, None, told)? {
            Heard::Sealed { leaf, .. } => {
                let Entry::Session(entry) = Entry::parse(&leaf.entry).unwrap() else { panic!("a session") };
                self.open.insert(session.to_owned(), (leaf.index, entry.session));
                Ok((leaf.index, entry.session))
            }
            Heard::Known { index } => panic!("known at leaf {index}"),
        }
    }

    pub fn open(&mut self, session: &str, more: Value) -> (u64, SessionTag) {
        self.try_open(session, more).unwrap()
    }

    pub fn turn(&mut self, session: &str, record: Value) -> Result<Heard, LedgerError> {
        let (opened, tag) = self.open[session];
        let record = serde_json::from_value(record).unwrap();
        self.desk().testify(&self.application, None, Told::Turn { opened, session: tag, record })
    }

    pub fn outcome(&self, of: Asked, call: u32, status: OutcomeStatus, tool: &str, result: Value) -> Told {
        let record = OutcomeRecord { call: format!("c{call}"), intent: of.id, result, tool: tool.to_owned() };
        Told::Outcome { intent: of.leaf, call, session: of.session, status, record }
    }

    pub fn report(
        &mut self,
        of: Asked,
        call: u32,
        status: OutcomeStatus,
        tool: &str,
        result: Value,
    ) -> Result<Heard, LedgerError> {
        self.desk().testify(&self.server, None, self.outcome(of, call, status, tool, result))
    }

    pub fn restart(&mut self, how: &str) {
        let desk = self.desk.take().unwrap();
        match how {
            "kill" => {
                self.site.faulty = self.site.faulty.restart();
                drop(desk);
            }
            "power" => {
                self.site.faulty.power_cut();
                drop(desk);
                self.site.faulty = self.site.faulty.restart();
            }
            _ => drop(desk),
        }
        self.desk = Some(self.site.open());
    }

    /// The same ledger after a restart, on a disk of its own, while this one goes on.
    pub fn fork(&self, how: &str) -> Self {
        let site = self.site.moved_to(self.site.faulty.snapshot());
        if how == "power" {
            site.faulty.power_cut();
        }
        let site = site.moved_to(site.faulty.restart());
        if how == "clean" {
            drop(site.open());
        }
        Self {
            desk: Some(site.open()),
            site,
            agent: self.agent.clone(),
            application: self.application.clone(),
            server: self.server.clone(),
            open: self.open.clone(),
            numbers: self.numbers,
            events: BTreeMap::new(),
            runnable: Vec::new(),
            revoked: self.revoked,
        }
    }

    /// A clean end; every byte is accounted for, snapshots held against the fold.
    pub fn conclude(&mut self) {
        drop(self.desk.take());
        assert_whole(&self.site, "at the end");
        // Promise 7, over whatever happened here.
        let (disk, trust) = (self.site.disk(), self.site.trust());
        let found = replay(&disk, &self.site.layout, Some(&trust), &mut |_, _| {});
        let same = (found.verdicts.rederived, found.facts.rederived, found.difference_count);
        assert_eq!(same, (found.decisions, found.decisions, 0), "{found:#?}");
    }
}

fn untagged(value: &Value) -> Value {
    match value {
        Value::Object(members) => match members.get("record") {
            Some(record) if members.len() == 1 => untagged(record),
            _ => members.iter().map(|(name, value)| (name.clone(), untagged(value))).collect(),
        },
        Value::Array(items) => items.iter().map(untagged).collect(),
        other => other.clone(),
    }
}

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// What the model says of a session now.
#[derive(Debug, Default)]
struct Known {
    opened: bool,
    depth: u32,
    turns: u64,
    calls: u64,
    denials: u64,
    untrusted: bool,
    incomplete: bool,
    /// In ten-thousandths, since it was opened; was an amount unreadable?
    spent: (i64, bool),
    /// What was asked since it was opened, by kind.
    asked: Vec<u8>,
    last_minute: u64,
}

fn name(session: usize) -> String {
    format!("s-{session}")
}

fn call_of(kind: u8) -> Value {
    match kind {
        0 => call("never", json!({})),
        1 => call("contacts", json!({})),
        // Too fine to be counted.
        3 => call("send", json!({ "to": "3@example.com", "cost": 0.000_01 })),
        other => {
            call("send", json!({ "to": format!("{other}@example.com"), "cost": f64::from(other) * 1.25 }))
        }
    }
}

/// What a call of that kind costs, in ten-thousandths.
fn cost_of(kinds: &[u8], (spent, unknown): (i64, bool)) -> (i64, bool) {
    let counted = kinds.iter().filter(|kind| ![0, 1, 3].contains(*kind));
    (spent + counted.map(|kind| i64::from(*kind) * 12_500).sum::<i64>(), unknown || kinds.contains(&3))
}

impl Scene {
    /// Counts anew, over all that happened in the session since it began or began again.
    fn known(&self, session: usize, now: i64) -> Known {
        let events = self.events.get(&session).cloned().unwrap_or_default();
        let mut known = Known::default();
        let mut current: Vec<&Event> = Vec::new();
        let (mut open, mut last) = (false, 0);
        for event in &events {
            let at = match event {
                Event::Opened { at, .. }
                | Event::Turn { at }
                | Event::Asked { at, .. }
                | Event::Reported { at, .. } => *at,
                Event::Revoked => {
                    if open {
                        (current, open) = (Vec::new(), false);
                    }
                    continue;
                }
            };
            if open && at - last > DAY_MS {
                (current, open) = (Vec::new(), false);
            }
            // Of a session that is not known nothing is remembered by an outcome alone.
            if matches!(event, Event::Reported { .. }) && current.is_empty() {
                continue;
            }
            open |= matches!(event, Event::Opened { .. });
            last = at;
            current.push(event);
        }
        if open && now - last > DAY_MS {
            return known;
        }
        let mut awaited: Vec<(u64, u32)> = Vec::new();
        for event in current {
            match event {
                Event::Opened { depth, .. } => {
                    known = Known {
                        opened: true,
                        depth: *depth,
                        turns: 1,
                        asked: Vec::new(),
                        spent: (0, false),
                        ..known
                    };
                    awaited.clear();
                }
                Event::Turn { .. } => known.turns += 1,
                Event::Asked { leaf, kinds, observed, at } => {
                    known.calls += kinds.len() as u64;
                    known.denials += kinds.iter().filter(|kind| **kind == 0).count() as u64;
                    known.untrusted |= observed;
                    known.last_minute += if now - at < 60_000 { kinds.len() as u64 } else { 0 };
                    if known.opened {
                        known.asked.extend(kinds);
                        known.spent = cost_of(kinds, known.spent);
                        let reads = kinds.iter().zip(0u32..).filter(|(kind, _)| **kind == 1);
                        awaited.extend(reads.map(|(_, number)| (*leaf, number)));
                    }
                }
                Event::Reported { leaf, number, .. } => awaited.retain(|call| call != &(*leaf, *number)),
                Event::Revoked => {}
            }
        }
        known.incomplete = !awaited.is_empty();
        known
    }

    fn now(&self) -> i64 {
        self.site.clock.millis()
    }

    fn happened(&mut self, session: usize, event: Event) {
        self.events.entry(session).or_default().push(event);
    }

    pub fn model_open(&mut self, session: usize, depth: u32) {
        if self.revoked {
            return;
        }
        let known = self.known(session, self.now());
        let more = json!({ "words": [format!("to {session}@example.com")], "delegation_depth": depth });
        match self.try_open(&name(session), more) {
            Ok(_) => {
                assert!(!known.opened, "it was open");
                let at = self.now();
                self.happened(session, Event::Opened { at, depth });
            }
            Err(LedgerError::SessionOpen(_)) => assert!(known.opened),
            Err(other) => panic!("{other}"),
        }
    }

    pub fn model_turn(&mut self, session: usize) {
        if self.revoked || !self.open.contains_key(&name(session)) {
            return;
        }
        let known = self.known(session, self.now());
        match self.turn(&name(session), json!({ "words": ["more"] })) {
            Ok(_) => {
                assert!(known.opened, "it was not open");
                let at = self.now();
                self.happened(session, Event::Turn { at });
            }
            Err(LedgerError::SessionNotOpen) => assert!(!known.opened),
            Err(other) => panic!("{other}"),
        }
    }

    pub fn model_ask(&mut self, session: usize, kinds: &[u8], observed: bool) {
        let at = self.now();
        let known = self.known(session, at);
        let mut document = self.intent(&name(session), kinds.iter().map(|kind| call_of(*kind)).collect());
        document["atomic"] = false.into();
        if observed {
            document["observations"] = json!([{ "source": "web", "content": "text" }]);
        }
        let asked = self.submit(&document);
        let found = self.desk().ledger.find(asked.id, self.agent.index).unwrap().unwrap();
        let evaluation: Value = serde_json::from_slice(&found.payload.evaluation).unwrap();
        for (i, kind) in kinds.iter().enumerate() {
            let context = untagged(&evaluation["requests"][i]["context"]);
            let session = &context["session"];
            let untrusted = session["labels"].as_array().unwrap().contains(&json!("untrusted"));
            assert_eq!(session["opened"], known.opened, "{context}");
            assert_eq!(session["delegation_depth"], known.depth);
            assert_eq!(session["turns"], known.turns);
            assert_eq!(session["calls"], known.calls);
            assert_eq!(session["denials"], known.denials);
            assert_eq!(session["incomplete"], known.incomplete, "{known:?}");
            // Other calls of the intent may bring labels too; none takes one away.
            assert!(untrusted || !known.untrusted, "{context}");
            let earlier = kinds[..i].iter().chain(&known.asked).filter(|other| *other == kind).count();
            assert_eq!(context["loop"]["repeats"], if known.opened { earlier } else { 0 });
            let (total, unknown) = cost_of(kinds, known.spent);
            let total = format!("{}.{:04}", total / 10_000, total % 10_000);
            assert_eq!(context["spend"]["total"], json!({ "decimal": total }), "{context} {known:?}");
            assert_eq!(context["spend"]["unknown"], unknown || !known.opened, "{context} {known:?}");
            let minute = context["rate"]["session_minute"].as_u64().unwrap();
            assert!(minute >= known.last_minute + kinds.len() as u64, "{context} {known:?}");
        }
        for (number, kind) in (0u32..).zip(kinds).filter(|(_, kind)| **kind != 0) {
            self.runnable.push((session, asked, number, *kind));
        }
        let (leaf, kinds) = (asked.leaf, kinds.to_vec());
        self.happened(session, Event::Asked { at, leaf, kinds, observed });
    }

    pub fn model_report(&mut self, back: usize, ok: bool) {
        let Some(which) = self.runnable.len().checked_sub(back + 1) else { return };
        let (session, asked, number, kind) = self.runnable.remove(which);
        let status = if ok { OutcomeStatus::Ok } else { OutcomeStatus::Error };
        let tool = if kind == 1 { "contacts" } else { "send" };
        let at = self.now();
        self.report(asked, number, status, tool, json!({ "done": true })).unwrap();
        self.happened(session, Event::Reported { at, leaf: asked.leaf, number });
    }

    pub fn model_revoke(&mut self) {
        if !self.revoked {
            self.revoked = true;
            let (kind, name) = (PartyKind::Application, self.application.name.clone());
            self.administer(Change::RevokeParty { kind, name });
            for events in self.events.values_mut() {
                events.push(Event::Revoked);
            }
        }
    }
}
