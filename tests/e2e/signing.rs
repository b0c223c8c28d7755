//! Signed intents, made by code that was written from the format's page ("Field tree", "Signed intents") alone.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::agents::allowed;
use super::http::Request;
use super::process::ORIGIN;

const STATEMENT_TYPE: &str = "application/vnd.foreseal.statement.v1+json";

/// An agent's key.
pub(crate) struct Signer(SigningKey);

impl Signer {
    pub(crate) fn from_seed(seed: [u8; 32]) -> Self {
        Self(SigningKey::from_bytes(&seed))
    }

    pub(crate) fn public_base64(&self) -> String {
        STANDARD.encode(self.0.verifying_key().as_bytes())
    }
}

/// A signed intent, in its parts.
#[derive(Clone)]
pub(crate) struct Signed {
    pub(crate) body: String,
    pub(crate) seed: String,
    pub(crate) signature: String,
    pub(crate) root: String,
}

impl Signed {
    pub(crate) fn request(&self) -> Request {
        Request::post("/v1/intents", self.body.clone())
            .header("Foreseal-Seed", self.seed.as_str())
            .header("Foreseal-Signature", self.signature.as_str())
    }
}

/// An intent that has what a signed one needs.
pub(crate) fn signable(agent: &str) -> Value {
    let mut intent = allowed(agent);
    intent["created"] = json!(at(0));
    intent["client_seq"] = json!(7);
    intent
}

/// RFC 3339 of now and so many seconds.
pub(crate) fn at(offset_s: i64) -> String {
    use foreseal::record::time::Timestamp;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    Timestamp::from_millis(i64::try_from(now).unwrap() + offset_s * 1000).unwrap().to_string()
}

pub(crate) fn sign(key: &Signer, intent: &Value) -> Signed {
    sign_for(key, intent, ORIGIN)
}

pub(crate) fn sign_for(key: &Signer, intent: &Value, log: &str) -> Signed {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).unwrap();
    let root = STANDARD.encode(root_of(intent, &seed));
    let mut statement = json!({ "declared": root, "log": log });
    for name in ["agent", "client_prev", "client_seq", "created", "id", "session"] {
        if let Some(value) = intent.get(name) {
            statement[name] = value.clone();
        }
    }
    let payload = canonical(&statement);
    let message = format!("DSSEv1 {} {STATEMENT_TYPE} {} {payload}", STATEMENT_TYPE.len(), payload.len());
    let signature = STANDARD.encode(key.0.sign(message.as_bytes()).to_bytes());
    let keyid = hex::encode(Sha256::digest(key.0.verifying_key().as_bytes()));
    Signed {
        body: intent.to_string(),
        seed: STANDARD.encode(seed),
        signature: format!("keyid=\"{keyid}\", sig=\"{signature}\""),
        root,
    }
}

/// RFC 8785 for ASCII names and values without fractions, which is what these tests declare.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| name.as_str());
            let text = |(name, value): &(&String, &Value)| format!("{}:{}", json!(name), canonical(value));
            format!("{{{}}}", members.iter().map(text).collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        scalar => scalar.to_string(),
    }
}

/// Path and canonical value of every scalar, `{}` and `[]`.
fn fields(value: &Value, path: &str, into: &mut Vec<(String, String)>) {
    let escape = |name: &str| name.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(members) if !members.is_empty() => {
            members.iter().for_each(|(name, value)| fields(value, &format!("{path}/{}", escape(name)), into));
        }
        Value::Array(items) if !items.is_empty() => {
            items.iter().enumerate().for_each(|(i, value)| fields(value, &format!("{path}/{i}"), into));
        }
        leaf => into.push((path.to_owned(), canonical(leaf))),
    }
}

fn root_of(document: &Value, seed: &[u8; 32]) -> [u8; 32] {
    let mut all = Vec::new();
    fields(document, "", &mut all);
    all.sort();
    let shape = canonical(&json!(all.iter().map(|(path, _)| path).collect::<Vec<_>>()));
    all.insert(0, (String::new(), shape));
    let leaf = |i: usize| {
        let number = u32::try_from(i).unwrap().to_be_bytes();
        let salt = Sha256::digest([b"foreseal.salt.v1\0".as_slice(), seed, &number].concat());
        let data = match all.get(i) {
            Some((path, value)) => {
                let length = u32::try_from(path.len()).unwrap().to_be_bytes();
                [b"foreseal.field.v1\0".as_slice(), &salt, &length, path.as_bytes(), value.as_bytes()]
                    .concat()
            }
            None => [b"foreseal.pad.v1\0".as_slice(), &salt].concat(),
        };
        <[u8; 32]>::from(Sha256::digest([b"\0".as_slice(), &data].concat()))
    };
    let mut row: Vec<[u8; 32]> = (0..all.len().next_power_of_two()).map(leaf).collect();
    while row.len() > 1 {
        let node =
            |pair: &[[u8; 32]]| Sha256::digest([b"\x01".as_slice(), &pair[0], &pair[1]].concat()).into();
        row = row.chunks(2).map(node).collect();
    }
    row[0]
}
