//! The signature: an in-toto statement (v1) about the manifest, in a DSSE envelope (v1), by the bundle key.
//!
//! Sources: [in-toto attestation framework](https://github.com/in-toto/attestation/tree/v1.1.0/spec/v1),
//! [DSSE](https://github.com/secure-systems-lab/dsse/tree/v1.0.2).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::MANIFEST;
use super::manifest::{Manifest, canonical, read};
use crate::record::statement::{AgentKey, pre_authentication_encoding};

/// DSSE payload type of an in-toto statement.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// What the statement says of its subject.
pub const PREDICATE_TYPE: &str = "urn:foreseal:bundle:v1";

/// The key that signs manifests. Wiped when dropped, in no `Debug`.
pub struct BundleSigner(SigningKey);

impl std::fmt::Debug for BundleSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BundleSigner({})", key_id(&self.public_key()))
    }
}

impl BundleSigner {
    /// The key that this seed gives.
    #[must_use]
    pub fn from_seed(seed: &Zeroizing<[u8; 32]>) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The 32 bytes of the public key.
    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    /// The envelope over a manifest: canonical JSON.
    #[must_use]
    pub fn sign(&self, manifest: &Manifest, bytes: &[u8]) -> Vec<u8> {
        let payload = statement(manifest, bytes);
        let signature = self.0.sign(&pre_authentication_encoding(PAYLOAD_TYPE, &payload));
        let envelope = Envelope {
            payload: STANDARD.encode(&payload),
            payload_type: PAYLOAD_TYPE.to_owned(),
            signatures: vec![EnvelopeSignature {
                keyid: key_id(&self.public_key()),
                sig: STANDARD.encode(signature.to_bytes()),
            }],
        };
        canonical(&envelope)
    }
}

/// The `keyid` hint: lower-case hex SHA-256 of the public key.
#[must_use]
pub fn key_id(public_key: &[u8; 32]) -> String {
    hex::encode(Sha256::digest(public_key))
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    payload: String,
    #[serde(rename = "payloadType")]
    payload_type: String,
    signatures: Vec<EnvelopeSignature>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EnvelopeSignature {
    keyid: String,
    sig: String,
}

/// The statement about a manifest: all of it follows from the manifest.
fn statement(manifest: &Manifest, bytes: &[u8]) -> Vec<u8> {
    canonical(&serde_json::json!({
        "_type": STATEMENT_TYPE,
        "subject": [{ "name": MANIFEST, "digest": { "sha256": hex::encode(Sha256::digest(bytes)) } }],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "origin": manifest.origin, "id": manifest.id, "from": manifest.scope.from, "to": manifest.scope.to,
            "checkpoint": manifest.checkpoint, "export": manifest.export, "key": manifest.key,
        },
    }))
}

/// Verifies an envelope: exactly one signature, by this key, over exactly the statement that the manifest makes.
///
/// # Errors
/// What is wrong, in words.
pub fn verify(
    envelope: &[u8],
    manifest: &Manifest,
    bytes: &[u8],
    public_key: &[u8; 32],
) -> Result<(), String> {
    let envelope: Envelope = read(envelope).map_err(|e| format!("the envelope: {e}"))?;
    let payload = STANDARD.decode(&envelope.payload).map_err(|_| "the payload is not base64".to_owned())?;
    if envelope.payload_type != PAYLOAD_TYPE || payload != statement(manifest, bytes) {
        return Err("the statement is not about this manifest".to_owned());
    }
    let [signature] = envelope.signatures.as_slice() else {
        return Err("there is not exactly one signature".to_owned());
    };
    if signature.keyid != key_id(public_key) {
        return Err("it is signed by another key than the one that the log announced".to_owned());
    }
    let sig: [u8; 64] = STANDARD
        .decode(&signature.sig)
        .ok()
        .and_then(|sig| sig.try_into().ok())
        .ok_or_else(|| "the signature is not 64 bytes of base64".to_owned())?;
    let key =
        AgentKey::from_bytes(public_key).map_err(|_| "the announced key is no Ed25519 key".to_owned())?;
    key.verify_typed(PAYLOAD_TYPE, &payload, &sig)
        .map_err(|_| "the signature does not verify under the announced key".to_owned())
}
