//! What is answered where everything went well, and the headers that come with it.

use serde_json::Value;

/// One successful answer.
#[derive(Debug)]
pub(in crate::api::http) struct Answer {
    pub(in crate::api::http) status: u16,
    pub(in crate::api::http) description: &'static str,
    pub(in crate::api::http) content: Content,
    pub(in crate::api::http) headers: &'static [Header],
    /// Where what is in the answer leads: operations, and their parameter's name with the answer's member.
    pub(in crate::api::http) links: &'static [Link],
}

/// What a body is.
#[derive(Debug)]
pub(in crate::api::http) enum Content {
    /// JSON of a component's schema, with an example.
    Json(&'static str, fn() -> Value),
    /// Text of a media type, with what it must match and an example.
    Text { media_type: &'static str, pattern: Option<&'static str>, example: Option<fn() -> String> },
    /// Bytes.
    Bytes,
    /// A zip file.
    Zip,
}

/// A header of an answer.
#[derive(Debug, Clone, Copy)]
pub(in crate::api::http) struct Header {
    pub(in crate::api::http) name: &'static str,
    pub(in crate::api::http) description: &'static str,
    pub(in crate::api::http) pattern: &'static str,
}

/// From an answer to another operation.
#[derive(Debug)]
pub(in crate::api::http) struct Link {
    pub(in crate::api::http) operation: &'static str,
    pub(in crate::api::http) parameter: &'static str,
    pub(in crate::api::http) member: &'static str,
}

/// Of everything that caches may keep.
pub(in crate::api::http) const CACHE_CONTROL: Header = Header {
    name: "Cache-Control",
    description: "`private` where a credential is needed, `public` under --public-log; a tile never changes.",
    pattern: "^(private|public), max-age=[0-9]+(, immutable)?$",
};
/// Of a bundle.
pub(in crate::api::http) const EXPORT_INDEX: Header = Header {
    name: "Foreseal-Export",
    description: "Leaf index of the entry that records the hand-out.",
    pattern: "^[0-9]+$",
};
/// Of every 401.
pub(super) const WWW_AUTHENTICATE: Header = Header {
    name: "WWW-Authenticate",
    description: "The scheme that is asked for.",
    pattern: "^Bearer realm=\"foreseal\"$",
};
/// Of every 503.
pub(super) const RETRY_AFTER: Header =
    Header { name: "Retry-After", description: "Seconds to wait before trying again.", pattern: "^[0-9]+$" };
/// Of every 405.
pub(super) const ALLOW: Header =
    Header { name: "Allow", description: "The methods of the path.", pattern: "^[A-Z]+(, ?[A-Z]+)*$" };
