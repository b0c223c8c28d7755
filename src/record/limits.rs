//! Every limit of the format and of the service, in one table.
//!
//! A limit is a number that a test can reach and a person can read: each constant says what it bounds, in which
//! unit, and [`LIMITS`] says what happens beyond it. `docs/limits.md` is this table; a test holds the two together.

/// A JSON body that a client sends, in bytes. Also what the strict parser takes unless told otherwise.
pub const BODY_MAX_BYTES: usize = 1024 * 1024;
/// A JSON body that an operator sends, in bytes: a policy bundle is text within JSON, and escaped.
pub const ADMIN_BODY_MAX_BYTES: usize = 2 * BODY_MAX_BYTES;
/// Bodies in memory at once, of all requests together, in bytes. A body of unknown length counts as the longest one that
/// is taken until it is read.
pub const BODIES_MAX_BYTES: usize = 64 * BODY_MAX_BYTES;
/// A body, from the first byte that is waited for to its last, in milliseconds.
pub const BODY_MAX_MS: u64 = 10_000;
/// Open connections, those that are still shaking hands included. Fewer where the process may open fewer files.
pub const CONNECTIONS_MAX: usize = 1_024;
/// Files that are kept free for the ledger, whatever number of connections is open.
pub const FILES_KEPT_FREE: usize = 256;
/// A TLS handshake, in milliseconds.
pub const HANDSHAKE_MAX_MS: u64 = 10_000;
/// The head of a request (request line and headers), in bytes.
pub const HEAD_MAX_BYTES: usize = 32 * 1024;
/// The head of a request, from the connection's beginning or its own first byte, in milliseconds.
pub const HEAD_MAX_MS: u64 = 10_000;
/// A connection between two requests, in milliseconds.
pub const IDLE_MAX_MS: u64 = 90_000;
/// An answer of which the client takes nothing more, in milliseconds.
pub const STALLED_MAX_MS: u64 = 30_000;
/// Requests at once on one connection of HTTP/2.
pub const CONNECTION_REQUESTS_MAX: u32 = 128;
/// A ping of ours on a connection of HTTP/2, in milliseconds.
pub const PING_MAX_MS: u64 = 20_000;
/// Path and query of a request, in bytes.
pub const URI_MAX_BYTES: usize = 8 * 1024;
/// Containers open at once in a JSON document.
pub const JSON_MAX_DEPTH: usize = 64;
/// The largest integer that a double, and so JSON between implementations, holds exactly: 2^53 - 1 (RFC 7493).
pub const JSON_MAX_INTEGER: i64 = (1 << 53) - 1;
/// Calls in one intent; at least one.
pub const CALLS_MAX: usize = 64;
/// Reasoning steps in one intent.
pub const REASONING_STEPS_MAX: usize = 256;
/// Observations in one intent.
pub const OBSERVATIONS_MAX: usize = 256;
/// Fields of one field tree, its shape not counted.
pub const FIELDS_MAX: usize = 4_096;
/// All paths of one field tree together, in bytes. Without it a body of [`BODY_MAX_BYTES`] with one long name over
/// many values would have gigabytes of paths.
pub const FIELD_PATHS_MAX_BYTES: usize = 1024 * 1024;
/// An id, a session name or an agent's name, in characters of `[A-Za-z0-9._:-]`.
pub const ID_MAX_CHARS: usize = 128;
/// An agent's name, in characters of `[A-Za-z0-9._:-]`.
pub const AGENT_NAME_MAX_CHARS: usize = 128;
/// The end user an agent says it acts for, in bytes of UTF-8; at least one.
pub const PRINCIPAL_MAX_BYTES: usize = 1_024;
/// A tool's name, in bytes of UTF-8; at least one.
pub const TOOL_NAME_MAX_BYTES: usize = 1_024;
/// A tool server's name, in bytes of UTF-8.
pub const SERVER_NAME_MAX_BYTES: usize = 1_024;
/// One leaf of the log, in bytes: what the 16-bit length of a C2SP entry bundle can say.
pub const ENTRY_MAX_BYTES: usize = 65_535;
/// Intents admitted and not yet answered.
pub const QUEUE_MAX_INTENTS: usize = 4_096;
/// Entries in one journal frame.
pub const BATCH_MAX_ENTRIES: usize = 512;
/// Bytes in one journal frame, entries and payloads together.
pub const BATCH_MAX_BYTES: usize = 8 * 1024 * 1024;
/// Items on one page of a listing.
pub const PAGE_MAX_ITEMS: usize = 1_000;
/// Agents ever registered; their state is held in memory.
pub const AGENTS_MAX: usize = 100_000;
/// Entries of policies that are listed, and can be gone back to.
pub const POLICIES_KEPT_MAX: usize = 10_000;
/// Applications ever registered; and as many tool servers.
pub const REGISTRATIONS_MAX: usize = 10_000;
/// Sessions whose state is held in memory, opened or not. Those that no application opened are let go first.
pub const SESSIONS_MAX: usize = 100_000;
/// How long after its last entry an opened session is let go, in milliseconds.
pub const SESSION_IDLE_MAX_MS: i64 = 24 * 60 * 60 * 1_000;
/// Texts of the user in one session or turn.
pub const WORDS_MAX: usize = 64;
/// Steps of a plan that an application gives.
pub const PLAN_STEPS_MAX: usize = 64;
/// How many agents may stand between the user and the agent of a session.
pub const DELEGATION_DEPTH_MAX: u32 = 64;
/// Calls of one session whose outcome is awaited, and whose repetition is noticed.
pub const SESSION_CALLS_MAX: usize = 256;
/// A policy bundle, in bytes, all files together.
pub const POLICY_BUNDLE_MAX_BYTES: usize = 1024 * 1024;
/// Rules of one policy bundle.
pub const POLICY_RULES_MAX: usize = 1_000;
/// Seconds that all proofs of one bundle may take, at its activation or on the command line.
pub const PROOFS_MAX_SECONDS: u64 = 300;
/// Roles of one agent.
pub const ROLES_MAX: usize = 64;
/// How far the `created` of a signed intent may be from the service's clock, in milliseconds, either way.
pub const CREATED_WINDOW_MS: i64 = 5 * 60 * 1_000;
/// How far a signed intent's id's own time may be from the service's clock, in milliseconds, either way.
pub const ID_WINDOW_MS: i64 = 24 * 60 * 60 * 1_000;
/// How far the clock may stand behind the last leaf, or step ahead of the time that passed, in milliseconds.
pub const CLOCK_STEP_MAX_MS: i64 = 2_000;
/// How long a clock that stepped ahead has to run on before it is believed, in milliseconds; a shorter step, as long as
/// itself.
pub const CLOCK_CONFIRM_MAX_MS: i64 = 5 * 60 * 1_000;
/// Payloads under the keys of one epoch.
pub const EPOCH_PAYLOADS_MAX: u64 = 65_536;
/// The longest life of a key epoch, in milliseconds.
pub const EPOCH_MAX_MS: i64 = 24 * 60 * 60 * 1_000;
/// A request, from its first byte to its answer, in milliseconds.
pub const REQUEST_MAX_MS: u64 = 30_000;
/// Requests in hand when the service is told to stop, in milliseconds.
pub const DRAIN_MAX_MS: u64 = 15_000;
/// Leaves in the range of one bundle.
pub const EXPORT_RANGE_MAX_ENTRIES: usize = 1_000_000;
/// Intents of which one bundle shows something; each is a file in it.
pub const EXPORT_REVEALED_MAX: usize = 20_000;
/// One bundle, in bytes: well below what the 32-bit lengths of its container can say.
pub const EXPORT_MAX_BYTES: usize = 1024 * 1024 * 1024;

/// Long streams open at once: submissions and followers together, and as many again that watch the service's health.
pub const STREAMS_MAX: usize = 256;
/// Intents of one stream that were taken and whose answers were not read.
pub const STREAM_WINDOW_MAX_INTENTS: usize = 32;
/// The declared documents of those intents, in bytes.
pub const STREAM_WINDOW_MAX_BYTES: usize = 2 * BODY_MAX_BYTES;
/// Leaves in one message of a stream, in bytes. What is read ahead for one reader, too.
pub const STREAM_ENTRIES_MAX_BYTES: usize = 128 * 1024;

/// One row of [`LIMITS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// A stable name, `snake_case`.
    pub name: &'static str,
    /// The largest value that is accepted.
    pub value: u64,
    /// What `value` counts.
    pub unit: &'static str,
    /// What is answered or done beyond it.
    pub what_happens: &'static str,
}

const fn limit(name: &'static str, value: usize, unit: &'static str, what_happens: &'static str) -> Limit {
    Limit { name, value: value as u64, unit, what_happens }
}

const fn patience(name: &'static str, value: u64, what_happens: &'static str) -> Limit {
    Limit { name, value, unit: "milliseconds", what_happens }
}

const fn span(name: &'static str, milliseconds: i64, what_happens: &'static str) -> Limit {
    Limit { name, value: milliseconds.unsigned_abs(), unit: "milliseconds", what_happens }
}

/// The table: every limit with its unit and its consequence, in the order of a request's life.
pub const LIMITS: &[Limit] = &[
    limit("body", BODY_MAX_BYTES, "bytes", "413; nothing is sealed"),
    limit("admin_body", ADMIN_BODY_MAX_BYTES, "bytes", "413; nothing is sealed"),
    limit(
        "bodies",
        BODIES_MAX_BYTES,
        "bytes of all bodies in memory",
        "503 with Retry-After; nothing is sealed",
    ),
    patience("body_time", BODY_MAX_MS, "408; nothing is sealed"),
    limit("connections", CONNECTIONS_MAX, "open connections", "the next one waits until one ends"),
    limit("files_kept_free", FILES_KEPT_FREE, "open files", "so many fewer connections are taken"),
    patience("handshake", HANDSHAKE_MAX_MS, "the connection is closed"),
    limit("head", HEAD_MAX_BYTES, "bytes of request line and headers", "431; nothing is sealed"),
    patience("head_time", HEAD_MAX_MS, "the connection is closed; nothing is sealed"),
    patience("idle", IDLE_MAX_MS, "the connection is closed"),
    patience("stalled", STALLED_MAX_MS, "the connection is closed; what was sealed can be asked for again"),
    limit(
        "connection_requests",
        CONNECTION_REQUESTS_MAX as usize,
        "requests on one HTTP/2 connection",
        "the next one waits or is refused",
    ),
    patience("ping", PING_MAX_MS, "the connection is closed"),
    limit("uri", URI_MAX_BYTES, "bytes of path and query", "414; nothing is sealed"),
    limit("json_depth", JSON_MAX_DEPTH, "open containers", "400 with the position; nothing is sealed"),
    Limit {
        name: "json_integer",
        value: JSON_MAX_INTEGER.unsigned_abs(),
        unit: "absolute value",
        what_happens: "400 with the position; nothing is sealed",
    },
    limit("calls", CALLS_MAX, "calls in an intent", "400; nothing is sealed"),
    limit("reasoning_steps", REASONING_STEPS_MAX, "steps in an intent", "400; nothing is sealed"),
    limit("observations", OBSERVATIONS_MAX, "observations in an intent", "400; nothing is sealed"),
    limit("fields", FIELDS_MAX, "fields in a document", "413; nothing is sealed"),
    limit("field_paths", FIELD_PATHS_MAX_BYTES, "bytes of all paths of a document", "413; nothing is sealed"),
    limit("id", ID_MAX_CHARS, "characters", "400; nothing is sealed"),
    limit("agent_name", AGENT_NAME_MAX_CHARS, "characters", "400; nothing is sealed"),
    limit("tool_name", TOOL_NAME_MAX_BYTES, "bytes", "400; nothing is sealed"),
    limit("server_name", SERVER_NAME_MAX_BYTES, "bytes", "400; nothing is sealed"),
    span("created_window", CREATED_WINDOW_MS, "409; nothing is sealed"),
    span("id_window", ID_WINDOW_MS, "409 for a new signed intent; nothing is sealed"),
    span("clock_step", CLOCK_STEP_MAX_MS, "503 `clock_behind` or `clock_ahead`; nothing is sealed"),
    span("clock_confirm", CLOCK_CONFIRM_MAX_MS, "a clock that stepped ahead and stayed is believed"),
    limit("entry", ENTRY_MAX_BYTES, "bytes", "413; nothing is sealed"),
    limit("queue", QUEUE_MAX_INTENTS, "admitted intents", "503 with Retry-After; nothing is sealed"),
    limit("batch_entries", BATCH_MAX_ENTRIES, "entries in a frame", "the rest waits for the next frame"),
    limit("batch_bytes", BATCH_MAX_BYTES, "bytes in a frame", "the rest waits for the next frame"),
    Limit {
        name: "epoch_payloads",
        value: EPOCH_PAYLOADS_MAX,
        unit: "payloads under one epoch's keys",
        what_happens: "the next epoch is opened",
    },
    span("epoch", EPOCH_MAX_MS, "the next epoch is opened"),
    Limit {
        name: "request",
        value: REQUEST_MAX_MS,
        unit: "milliseconds",
        what_happens: "504; whether it was sealed is not known to this answer",
    },
    Limit {
        name: "drain",
        value: DRAIN_MAX_MS,
        unit: "milliseconds",
        what_happens: "connections that are still open are closed, and what is in hand is sealed",
    },
    limit("streams", STREAMS_MAX, "open streams", "gRPC UNAVAILABLE `overloaded`; nothing is sealed"),
    limit("stream_window", STREAM_WINDOW_MAX_INTENTS, "intents without an answer read", "no more are taken"),
    limit("stream_window_bytes", STREAM_WINDOW_MAX_BYTES, "bytes of those", "no more are taken"),
    limit(
        "stream_entries",
        STREAM_ENTRIES_MAX_BYTES,
        "bytes of leaves",
        "the rest comes in the next message",
    ),
    limit("page", PAGE_MAX_ITEMS, "items", "the listing continues on a next page"),
    limit("principal", PRINCIPAL_MAX_BYTES, "bytes", "400; nothing is sealed"),
    limit("agents", AGENTS_MAX, "agents ever registered", "429; nothing is sealed"),
    limit(
        "policies",
        POLICIES_KEPT_MAX,
        "entries of policies",
        "those before them stay sealed, and are no longer listed",
    ),
    limit(
        "registrations",
        REGISTRATIONS_MAX,
        "applications, or tool servers, ever registered",
        "429; nothing is sealed",
    ),
    limit("roles", ROLES_MAX, "roles of an agent, or of an end user", "400; nothing is sealed"),
    limit(
        "sessions",
        SESSIONS_MAX,
        "sessions held",
        "one that no application opened is let go, the longest idle first; where all are open and young, 429 `too_many_sessions`",
    ),
    span("session_idle", SESSION_IDLE_MAX_MS, "an opened session is as good as never opened"),
    limit("words", WORDS_MAX, "texts of the user in a session or turn", "400; nothing is sealed"),
    limit("plan_steps", PLAN_STEPS_MAX, "steps of a plan", "400; nothing is sealed"),
    limit("delegation_depth", DELEGATION_DEPTH_MAX as usize, "agents in between", "400; nothing is sealed"),
    limit(
        "session_calls",
        SESSION_CALLS_MAX,
        "calls of a session that are remembered",
        "of repetitions the oldest are forgotten; a session that awaits more outcomes stays incomplete",
    ),
    limit("policy_bundle", POLICY_BUNDLE_MAX_BYTES, "bytes", "activation is refused"),
    limit("policy_rules", POLICY_RULES_MAX, "rules", "activation is refused"),
    patience("policy_proofs", PROOFS_MAX_SECONDS * 1_000, "what is not proven by then is unknown"),
    limit(
        "export_range",
        EXPORT_RANGE_MAX_ENTRIES,
        "leaves in a bundle",
        "413 `export_too_large`; nothing is sealed",
    ),
    limit(
        "export_revealed",
        EXPORT_REVEALED_MAX,
        "intents shown in a bundle",
        "413 `export_too_large`; nothing is sealed",
    ),
    limit("export_bytes", EXPORT_MAX_BYTES, "bytes of a bundle", "413 `export_too_large`; nothing is sealed"),
];

#[cfg(test)]
mod tests {
    use super::LIMITS;

    #[test]
    fn each_limit_has_one_row_that_says_what_happens() {
        for (i, row) in LIMITS.iter().enumerate() {
            assert!(row.value > 0, "{}", row.name);
            assert!(!row.unit.is_empty() && !row.what_happens.is_empty(), "{}", row.name);
            assert!(LIMITS.iter().skip(i + 1).all(|other| other.name != row.name), "{} twice", row.name);
            assert!(row.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{}", row.name);
        }
    }
}
