//! Bundles: files as bytes in, validated rules out. The one gate through which rules become active.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::ffi::DetailedError;
use cedar_policy::{Policy, PolicySet, Schema, ValidationMode, ValidationWarning, Validator};
use sha2::{Digest, Sha256};

use super::cases::{self, Case};
use super::fault::{BundleError, Fault, FaultKind, Place, Warning};
use super::manifest::{self, Manifest};
use super::named::{self, NamedSignals};
use super::proofs::{self, Claim};
use super::rule::{self, Rule};
use super::scope;
use super::tools::{self, Tool};
use super::version::FactsForm;
use super::{lint, schema};

/// The stack for reading rules: a few times what the largest rule needs in a debug build. It is reserved, and
/// touched only as far as it is used.
const STACK: usize = 64 << 20;

/// How files of rules end.
const RULES: &str = ".cedar";
/// Where files of tests are.
const TESTS: &str = "tests/";

/// A validated policy bundle: rules, tools, and the Cedar schema that the tools generate.
#[derive(Debug, Clone)]
pub struct Bundle {
    digest: [u8; 32],
    form: FactsForm,
    pub(super) schema: Schema,
    pub(super) tools: BTreeMap<String, Tool>,
    pub(super) rules: BTreeMap<String, Rule>,
    manifest: Manifest,
    /// Where it has a `signals.json`.
    pub(super) named: Option<NamedSignals>,
    pub(super) cases: Vec<Case>,
    pub(super) claims: Vec<Claim>,
    warnings: Vec<Warning>,
}

impl Bundle {
    /// Bytes of all files of a bundle together.
    pub const MOST_BYTES: usize = 1 << 20;
    /// Rules of a bundle.
    pub const MOST_RULES: usize = 1_000;
    /// Files of a bundle.
    pub const MOST_FILES: usize = 256;

    /// Reads and validates the files of a bundle, by path: `*.cedar`, `tools.json`, `signals.json`, `manifest.json`, `proofs.json`,
    /// `signature.json` and `tests/*.json`. No file at all is a bundle that denies everything. Its tests are read, not run: see
    /// [`Engine::run_tests`](super::Engine::run_tests).
    ///
    /// # Errors
    /// Everything that was found wrong, with file, line, column and rule, and what to do about it.
    pub fn load(files: BTreeMap<String, Vec<u8>>) -> Result<Self, BundleError> {
        Self::load_for(files, FactsForm::NOW)
    }

    /// Reads a bundle as [`Self::load`] does, with its rules about the facts of another version: to derive again what
    /// was decided by it then.
    ///
    /// # Errors
    /// As [`Self::load`].
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the room's contract: whoever loads has read the files"
    )]
    pub fn load_for(files: BTreeMap<String, Vec<u8>>, form: FactsForm) -> Result<Self, BundleError> {
        on_a_deep_stack(|| Self::load_here(&files, form)).unwrap_or_else(|| {
            let hint = "simplify the rules; if they are simple, report this as a defect";
            Err(BundleError::from(Fault::new(FaultKind::Limit, "the rules could not be read", hint)))
        })
    }

    fn load_here(files: &BTreeMap<String, Vec<u8>>, form: FactsForm) -> Result<Self, BundleError> {
        let texts = texts(files)?;
        let mut bundle = Self::read(files, &texts, form)?;
        let mut warnings = Vec::new();
        refuse(validate(&texts, &bundle, &mut warnings))?;
        refuse(lint::unknown_signals(bundle.rules.values(), bundle.named.as_ref()))?;
        warnings.extend(bundle.rules.values().flat_map(|rule| lint::look(rule, &bundle.tools)));
        warnings.sort_by(|a, b| (&a.place, &a.message).cmp(&(&b.place, &b.message)));
        bundle.warnings = warnings;
        bundle.claims = match texts.get(proofs::FILE) {
            None => Vec::new(),
            Some(text) => {
                let (claims, idle, faults) = proofs::read(text, &bundle);
                refuse(faults)?;
                bundle.warnings.extend(idle);
                claims
            }
        };
        if bundle.manifest.proofs_required && bundle.claims.is_empty() {
            let hint = "say in proofs.json what is to be proven, or remove \"proofs\" from manifest.json";
            let fault =
                Fault::new(FaultKind::Proof, "proofs are required, and nothing is to be proven", hint);
            return Err(fault.at(Place::file(manifest::FILE)).into());
        }
        Ok(bundle)
    }

    /// Everything but the validation of the rules against the tools.
    fn read(
        files: &BTreeMap<String, Vec<u8>>,
        texts: &BTreeMap<&str, &str>,
        form: FactsForm,
    ) -> Result<Self, BundleError> {
        let mut faults = Vec::new();
        let tools = match texts.get(tools::FILE).map(|text| tools::read(form, text)) {
            None => BTreeMap::new(),
            Some(Ok(tools)) => tools,
            Some(Err(wrong)) => {
                faults.extend(wrong);
                BTreeMap::new()
            }
        };
        let mut rules = BTreeMap::new();
        for (file, text) in texts.iter().filter(|(file, _)| file.ends_with(RULES)) {
            rule::read(file, text, &mut rules, &mut faults);
        }
        let named = match texts.get(named::FILE).map(|text| named::read(text)).transpose() {
            Ok(named) => named,
            Err(wrong) => {
                faults.extend(wrong);
                None
            }
        };
        let manifest = match manifest::read(files, texts.get(manifest::FILE).copied()) {
            Ok(manifest) => manifest,
            Err(fault) => {
                faults.push(fault);
                Manifest::default()
            }
        };
        let mut cases = Vec::new();
        for (file, text) in texts.iter().filter(|(file, _)| file.starts_with(TESTS)) {
            cases::read(file, text, &mut cases, &mut faults);
        }
        if rules.len() > Self::MOST_RULES {
            let message = format!("{} rules, more than {}", rules.len(), Self::MOST_RULES);
            let hint = "merge rules that differ only in the tool they name";
            faults.push(Fault::new(FaultKind::Limit, message, hint));
        }
        refuse(faults)?;
        let schema = schema::generate(form, &tools, named.is_some()).map_err(|message| {
            let hint = "rename what Cedar refuses in tools.json";
            Fault::new(FaultKind::Tools, message, hint).at(Place::file(tools::FILE))
        })?;
        let digest = digest(files.iter().map(|(name, content)| (name.as_str(), content.as_slice())));
        Ok(Self {
            digest,
            form,
            schema,
            tools,
            rules,
            manifest,
            named,
            cases,
            claims: Vec::new(),
            warnings: Vec::new(),
        })
    }

    /// Rules as they are, valid or not: how the engine behaves must not hang on validation.
    #[cfg(test)]
    pub(super) fn unvalidated(files: &BTreeMap<String, Vec<u8>>) -> Self {
        Self::read(files, &texts(files).unwrap(), FactsForm::NOW).unwrap()
    }

    /// SHA-256 over the bundle's content: a change of any byte or name of any file changes it.
    ///
    /// The bytes hashed: `"foreseal.bundle.v1\0"`, the number of files, then for each file in byte order of
    /// its name the name's length, the name, the content's length, the content; numbers as 8 bytes big-endian.
    #[must_use]
    pub const fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// The version of the facts that its rules speak about.
    #[must_use]
    pub const fn form(&self) -> FactsForm {
        self.form
    }

    /// What the author should look at, by position. None of it keeps a bundle from being active.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// What the bundle says about itself; where it is signed, its signature was verified.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The registered tools, in the order of their names in rules.
    pub fn tools(&self) -> impl ExactSizeIterator<Item = &Tool> {
        self.tools.values()
    }

    /// How many tests it brings along.
    #[must_use]
    pub fn tests(&self) -> usize {
        self.cases.len()
    }

    /// The ids of the rules, sorted.
    pub fn rules(&self) -> impl ExactSizeIterator<Item = &str> {
        self.rules.keys().map(String::as_str)
    }

    /// Checks a condition over calls as if it were a rule's: whether any call can meet it, or what is wrong with it.
    pub(super) fn check_condition(&self, condition: Policy) -> Result<bool, String> {
        let set = PolicySet::from_policies([condition]).map_err(|error| error.to_string())?;
        let result = Validator::new(self.schema.clone()).validate(&set, ValidationMode::Strict);
        let unknown = set
            .policies()
            .flat_map(Policy::entity_literals)
            .find(|uid| scope::id(uid, "Tool").is_some_and(|tool| !self.tools.contains_key(tool)));
        if let Some(uid) = unknown {
            return Err(format!("no tool {uid} is registered"));
        }
        if let Some(error) = result.validation_errors().next() {
            return Err(unprefixed(&DetailedError::from(error).message, "condition"));
        }
        let impossible = |warning: &ValidationWarning| {
            matches!(
                warning,
                ValidationWarning::ImpossiblePolicy(_) | ValidationWarning::InvalidActionApplication(_)
            )
        };
        Ok(!result.validation_warnings().any(impossible))
    }

    /// Does the bundle hold no rule at all? Then everything is denied.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

/// Does it on a stack of known size, whoever calls: Cedar parses and validates recursively, and no rule within the
/// limits shall overflow it. `None` where it panicked, or there is no thread for it.
pub(super) fn on_a_deep_stack<T: Send>(does: impl FnOnce() -> T + Send) -> Option<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("policy-load".to_owned()).stack_size(STACK);
        thread.spawn_scoped(scope, does).ok()?.join().ok()
    })
}

/// Checks names and limits; the files' texts by name.
fn texts(files: &BTreeMap<String, Vec<u8>>) -> Result<BTreeMap<&str, &str>, BundleError> {
    let bytes = files
        .iter()
        .fold(0_usize, |sum, (name, content)| sum.saturating_add(name.len()).saturating_add(content.len()));
    if bytes > Bundle::MOST_BYTES || files.len() > Bundle::MOST_FILES {
        let message = format!(
            "{bytes} bytes in {} files: a bundle has at most {} bytes in {} files",
            files.len(),
            Bundle::MOST_BYTES,
            Bundle::MOST_FILES
        );
        return Err(Fault::new(FaultKind::Limit, message, "remove files or rules that are not needed").into());
    }
    let mut texts = BTreeMap::new();
    let mut faults = Vec::new();
    for (name, content) in files {
        if !is_file_name(name) {
            let hint = "a bundle holds *.cedar, tools.json, signals.json, manifest.json, proofs.json, signature.json and tests/*.json only, named \
                        with letters, digits, and . _ -; move the file elsewhere";
            faults.push(Fault::new(FaultKind::FileName, "not a policy file", hint).at(Place::file(name)));
            continue;
        }
        match std::str::from_utf8(content) {
            Ok(text) => {
                texts.insert(name.as_str(), text);
            }
            Err(error) => {
                let readable = content.get(..error.valid_up_to()).unwrap_or_default();
                let place = Place::offset(name, &String::from_utf8_lossy(readable), readable.len());
                faults.push(Fault::new(FaultKind::Encoding, "not UTF-8", "save the file as UTF-8").at(place));
            }
        }
    }
    refuse(faults).map(|()| texts)
}

fn is_file_name(path: &str) -> bool {
    let plain = |name: &str| {
        let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        plain && name.len() <= 128 && !name.starts_with('.')
    };
    let stem = |name: &str, ending: &str| name.strip_suffix(ending).is_some_and(|stem| !stem.is_empty());
    match path.strip_prefix(TESTS) {
        Some(name) => plain(name) && stem(name, ".json"),
        None => {
            plain(path)
                && (stem(path, RULES)
                    || [tools::FILE, named::FILE, manifest::FILE, manifest::SIGNATURE, proofs::FILE]
                        .contains(&path))
        }
    }
}

fn refuse(faults: Vec<Fault>) -> Result<(), BundleError> {
    BundleError::of(faults).map_or(Ok(()), Err)
}

/// Strict validation of all rules against the schema, and of the tools that literals name.
fn validate(texts: &BTreeMap<&str, &str>, bundle: &Bundle, warnings: &mut Vec<Warning>) -> Vec<Fault> {
    let Bundle { schema, tools, rules, .. } = bundle;
    let set = match PolicySet::from_policies(rules.values().map(|rule| rule.policy.clone())) {
        Ok(set) => set,
        Err(error) => {
            return vec![Fault::new(FaultKind::Id, error.to_string(), "give each rule its own @id")];
        }
    };
    let result = Validator::new(schema.clone()).validate(&set, ValidationMode::Strict);
    let placed = |id: &str, error: &DetailedError| -> Place {
        let Some(rule) = rules.get(id) else { return Place::file("") };
        let text = texts.get(rule.place.file.as_str()).copied().unwrap_or_default();
        match error.source_locations.is_empty() {
            true => rule.place.clone(),
            false => rule::place_of(&rule.place.file, text, error),
        }
    };
    let mut faults = Vec::new();
    for error in result.validation_errors() {
        let id: &str = error.policy_id().as_ref();
        let shown = DetailedError::from(error);
        let hint =
            shown.help.clone().unwrap_or_else(|| "see docs/policy.md for what a rule can read".to_owned());
        faults.push(
            Fault::new(FaultKind::Validation, unprefixed(&shown.message, id), hint)
                .at(placed(id, &shown))
                .of_rule(id),
        );
    }
    let idle = without_tools(bundle, result.validation_warnings());
    for warning in result.validation_warnings() {
        let id: &str = warning.policy_id().as_ref();
        let shown = DetailedError::from(warning);
        let message = unprefixed(&shown.message, id);
        match warning {
            _ if idle.contains(id) => {}
            ValidationWarning::ImpossiblePolicy(_) | ValidationWarning::InvalidActionApplication(_) => {
                let hint = "a rule that can never match protects nothing: look for a misspelt attribute, or for \
                            `action == Action::\"group\"` where `in` is meant";
                faults.push(
                    Fault::new(FaultKind::Impossible, message, hint).at(placed(id, &shown)).of_rule(id),
                );
            }
            _ => warnings.push(Warning { place: placed(id, &shown), rule: id.to_owned(), message }),
        }
    }
    warnings.extend(idle.into_iter().filter_map(|rule| {
        let place = rules.get(&rule)?.place.clone();
        let message = "no registered tool is in the groups that it is about".to_owned();
        Some(Warning { place, rule, message })
    }));
    for rule in rules.values() {
        faults.extend(lint::transform_faults(rule, tools));
        faults.extend(rule.policy.entity_literals().iter().filter_map(|uid| {
            let tool = scope::id(uid, "Tool").filter(|tool| !tools.contains_key(*tool))?;
            let hint = "register the tool in tools.json, or correct the name: Tool::\"<server>/<tool>\"";
            let message = format!("no tool {tool:?} is registered");
            Some(Fault::new(FaultKind::UnknownTool, message, hint).at(rule.place.clone()).of_rule(&rule.id))
        }));
    }
    faults
}

fn is_impossible(warning: &ValidationWarning) -> bool {
    matches!(warning, ValidationWarning::ImpossiblePolicy(_) | ValidationWarning::InvalidActionApplication(_))
}

/// Of the rules that can never match, those that could if only there were a tool in each group that exists without being
/// named: rules about groups are written before, and after, there are tools.
fn without_tools<'a>(
    bundle: &Bundle,
    warnings: impl Iterator<Item = &'a ValidationWarning>,
) -> BTreeSet<String> {
    let id = |warning: &ValidationWarning| AsRef::<str>::as_ref(warning.policy_id()).to_owned();
    let mut idle: BTreeSet<String> = warnings.filter(|warning| is_impossible(warning)).map(id).collect();
    if idle.is_empty() {
        return idle;
    }
    let rules = bundle.rules.values().filter(|rule| idle.contains(&rule.id));
    let set = PolicySet::from_policies(rules.map(|rule| rule.policy.clone()));
    let schema = schema::with_tool_in_each_group(bundle.form, &bundle.tools, bundle.named.is_some());
    let (Ok(set), Ok(schema)) = (set, schema) else { return BTreeSet::new() };
    let result = Validator::new(schema).validate(&set, ValidationMode::Strict);
    let still: BTreeSet<String> =
        result.validation_warnings().filter(|warning| is_impossible(warning)).map(id).collect();
    let wrong: BTreeSet<String> =
        result.validation_errors().map(|error| AsRef::<str>::as_ref(error.policy_id()).to_owned()).collect();
    idle.retain(|rule| !still.contains(rule) && !wrong.contains(rule));
    idle
}

/// Cedar's message without the rule's name, which the fault carries itself.
fn unprefixed(message: &str, id: &str) -> String {
    message.strip_prefix(&format!("for policy `{id}`, ")).unwrap_or(message).to_owned()
}

/// See [`Bundle::digest`]; files in byte order of their paths.
pub(super) fn digest<'a>(files: impl Iterator<Item = (&'a str, &'a [u8])>) -> [u8; 32] {
    fn number(hash: &mut Sha256, n: usize) {
        hash.update(u64::try_from(n).unwrap_or(u64::MAX).to_be_bytes());
    }
    let files: Vec<(&str, &[u8])> = files.collect();
    let mut hash = Sha256::new();
    hash.update(b"foreseal.bundle.v1\0");
    number(&mut hash, files.len());
    for (name, content) in files {
        number(&mut hash, name.len());
        hash.update(name.as_bytes());
        number(&mut hash, content.len());
        hash.update(content);
    }
    hash.finalize().into()
}
