//! Every operation of the service, described. `routes.rs` registers each with its handler.

use serde_json::Value;

use super::answer::{Answer, CACHE_CONTROL, Content, Link};
use super::examples as example;
use super::operation::{Body, Group, Method, Needs, Operation, Parameter, Place, Work};
use super::shapes;
use crate::record::limits;
use crate::service::ErrorCode as E;

const INTENT_ID: Parameter = Parameter {
    name: "id",
    place: Place::Path,
    required: true,
    description: "The intent's id.",
    schema: shapes::uuid,
    example: "01a1fc83-1ca4-7286-8eaa-163f6fbd2a3e",
};
const WHOSE: Parameter = Parameter {
    name: "agent",
    place: Place::Query,
    required: false,
    description: "For operators: whose intent is meant, where several agents used the id. Agents see their own only.",
    schema: shapes::id,
    example: "payments-bot",
};
const AGENT_NAME: Parameter = Parameter {
    name: "name",
    place: Place::Path,
    required: true,
    description: "The agent's name.",
    schema: shapes::id,
    example: "payments-bot",
};
const RECEIPT_TYPE: &str = "text/plain; charset=utf-8";

/// Three reads of one intent differ in what they show of it.
const fn read_of_intent(
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    description: &'static str,
    answers: &'static [Answer],
) -> Operation {
    Operation {
        method: Method::Get,
        path,
        id,
        group: Group::Intents,
        summary,
        description,
        needs: Needs::AnyCaller,
        work: Work::Reads,
        parameters: &[INTENT_ID, WHOSE],
        body: None,
        answers,
        errors: &[E::NotFound, E::AmbiguousId, E::OutcomeUnknown],
    }
}

const fn json(status: u16, schema: &'static str, description: &'static str, value: fn() -> Value) -> Answer {
    Answer { status, description, content: Content::Json(schema, value), headers: &[], links: &[] }
}

const LINKS_OF_ANSWER: &[Link] = &[
    Link { operation: "getIntent", parameter: "id", member: "/id" },
    Link { operation: "getReceipt", parameter: "id", member: "/id" },
    Link { operation: "getPayload", parameter: "id", member: "/id" },
    Link { operation: "proveInclusion", parameter: "index", member: "/index" },
];
const LINKS_OF_AGENT: &[Link] = &[
    Link { operation: "rotateAgent", parameter: "name", member: "/agent" },
    Link { operation: "revokeAgent", parameter: "name", member: "/agent" },
    Link { operation: "proveInclusion", parameter: "index", member: "/index" },
];

pub(in crate::api::http) static SUBMIT: Operation = Operation {
    method: Method::Post,
    path: "/v1/intents",
    id: "submitIntent",
    group: Group::Intents,
    summary: "Declare an intent; have it decided and sealed",
    description: "Answered once the intent and its decision are one durable leaf under a signed checkpoint. A denial is a 201 too: it was sealed. \
        Act only if every call you are about to make is `allow` in the answer. The body is kept byte for byte; unknown members are refused. \
        The same id with the same body gets the same answer again, byte for byte, so retrying is always safe.",
    needs: Needs::Agent,
    work: Work::Seals,
    parameters: &[
        Parameter {
            name: "Foreseal-Seed",
            place: Place::Header,
            required: false,
            description: "The seed of the declared document, base64 of 32 random bytes, if the agent brings its own. Required when signed.",
            schema: shapes::hash,
            example: "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        },
        Parameter {
            name: "Foreseal-Signature",
            place: Place::Header,
            required: false,
            description: "The agent's signature over its statement. Required from agents that registered a key, refused from others.",
            schema: shapes::signature_header,
            example: "",
        },
    ],
    body: Some(Body { schema: "Intent", bytes_max: limits::BODY_MAX_BYTES, example: example::intent }),
    answers: &[Answer {
        links: LINKS_OF_ANSWER,
        ..json(201, "Answer", "Decided, sealed, durable.", example::answer)
    }],
    errors: &[
        E::MalformedIntent,
        E::MalformedStatement,
        E::SignatureRequired,
        E::SignatureInvalid,
        E::AgentMismatch,
        E::IdReused,
        E::IdOutsideWindow,
        E::CreatedOutsideWindow,
        E::SealedUnanswered,
    ],
};

pub(in crate::api::http) static GET_INTENT: Operation = read_of_intent(
    "/v1/intents/{id}",
    "getIntent",
    "The answer to an intent, again",
    "The bytes that were answered when it was sealed.",
    &[json(200, "Answer", "The answer.", example::answer)],
);

pub(in crate::api::http) static GET_RECEIPT: Operation = read_of_intent(
    "/v1/intents/{id}/receipt",
    "getReceipt",
    "The receipt alone",
    "A C2SP tlog-proof. `foreseal verify receipt` checks it offline, and so does other people's software.",
    &[Answer {
        status: 200,
        description: "The receipt.",
        content: Content::Text {
            media_type: RECEIPT_TYPE,
            pattern: Some("^c2sp\\.org/tlog-proof@v1\\n"),
            example: Some(example::receipt),
        },
        headers: &[],
        links: &[],
    }],
);

pub(in crate::api::http) static GET_PAYLOAD: Operation = read_of_intent(
    "/v1/intents/{id}/payload",
    "getPayload",
    "What an intent's leaf commits to",
    "The declared document and what opens its commitment; for operators the evaluation too.",
    &[json(200, "Payload", "The payload.", example::payload)],
);

pub(in crate::api::http) static CHECKPOINT: Operation = Operation {
    method: Method::Get,
    path: "/checkpoint",
    id: "getCheckpoint",
    group: Group::Log,
    summary: "The signed head of the log",
    description: "A C2SP tlog-checkpoint. Everything that was answered before it is under it.",
    needs: Needs::LogReader,
    work: Work::Looks,
    parameters: &[],
    body: None,
    answers: &[Answer {
        status: 200,
        description: "The checkpoint.",
        content: Content::Text {
            media_type: RECEIPT_TYPE,
            pattern: Some("^[^\\n]+\\n[0-9]+\\n[A-Za-z0-9+/]{43}=\\n"),
            example: Some(example::checkpoint),
        },
        headers: &[CACHE_CONTROL],
        links: &[],
    }],
    errors: &[],
};

pub(in crate::api::http) static TILE: Operation = Operation {
    method: Method::Get,
    path: "/tile/{*path}",
    id: "getTile",
    group: Group::Log,
    summary: "A tile of hashes, or a bundle of entries",
    description: "C2SP tlog-tiles. The path is `<L>/<N>[.p/<W>]` for the tile N of level L, or `entries/<N>[.p/<W>]` for the leaves beside it; \
        N in groups of three digits, all but the last behind an `x` (`x001/x234/067`). The slashes of the path are written as they are, or as %2F. \
        Every published size stays readable. Bundles compress well: send Accept-Encoding: gzip.",
    needs: Needs::LogReader,
    work: Work::Reads,
    parameters: &[Parameter {
        name: "path",
        place: Place::Path,
        required: true,
        description: "Which tile; beyond the published size there is none.",
        schema: shapes::tile_path,
        example: "entries/000.p/1",
    }],
    body: None,
    answers: &[Answer {
        status: 200,
        description: "The hashes, 32 bytes each; of a bundle, the entries, each behind its length in two bytes, big-endian.",
        content: Content::Bytes,
        headers: &[CACHE_CONTROL],
        links: &[],
    }],
    errors: &[E::NotInLog],
};

const fn proof(
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    parameters: &'static [Parameter],
    answers: &'static [Answer],
) -> Operation {
    Operation {
        method: Method::Get,
        path,
        id,
        group: Group::Proofs,
        summary,
        description: "Made within the published log: what lies beyond it is a 404.",
        needs: Needs::LogReader,
        work: Work::Reads,
        parameters,
        body: None,
        answers,
        errors: &[E::NotInLog],
    }
}

const fn query(
    name: &'static str,
    required: bool,
    description: &'static str,
    example: &'static str,
) -> Parameter {
    Parameter { name, place: Place::Query, required, description, schema: shapes::number, example }
}

pub(in crate::api::http) static INCLUSION: Operation = proof(
    "/v1/proofs/inclusion",
    "proveInclusion",
    "That a leaf is in the log",
    &[
        query("index", true, "The leaf.", "0"),
        query("size", false, "The size of the tree; without it the published one.", "1"),
    ],
    &[json(200, "InclusionProof", "The proof.", example::inclusion)],
);

pub(in crate::api::http) static CONSISTENCY: Operation = proof(
    "/v1/proofs/consistency",
    "proveConsistency",
    "That the log only grew",
    &[
        query("from", true, "The older size.", "1"),
        query("to", false, "The newer size; without it the published one.", "1"),
    ],
    &[json(200, "ConsistencyProof", "The proof.", example::consistency)],
);

pub(in crate::api::http) static REGISTER_AGENT: Operation = Operation {
    method: Method::Post,
    path: "/v1/agents",
    id: "registerAgent",
    group: Group::Agents,
    summary: "Register an agent",
    description: "Sealed as an entry. The token is in this answer and nowhere else. Names are used once, for good. \
        An agent with a public key must sign its intents.",
    needs: Needs::Operator,
    work: Work::Seals,
    parameters: &[],
    body: Some(Body {
        schema: "NewAgent",
        bytes_max: limits::ADMIN_BODY_MAX_BYTES,
        example: example::new_agent,
    }),
    answers: &[Answer {
        links: LINKS_OF_AGENT,
        ..json(201, "RegisteredAgent", "Registered, sealed.", example::registered_agent)
    }],
    errors: &[E::NameTaken, E::TooManyAgents],
};

pub(in crate::api::http) static AGENTS: Operation = Operation {
    method: Method::Get,
    path: "/v1/agents",
    id: "listAgents",
    group: Group::Agents,
    summary: "The registered agents",
    description: "In the order of their registration, a page at a time.",
    needs: Needs::Operator,
    work: Work::Looks,
    parameters: &[query("after", false, "Agents registered after this leaf index.", "0")],
    body: None,
    answers: &[json(200, "Agents", "A page of agents.", example::agents)],
    errors: &[],
};

pub(in crate::api::http) static ROTATE_AGENT: Operation = Operation {
    method: Method::Post,
    path: "/v1/agents/{name}/rotate",
    id: "rotateAgent",
    group: Group::Agents,
    summary: "Give an agent a new token",
    description: "The old token ends. Its roles stay; its public key is the one given here, or none.",
    needs: Needs::Operator,
    work: Work::Seals,
    parameters: &[AGENT_NAME],
    body: Some(Body {
        schema: "Rotation",
        bytes_max: limits::ADMIN_BODY_MAX_BYTES,
        example: example::rotation,
    }),
    answers: &[json(201, "RegisteredAgent", "Changed, sealed.", example::registered_agent)],
    errors: &[E::NotFound],
};

pub(in crate::api::http) static REVOKE_AGENT: Operation = Operation {
    method: Method::Post,
    path: "/v1/agents/{name}/revoke",
    id: "revokeAgent",
    group: Group::Agents,
    summary: "End an agent's registration",
    description: "Its token ends at once. What it did stays in the log. A body is not read.",
    needs: Needs::Operator,
    work: Work::Seals,
    parameters: &[AGENT_NAME],
    body: None,
    answers: &[json(201, "Revoked", "Ended, sealed.", example::revoked)],
    errors: &[E::NotFound],
};

/// An operation for whoever watches, or reads about, the service.
const fn open(
    path: &'static str,
    id: &'static str,
    group: Group,
    summary: &'static str,
    description: &'static str,
    answers: &'static [Answer],
) -> Operation {
    Operation {
        method: Method::Get,
        path,
        id,
        group,
        summary,
        description,
        needs: Needs::Nothing,
        work: Work::None,
        parameters: &[],
        body: None,
        answers,
        errors: &[],
    }
}

const fn text(media_type: &'static str, pattern: Option<&'static str>, description: &'static str) -> Answer {
    let content = Content::Text { media_type, pattern, example: None };
    Answer { status: 200, description, content, headers: &[], links: &[] }
}

pub(in crate::api::http) static HEALTHZ: Operation = open(
    "/healthz",
    "isAlive",
    Group::Watching,
    "The process answers",
    "Nothing more: see readyz.",
    &[text("text/plain; charset=utf-8", Some("^ok\n$"), "It does.")],
);

pub(in crate::api::http) static READYZ: Operation = Operation {
    errors: &[E::Poisoned, E::ClockBehind, E::ClockAhead],
    ..open(
        "/readyz",
        "isReady",
        Group::Watching,
        "Intents would be sealed now",
        "503 with a code where they would not, and no more: no credential is needed. What failed stands in the log and in `/metrics`.",
        &[json(200, "Readiness", "They would.", example::readiness)],
    )
};

pub(in crate::api::http) static METRICS: Operation = Operation {
    needs: Needs::AnyCaller,
    work: Work::Looks,
    errors: &[E::Damaged],
    ..open(
        "/metrics",
        "getMetrics",
        Group::Watching,
        "Counters and distributions",
        "OpenMetrics text, for Prometheus. Names no agent, session, tool or rule. Any registered credential will do: register an agent of its own for whoever scrapes, which no policy allows anything.",
        &[text(
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Some("^# HELP foreseal_"),
            "What is counted.",
        )],
    )
};

pub(in crate::api::http) static OPENAPI: Operation = Operation {
    errors: &[E::Damaged],
    ..open(
        "/openapi.json",
        "getDescription",
        Group::Description,
        "This description",
        "OpenAPI 3.1, made from the router's own table: a route without a description does not exist.",
        &[json(200, "Description", "The document.", example::description)],
    )
};

pub(in crate::api::http) static DOCS: Operation = Operation {
    errors: &[E::Damaged],
    ..open(
        "/docs",
        "readDescription",
        Group::Description,
        "This description, to read",
        "A page without scripts, fonts or anything from elsewhere.",
        &[text("text/html; charset=utf-8", Some("^<!doctype html>"), "The page.")],
    )
};

pub(in crate::api::http) static DOCS_STYLE: Operation = open(
    "/docs/style.css",
    "getStyle",
    Group::Description,
    "How the page looks",
    "Light and dark, wide and narrow.",
    &[text("text/css; charset=utf-8", None, "The style sheet.")],
);
