//! The tag that stands for a session in a leaf.

use base64::engine::general_purpose::STANDARD;
use base64::{DecodeSliceError, Engine as _};
use serde::{Deserialize, Serialize};

/// Keyed tag of an agent's session: 16 bytes, base64. Whoever has no session key cannot guess the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionTag(pub [u8; 16]);

impl Serialize for SessionTag {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = [0; 24];
        let written = STANDARD.encode_slice(self.0, &mut text);
        let length = written.map_err(serde::ser::Error::custom)?;
        let text = text.get(..length).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default();
        serializer.serialize_str(text)
    }
}

impl<'de> Deserialize<'de> for SessionTag {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        // Two more than a tag: what 24 characters can hold at most.
        let mut decoded = [0; 18];
        let length = STANDARD.decode_slice(text.as_bytes(), &mut decoded);
        match (length, decoded.first_chunk()) {
            (Ok(16), Some(tag)) => Ok(Self(*tag)),
            (Ok(_) | Err(DecodeSliceError::OutputSliceTooSmall), _) => {
                Err(serde::de::Error::custom("the session tag is not 16 bytes"))
            }
            (Err(_), _) => Err(serde::de::Error::custom("the session tag is not base64")),
        }
    }
}
