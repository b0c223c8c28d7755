//! `foreseal policy activate | rollback | withdraw | list`: which bundle decides, which one watches; over HTTP.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Value, json};

use super::agent::{connect, get, post};
use super::arguments::Connection;
use super::files;
use super::output::{Failure, data, status};

/// What can be typed after `policy`, of a running service.
#[derive(Debug, Subcommand)]
pub(super) enum Active {
    /// Make a bundle decide, or put it into shadow, where it decides nothing
    Activate {
        /// The bundle
        #[arg(value_name = "DIR")]
        directory: PathBuf,
        /// Into shadow, whatever its manifest says
        #[arg(long, conflicts_with = "enforce")]
        shadow: bool,
        /// To decide, whatever its manifest says
        #[arg(long)]
        enforce: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        connection: Connection,
    },
    /// Make an earlier bundle decide again, from the log's own record of it
    Rollback {
        /// The entry that activated it, or its digest [default: the last that is another than the active one]
        #[arg(long, value_name = "INDEX|DIGEST")]
        to: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        connection: Connection,
    },
    /// End the shadow; what decides is untouched
    Withdraw {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        connection: Connection,
    },
    /// List what became of bundles, oldest first
    List {
        /// Print JSON, one entry a line
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        connection: Connection,
    },
}

impl Active {
    /// Whether JSON was asked for.
    pub(super) fn json(&self) -> bool {
        match self {
            Self::Activate { json, .. }
            | Self::Rollback { json, .. }
            | Self::Withdraw { json, .. }
            | Self::List { json, .. } => *json,
        }
    }
}

pub(super) fn run(what: &Active) -> Result<ExitCode, Failure> {
    match what {
        Active::Activate { directory, shadow, enforce, json, connection } => {
            let mut body = json!({ "files": texts(directory)? });
            let mode = [(*shadow, "shadow"), (*enforce, "enforce")].into_iter().find(|(asked, _)| *asked);
            if let (Some((_, mode)), Some(members)) = (mode, body.as_object_mut()) {
                members.insert("mode".to_owned(), mode.into());
            }
            say(&post(connection, "/v1/policies", &body)?, *json);
        }
        Active::Rollback { to, json, connection } => {
            let body = match to.as_deref() {
                None => json!({}),
                Some(to) => match to.parse::<u64>() {
                    // A digest of decimal digits alone is longer than any index.
                    Ok(index) => json!({ "to": index }),
                    Err(_) => json!({ "to": to }),
                },
            };
            say(&post(connection, "/v1/policies/rollback", &body)?, *json);
        }
        Active::Withdraw { json, connection } => {
            let row = post(connection, "/v1/policies/withdraw", &json!({}))?;
            if *json {
                data(&with_schema(&row, "foreseal.policy.entry.v1"));
            } else {
                status(&format!("nothing is in shadow from entry {} on", number(&row, "index")));
            }
        }
        Active::List { json, connection } => list(connection, *json)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The files of a bundle as text, which they are if it is one.
fn texts(directory: &std::path::Path) -> Result<Value, Failure> {
    let text = |(name, bytes): (String, Vec<u8>)| match String::from_utf8(bytes) {
        Ok(text) => Ok((name, Value::String(text))),
        Err(_) => {
            let hint = "`foreseal policy validate` says where; save the file as UTF-8";
            Err(Failure::new(format!("{}: {name}: not UTF-8 text", directory.display()), hint))
        }
    };
    files::read_bundle(directory)?.into_iter().map(text).collect()
}

fn with_schema(answer: &Value, form: &str) -> String {
    let mut shown = answer.clone();
    if let Some(members) = shown.as_object_mut() {
        members.insert("schema".to_owned(), form.into());
        // Whoever activated it has them; whoever goes back gets them from the log.
        members.remove("files");
    }
    shown.to_string()
}

fn text<'a>(answer: &'a Value, member: &str) -> &'a str {
    answer.get(member).and_then(Value::as_str).unwrap_or_default()
}

fn number(answer: &Value, member: &str) -> u64 {
    answer.get(member).and_then(Value::as_u64).unwrap_or_default()
}

fn say(answer: &Value, json: bool) {
    if json {
        return data(&with_schema(answer, "foreseal.policy.active.v1"));
    }
    let unchanged = answer.get("unchanged").and_then(Value::as_bool) == Some(true);
    let is = match (text(answer, "mode"), unchanged) {
        ("shadow", false) => {
            "is in shadow: it decides nothing; `foreseal policy shadow-report` says what it would decide"
        }
        ("shadow", true) => "was in shadow already; nothing was sealed",
        (_, false) => "decides from here on",
        (_, true) => "decides already; nothing was sealed",
    };
    status(&format!("entry {}: the bundle {is}", number(answer, "index")));
    data(text(answer, "digest"));
}

fn list(connection: &Connection, json: bool) -> Result<(), Failure> {
    let remote = connect(connection)?;
    let mut after = None;
    loop {
        let query = after.map_or_else(String::new, |after: u64| format!("?after={after}"));
        let answer = get(connection, &remote, &format!("/v1/policies/history{query}"))?;
        let rows = answer.get("policies").and_then(Value::as_array).cloned().unwrap_or_default();
        for row in &rows {
            data(&if json { with_schema(row, "foreseal.policy.entry.v1") } else { line(row) });
        }
        match rows.last().map(|row| number(row, "index")) {
            Some(last) => after = Some(last),
            None => return Ok(()),
        }
    }
}

/// One entry, for people: `*` decides now, `~` watches now.
fn line(row: &Value) -> String {
    let is = |member: &str| row.get(member).and_then(Value::as_bool) == Some(true);
    let mark = match (is("active"), is("shadow")) {
        (true, _) => '*',
        (_, true) => '~',
        _ => ' ',
    };
    let (index, at, mode) = (number(row, "index"), text(row, "at"), text(row, "mode"));
    let named = match (text(row, "name"), text(row, "version")) {
        ("", _) => "without a name".to_owned(),
        (name, version) => format!("{name} {version}"),
    };
    let more = ["restores", "ends"]
        .iter()
        .filter(|member| row.get(**member).is_some())
        .map(|member| format!(", {member} {}", number(row, member)));
    let bundle = match text(row, "digest") {
        "" => String::new(),
        digest => format!(" {digest} {named}, {} rules, by {}", number(row, "rules"), text(row, "author")),
    };
    format!("{mark} {index} {at} {mode}{bundle}{}", more.collect::<String>())
}
