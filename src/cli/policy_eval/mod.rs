//! `foreseal policy eval`: what a policy stops and what it costs, over recorded runs.
//!
//! Every call goes the way it goes in service: through a service in this process, over a ledger of its own. An
//! application opens a session for each run with the user's words, the agent declares each call, and tool servers report
//! what the calls that may run answered. What a stopped call answered in the recording goes along with the agent's next
//! intent as something it says it read: that taints and grounds nothing.

mod inputs;
mod measure;
mod play;
mod report;
mod traces;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::task::JoinSet;

use self::inputs::{Judge, Plans, principals};
use self::play::{Played, Scene, Stage};
use self::report::{Cases, Corpus, Report};
use self::traces::{Kind, Traces};
use super::output::{Failure, data, progress};
use super::serve::{activate, is_missing, open, runtime};
use super::{files, init};
use crate::disk::{Disk as _, OpenMode, RealDisk, ScratchDirectory};
use crate::ledger::layout::Layout;
use crate::service::Service;

/// Runs played side by side. Their sessions end before the next ones begin, so that what sessions remember stays far
/// below what a service remembers of all.
const RUNS_AT_ONCE: usize = 64;

/// What can be typed after `policy eval`.
#[derive(Debug, clap::Args)]
pub(super) struct Eval {
    /// Recorded runs: .jsonl or .jsonl.zst, one run a line
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    traces: Vec<PathBuf>,
    /// The bundle
    #[arg(long, env = "FORESEAL_POLICIES", value_name = "DIR")]
    policies: PathBuf,
    /// Tools in place of the bundle's own; its tests and manifest are then left out
    #[arg(long, num_args = 1.., value_name = "FILE")]
    tools: Vec<PathBuf>,
    /// The end user of each suite: {"SUITE": {"id": "ADDRESS", "roles": []}}
    #[arg(long, value_name = "FILE")]
    principals: Option<PathBuf>,
    /// Ground-truth calls of user tasks, sent as the application's plans
    #[arg(long, value_name = "FILE")]
    plans: Option<PathBuf>,
    /// Play only every Nth of the runs that a measure counts
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    sample: u32,
    /// Play the other runs too; no measure counts them, but the ledger has them
    #[arg(long)]
    all: bool,
    /// Keep the ledger here; it must not be there yet [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Also list runs one by one
    #[arg(long, value_name = "WHICH", num_args = 0..=1, default_missing_value = "telling")]
    cases: Option<Cases>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn run(what: &Eval) -> Result<ExitCode, Failure> {
    let judge = Judge::read(&what.policies, &what.tools)?;
    let (plans, principals) = (Plans::read(what.plans.as_deref())?, principals(what.principals.as_deref())?);
    let mut scratch = None;
    let directory = match &what.data {
        Some(directory) => directory.clone(),
        None => {
            let parent = std::env::temp_dir();
            let made = ScratchDirectory::make_in(&parent, "foreseal-eval").map_err(|error| {
                Failure::new(format!("{}: {error}", parent.display()), "give a directory with --data")
            })?;
            scratch.insert(made).path().join("ledger")
        }
    };
    let layout = Layout::new(&directory, None);
    if !is_missing(&*files::disk(), &layout)? {
        let message = format!("{} is there already", layout.data.display());
        return Err(Failure::new(message, "an evaluation begins with an empty log: give another --data"));
    }
    init::create(&layout, None)?;
    let (ledger, _) = open(&layout)?;
    let service = Arc::new(Service::new(Arc::new(ledger), false));
    let bundle = judge.bundle.clone();
    let played = runtime()?.block_on(async {
        activate(&service, judge.files.clone()).await?;
        play(what, Stage::new(Arc::clone(&service), judge, plans, principals)).await
    });
    let decided = service.ledger().measures().decide_us.distribution();
    service.ledger().stop();
    let (corpora, played) = played?;
    let sample = usize::try_from(what.sample).unwrap_or(usize::MAX);
    let report = Report::of(&bundle, corpora, sample, &played, &decided, what.cases);
    if what.json {
        let text = serde_json::to_string_pretty(&report);
        data(&text.map_err(|error| Failure::new(error.to_string(), "report this as a defect"))?);
    } else {
        report.lines().iter().for_each(|line| data(line));
    }
    Ok(ExitCode::SUCCESS)
}

/// Plays the runs of all files, and says what was in each.
async fn play(what: &Eval, stage: Stage) -> Result<(Vec<Corpus>, Vec<Played>), Failure> {
    let mut bar = progress("playing");
    let sizes = what.traces.iter().map(|path| RealDisk.open(path, OpenMode::Read)?.len());
    let sizes: Vec<u64> = sizes.map(|size: std::io::Result<u64>| size.unwrap_or_default()).collect();
    let (all, mut before) = (sizes.iter().sum::<u64>(), 0);
    let (mut stage, mut corpora, mut played) = (Arc::new(stage), Vec::new(), Vec::new());
    let (mut sessions, mut chunks) = (0_usize, 0_usize);
    for (path, size) in what.traces.iter().zip(&sizes) {
        let mut traces = Traces::open(path)?;
        let name: Arc<str> = Arc::from(traces.corpus.as_str());
        let mut corpus = Corpus { corpus: traces.corpus.clone(), runs: 0, played: 0, with_plan: 0 };
        let mut counted = 0_usize;
        loop {
            let application = format!("eval-{chunks}");
            chunks += 1;
            // INVARIANT: every run of the chunk before was joined, and with it its share of the stage went.
            let Some(own) = Arc::get_mut(&mut stage) else { return Err(held_on()) };
            let caller = own.application(&application).await?;
            let mut scenes = Vec::new();
            while scenes.len() < RUNS_AT_ONCE {
                let Some(run) = traces.next()? else { break };
                corpus.runs += 1;
                let counts = run.kind() != Kind::Neither;
                counted += usize::from(counts);
                let sampled =
                    counts && (counted - 1).is_multiple_of(usize::try_from(what.sample).unwrap_or(1));
                if !(sampled || (what.all && !counts)) {
                    continue;
                }
                own.cast(&run).await?;
                corpus.played += 1;
                let plan = own.plans.of(&own.judge, &run.suite, &run.user_task_id, &run.user_prompt);
                corpus.with_plan += usize::from(plan.is_some());
                let (session, application) = (format!("run-{sessions}"), caller.clone());
                sessions += 1;
                scenes.push(Scene {
                    corpus: Arc::clone(&name),
                    line: traces.line,
                    run,
                    session,
                    application,
                });
            }
            let ended = scenes.len() < RUNS_AT_ONCE;
            let mut tasks = JoinSet::new();
            for scene in scenes {
                let stage = Arc::clone(&stage);
                tasks.spawn(async move { stage.play(scene).await });
            }
            let from = played.len();
            while let Some(done) = tasks.join_next().await {
                played
                    .push(done.map_err(|error| Failure::new(error.to_string(), "report this as a defect"))??);
            }
            // They ended in any order.
            if let Some(new) = played.get_mut(from..) {
                new.sort_by_key(|run: &Played| run.line);
            }
            stage.dismiss(&application).await?;
            bar(before + traces.read_bytes(), all);
            if ended {
                break;
            }
        }
        before += size;
        corpora.push(corpus);
    }
    Ok((corpora, played))
}

fn held_on() -> Failure {
    Failure::new("a run that ended holds on to the stage", "report this as a defect")
}
