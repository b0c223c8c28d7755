//! Policies, described: which bundle decides, which one watches, and back again.

use serde_json::{Value, json};

use super::answer::{Answer, Content, Link};
use super::examples as example;
use super::operation::{Body, Group, Method, Needs, Operation, Parameter, Place, Work};
use super::shapes::{self, HEX_32, described, index, object};
use crate::record::limits;
use crate::service::ErrorCode as E;

const INDEX: Parameter = Parameter {
    name: "index",
    place: Place::Path,
    required: true,
    description: "Leaf index of the policy's entry.",
    schema: shapes::number,
    example: "1",
};
const AFTER: Parameter = Parameter {
    name: "after",
    place: Place::Query,
    required: false,
    description: "Those sealed after this leaf index.",
    schema: shapes::number,
    example: "0",
};
const LINKS: &[Link] = &[Link { operation: "getSealedPolicy", parameter: "index", member: "/index" }];

const fn json(status: u16, schema: &'static str, description: &'static str, value: fn() -> Value) -> Answer {
    Answer { status, description, content: Content::Json(schema, value), headers: &[], links: &[] }
}

const fn body(schema: &'static str, example: fn() -> Value) -> Body {
    Body { schema, bytes_max: limits::ADMIN_BODY_MAX_BYTES, example }
}

const fn of_policies(
    method: Method,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    description: &'static str,
    answers: &'static [Answer],
) -> Operation {
    Operation {
        method,
        path,
        id,
        group: Group::Policies,
        summary,
        description,
        needs: Needs::Operator,
        work: Work::Seals,
        parameters: &[],
        body: None,
        answers,
        errors: &[E::NotFound],
    }
}

pub(in crate::api::http) static POLICY: Operation = Operation {
    work: Work::Looks,
    ..of_policies(
        Method::Get,
        "/v1/policies",
        "getPolicy",
        "The active policy",
        "404 while none is active; everything is denied then.",
        &[json(200, "Policy", "The bundle that decides.", example::policy)],
    )
};

pub(in crate::api::http) static ACTIVATE_POLICY: Operation = Operation {
    body: Some(body("NewPolicy", example::new_policy)),
    errors: &[E::InvalidPolicy, E::AuthorNotAllowed, E::NotProven],
    ..of_policies(
        Method::Post,
        "/v1/policies",
        "activatePolicy",
        "Activate a policy bundle, or put it into shadow",
        "Validated strictly and tested first; a bundle that does not load, or whose tests fail, leaves the active one as it was. Sealed as an entry. A bundle in shadow decides nothing; there is one at most, and a new one replaces it.",
        &[
            Answer { links: LINKS, ..json(201, "Policy", "Active, or in shadow; sealed.", example::policy) },
            json(200, "Policy", "It was so already; nothing was sealed.", example::policy_unchanged),
        ],
    )
};

pub(in crate::api::http) static POLICY_HISTORY: Operation = Operation {
    work: Work::Looks,
    parameters: &[AFTER],
    errors: &[],
    ..of_policies(
        Method::Get,
        "/v1/policies/history",
        "listPolicies",
        "The entries of policies",
        "In the order of the log, a page at a time; without the bundles' files.",
        &[json(200, "Policies", "A page of entries.", example::policies)],
    )
};

pub(in crate::api::http) static SEALED_POLICY: Operation = Operation {
    work: Work::Reads,
    parameters: &[INDEX],
    ..of_policies(
        Method::Get,
        "/v1/policies/{index}",
        "getSealedPolicy",
        "A sealed bundle",
        "With its files, from the log's own record of it, whether it is active or not.",
        &[json(200, "Policy", "The bundle of that entry.", example::policy)],
    )
};

pub(in crate::api::http) static ROLL_BACK_POLICY: Operation = Operation {
    body: Some(body("PolicyRollback", example::rollback)),
    errors: &[E::NotFound, E::InvalidPolicy, E::AuthorNotAllowed, E::NotProven, E::Damaged],
    ..of_policies(
        Method::Post,
        "/v1/policies/rollback",
        "rollBackPolicy",
        "Make an earlier bundle decide again",
        "From the log's own record, so no directory is needed. Sealed as a new entry, which names the one that it restores.",
        &[
            Answer { links: LINKS, ..json(201, "Policy", "Active again; sealed.", example::policy_restored) },
            json(200, "Policy", "That bundle is active; nothing was sealed.", example::policy_unchanged),
        ],
    )
};

pub(in crate::api::http) static WITHDRAW_SHADOW: Operation = of_policies(
    Method::Post,
    "/v1/policies/withdraw",
    "withdrawShadow",
    "End the shadow",
    "What was in shadow is no longer; what decides is untouched. A body is not read.",
    &[json(201, "SealedPolicy", "Ended, sealed.", example::withdrawal)],
);

fn row() -> Value {
    let text = |description: &str| json!({ "type": "string", "description": description });
    let is = |description: &str| json!({ "type": "boolean", "description": description });
    object(
        "An entry of a policy",
        &["index", "at", "mode", "active", "shadow"],
        json!({
            "index": index("Its leaf index."),
            "at": { "type": "string", "format": "date-time", "description": "When it was sealed." },
            "mode": { "enum": ["enforce", "shadow", "withdraw"], "description": "What became of the bundle: it decides, it watches, or what watched ends to." },
            "digest": { "type": "string", "pattern": HEX_32, "description": "Digest of the bundle's files. Absent on a withdrawal, like all that is a bundle's." },
            "name": text("The bundle's name, if it says one."),
            "version": text("Its version, if it says one."),
            "author": text("Who stands for it."),
            "rules": { "type": "integer", "minimum": 0, "description": "How many rules it has." },
            "restores": index("The earlier entry whose bundle decides again."),
            "ends": index("The entry whose bundle ends to watch with this one."),
            "active": is("Does it decide now?"),
            "shadow": is("Does it watch now?"),
        }),
    )
}

/// By their names in the document.
pub(super) fn components() -> [(&'static str, Value); 5] {
    let files = |description: &str| json!({ "type": "object", "additionalProperties": { "type": "string" }, "description": description });
    let to = json!({ "anyOf": [
        described(shapes::number(), "To the bundle of this entry."),
        { "type": "string", "pattern": HEX_32, "description": "To the bundle of this digest." },
    ], "description": "Whose turn it is again; absent: the last bundle that decided and is another than the active one." });
    [
        (
            "NewPolicy",
            object(
                "A policy bundle to activate",
                &["files"],
                json!({
                    "files": files("File names (`*.cedar`, `tools.json`, `manifest.json`, `proofs.json`, `signature.json`, `tests/*.json`) and their text. None: a bundle that denies everything."),
                    "mode": { "enum": ["enforce", "shadow"], "description": "Whether it is to decide or to watch; absent: as its manifest says, otherwise it decides." },
                }),
            ),
        ),
        (
            "Policy",
            object(
                "A sealed bundle",
                &["index", "digest", "mode", "files", "unchanged"],
                json!({
                    "index": index("Leaf index of its entry."),
                    "digest": { "type": "string", "pattern": HEX_32, "description": "Digest of the bundle's files." },
                    "mode": { "enum": ["enforce", "shadow"], "description": "Whether it was sealed to decide or to watch." },
                    "files": files("Its files."),
                    "unchanged": { "type": "boolean", "description": "Whether that was so before, so that nothing new was sealed." },
                    "restores": index("The earlier entry whose bundle decides again."),
                }),
            ),
        ),
        ("PolicyRollback", object("Where a rollback leads", &[], json!({ "to": to }))),
        ("SealedPolicy", row()),
        (
            "Policies",
            object(
                "A page of entries of policies",
                &["policies"],
                json!({ "policies": {
                    "type": "array", "maxItems": limits::PAGE_MAX_ITEMS, "items": row(),
                    "description": "In the order of the log. A full page: ask for the next with ?after= the last one's index.",
                } }),
            ),
        ),
    ]
}
