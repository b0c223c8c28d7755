//! What is submitted: intents of 2 KiB with one call and at most 30 fields, and the rules they are put to.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::output::Failure;
use super::unexpected;
use crate::record::field_tree::{FieldTree, Seed};
use crate::record::intent::Intent;
use crate::record::statement::{STATEMENT_TYPE, pre_authentication_encoding, statement};
use crate::record::time::Timestamp;

/// Length of a declared document, in bytes, to within a few.
const DOCUMENT_BYTES: usize = 2_048;
/// Different documents, each submitted under many ids.
const VARIANTS: u64 = 64;
/// An id's place while a document is written.
const NO_ID: &str = "00000000-0000-7000-8000-000000000000";

const THOUGHTS: [&str; 6] = [
    "The customer asks for the state of an order that left the warehouse two days ago and has not arrived.",
    "The order's record names the carrier and a tracking number; the last scan was in the sorting centre.",
    "Nothing in the record asks for a refund, and the customer did not ask for one either.",
    "An answer with the expected day of delivery and the tracking link is what helps here.",
    "The answer must not repeat the address, because the mail may be read by others in the household.",
    "If the parcel does not arrive by the end of the week a colleague should look into it.",
];

/// Cheap numbers that repeat from run to run.
#[derive(Debug, Clone)]
pub(super) struct Numbers(u64);

impl Numbers {
    pub(super) fn from(seed: u64) -> Self {
        Self(seed)
    }

    /// SplitMix64.
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Below `limit`, close enough to evenly.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    /// A UUIDv7 of this millisecond.
    pub(super) fn id(&mut self, now: Timestamp) -> Uuid {
        let mut random = [0; 10];
        let drawn = [self.next(), self.next()].map(u64::to_be_bytes);
        random.iter_mut().zip(drawn.into_iter().flatten()).for_each(|(out, byte)| *out = byte);
        let millis = u64::try_from(now.as_millis()).unwrap_or_default();
        uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }
}

/// Documents of one agent, ready but for their ids.
#[derive(Debug)]
pub(super) struct Documents {
    variants: Vec<(String, usize)>,
}

impl Documents {
    pub(super) fn of(agent: &str, now: Timestamp) -> Self {
        let variants = (0..VARIANTS).map(|number| {
            let text = document(agent, number, now).to_string();
            let at = text.find(NO_ID).unwrap_or_default();
            (text, at)
        });
        Self { variants: variants.collect() }
    }

    /// A document, with its id.
    pub(super) fn with_id(&self, number: u64, id: Uuid) -> String {
        let count = (self.variants.len() as u64).max(1);
        let variant = usize::try_from(number % count).ok().and_then(|at| self.variants.get(at));
        let (text, at) = variant.map_or(("", 0), |(text, at)| (text.as_str(), *at));
        let mut out = text.to_owned();
        let mut buffer = Uuid::encode_buffer();
        out.replace_range(at..at + NO_ID.len().min(out.len()), id.hyphenated().encode_lower(&mut buffer));
        out
    }
}

/// 26 fields; filled up to its length by what the agent saw.
fn document(agent: &str, number: u64, now: Timestamp) -> Value {
    let mut numbers = Numbers::from(number);
    let order = 10_000 + numbers.below(90_000);
    let mut thought = || THOUGHTS.iter().cycle().nth(usize::try_from(numbers.below(6)).unwrap_or(0));
    let reasoning: Vec<&str> = (0..4).filter_map(|_| thought().copied()).collect();
    let mut document = json!({
        "id": NO_ID,
        "created": now.to_string(),
        "agent": agent,
        "session": format!("s-{:04}", number % 16),
        "principal": "user:alice@example.com",
        "environment": "prod",
        "client_seq": number,
        "goal": format!("Tell me where my order {order} is."),
        "reasoning": reasoning,
        "calls": [{
            "id": "c1", "server": "desk", "tool": "send_reply",
            "args": {
                "ticket": order, "to": "alice@example.com", "subject": format!("Your order {order}"),
                "body": "It is on its way and should be with you by Thursday.", "amount": 12.5, "urgent": false,
            },
        }],
        "observations": [
            {"source": "get_order", "call": "c0", "trust": "untrusted", "content": ""},
        ],
    });
    let room = DOCUMENT_BYTES.saturating_sub(document.to_string().len());
    let seen: String =
        THOUGHTS.iter().cycle().flat_map(|text| text.chars().chain([' '])).take(room).collect();
    if let Some(content) = document.pointer_mut("/observations/0/content") {
        *content = seen.into();
    }
    document
}

/// A bundle of `count` rules over `tools` tools on one server, the first of them `send_reply`: one permit and two holds
/// for all tools, the rest each for one tool in turn.
pub(super) fn bundle(tools: usize, count: usize) -> BTreeMap<String, Vec<u8>> {
    let name = |i: usize| if i == 0 { "send_reply".to_owned() } else { format!("tool_{i}") };
    let input = json!({"type": "object", "properties": {
        "ticket": {"type": "integer"}, "to": {"type": "string"}, "subject": {"type": "string"},
        "body": {"type": "string"}, "amount": {"type": "number"}, "urgent": {"type": "boolean"},
    }});
    let declared: Vec<Value> = (0..tools)
        .map(|i| json!({"server": "desk", "name": name(i), "groups": ["external"], "input": input}))
        .collect();
    let mut rules = String::from(
        "@id(\"registered-tools\") permit (principal, action in Action::\"call\", resource);\n\
         @id(\"a-reason-is-given\") @outcome(\"hold\") @reason(\"no reasoning came with it\")\n\
         forbid (principal, action in Action::\"external\", resource)\n\
         when { context.claimed.reasoning_steps < 1 };\n\
         @id(\"nothing-lost\") @outcome(\"hold\") @reason(\"an argument has no exact form\")\n\
         forbid (principal, action in Action::\"external\", resource)\n\
         when { !context.unrepresented.isEmpty() };\n",
    );
    for number in 0..count.saturating_sub(3) {
        let (tool, rule) = (number % tools.max(1), number / tools.max(1));
        let action = format!("Action::\"desk/{}\"", name(tool));
        let condition = condition(rule);
        // INVARIANT: writing to a String cannot fail, so the result carries nothing.
        let _ = writeln!(
            rules,
            "@id(\"t{tool}-r{rule}\") @outcome(\"hold\") @approver(\"lead\") @expires(\"15m\") @reason(\"number {rule}\")\n\
             forbid (principal, action == {action}, resource) when {{ {condition} }};"
        );
    }
    BTreeMap::from([
        ("rules.cedar".to_owned(), rules.into_bytes()),
        ("tools.json".to_owned(), json!({"tools": declared}).to_string().into_bytes()),
    ])
}

/// Conditions of the kinds that the shipped rules have; none of them holds for the workload.
fn condition(rule: usize) -> String {
    match rule % 5 {
        0 => format!(
            "context.args has amount && context.args.amount.greaterThan(decimal(\"{}.0\"))",
            100 + rule
        ),
        1 => format!(
            "context.args has to && [\"mallory{rule}@example.com\", \"eve@example.com\"].contains(context.args.to)"
        ),
        2 => format!("context.args has ticket && context.args.ticket < {rule}"),
        3 => format!("context.args has subject && context.args.subject == \"forbidden {rule}\""),
        _ => format!(
            "principal.roles.contains(\"suspended-{rule}\") && context.args has urgent && context.args.urgent"
        ),
    }
}

/// A signed document with the headers that go with it.
#[derive(Debug)]
pub(super) struct Signed {
    pub(super) body: String,
    pub(super) seed: String,
    pub(super) signature: String,
}

/// Signs a document the way an agent does.
pub(super) fn sign(
    body: String,
    key: &SigningKey,
    key_id: &str,
    origin: &str,
    seed: [u8; 32],
) -> Result<Signed, Failure> {
    let intent = Intent::parse(body.as_bytes()).map_err(unexpected)?;
    let seed = Seed::from_bytes(seed);
    let declared = FieldTree::of_document(&intent.document, &seed).map_err(unexpected)?.commitment();
    let statement = statement(&intent, &declared, origin).map_err(unexpected)?;
    let signature = key.sign(&pre_authentication_encoding(STATEMENT_TYPE, &statement));
    let signature = format!("keyid=\"{key_id}\", sig=\"{}\"", STANDARD.encode(signature.to_bytes()));
    Ok(Signed { body, seed: seed.to_base64(), signature })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{AgentFacts, Bundle, CallView, Claimed, DecideInput, Engine};
    use crate::record::decision::Outcome;

    #[test]
    fn documents_are_what_the_design_says() {
        let now = Timestamp::from_millis(1_750_000_000_000).unwrap();
        let documents = Documents::of("bench-agent", now);
        let mut numbers = Numbers::from(1);
        for number in 0..VARIANTS {
            let id = numbers.id(now);
            let body = documents.with_id(number, id);
            assert!((2_000..=2_100).contains(&body.len()), "{} bytes", body.len());
            let intent = Intent::parse(body.as_bytes()).unwrap();
            assert_eq!((intent.id, intent.calls.len()), (Some(id), 1));
            let tree = FieldTree::of_document(&intent.document, &Seed::from_bytes([0; 32])).unwrap();
            assert!(tree.field_count() <= 30, "{} fields", tree.field_count());
        }
        assert_ne!(documents.with_id(0, numbers.id(now)), documents.with_id(1, numbers.id(now)));
        assert_ne!(numbers.id(now), numbers.id(now));
    }

    #[test]
    fn twelve_rules_judge_the_call_and_allow_it() {
        let bundle = Bundle::load(bundle(10, 93)).unwrap();
        assert_eq!(bundle.rules().len(), 93);
        let engine = Engine::new(bundle).unwrap();
        let args = json!({"ticket": 12_345, "to": "alice@example.com", "amount": 12.5, "urgent": false, "subject": "s"});
        let agent = AgentFacts { name: "a", roles: &[], signed: false };
        let calls = [CallView::new("c", "desk", "send_reply", &args)];
        let decided = engine.decide(&DecideInput {
            claimed: Claimed { reasoning_steps: 1, ..Claimed::default() },
            ..DecideInput::new(agent, &calls, 0)
        });
        assert_eq!(decided.decision.outcome, Outcome::Allow, "{:?}", decided.decision);
    }
}
