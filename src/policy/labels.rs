//! What `tools.json` says about a tool beside its arguments' types: which of them are destinations or payload, what its
//! output may be believed for, whether it can be undone. Nobody but the bundle's author says it.

use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::argument_path::ArgumentPath;
use super::json::Strict;
use super::provenance::{Destination, Format, OutputLabels, Pattern, ValueType};
use super::shape::Fields;
use super::signals::{Language, Parse};
use crate::record::canonical::to_jcs;

/// Entries of each list of paths.
const PATHS: usize = 64;

/// A place and the type of what is there.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeclaredPlace {
    at: String,
    #[serde(rename = "type")]
    kind: String,
}

/// A place and the language of what is there.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeclaredParse {
    at: String,
    r#as: String,
}

/// `output` of a tool.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeclaredOutput {
    /// For people and importers; not part of any decision.
    #[serde(default, rename = "schema")]
    _schema: Option<Strict>,
    #[serde(default)]
    format: Format,
    #[serde(default)]
    authoritative: Vec<DeclaredPlace>,
    #[serde(default)]
    author: Option<String>,
    #[serde(default)]
    place: Option<DeclaredPlace>,
    #[serde(default)]
    untrusted: bool,
    #[serde(default)]
    sensitive: bool,
}

/// What a rule and the facts can know about a tool. Also of a tool that is not registered.
#[derive(Debug, Clone, PartialEq)]
pub struct Labels {
    /// The arguments that say where something goes, with their types.
    pub destinations: Vec<Destination>,
    /// The arguments by which a read chooses what it returns.
    pub selectors: Vec<Destination>,
    /// The words by which people ask for such an act.
    pub asked: Vec<String>,
    /// Does the registry say what the destinations are? Otherwise they are ungrounded.
    pub labelled: bool,
    /// The arguments that say what goes there.
    pub payload: Vec<Pattern>,
    /// The argument that says how much is spent.
    pub amount: Option<Pattern>,
    /// The arguments in a language with a parser.
    pub parse: Vec<Parse>,
    /// What its output may be believed for, and must be taken as.
    pub output: OutputLabels,
    /// Can what it does not be undone?
    pub irreversible: bool,
    /// Where its data lives.
    pub region: Option<String>,
}

impl Labels {
    /// The labels that a session has once the tool has answered.
    pub(super) fn of_output(&self) -> impl Iterator<Item = &'static str> {
        let labels = [("sensitive", self.output.sensitive), ("untrusted", self.output.untrusted)];
        labels.into_iter().filter(|(_, is)| *is).map(|(label, _)| label)
    }
}

/// The members of a declared tool that become [`Labels`].
#[derive(Debug)]
pub(super) struct DeclaredLabels {
    pub(super) destinations: Option<Vec<DeclaredPlace>>,
    pub(super) selectors: Vec<DeclaredPlace>,
    pub(super) payload: Vec<String>,
    pub(super) asked: Vec<String>,
    pub(super) amount: Option<String>,
    pub(super) parse: Vec<DeclaredParse>,
    pub(super) output: DeclaredOutput,
    pub(super) irreversible: bool,
    pub(super) region: Option<String>,
}

type Wrong = (String, &'static str);

impl DeclaredLabels {
    /// Checks the labels against the tool's arguments; without `fields` the arguments are not known.
    pub(super) fn check(self, fields: Option<&Fields>) -> Result<Labels, Wrong> {
        let labelled = self.destinations.is_some();
        let declared = self.destinations.unwrap_or_default();
        let lists = [
            declared.len(),
            self.selectors.len(),
            self.payload.len(),
            self.asked.len(),
            self.parse.len(),
            self.output.authoritative.len(),
        ];
        if lists.iter().any(|length| *length > PATHS) {
            return Err((
                format!("more than {PATHS} paths in one list"),
                "name the places by * or drop some",
            ));
        }
        let typed = |list: &str, place: &DeclaredPlace| {
            Ok(Destination { at: argument(&place.at, list, fields)?, kind: kind(&place.kind)? })
        };
        let all = |list: &str, places: &[DeclaredPlace]| {
            places.iter().map(|place| typed(list, place)).collect::<Result<Vec<_>, Wrong>>()
        };
        let destinations = all("destinations", &declared)?;
        let selectors = all("selectors", &self.selectors)?;
        if let Some(odd) = self.asked.iter().find(|word| !is_word(word)) {
            let hint = "write single words in lower case, as people say them: \"pay\", \"transfer\"";
            return Err((format!("{odd:?} in \"asked\" is no word"), hint));
        }
        let payload = self.payload.iter().map(|path| argument(path, "payload", fields));
        let payload = payload.collect::<Result<_, _>>()?;
        let amount = self.amount.as_deref().map(|path| argument(path, "amount", fields)).transpose()?;
        let parse = self.parse.iter().map(|parse| parse.check(fields)).collect::<Result<_, _>>()?;
        let place = self.output.place.as_ref().map(|place| typed("place", place)).transpose()?;
        let output = self.output.check(place)?;
        if let Some(region) = &self.region {
            check_region(region)?;
        }
        Ok(Labels {
            destinations,
            labelled,
            selectors,
            asked: self.asked,
            payload,
            amount,
            parse,
            output,
            irreversible: self.irreversible,
            region: self.region,
        })
    }
}

impl DeclaredParse {
    fn check(&self, fields: Option<&Fields>) -> Result<Parse, Wrong> {
        let language = match self.r#as.as_str() {
            "sql" => Language::Sql,
            "shell" => Language::Shell,
            other => {
                return Err((
                    format!("\"parse\" as {other:?} is not known"),
                    "the languages are sql and shell",
                ));
            }
        };
        Ok(Parse { at: argument(&self.at, "parse", fields)?, language })
    }
}

impl DeclaredOutput {
    /// An output may be a list, or one value as a whole: any path will do.
    fn check(self, place: Option<Destination>) -> Result<OutputLabels, Wrong> {
        let authoritative = self.authoritative.iter().map(|place| {
            Ok(Destination { at: pattern(&place.at, "authoritative")?, kind: kind(&place.kind)? })
        });
        Ok(OutputLabels {
            format: self.format,
            authoritative: authoritative.collect::<Result<_, Wrong>>()?,
            author: self.author.map(|path| pattern(&path, "author")).transpose()?,
            place,
            untrusted: self.untrusted,
            sensitive: self.sensitive,
        })
    }
}

fn kind(name: &str) -> Result<ValueType, Wrong> {
    serde_json::from_value(Value::from(name)).map_err(|error| {
        (
            format!("{name:?} is not a type of value ({error})"),
            "see \"Grounding\" in docs/policy.md for the types",
        )
    })
}

fn pattern(path: &str, list: &str) -> Result<Pattern, Wrong> {
    let hint = "write /argument, /list/* or /list/*/member";
    Pattern::parse(path).map_err(|why| (format!("{path:?} in {list:?}: {why}"), hint))
}

/// The path of an argument that the tool declares.
fn argument(path: &str, list: &str, fields: Option<&Fields>) -> Result<Pattern, Wrong> {
    let hint = "write /argument, /list/* or /list/*/member";
    let argument = ArgumentPath::parse(path).map_err(|why| (format!("{path:?} in {list:?}: {why}"), hint))?;
    if fields.is_some_and(|fields| !fields.declares(argument.argument())) {
        let message = format!("{path:?} in {list:?} names no argument of \"input\"");
        return Err((message, "correct the path, or declare the argument"));
    }
    pattern(path, list)
}

/// Letters and digits, in lower case.
fn is_word(word: &str) -> bool {
    (1..=64).contains(&word.len()) && word.chars().all(|c| c.is_alphanumeric() && !c.is_uppercase())
}

fn check_region(region: &str) -> Result<(), Wrong> {
    let plain = region.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if plain && (1..=64).contains(&region.len()) {
        Ok(())
    } else {
        let hint = "a region is 1 to 64 lower-case letters, digits and -, as in \"eu\" or \"us-east-1\"";
        Err((format!("the region {region:?} is not a name"), hint))
    }
}

/// What a pin is of: SHA-256 of the canonical form of `{"description", "input"}`, absent members left out.
pub(super) fn pinned_digest(description: Option<&str>, input: Option<&Value>) -> Option<[u8; 32]> {
    let mut pinned = json!({});
    let object = pinned.as_object_mut()?;
    if let Some(description) = description {
        object.insert("description".to_owned(), description.into());
    }
    if let Some(input) = input {
        object.insert("input".to_owned(), input.clone());
    }
    Some(Sha256::digest(to_jcs(&pinned).ok()?).into())
}

/// Refuses a pin that is not that of the description and the input beside it.
pub(super) fn check_pin(pin: &str, digest: Option<[u8; 32]>) -> Result<(), Wrong> {
    let Some(digest) = digest else {
        return Err((
            "description and input have no canonical form".to_owned(),
            "correct the tool's \"input\"",
        ));
    };
    let digest = hex::encode(digest);
    if pin == digest {
        return Ok(());
    }
    let message = format!(
        "its description or input changed since it was pinned: the pin is {pin:.80?}, they are {digest}"
    );
    Err((message, "look at what changed; if it is meant, set \"pin\" to the new digest"))
}
