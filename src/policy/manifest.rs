//! What a bundle says about itself, and its author's signature over every byte of it.
//!
//! `manifest.json` is `{"name", "version", "mode", "author": {"name", "key"}, "description", "proofs"}`. Where it names an author's
//! key, `signature.json` must hold the author's Ed25519 signature over all other files: their paths, their bytes, and
//! that there are no more of them. That the key is the author's, whoever activates the bundle has to know.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::Deserialize;
use serde_json::{Value, json};

use super::bundle::digest;
use super::fault::{Fault, FaultKind, Place};
use super::rule::is_name;
use crate::record::canonical::to_jcs;
use crate::record::statement::pre_authentication_encoding;

/// The file in which a bundle says what it is.
pub(super) const FILE: &str = "manifest.json";
/// The author's signature.
pub(super) const SIGNATURE: &str = "signature.json";
/// What is signed: the hexadecimal digest of all files but the signature's own, under this DSSE payload type.
const SIGNED_TYPE: &str = "application/vnd.foreseal.policy-bundle.v1";
/// Bytes of a description.
const DESCRIPTION_BYTES: usize = 1_000;

/// Does a bundle decide, or only say what it would decide?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// It decides.
    #[default]
    Enforce,
    /// It is meant to be watched beside the bundle that decides.
    Shadow,
}

impl Mode {
    /// The name in the manifest.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Shadow => "shadow",
        }
    }
}

/// Who wrote a bundle, and signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// The name the bundle gives.
    pub name: String,
    /// The Ed25519 public key that its signature verifies under.
    pub key: [u8; 32],
}

/// What a bundle says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Its name.
    pub name: Option<String>,
    /// Its version, in whatever scheme the author has.
    pub version: Option<String>,
    /// What it is for.
    pub mode: Mode,
    /// Its author, where it is signed.
    pub author: Option<Author>,
    /// Does it become active only where what `proofs.json` says is proven?
    pub proofs_required: bool,
    /// What it is about, for people.
    pub description: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Declared {
    name: String,
    version: String,
    #[serde(default)]
    mode: Mode,
    #[serde(default)]
    author: Option<DeclaredAuthor>,
    #[serde(default)]
    proofs: Option<DeclaredProofs>,
    #[serde(default)]
    description: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum DeclaredProofs {
    Required,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeclaredAuthor {
    name: String,
    key: String,
}

/// Reads what a bundle says about itself and checks its signature. Without a manifest it is nobody's, and enforced.
pub(super) fn read(files: &BTreeMap<String, Vec<u8>>, text: Option<&str>) -> Result<Manifest, Fault> {
    let manifest = match text {
        None => Manifest::default(),
        Some(text) => parse(text)?,
    };
    let unsigned =
        |what: &str, hint: &str| Fault::new(FaultKind::Signature, what, hint).at(Place::file(SIGNATURE));
    match (&manifest.author, files.get(SIGNATURE)) {
        (None, None) => Ok(manifest),
        (None, Some(_)) => Err(unsigned(
            "a signature, and no author in manifest.json whose it would be",
            "name the author and the key in manifest.json, or remove signature.json",
        )),
        (Some(_), None) => Err(unsigned(
            "manifest.json names an author's key, and the bundle is not signed",
            "sign it with `foreseal policy sign`, or remove \"author\" from manifest.json",
        )),
        (Some(author), Some(signature)) => match verifies(files, &author.key, signature) {
            true => Ok(manifest),
            false => Err(unsigned(
                "the author's signature is not over these files",
                "get the bundle again from its author; after a change of your own, sign it again",
            )),
        },
    }
}

fn parse(text: &str) -> Result<Manifest, Fault> {
    let fault = |message: String, hint: &str| Fault::new(FaultKind::Manifest, message, hint);
    let declared: Declared = serde_json::from_str(text).map_err(|error| {
        let place = Place { file: FILE.to_owned(), line: error.line(), column: error.column() };
        let shown = error.to_string();
        let message = shown.rsplit_once(" at line ").map_or(shown.as_str(), |(message, _)| message).to_owned();
        let hint = "manifest.json is {\"name\", \"version\", \"mode\": \"enforce\" or \"shadow\", \"author\": {\"name\", \
                    \"key\"}, \"description\", \"proofs\": \"required\"}; correct it at this position";
        fault(message, hint).at(place)
    })?;
    let at = |fault: Fault| fault.at(Place::file(FILE));
    for (what, text) in [("name", &declared.name), ("version", &declared.version)] {
        if !is_name(text) {
            return Err(at(fault(
                format!("the {what} is not one"),
                "write 1 to 128 letters, digits, and . _ : -",
            )));
        }
    }
    let line = |text: &String| text.len() <= DESCRIPTION_BYTES && !text.chars().any(char::is_control);
    if !declared.description.as_ref().is_none_or(line) {
        return Err(at(fault(
            "the description is too long".to_owned(),
            "say it in one line of up to 1,000 bytes",
        )));
    }
    let author = match declared.author {
        None => None,
        Some(author) => Some(Author {
            key: key(&author.key).ok_or_else(|| {
                at(fault(
                    "the author's key is not one".to_owned(),
                    "write base64 of 32 bytes: an Ed25519 public key",
                ))
            })?,
            name: Some(author.name).filter(|name| is_name(name)).ok_or_else(|| {
                at(fault(
                    "the author's name is not one".to_owned(),
                    "write 1 to 128 letters, digits, and . _ : -",
                ))
            })?,
        }),
    };
    let Declared { name, version, mode, description, proofs, .. } = declared;
    let proofs_required = matches!(proofs, Some(DeclaredProofs::Required));
    Ok(Manifest { name: Some(name), version: Some(version), mode, author, description, proofs_required })
}

fn key(text: &str) -> Option<[u8; 32]> {
    let bytes = <[u8; 32]>::try_from(STANDARD.decode(text).ok()?).ok()?;
    // A weak key signs anything.
    VerifyingKey::from_bytes(&bytes).ok().filter(|key| !key.is_weak()).map(|_| bytes)
}

/// What the author signs.
fn signed_bytes(files: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    let others = files.iter().filter(|(name, _)| *name != SIGNATURE);
    let digest = digest(others.map(|(name, content)| (name.as_str(), content.as_slice())));
    pre_authentication_encoding(SIGNED_TYPE, hex::encode(digest).as_bytes())
}

/// The one form of `signature.json`.
fn signature_file(signature: &[u8; 64]) -> Vec<u8> {
    let mut file = to_jcs(&json!({"ed25519": STANDARD.encode(signature)})).unwrap_or_default();
    file.push(b'\n');
    file
}

fn verifies(files: &BTreeMap<String, Vec<u8>>, key: &[u8; 32], file: &[u8]) -> bool {
    let read = || {
        let document: Value = serde_json::from_slice(file).ok()?;
        <[u8; 64]>::try_from(STANDARD.decode(document.get("ed25519")?.as_str()?).ok()?).ok()
    };
    let Some(signature) = read() else { return false };
    // Written otherwise it would be a byte that nobody signed.
    signature_file(&signature) == file
        && VerifyingKey::from_bytes(key).is_ok_and(|key| {
            key.verify_strict(&signed_bytes(files), &Signature::from_bytes(&signature)).is_ok()
        })
}

/// An author's signature over the files of a bundle: the content of its `signature.json`.
///
/// `secret` is the seed of an Ed25519 key. Nothing is said about whether the files are a bundle.
#[must_use]
pub fn sign_bundle(files: &BTreeMap<String, Vec<u8>>, secret: &[u8; 32]) -> Vec<u8> {
    signature_file(&SigningKey::from_bytes(secret).sign(&signed_bytes(files)).to_bytes())
}

/// The public key of a seed.
#[must_use]
pub fn author_key(secret: &[u8; 32]) -> [u8; 32] {
    SigningKey::from_bytes(secret).verifying_key().to_bytes()
}
