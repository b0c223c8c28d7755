//! Every JSON that a command prints, and its schema: the table that `docs/json.md` shows and `tests/json.rs` runs.

/// What a command prints.
pub(crate) struct Output {
    /// The command, as it is typed.
    pub(crate) command: &'static str,
    /// The file below `schemas/`, without its ending.
    pub(crate) schema: &'static str,
    /// What it is.
    pub(crate) what: &'static str,
}

const fn output(command: &'static str, schema: &'static str, what: &'static str) -> Output {
    Output { command, schema, what }
}

/// In the order of `foreseal help`.
pub(crate) const OUTPUTS: &[Output] = &[
    output("foreseal init --json", "init", "where everything is, and the log's public key"),
    output("foreseal config check --json", "report", "each setting and check"),
    output("foreseal agent add NAME --json", "agent", "the agent with its token"),
    output("foreseal agent rotate NAME --json", "agent", "the agent with its new token"),
    output("foreseal agent revoke NAME --json", "agent", "the agent"),
    output("foreseal agent list --json", "agent", "one agent a line"),
    output("foreseal application add NAME --json", "party", "the application with its token"),
    output("foreseal application rotate NAME --json", "party", "the application with its new token"),
    output("foreseal application revoke NAME --json", "party", "the application"),
    output("foreseal application list --json", "party", "one application a line"),
    output("foreseal tool-server add NAME --json", "party", "the tool server with its token"),
    output("foreseal tool-server rotate NAME --json", "party", "the tool server with its new token"),
    output("foreseal tool-server revoke NAME --json", "party", "the tool server"),
    output("foreseal tool-server list --json", "party", "one tool server a line"),
    output("foreseal submit FILE", "answer", "one answer a line, of what was sealed"),
    output("foreseal submit FILE --json", "submit", "one line for each intent, whatever became of it"),
    output("foreseal verify receipt FILE --json", "report", "each check, and what was not checked"),
    output("foreseal verify bundle FILE --json", "report", "the same"),
    output("foreseal verify consistency OLD NEW --json", "report", "the same"),
    output("foreseal audit DIR --json", "report", "the same"),
    output("foreseal inspect FILE --json", "inspect", "what it holds, as found"),
    output("foreseal fsck --json", "report", "each check, and what was not checked"),
    output("foreseal replay DIR --json", "replay", "what was derived again, and what differs"),
    output("foreseal export --json", "export", "the bundle that was written"),
    output("foreseal export tiles DIR --json", "export.tiles", "the tiles that were written"),
    output("foreseal policy validate DIR --json", "policy", "what the bundle is, and what is wrong with it"),
    output("foreseal policy test DIR --json", "policy", "the same, and the tests that fail"),
    output(
        "foreseal policy import FILE --json",
        "policy.import",
        "the bundle, and what could not be carried over",
    ),
    output("foreseal policy sign DIR --json", "policy.signed", "the key it was signed with"),
    output(
        "foreseal policy prove DIR --json",
        "policy.proof",
        "each property, and calls on which it does not hold",
    ),
    output(
        "foreseal policy diff OLD NEW --json",
        "policy.diff",
        "what the new bundle says otherwise, and where that leads",
    ),
    output("foreseal policy replay DIR --json", "policy.replay", "what another bundle would have decided"),
    output("foreseal policy shadow-report DIR --json", "policy.replay", "the same of the bundle in shadow"),
    output("foreseal policy new SENTENCE --json", "policy.rule", "a rule"),
    output("foreseal policy activate DIR --json", "policy.active", "the bundle that decides or watches now"),
    output("foreseal policy rollback --json", "policy.active", "the bundle that decides again"),
    output("foreseal policy withdraw --json", "policy.entry", "the entry that ends the shadow"),
    output("foreseal policy list --json", "policy.entry", "one entry a line"),
    output("foreseal policy explain ID --json", "policy.explanation", "why each call was decided so"),
    output(
        "foreseal policy eval --json",
        "policy.eval",
        "attacks stopped and benign work held, over recorded runs",
    ),
    output("foreseal tool import FILE --json", "tool.import", "what became of each tool, and what changed"),
    output("foreseal tool lint FILE --json", "tool.lint", "what the registry leaves unsaid"),
    output("foreseal tool scan FILE --json", "tool.scan", "what was found, the gravest first"),
    output("foreseal bench --json", "bench", "each number beside its yardstick"),
];

/// What is JSON and no command's output: the file below `schemas/`, and what it describes.
pub(crate) const OTHERS: &[(&str, &str)] = &[
    ("failure.schema.json", "what a command prints with `--json` when it could not do its work"),
    ("intent.schema.json", "the body of `POST /v1/intents`: what an agent declares"),
    ("answer.schema.json", "the answer to a sealed intent"),
    ("problem.schema.json", "an error over HTTP"),
    ("bundle.schema.json", "a bundle's manifest, `data/manifest.json`"),
    ("entry.TYPE.schema.json", "the leaves of the log, one file for each type"),
    ("openapi.json", "the whole HTTP interface"),
    ("grpc.txt", "the names and numbers of the gRPC interface; no JSON"),
];
