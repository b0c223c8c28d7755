//! What an evaluation is given beside the runs: the bundle with other tools, the users, the plans.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::files;
use super::super::output::Failure;
use crate::policy::{Bundle, Tool};
use crate::record::limits;
use crate::record::session::EndUser;

/// A bundle, ready to be activated, and what its tools are.
pub(super) struct Judge {
    pub(super) files: BTreeMap<String, Vec<u8>>,
    pub(super) bundle: Bundle,
    tools: BTreeMap<(String, String), Tool>,
}

/// Groups of what changes something, reaches somebody or cannot be undone.
const SIDE_EFFECTS: [&str; 11] = [
    "access",
    "credential",
    "destructive",
    "execute",
    "external",
    "fetch",
    "irreversible",
    "payment",
    "physical",
    "security",
    "write",
];

impl Judge {
    /// Reads a bundle. With files of tools, these take the place of its own, and what belongs to its own tools, its tests,
    /// its manifest and signature, is left out; its rules and named signals stay.
    pub(super) fn read(directory: &Path, tools: &[PathBuf]) -> Result<Self, Failure> {
        let mut files = files::read_bundle(directory)?;
        if !tools.is_empty() {
            files.retain(|name, _| {
                name == "signals.json"
                    || Path::new(name).extension().is_some_and(|extension| extension == "cedar")
            });
            files.insert("tools.json".to_owned(), merged(tools)?);
        }
        let bundle = Bundle::load(files.clone()).map_err(|error| {
            let hint = "rules of a pack name groups and facts, not tools, so that they load with any tools";
            Failure::new(format!("{} with these tools: {error}", directory.display()), hint)
        })?;
        let tools = bundle.tools().map(|tool| ((tool.server.clone(), tool.name.clone()), tool.clone()));
        let tools = tools.collect();
        Ok(Self { files, bundle, tools })
    }

    /// The server of a call that names none: its suite; where the suite has no such tool, the one server that has.
    pub(super) fn server<'a>(&'a self, suite: &'a str, name: &str) -> &'a str {
        let mut others = self.tools.keys().filter(|(server, tool)| tool == name && !server.is_empty());
        match (self.tool(suite, name), others.next(), others.next()) {
            (None, Some((server, _)), None) => server,
            _ => suite,
        }
    }

    pub(super) fn tool(&self, server: &str, name: &str) -> Option<&Tool> {
        self.tools.get(&(server.to_owned(), name.to_owned()))
    }

    /// Whether a call does something to the world; what is not registered might.
    pub(super) fn has_side_effect(&self, server: &str, name: &str) -> bool {
        let effect = |tool: &Tool| tool.groups.iter().any(|group| SIDE_EFFECTS.contains(&group.as_str()));
        self.tool(server, name).is_none_or(effect)
    }

    /// Whether a call requests an address.
    pub(super) fn fetches(&self, server: &str, name: &str) -> bool {
        self.tool(server, name).is_some_and(|tool| tool.groups.iter().any(|group| group == "fetch"))
    }
}

/// One file of tools out of several.
fn merged(paths: &[PathBuf]) -> Result<Vec<u8>, Failure> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        tools: Vec<Value>,
    }
    let mut tools = Vec::new();
    for path in paths {
        let file: File = parsed(path, "tools are {\"tools\": [...]}, as a bundle's tools.json")?;
        tools.extend(file.tools);
    }
    Ok(json!({ "tools": tools }).to_string().into_bytes())
}

fn parsed<T: serde::de::DeserializeOwned>(path: &Path, hint: &str) -> Result<T, Failure> {
    serde_json::from_slice(&files::read(path)?)
        .map_err(|error| Failure::new(format!("{}: {error}", path.display()), hint))
}

/// The end user of each suite.
pub(super) fn principals(path: Option<&Path>) -> Result<BTreeMap<String, EndUser>, Failure> {
    let hint = "principals are {\"SUITE\": {\"id\": \"ADDRESS\", \"roles\": []}}";
    path.map_or_else(|| Ok(BTreeMap::new()), |path| parsed(path, hint))
}

/// Ground-truth calls: by suite, task and the words of the task.
#[derive(Default)]
pub(super) struct Plans(BTreeMap<(String, String), Vec<Wording>>);

/// The words of a task, and the calls that do it.
type Wording = (String, Vec<Intended>);

#[derive(Debug, Clone, Deserialize)]
struct Intended {
    name: String,
    args: Map<String, Value>,
}

#[derive(Deserialize)]
struct Suite {
    user: BTreeMap<String, Task>,
}

#[derive(Deserialize)]
struct Task {
    prompt: String,
    gt: Vec<Intended>,
}

/// Any step may run as often as a plan can say: agents try again.
const RUNS: u32 = crate::policy::Plan::MOST_RUNS;

impl Plans {
    /// Reads a file of tasks: versions of suites of user tasks with their ground-truth calls.
    pub(super) fn read(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else { return Ok(Self::default()) };
        let hint =
            "plans are {VERSION: {SUITE: {\"user\": {TASK: {\"prompt\", \"gt\": [{\"name\", \"args\"}]}}}}}";
        let versions: BTreeMap<String, BTreeMap<String, Suite>> = parsed(path, hint)?;
        let mut plans = Self::default();
        for (suite, tasks) in versions.into_values().flatten() {
            for (task, Task { prompt, gt }) in tasks.user {
                plans.0.entry((suite.clone(), task)).or_default().push((prompt, gt));
            }
        }
        Ok(plans)
    }

    /// The plan of a task as its application would send it: the tools, their destinations, everything else free. Of
    /// several wordings the one that was used, else the last.
    pub(super) fn of(&self, judge: &Judge, suite: &str, task: &str, prompt: &str) -> Option<Value> {
        let wordings = self.0.get(&(suite.to_owned(), task.to_owned()))?;
        let used = wordings.iter().rfind(|(words, _)| words == prompt).or(wordings.last());
        let mut steps: Vec<Value> = Vec::new();
        for call in &used?.1 {
            let step = step(judge, suite, call);
            if !steps.contains(&step) && steps.len() < limits::PLAN_STEPS_MAX {
                steps.push(step);
            }
        }
        (!steps.is_empty()).then(|| json!({ "steps": steps }))
    }
}

fn step(judge: &Judge, suite: &str, call: &Intended) -> Value {
    let server = judge.server(suite, &call.name);
    let Some(tool) = judge.tool(server, &call.name) else {
        return json!({ "server": server, "tool": call.name, "free": true, "count": RUNS });
    };
    let argument = |path: &str| path.split('/').nth(1).map(|name| name.replace("~1", "/").replace("~0", "~"));
    let destinations: BTreeSet<String> =
        tool.labels.destinations.iter().filter_map(|place| argument(place.at.as_str())).collect();
    let constants: Map<String, Value> = call
        .args
        .iter()
        .filter(|(name, _)| destinations.contains(*name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let free: Vec<&str> = tool.arguments().filter(|name| !destinations.contains(*name)).collect();
    json!({
        "server": server, "tool": call.name, "args": constants, "grounded": destinations, "free": free, "count": RUNS,
    })
}
