//! JSON, intents, entries, what commits to them and what signs them.

use std::sync::LazyLock;

use foreseal::merkle::{encode_bundle, parse_bundle};

use foreseal::record::canonical::{is_canonical, to_jcs};
use foreseal::record::chain::Chain;
use foreseal::record::entry::{Entry, call_digest};
use foreseal::record::field_tree::{Disclosure, FieldOpening, FieldTree, Seed};
use foreseal::record::intent::Intent;
use foreseal::record::json::{self, JsonErrorKind, JsonLimits};
use foreseal::record::limits;
use foreseal::record::session::{OutcomeRecord, SessionRecord, TurnRecord};
use foreseal::record::statement::{AgentKey, parse_signature_header, statement as statement_of};
use serde_json::{Map, Number, Value};

use crate::edits::{choice, edited};
use crate::{bytes_of, member, text, vector};

fn seed() -> Seed {
    Seed::from_bytes([7; 32])
}

/// Strict JSON is JSON, with one canonical form, and refuses only what it says it refuses.
pub fn strict_json(bytes: &[u8]) {
    let loose = serde_json::from_slice::<Value>(bytes);
    let value = match json::parse(bytes) {
        Ok(value) => value,
        Err(error) => {
            assert!(error.offset <= bytes.len() && error.pointer.len() <= 512, "an error beside the text");
            let stricter = matches!(
                error.kind,
                JsonErrorKind::TooDeep
                    | JsonErrorKind::DuplicateKey
                    | JsonErrorKind::IntegerTooLarge
                    | JsonErrorKind::NumberTooLarge
            );
            assert!(loose.is_err() || stricter, "JSON is refused: {error}");
            return;
        }
    };
    let canonical = to_jcs(&value).expect("what is strict has a canonical form");
    let theirs =
        serde_json_canonicalizer::to_vec(&loose.expect("what is strict is JSON")).expect("it has one");
    assert_eq!(theirs, canonical, "another reader sees another document");
    assert!(is_canonical(&canonical));
    assert_eq!(json::parse(&canonical).expect("the canonical form is strict"), value);
}

/// Values that no text led to, floats of any bits among them: the canonical form is RFC 8785's, or there is none because a
/// reader of doubles would not get the number back.
pub fn canonical(bytes: &[u8]) {
    let value = grown(&mut bytes.iter().copied(), 70);
    let Ok(ours) = to_jcs(&value) else {
        assert!(has_no_form(&value, 64), "{value} has a canonical form");
        return;
    };
    assert_eq!(ours, serde_json_canonicalizer::to_vec(&value).expect("it has one"), "{value}");
    let again = json::parse_with(&ours, &JsonLimits { max_bytes: usize::MAX, ..JsonLimits::default() });
    assert_eq!(to_jcs(&again.expect("the canonical form is strict")).expect("it has one"), ours);
}

fn has_no_form(value: &Value, depth: usize) -> bool {
    let whole = |number: f64| number.fract() == 0.0 && number.abs() > limits::JSON_MAX_INTEGER as f64;
    match value {
        Value::Number(number) => number.as_f64().is_none_or(|float| !float.is_finite() || whole(float)),
        Value::Array(items) => depth == 0 || items.iter().any(|item| has_no_form(item, depth - 1)),
        Value::Object(members) => depth == 0 || members.values().any(|item| has_no_form(item, depth - 1)),
        _ => false,
    }
}

/// A value from bytes: one says of which kind, the next ones how many or what.
fn grown(bytes: &mut impl Iterator<Item = u8>, depth: usize) -> Value {
    let Some(kind) = bytes.next() else { return Value::Null };
    let mut number = || u64::from_le_bytes(std::array::from_fn(|_| bytes.next().unwrap_or_default()));
    match kind % 9 {
        0 => Value::Bool(kind & 16 == 0),
        1 => number().into(),
        2 => number().cast_signed().into(),
        3 => Number::from_f64(f64::from_bits(number())).map_or(Value::Null, Value::Number),
        // Where shortest forms are hard: near whole numbers and powers of ten.
        4 => Number::from_f64(f64::from((number() >> 32) as u32) / 1e5).map_or(Value::Null, Value::Number),
        5 => word(bytes).into(),
        6 | 7 if depth == 0 => Value::Null,
        6 => (0..kind >> 5).map(|_| grown(bytes, depth - 1)).collect(),
        7 => Value::Object(
            (0..kind >> 5).map(|_| (word(bytes), grown(bytes, depth - 1))).collect::<Map<_, _>>(),
        ),
        // One within another, so that depth costs one byte a level.
        _ if depth == 0 => Value::Null,
        _ => Value::Array(vec![grown(bytes, depth - 1)]),
    }
}

fn word(bytes: &mut impl Iterator<Item = u8>) -> String {
    let length = bytes.next().unwrap_or_default() % 8;
    // Beyond ASCII every second time: names are sorted by UTF-16 units.
    let character = |(a, b): (u8, u8)| {
        if a & 1 == 0 {
            char::from(b)
        } else {
            char::from_u32(u32::from(a) << 9 | u32::from(b)).unwrap_or('\u{10ffff}')
        }
    };
    (0..length).filter_map(|_| Some((bytes.next()?, bytes.next()?))).map(character).collect()
}

/// An intent that is accepted is JSON that is accepted, holds its limits, commits, and has digests of its calls.
pub fn intent(bytes: &[u8]) {
    let Ok(intent) = Intent::parse(bytes) else { return };
    assert_eq!(json::parse(bytes).expect("an intent is strict JSON"), intent.document);
    assert!((1..=limits::CALLS_MAX).contains(&intent.calls.len()));
    assert!(intent.reasoning.as_ref().is_none_or(|steps| steps.len() <= limits::REASONING_STEPS_MAX));
    assert!(intent.observations.as_ref().is_none_or(|seen| seen.len() <= limits::OBSERVATIONS_MAX));
    assert!(
        intent
            .calls
            .iter()
            .all(|call| call.args.is_object() && call.tool.len() <= limits::TOOL_NAME_MAX_BYTES)
    );
    for (call, index) in intent.calls.iter().zip(0..) {
        call_digest(&seed(), index, call).expect("a call has a digest");
    }
    // More fields than a tree holds are refused by the tree.
    if let Ok(tree) = FieldTree::of_document(&intent.document, &seed()) {
        assert!(tree.commitment().matches_document(&intent.document, &seed()));
        let statement = statement_of(&intent, &tree.commitment(), "example.com/log");
        assert_eq!(statement.is_ok(), intent.id.is_some() && intent.created.is_some());
        assert!(
            statement.is_ok_and(|bytes| is_canonical(&bytes))
                || intent.id.is_none()
                || intent.created.is_none()
        );
    } else {
        let fields = bytes.iter().filter(|byte| matches!(byte, b',' | b'{' | b'[')).count();
        assert!(
            fields >= limits::FIELDS_MAX || bytes.len() >= limits::FIELD_PATHS_MAX_BYTES / 64,
            "an intent without a tree"
        );
    }
}

/// Entries are canonical JSON and write themselves again; nothing else is an entry.
pub fn entry(bytes: &[u8]) {
    if let Ok(entry) = Entry::parse(bytes) {
        assert!(is_canonical(bytes), "an entry that is not canonical");
        assert!(bytes.len() <= limits::ENTRY_MAX_BYTES);
        if let Some(again) = entry.encode().expect("it was one") {
            assert_eq!(again, bytes);
        }
    }
}

/// The vectors' log, as one bundle.
static LEAVES: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let vector = vector!("entries/chain.json");
    let leaves = vector["leaves"].as_array().expect("the vector lists leaves");
    encode_bundle(leaves.iter().map(|leaf| leaf.as_str().expect("a text"))).expect("they fit")
});

/// A log of any leaves: what does not follow is refused and changes nothing, and every leaf that follows counts once.
pub fn chain(bytes: &[u8]) {
    let Some((way, rest)) = choice(bytes) else { return };
    let edited = (way == 0).then(|| edited(&LEAVES, rest));
    let leaves = match &edited {
        Some(Some(leaves)) => leaves.as_slice(),
        Some(None) => return,
        None => bytes,
    };
    let Ok(leaves) = parse_bundle(leaves) else { return };
    let mut chain = Chain::default();
    for leaf in leaves {
        let Ok(entry) = Entry::parse(leaf) else { return };
        let before = chain.clone();
        match chain.apply(&entry) {
            Ok(()) => {
                assert_eq!(chain.size(), before.size() + 1);
                assert!(chain.last_at() >= before.last_at(), "time went back");
            }
            Err(_) => assert_eq!(chain, before, "a refused leaf changed the chain"),
        }
    }
}

/// One agent signed one statement: no other key, statement or signature goes with the other two.
pub fn statement(bytes: &[u8]) {
    static SIGNED: LazyLock<Value> = LazyLock::new(|| vector!("intent/signed.json"));
    let Some((way, edits)) = choice(bytes) else { return };
    let key = bytes_of(&SIGNED, "/agent_key");
    let message = member(&SIGNED, "/statement").as_bytes();
    let header = member(&SIGNED, "/header");
    let signature = parse_signature_header(header).expect("the vector's header is one");
    let verifies = |key: &[u8], message: &[u8], signature: &[u8; 64]| {
        AgentKey::from_bytes(key).is_ok_and(|key| key.verify(message, signature).is_ok())
    };
    assert!(verifies(&key, message, &signature), "the vector's signature verifies");
    let forged = match way % 4 {
        0 => edited(&key, edits).map(|key| verifies(&key, message, &signature)),
        1 => edited(message, edits).map(|message| verifies(&key, &message, &signature)),
        2 => edited(&signature, edits)
            .and_then(|forged| forged.try_into().ok())
            .map(|forged| verifies(&key, message, &forged)),
        // Whatever a header says beside it, only that signature verifies.
        _ => edited(header.as_bytes(), edits)
            .and_then(|forged| parse_signature_header(text(&forged)?).ok())
            .map(|read| read != signature && verifies(&key, message, &read)),
    };
    assert_ne!(forged, Some(true), "a forged signature verifies");
}

/// Openings of a field write themselves again.
pub fn opening(bytes: &[u8]) {
    let Ok(opening) = FieldOpening::parse(bytes, &JsonLimits::default()) else { return };
    let again = serde_json::to_vec(&opening).expect("an opening is JSON");
    assert_eq!(FieldOpening::parse(&again, &JsonLimits::default()).expect("its own form"), opening);
}

/// A committed document and the openings of all its fields, the shape's first.
static COMMITTED: LazyLock<(Value, FieldTree, Vec<FieldOpening>)> = LazyLock::new(|| {
    let vector = vector!("field-tree/intent.json");
    let document = vector["document"].clone();
    let seed = Seed::from_base64(member(&vector, "/seed")).expect("the vector's seed is one");
    let tree = FieldTree::of_document(&document, &seed).expect("the vector's document has a tree");
    let openings = tree.paths().filter_map(|path| tree.open(path)).collect();
    (document, tree, openings)
});

/// Which of the fields, one of them edited: what a disclosure shows is in the document, at its path.
pub fn disclosure(bytes: &[u8]) {
    let Some((chosen, rest)) = bytes.split_first_chunk::<4>() else { return };
    let Some((which, edits)) = choice(rest) else { return };
    let (document, tree, all) = &*COMMITTED;
    let chosen = u32::from_le_bytes(*chosen);
    let mut openings: Vec<FieldOpening> = all
        .iter()
        .enumerate()
        .filter(|(at, _)| chosen >> (at % 32) & 1 == 1)
        .map(|(_, o)| o.clone())
        .collect();
    let honest =
        Disclosure::assemble(&tree.commitment(), &openings).expect("right openings make a disclosure");
    check(&honest, document);
    if openings.is_empty() {
        return;
    }
    let which = usize::from(which) % openings.len();
    let text = serde_json::to_vec(&openings[which]).expect("an opening is JSON");
    let Some(forged) = edited(&text, edits) else { return };
    let Ok(forged) = FieldOpening::parse(&forged, &JsonLimits::default()) else { return };
    if forged != openings[which] {
        // An edit of one may make another: then it is shown twice, or in place of the other.
        openings[which] = forged;
        if let Ok(shown) = Disclosure::assemble(&tree.commitment(), &openings) {
            check(&shown, document);
        }
    }
}

fn check(shown: &Disclosure, document: &Value) {
    for (path, value) in shown.fields() {
        assert_eq!(document.pointer(path), Some(value), "{path} is shown otherwise than it was committed");
    }
    if let Some(rebuilt) = shown.document() {
        let withheld = shown.withheld().expect("with the shape it is known");
        assert_eq!(withheld.is_empty(), shown.is_complete());
        assert!(!shown.is_complete() || rebuilt == *document, "a complete disclosure is another document");
        assert_eq!(shown.shape().map(|shape| shape.field_count()), Some(COMMITTED.1.field_count()));
    }
}

/// What applications say of users and tool servers of results: what is taken is written again as it was, and is within the
/// limits that say so.
pub fn testimony(bytes: &[u8]) {
    let Ok(value) = json::parse(bytes) else { return };
    fn again<T: serde::Serialize + serde::de::DeserializeOwned + PartialEq>(value: &Value) -> Option<T> {
        let record: T = serde_json::from_value(value.clone()).ok()?;
        let written = serde_json::to_value(&record).expect("a record has a form");
        assert!(serde_json::from_value::<T>(written).is_ok_and(|again| again == record));
        Some(record)
    }
    if let Some(record) = again::<SessionRecord>(&value).filter(|record| record.check().is_ok()) {
        assert!(record.words.len() <= limits::WORDS_MAX && !record.agent.is_empty());
        let turn = TurnRecord { words: record.words, plan: record.plan };
        assert!(turn.check().is_ok(), "what may open a session may be said in it");
    }
    if let Some(record) = again::<TurnRecord>(&value).filter(|record| record.check().is_ok()) {
        assert!(record.words.len() <= limits::WORDS_MAX);
    }
    let _ = again::<OutcomeRecord>(&value);
}
