//! Applications and tool servers, described: their registrations, and what they say.

use super::answer::{Answer, Content, Link};
use super::examples as example;
use super::operation::{Body, Group, Method, Needs, Operation, Parameter, Place, Work};
use super::shapes;
use crate::record::limits;
use crate::service::ErrorCode as E;

const fn name(description: &'static str, example: &'static str) -> Parameter {
    Parameter { name: "name", place: Place::Path, required: true, description, schema: shapes::id, example }
}

const APPLICATION_NAME: Parameter = name("The application's name.", "helpdesk");
const SERVER_NAME: Parameter = name("The tool server's name.", "bank");
const AFTER: Parameter = Parameter {
    name: "after",
    place: Place::Query,
    required: false,
    description: "Those registered after this leaf index.",
    schema: shapes::number,
    example: "0",
};

const fn json(
    status: u16,
    schema: &'static str,
    description: &'static str,
    value: fn() -> serde_json::Value,
    links: &'static [Link],
) -> Answer {
    Answer { status, description, content: Content::Json(schema, value), headers: &[], links }
}

const LINKS_OF_APPLICATION: &[Link] = &[
    Link { operation: "rotateApplication", parameter: "name", member: "/name" },
    Link { operation: "revokeApplication", parameter: "name", member: "/name" },
];
const LINKS_OF_SERVER: &[Link] = &[
    Link { operation: "rotateToolServer", parameter: "name", member: "/name" },
    Link { operation: "revokeToolServer", parameter: "name", member: "/name" },
];
const LINKS_OF_SESSION: &[Link] = &[
    Link { operation: "takeTurn", parameter: "id", member: "/id" },
    Link { operation: "proveInclusion", parameter: "index", member: "/index" },
];
const LINKS_OF_LEAF: &[Link] = &[Link { operation: "proveInclusion", parameter: "index", member: "/index" }];

/// What operators do to registrations of either kind.
const fn of_registration(
    method: Method,
    path: &'static str,
    id: &'static str,
    group: Group,
    summary: &'static str,
    description: &'static str,
    answers: &'static [Answer],
) -> Operation {
    Operation {
        method,
        path,
        id,
        group,
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

const fn new_party(example: fn() -> serde_json::Value) -> Body {
    Body { schema: "NewParty", bytes_max: limits::ADMIN_BODY_MAX_BYTES, example }
}

pub(in crate::api::http) static REGISTER_APPLICATION: Operation = Operation {
    body: Some(new_party(example::new_application)),
    errors: &[E::NameTaken, E::TooManyRegistrations],
    ..of_registration(
        Method::Post,
        "/v1/applications",
        "registerApplication",
        Group::Applications,
        "Register an application",
        "Sealed as an entry. The token is in this answer and nowhere else. Names are used once, for good.",
        &[json(
            201,
            "RegisteredApplication",
            "Registered, sealed.",
            example::registered_application,
            LINKS_OF_APPLICATION,
        )],
    )
};

pub(in crate::api::http) static APPLICATIONS: Operation = Operation {
    work: Work::Looks,
    parameters: &[AFTER],
    errors: &[],
    ..of_registration(
        Method::Get,
        "/v1/applications",
        "listApplications",
        Group::Applications,
        "The registered applications",
        "In the order of their registration, a page at a time.",
        &[json(200, "Applications", "A page of applications.", example::applications, &[])],
    )
};

pub(in crate::api::http) static ROTATE_APPLICATION: Operation = Operation {
    parameters: &[APPLICATION_NAME],
    ..of_registration(
        Method::Post,
        "/v1/applications/{name}/rotate",
        "rotateApplication",
        Group::Applications,
        "Give an application a new token",
        "The old token ends. Its sessions stay open. A body is not read.",
        &[json(201, "RegisteredApplication", "Changed, sealed.", example::registered_application, &[])],
    )
};

pub(in crate::api::http) static REVOKE_APPLICATION: Operation = Operation {
    parameters: &[APPLICATION_NAME],
    ..of_registration(
        Method::Post,
        "/v1/applications/{name}/revoke",
        "revokeApplication",
        Group::Applications,
        "End an application's registration",
        "Its token ends at once, and its sessions are as good as never opened. A body is not read.",
        &[json(201, "RevokedParty", "Ended, sealed.", example::revoked_application, &[])],
    )
};

pub(in crate::api::http) static REGISTER_TOOL_SERVER: Operation = Operation {
    body: Some(new_party(example::new_server)),
    errors: &[E::NameTaken, E::TooManyRegistrations],
    ..of_registration(
        Method::Post,
        "/v1/tool-servers",
        "registerToolServer",
        Group::ToolServers,
        "Register a tool server",
        "Its name is the one by which calls name their `server`. Sealed as an entry. The token is in this answer and nowhere else.",
        &[json(
            201,
            "RegisteredToolServer",
            "Registered, sealed.",
            example::registered_server,
            LINKS_OF_SERVER,
        )],
    )
};

pub(in crate::api::http) static TOOL_SERVERS: Operation = Operation {
    work: Work::Looks,
    parameters: &[AFTER],
    errors: &[],
    ..of_registration(
        Method::Get,
        "/v1/tool-servers",
        "listToolServers",
        Group::ToolServers,
        "The registered tool servers",
        "In the order of their registration, a page at a time.",
        &[json(200, "ToolServers", "A page of tool servers.", example::servers, &[])],
    )
};

pub(in crate::api::http) static ROTATE_TOOL_SERVER: Operation = Operation {
    parameters: &[SERVER_NAME],
    ..of_registration(
        Method::Post,
        "/v1/tool-servers/{name}/rotate",
        "rotateToolServer",
        Group::ToolServers,
        "Give a tool server a new token",
        "The old token ends. A body is not read.",
        &[json(201, "RegisteredToolServer", "Changed, sealed.", example::registered_server, &[])],
    )
};

pub(in crate::api::http) static REVOKE_TOOL_SERVER: Operation = Operation {
    parameters: &[SERVER_NAME],
    ..of_registration(
        Method::Post,
        "/v1/tool-servers/{name}/revoke",
        "revokeToolServer",
        Group::ToolServers,
        "End a tool server's registration",
        "Its token ends at once. Sessions that heard from it ground nothing more. A body is not read.",
        &[json(201, "RevokedParty", "Ended, sealed.", example::revoked_server, &[])],
    )
};

/// What applications and tool servers say.
const fn of_testimony(
    path: &'static str,
    id: &'static str,
    group: Group,
    summary: &'static str,
    description: &'static str,
    body: Body,
    answers: &'static [Answer],
) -> Operation {
    Operation {
        method: Method::Post,
        path,
        id,
        group,
        summary,
        description,
        needs: Needs::Application,
        work: Work::Seals,
        parameters: &[],
        body: Some(body),
        answers,
        errors: &[],
    }
}

pub(in crate::api::http) static OPEN_SESSION: Operation = Operation {
    errors: &[E::NotFound, E::IdReused, E::SessionOpen, E::TooManySessions, E::SealedUnanswered],
    ..of_testimony(
        "/v1/sessions",
        "openSession",
        Group::Sessions,
        "Open a session of an agent",
        "The user's own words, who the user is, where this is: what decisions may rest on. What an agent says of these is claimed only. \
         The same id with the same body gets the same answer again.",
        Body { schema: "NewSession", bytes_max: limits::BODY_MAX_BYTES, example: example::new_session },
        &[json(201, "SealedRecord", "Open, sealed.", example::sealed_record, LINKS_OF_SESSION)],
    )
};

pub(in crate::api::http) static TAKE_TURN: Operation = Operation {
    parameters: &[Parameter {
        name: "id",
        place: Place::Path,
        required: true,
        description: "The id that opening the session answered.",
        schema: shapes::uuid,
        example: example::SESSION_ID,
    }],
    errors: &[E::NotFound, E::IdReused, E::SessionNotOpen, E::SealedUnanswered],
    ..of_testimony(
        "/v1/sessions/{id}/turns",
        "takeTurn",
        Group::Sessions,
        "The user spoke again",
        "In a session that this application opened and that is open still: it lapses 24 hours after its last entry.",
        Body { schema: "NewTurn", bytes_max: limits::BODY_MAX_BYTES, example: example::new_turn },
        &[json(201, "SealedRecord", "Sealed.", example::sealed_record, LINKS_OF_LEAF)],
    )
};

pub(in crate::api::http) static REPORT_OUTCOME: Operation = Operation {
    needs: Needs::ToolServer,
    parameters: &[
        Parameter {
            name: "id",
            place: Place::Path,
            required: true,
            description: "The intent's id.",
            schema: shapes::uuid,
            example: "01a1fc83-1ca4-7286-8eaa-163f6fbd2a3e",
        },
        Parameter {
            name: "agent",
            place: Place::Query,
            required: false,
            description: "Whose intent is meant, where several agents used the id.",
            schema: shapes::id,
            example: "payments-bot",
        },
    ],
    errors: &[E::NotFound, E::AmbiguousId, E::CallNotAllowed, E::OutcomeReported, E::SealedUnanswered],
    ..of_testimony(
        "/v1/intents/{id}/outcomes",
        "reportOutcome",
        Group::Sessions,
        "Report what became of a call",
        "By the tool server that the call names, of a call that was allowed, once. The same report again gets the same answer.",
        Body { schema: "NewOutcome", bytes_max: limits::BODY_MAX_BYTES, example: example::new_outcome },
        &[json(201, "SealedRecord", "Sealed.", example::sealed_record, LINKS_OF_LEAF)],
    )
};
