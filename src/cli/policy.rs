//! `foreseal policy …`: look at a bundle, run its tests, sign it, write a first rule. Offline; nothing is activated.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Subcommand;
use serde::Serialize;
use zeroize::Zeroizing;

use super::output::{self, Failure};
#[cfg(feature = "server")]
use super::policy_active::{self, Active};
use super::policy_explain::{self, Explain};
use super::{files, policy_replay};
use crate::disk::{FileMode, RealDisk, write_file_atomically};
use crate::policy::{Bundle, Engine, Fault, FaultKind, author_key, rule_of, sign_bundle};

/// What can be typed after `policy`.
#[derive(Debug, Subcommand)]
pub(super) enum Policy {
    /// Say whether a bundle could become active, and what is wrong with it
    Validate {
        /// The bundle
        #[arg(value_name = "DIR")]
        directory: PathBuf,
        /// The public key that it must be signed with (base64 of 32 bytes)
        #[arg(long, value_name = "KEY")]
        author_key: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Run the tests that a bundle brings along
    Test {
        /// The bundle
        #[arg(value_name = "DIR")]
        directory: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Carry another system's policy over into a bundle, and say what could not be carried over
    Import(super::policy_import::Import),
    /// Sign a bundle whose manifest names your key; prints the public key
    Sign {
        /// The bundle; its signature.json is written
        #[arg(value_name = "DIR")]
        directory: PathBuf,
        /// Your secret key: a file of 32 bytes in base64
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Say what another bundle would have decided, over sealed history
    Replay(policy_replay::PolicyReplay),
    /// Say what the bundle in shadow would have decided, since it is
    ShadowReport(policy_replay::ShadowReport),
    /// Prove what a bundle's rules hold on every call, or find a call on which they do not
    Prove(super::policy_prove::Prove),
    /// Say what a new bundle decides otherwise than an old one, and where that leads
    Diff(super::policy_diff::Diff),
    /// Write a rule from a sentence: "hold send_money over 100 by finance for 15m"
    New {
        /// The sentence
        #[arg(required = true)]
        sentence: Vec<String>,
        /// The bundle that the rule is for
        #[arg(long = "policies", env = "FORESEAL_POLICIES", value_name = "DIR")]
        directory: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Say why an intent's calls were decided so, and which fact would have changed it
    Explain(Explain),
    #[cfg(feature = "server")]
    #[command(flatten)]
    Active(Active),
    /// Play recorded runs against a bundle: attacks stopped, benign work held, with intervals
    #[cfg(feature = "server")]
    Eval(super::policy_eval::Eval),
}

impl Policy {
    /// Whether JSON was asked for.
    pub(super) fn json(&self) -> bool {
        match self {
            Self::Validate { json, .. }
            | Self::Test { json, .. }
            | Self::Import(super::policy_import::Import { json, .. })
            | Self::Sign { json, .. }
            | Self::New { json, .. }
            | Self::Prove(super::policy_prove::Prove { json, .. })
            | Self::Diff(super::policy_diff::Diff { json, .. }) => *json,
            #[cfg(feature = "server")]
            Self::Eval(what) => what.json,
            Self::Replay(what) => what.json(),
            Self::ShadowReport(what) => what.json(),
            Self::Explain(what) => what.json,
            #[cfg(feature = "server")]
            Self::Active(what) => what.json(),
        }
    }
}

/// What `validate` and `test` say (`schemas/policy.schema.json`).
#[derive(Debug, Default, Serialize)]
struct Report {
    schema: Form,
    /// Is nothing wrong?
    valid: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    author: Option<Author>,
    rules: usize,
    tools: usize,
    tests: usize,
    faults: Vec<Said>,
    warnings: Vec<Said>,
    failed_tests: Vec<Failed>,
}

/// The form's name.
#[derive(Debug, Default, Serialize)]
enum Form {
    #[default]
    #[serde(rename = "foreseal.policy.v1")]
    V1,
}

#[derive(Debug, Serialize)]
struct Author {
    name: String,
    key: String,
}

/// A fault or a warning.
#[derive(Debug, Serialize)]
struct Said {
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<FaultKind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Debug, Serialize)]
struct Failed {
    file: String,
    test: String,
    what: String,
}

pub(super) fn run(what: &Policy) -> Result<ExitCode, Failure> {
    match what {
        Policy::Validate { directory, author_key, json } => {
            let (report, _) = look(directory, author_key.as_deref())?;
            Ok(finish(&report, *json, "valid"))
        }
        Policy::Test { directory, json } => {
            let (mut report, bundle) = look(directory, None)?;
            if let Some(bundle) = bundle {
                run_tests(&mut report, bundle)?;
            }
            Ok(finish(&report, *json, "all tests pass"))
        }
        Policy::Import(what) => super::policy_import::run(what),
        Policy::Sign { directory, key, json } => sign(directory, key, *json),
        Policy::Replay(what) => policy_replay::run(what),
        Policy::ShadowReport(what) => policy_replay::shadow(what),
        Policy::Prove(what) => super::policy_prove::run(what),
        Policy::Diff(what) => super::policy_diff::run(what),
        Policy::New { sentence, directory, json } => new(&sentence.join(" "), directory, *json),
        Policy::Explain(what) => policy_explain::run(what),
        #[cfg(feature = "server")]
        Policy::Active(what) => policy_active::run(what),
        #[cfg(feature = "server")]
        Policy::Eval(what) => super::policy_eval::run(what),
    }
}

fn unexpected(error: impl std::fmt::Display) -> Failure {
    Failure::new(error.to_string(), "report this as a defect")
}

/// Loads a bundle and says what there is to say.
fn look(directory: &Path, wanted: Option<&str>) -> Result<(Report, Option<Bundle>), Failure> {
    let bundle = match Bundle::load(files::read_bundle(directory)?) {
        Ok(bundle) => bundle,
        Err(error) => {
            let faults = error.faults().iter().map(Said::of_fault).collect();
            return Ok((Report { faults, ..Report::default() }, None));
        }
    };
    let manifest = bundle.manifest();
    let author = manifest
        .author
        .as_ref()
        .map(|author| Author { name: author.name.clone(), key: STANDARD.encode(author.key) });
    let mut report = Report {
        valid: true,
        digest: Some(hex::encode(bundle.digest())),
        name: manifest.name.clone(),
        version: manifest.version.clone(),
        mode: Some(manifest.mode.as_str()),
        rules: bundle.rules().len(),
        tools: bundle.tools().len(),
        tests: bundle.tests(),
        warnings: bundle.warnings().iter().map(Said::of_warning).collect(),
        author,
        ..Report::default()
    };
    if let Some(wanted) = wanted
        && report.author.as_ref().is_none_or(|author| author.key != wanted)
    {
        report.valid = false;
        report.faults.push(Said {
            kind: Some(FaultKind::Signature),
            hint: Some("get the bundle from its author, and the author's key from somewhere else".to_owned()),
            ..Said::plain("the bundle is not signed with the given key".to_owned())
        });
    }
    Ok((report, Some(bundle)))
}

fn run_tests(report: &mut Report, bundle: Bundle) -> Result<(), Failure> {
    let (_, failed) = Engine::new(bundle).map_err(unexpected)?.run_tests();
    report.valid = failed.is_empty();
    report.failed_tests = failed
        .into_iter()
        .map(|failed| Failed { file: failed.file, test: failed.test, what: failed.what })
        .collect();
    Ok(())
}

impl Said {
    fn plain(message: String) -> Self {
        Self { kind: None, file: None, line: None, column: None, rule: None, message, hint: None }
    }

    fn of_fault(fault: &Fault) -> Self {
        let place = fault.place.as_ref();
        let position = |of: fn(&crate::policy::Place) -> usize| place.map(of).filter(|number| *number > 0);
        Self {
            kind: Some(fault.kind),
            file: place.map(|place| place.file.clone()),
            line: position(|place| place.line),
            column: position(|place| place.column),
            rule: fault.rule.clone(),
            hint: Some(fault.hint.clone()),
            ..Self::plain(fault.message.clone())
        }
    }

    fn of_warning(warning: &crate::policy::Warning) -> Self {
        Self {
            file: Some(warning.place.file.clone()),
            line: Some(warning.place.line),
            column: Some(warning.place.column),
            rule: Some(warning.rule.clone()),
            ..Self::plain(warning.message.clone())
        }
    }

    /// For people.
    fn line(&self) -> String {
        let numbers = [self.line, self.column].into_iter().flatten().map(|number| format!(":{number}"));
        let place = self
            .file
            .as_ref()
            .map(|file| format!("{}{}: ", file.escape_debug(), numbers.collect::<String>()));
        let rule = self.rule.as_ref().map(|rule| format!("rule \"{}\": ", rule.escape_debug()));
        let hint = self.hint.as_ref().map(|hint| format!("\n  hint: {hint}"));
        [place, rule, Some(self.message.clone()), hint].into_iter().flatten().collect()
    }
}

/// Prints a report; 0 where nothing is wrong, otherwise 1.
fn finish(report: &Report, json: bool, good: &str) -> ExitCode {
    if json {
        output::data(&serde_json::to_string_pretty(report).unwrap_or_default());
    } else {
        for warning in &report.warnings {
            output::warning(&warning.line());
        }
        for fault in &report.faults {
            output::data(&format!("\x1b[31m✗\x1b[0m {}", fault.line()));
        }
        for failed in &report.failed_tests {
            output::data(&format!(
                "\x1b[31m✗\x1b[0m {}: test \"{}\": {}",
                failed.file, failed.test, failed.what
            ));
        }
        if report.valid {
            let by = report.author.as_ref().map_or_else(
                || "unsigned".to_owned(),
                |author| format!("signed by {} with {}", author.name, author.key),
            );
            let digest = report.digest.as_deref().unwrap_or_default();
            let (rules, tools, tests) = (report.rules, report.tools, report.tests);
            output::data(&format!(
                "\x1b[32m✓\x1b[0m {good}: {rules} rules, {tools} tools, {tests} tests; {by}; digest {digest}"
            ));
        }
    }
    ExitCode::from(u8::from(!report.valid))
}

/// Signs a bundle with a key of its author's.
fn sign(directory: &Path, key: &Path, json: bool) -> Result<ExitCode, Failure> {
    let bytes = files::read_bundle(directory)?;
    let text = Zeroizing::new(files::read_text(key)?);
    let secret = STANDARD.decode(text.trim()).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    let secret = Zeroizing::new(secret.ok_or_else(|| {
        let hint =
            "a key file holds 32 secret bytes in base64: `head -c 32 /dev/urandom | base64 > author.key`";
        Failure::new(format!("{}: not a key", key.display()), hint)
    })?);
    let signature = sign_bundle(&bytes, &secret);
    let mut signed = bytes;
    signed.insert("signature.json".to_owned(), signature.clone());
    let public = STANDARD.encode(author_key(&secret));
    if let Err(error) = Bundle::load(signed) {
        let hint = format!("manifest.json needs \"author\": {{\"name\": \"…\", \"key\": \"{public}\"}}");
        return Err(Failure::new(format!("the signed bundle does not load: {error}"), hint));
    }
    let path = directory.join("signature.json");
    write_file_atomically(&RealDisk, &path, &signature, FileMode::Shared).map_err(|error| {
        Failure::new(format!("{}: {error}", path.display()), "check that it can be written")
    })?;
    if json {
        let signed = serde_json::json!({"schema": "foreseal.policy.signed.v1", "key": public});
        output::data(&signed.to_string());
    } else {
        output::data(&public);
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes a first rule from a sentence.
fn new(sentence: &str, directory: &Path, json: bool) -> Result<ExitCode, Failure> {
    let wrong = |error: String| Failure::new(error, "see what `foreseal policy validate` says");
    let mut bytes = files::read_bundle(directory)?;
    // What is added is no longer what the author signed.
    bytes.remove("signature.json");
    bytes.remove("manifest.json");
    let bundle = Bundle::load(bytes.clone()).map_err(|error| wrong(error.to_string()))?;
    let made = rule_of(sentence, &bundle).map_err(|error| Failure::new(error.message, error.hint))?;
    let mut file = "new.cedar".to_owned();
    while bytes.contains_key(&file) {
        file = format!("_{file}");
    }
    bytes.insert(file, made.text.clone().into_bytes());
    Bundle::load(bytes).map_err(|error| wrong(error.to_string()))?;
    if json {
        let made = serde_json::json!({"schema": "foreseal.policy.rule.v1", "id": made.id, "rule": made.text});
        output::data(&serde_json::to_string_pretty(&made).unwrap_or_default());
    } else {
        output::data(made.text.trim_end());
    }
    Ok(ExitCode::SUCCESS)
}
