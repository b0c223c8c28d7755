//! What agents say: intents that the starter policy allows, holds and denies, and leaves read back from the log.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use uuid::Uuid;

use super::http::Client;

/// A UUIDv7 of now, or of so many milliseconds away from now.
pub(crate) fn id_at(offset_ms: i64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let millis = i64::try_from(now).unwrap() + offset_ms;
    let mut random = [0; 10];
    getrandom::fill(&mut random).unwrap();
    uuid::Builder::from_unix_timestamp_millis(u64::try_from(millis).unwrap(), &random).into_uuid().to_string()
}

pub(crate) fn new_id() -> String {
    id_at(0)
}

/// An intent with one call.
pub(crate) fn intent(agent: &str, server: &str, tool: &str, args: Value) -> Value {
    json!({
        "id": new_id(),
        "agent": agent,
        "session": "session-1",
        "goal": "see that it works",
        "reasoning": ["first this", "then that"],
        "observations": [{ "source": "inbox", "trust": "untrusted", "content": "hello" }],
        "calls": [{ "id": "c1", "server": server, "tool": tool, "args": args }],
    })
}

/// One that the starter policy allows.
pub(crate) fn allowed(agent: &str) -> Value {
    intent(agent, "bank", "get_balance", json!({ "account": "current-1" }))
}

/// One that it holds, for 15 minutes.
pub(crate) fn held(agent: &str) -> Value {
    let args = json!({ "destination": "DE44500105175407324931", "amount": 250, "subject": "rent" });
    intent(agent, "bank", "send_payment", args)
}

/// One that it denies.
pub(crate) fn denied(agent: &str) -> Value {
    intent(agent, "crm", "export_customers", json!({ "format": "csv" }))
}

/// The leaf in an answer.
pub(crate) fn leaf_of(answer: &Value) -> Value {
    serde_json::from_slice(&entry_of(answer)).unwrap()
}

/// The leaf's bytes in an answer.
pub(crate) fn entry_of(answer: &Value) -> Vec<u8> {
    STANDARD.decode(answer["entry"].as_str().unwrap()).unwrap()
}

/// Every published leaf, as the log serves them.
pub(crate) fn leaves(client: &Client) -> Vec<Vec<u8>> {
    let size = client.size();
    let mut leaves = Vec::new();
    for bundle in 0..size.div_ceil(256) {
        let width = (size - bundle * 256).min(256);
        let suffix = if width == 256 { String::new() } else { format!(".p/{width}") };
        assert!(bundle < 1000, "longer names are not needed here");
        let reply = client.get(format!("/tile/entries/{bundle:03}{suffix}"));
        assert_eq!(reply.status, 200, "{}", reply.text());
        leaves.extend(entries_of_bundle(&reply.body));
    }
    assert_eq!(leaves.len() as u64, size);
    leaves
}

/// C2SP tlog-tiles: each entry behind its length in two bytes, big-endian.
pub(crate) fn entries_of_bundle(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut entries = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<2>() {
        let (entry, rest) = rest.split_at(usize::from(u16::from_be_bytes(*length)));
        entries.push(entry.to_vec());
        bytes = rest;
    }
    entries
}

/// The types of leaves, in log order.
pub(crate) fn kinds(leaves: &[Vec<u8>]) -> Vec<String> {
    let kind =
        |leaf: &Vec<u8>| serde_json::from_slice::<Value>(leaf).unwrap()["type"].as_str().unwrap().to_owned();
    leaves.iter().map(kind).collect()
}

/// Whether text is a UUIDv7.
pub(crate) fn is_uuid_v7(text: &str) -> bool {
    Uuid::try_parse(text).is_ok_and(|id| id.get_version_num() == 7)
}
