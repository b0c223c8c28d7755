//! Handing out bundles: gathered and digested, sealed as an entry, and only then sent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::caller::Caller;
use super::error::{ErrorCode, ServiceError};
use super::export_stream::BundleStream;
use super::{Service, blocking};
use crate::evidence::bundle::container::ContentDigest;
use crate::evidence::bundle::{
    Contents, Covering, ENTRIES, Member, Opened, Revealed, Row, Scope, Shown, ShownDigest, Tally, assemble,
    export_record, revealed_path,
};
use crate::ledger::{Change, Found, Ledger, LedgerError, SealedLeaf};
use crate::note::{Checkpoint, SignedNote};
use crate::record::canonical::to_jcs;
use crate::record::entry::{Entry, IntentEntry};
use crate::record::field_tree::FieldTree;
use crate::record::json::{JsonLimits, parse_with};
use crate::record::limits;

/// Decisions that the page of a bundle lists.
const ROWS_MAX: usize = 200;
/// Text that the page shows of one document, in characters.
const ROW_MAX_CHARS: usize = 6_000;
/// Room that is kept for what is made after the hand-out is sealed: proofs, policies, agents, the page.
const SMALL_FILES_BYTES: u64 = 64 << 20;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportRequest {
    /// The first leaf.
    pub from: u64,
    /// The leaf behind the last one.
    pub to: u64,
    /// What to show: `all`, an intent's id, or `id:/json/pointer`; `id:` shows the shape.
    #[serde(default)]
    pub reveal: Vec<String>,
    /// Whether to show the evaluations of those intents too.
    #[serde(default)]
    pub reveal_evaluation: bool,
}

/// What to show of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    Whole,
    Fields(BTreeSet<String>),
}

/// What to show of an intent in the range.
#[derive(Debug, Clone)]
pub(super) struct Show {
    pub(super) index: u64,
    pub(super) id: Uuid,
    pub(super) agent: u64,
    pub(super) wanted: Arc<Wanted>,
    pub(super) evaluation: bool,
}

/// The range, read once.
struct Gathered {
    tally: Tally,
    shown: Shown,
    digest: String,
    entries: Member,
    revealed: Vec<Member>,
    shows: Vec<Show>,
    rows: Vec<Row>,
}

impl Service {
    /// Makes a bundle. The hand-out is sealed when this returns; no byte of the bundle has left before.
    ///
    /// # Errors
    /// [`ErrorCode::Forbidden`], [`ErrorCode::MalformedRequest`], [`ErrorCode::NotInLog`], [`ErrorCode::NotFound`],
    /// [`ErrorCode::AmbiguousId`], [`ErrorCode::ExportTooLarge`], or the ledger's; after the hand-out was sealed
    /// [`ErrorCode::SealedUnanswered`].
    pub async fn export(&self, caller: &Caller, asked: ExportRequest) -> Result<BundleStream, ServiceError> {
        let by = caller.operator()?;
        let scope = self.scope_of(&asked)?;
        let ledger = Arc::clone(&self.ledger);
        let gathered = blocking(move || gather(&ledger, scope, &asked)).await?;
        let key = self.announced_key(by).await?;
        let record = export_record(&scope, &gathered.shown, &gathered.digest);
        let sealed = self.administer(by, Change::Export { scope, record }).await?;
        let ledger = Arc::clone(&self.ledger);
        let index = sealed.index;
        let made = blocking(move || stream_of(&ledger, scope, gathered, &sealed, key));
        made.await.map_err(|error| {
            ServiceError::new(
                ErrorCode::SealedUnanswered,
                format!("the hand-out is leaf {index}, but: {error}"),
            )
        })
    }

    fn scope_of(&self, asked: &ExportRequest) -> Result<Scope, ServiceError> {
        let size = self.published().size;
        if asked.from >= asked.to {
            return Err(ServiceError::new(ErrorCode::MalformedRequest, "/from: must be below /to"));
        }
        // First, because waiting for the log to grow would not help.
        if asked.to - asked.from > limits::EXPORT_RANGE_MAX_ENTRIES as u64 {
            return Err(too_large(format!(
                "the range has more than {} leaves",
                limits::EXPORT_RANGE_MAX_ENTRIES
            )));
        }
        if asked.to > size {
            let detail = format!("/to: the log has size {size}");
            return Err(ServiceError::new(ErrorCode::NotInLog, detail));
        }
        Ok(Scope { from: asked.from, to: asked.to })
    }

    /// The leaf that announced the key in the key directory; sealed now, if none did.
    async fn announced_key(&self, by: u64) -> Result<u64, ServiceError> {
        // Two first bundles at once would make two keys.
        let _one = self.bundle_key.lock().await;
        let ledger = Arc::clone(&self.ledger);
        let key = blocking(move || Ok(ledger.bundle_signer()?.public_key())).await?;
        match self.published().registry.bundle_keys().last() {
            Some((index, announced)) if *announced == key => Ok(*index),
            _ => Ok(self.administer(by, Change::AnnounceBundleKey { key }).await?.index),
        }
    }
}

fn too_large(detail: String) -> ServiceError {
    ServiceError::new(ErrorCode::ExportTooLarge, detail)
}

/// Resolves what is to be shown, by leaf; `None` for all.
fn wanted(
    ledger: &Ledger,
    scope: Scope,
    asked: &ExportRequest,
) -> Result<Option<BTreeMap<u64, Wanted>>, ServiceError> {
    let mut map: BTreeMap<u64, Wanted> = BTreeMap::new();
    for (number, text) in asked.reveal.iter().enumerate() {
        if text == "all" {
            return Ok(None);
        }
        let malformed = |what: &str| {
            ServiceError::new(ErrorCode::MalformedRequest, format!("/reveal/{number}: {what}"))
                .hint("give all, an intent's id, or id:/json/pointer")
        };
        let (id, path) = text.split_once(':').map_or((text.as_str(), None), |(id, path)| (id, Some(path)));
        let id = Uuid::try_parse(id).map_err(|_| malformed("is no intent's id"))?;
        let found = ledger.find_all(id)?;
        let mut inside = found.iter().map(|found| found.index).filter(|i| (scope.from..scope.to).contains(i));
        let index = inside.next().ok_or_else(|| {
            ServiceError::new(
                ErrorCode::NotFound,
                format!("/reveal/{number}: no intent {id} is in the range"),
            )
        })?;
        if inside.next().is_some() {
            let detail = format!("/reveal/{number}: several agents used the id {id} in the range");
            return Err(
                ServiceError::new(ErrorCode::AmbiguousId, detail).hint("narrow the range to one of them")
            );
        }
        match (map.entry(index).or_insert_with(|| Wanted::Fields(BTreeSet::new())), path) {
            (Wanted::Fields(paths), Some(path)) => {
                paths.insert(path.to_owned());
            }
            (Wanted::Whole, _) => {}
            (fields, None) => *fields = Wanted::Whole,
        }
    }
    Ok(Some(map))
}

/// Reads the range once: counts it, and digests every file that will be streamed.
fn gather(ledger: &Ledger, scope: Scope, asked: &ExportRequest) -> Result<Gathered, ServiceError> {
    let wanted = wanted(ledger, scope, asked)?;
    let whole = Arc::new(Wanted::Whole);
    let (mut tally, mut shown, mut digest) = (Tally::default(), Shown::default(), ShownDigest::default());
    let mut entries = ContentDigest::default();
    let (mut revealed, mut shows, mut rows) = (Vec::new(), Vec::new(), Vec::new());
    let mut bytes = SMALL_FILES_BYTES;
    ledger.for_each_entry::<ServiceError>(scope, &mut |index, leaf| {
        let damaged = |what: String| LedgerError::Damaged(format!("leaf {index}: {what}"));
        entries.update(leaf);
        entries.update(b"\n");
        bytes += leaf.len() as u64 + 1;
        let entry = Entry::parse(leaf).map_err(|e| damaged(e.to_string()))?;
        tally.add(index, &entry).map_err(damaged)?;
        let Entry::Intent(intent) = entry else { return Ok(()) };
        let show = match &wanted {
            None => Some(Arc::clone(&whole)),
            Some(map) => map.get(&index).cloned().map(Arc::new),
        };
        let evaluation = asked.reveal_evaluation;
        let show = show.map(|wanted| Show { index, id: intent.id, agent: intent.agent, wanted, evaluation });
        let mut text = None;
        match show {
            None => shown.withheld += 1,
            Some(show) => {
                let made = reveal(ledger, &show)?;
                count(&mut shown, &made);
                digest.add(&made);
                let content = content_of(&made)?;
                bytes += content.len() as u64;
                let member = Member::of(&revealed_path(index), &content);
                revealed.push(member.ok_or_else(|| too_large(format!("leaf {index}: its document")))?);
                shows.push(show);
                text = (rows.len() < ROWS_MAX).then(|| words(&made));
            }
        }
        if rows.len() < ROWS_MAX {
            rows.push(row(index, &intent, text));
        }
        if shows.len() > limits::EXPORT_REVEALED_MAX {
            return Err(too_large(format!("more than {} intents are shown", limits::EXPORT_REVEALED_MAX)));
        }
        if bytes > limits::EXPORT_MAX_BYTES as u64 {
            return Err(too_large(format!("the bundle is over {} bytes", limits::EXPORT_MAX_BYTES)));
        }
        Ok(())
    })?;
    let entries = entries.finish(ENTRIES).ok_or_else(|| too_large("the entries".to_owned()))?;
    Ok(Gathered { tally, shown, digest: digest.finish(), entries, revealed, shows, rows })
}

fn count(shown: &mut Shown, made: &Revealed) {
    if made.declared.is_whole() {
        shown.documents += 1;
    } else {
        shown.partial += 1;
    }
    shown.evaluations += u64::from(made.evaluation.is_some());
}

fn row(index: u64, intent: &IntentEntry, shown: Option<String>) -> Row {
    let (at, agent, outcome) = (intent.at, intent.agent, intent.outcome);
    Row { index, at, agent, outcome, calls: intent.calls.len(), shown }
}

/// The file of what is shown.
pub(super) fn content_of(made: &Revealed) -> Result<Vec<u8>, ServiceError> {
    let value = serde_json::to_value(made).map_err(|e| LedgerError::Damaged(e.to_string()))?;
    Ok(to_jcs(&value).map_err(|e| LedgerError::Damaged(e.to_string()))?)
}

/// Opens what is to be shown of an intent.
pub(super) fn reveal(ledger: &Ledger, show: &Show) -> Result<Revealed, ServiceError> {
    let found = ledger.find(show.id, show.agent)?;
    let found = found.filter(|found| found.index == show.index);
    let found = found
        .ok_or_else(|| LedgerError::Damaged(format!("leaf {}: its payload is not found", show.index)))?;
    let declared = declared(&found, &show.wanted)?;
    let evaluation = if show.evaluation {
        Some(Opened::Whole {
            document: text(&found, &found.payload.evaluation)?,
            seed: found.payload.evaluation_seed.to_base64(),
        })
    } else {
        None
    };
    let signature = found.payload.signature.filter(|_| declared.is_whole());
    Ok(Revealed { index: show.index, declared, evaluation, signature: signature.map(|s| STANDARD.encode(s)) })
}

fn text(found: &Found, bytes: &[u8]) -> Result<String, ServiceError> {
    let text = String::from_utf8(bytes.to_vec());
    Ok(text.map_err(|_| LedgerError::Damaged(format!("leaf {}: its payload is not text", found.index)))?)
}

fn declared(found: &Found, wanted: &Wanted) -> Result<Opened, ServiceError> {
    let payload = &found.payload;
    let Wanted::Fields(paths) = wanted else {
        return Ok(Opened::Whole {
            document: text(found, &payload.declared)?,
            seed: payload.declared_seed.to_base64(),
        });
    };
    let damaged = |what: String| LedgerError::Damaged(format!("leaf {}: {what}", found.index));
    let limits = JsonLimits { max_bytes: payload.declared.len(), ..JsonLimits::default() };
    let document = parse_with(&payload.declared, &limits).map_err(|e| damaged(e.to_string()))?;
    let tree =
        FieldTree::of_document(&document, &payload.declared_seed).map_err(|e| damaged(e.to_string()))?;
    let mut openings = Vec::new();
    for path in paths {
        let before = openings.len();
        let within = |field: &&str| {
            let rest = field.strip_prefix(path.as_str());
            rest.is_some_and(|rest| rest.is_empty() || (!path.is_empty() && rest.starts_with('/')))
        };
        openings.extend(tree.paths().filter(within).filter_map(|field| tree.open(field)));
        if openings.len() == before {
            let detail = format!("/reveal: intent {} has no field {path:?}", found.entry.id);
            return Err(ServiceError::new(ErrorCode::NotFound, detail));
        }
    }
    openings.sort_by_key(|opening| opening.index);
    openings.dedup_by_key(|opening| opening.index);
    Ok(Opened::Fields(openings))
}

/// What is shown, as the page says it.
fn words(made: &Revealed) -> String {
    let mut out = match &made.declared {
        Opened::Whole { document, .. } => pretty(document),
        Opened::Fields(fields) => {
            let line = |f: &crate::record::field_tree::FieldOpening| {
                let path = if f.path.is_empty() { "(all paths)" } else { &f.path };
                format!("{path}: {}", f.value)
            };
            fields.iter().map(line).collect::<Vec<_>>().join("\n")
        }
    };
    if let Some(Opened::Whole { document, .. }) = &made.evaluation {
        out.push_str("\n\nEvaluation: ");
        out.push_str(&pretty(document));
    }
    if let Some((cut, _)) = out.char_indices().nth(ROW_MAX_CHARS) {
        out.truncate(cut);
        out.push_str("\n[…] the rest is in ");
        out.push_str(&revealed_path(made.index));
    }
    out
}

fn pretty(document: &str) -> String {
    let value: Option<Value> = serde_json::from_str(document).ok();
    value.and_then(|value| serde_json::to_string_pretty(&value).ok()).unwrap_or_else(|| document.to_owned())
}

/// Everything that is proven under the checkpoint of the hand-out, signed and in order.
fn stream_of(
    ledger: &Arc<Ledger>,
    scope: Scope,
    gathered: Gathered,
    sealed: &SealedLeaf,
    key: u64,
) -> Result<BundleStream, ServiceError> {
    let damaged = |what: String| LedgerError::Damaged(what);
    let note: SignedNote = sealed.checkpoint.parse().map_err(|e| damaged(format!("{e}")))?;
    let under = Checkpoint::parse(&note.text).map_err(|e| damaged(e.to_string()))?;
    let Ok(Entry::Export(entry)) = Entry::parse(&sealed.entry) else {
        return Err(damaged(format!("leaf {} is not the hand-out that was sealed", sealed.index)).into());
    };
    let keys = ledger.published().registry.bundle_keys().to_vec();
    let keys = keys.iter().map(|(index, _)| *index).filter(|index| *index < under.size);
    let proven = |index: u64| ledger.proven_leaf(index, &under);
    let whole = |index: u64| {
        let (_, payload) = ledger.leaf_with_payload(index)?;
        let document = String::from_utf8(payload.declared)
            .map_err(|_| LedgerError::Damaged(format!("leaf {index}: its record is not text")))?;
        let record = Opened::Whole { document, seed: payload.declared_seed.to_base64() };
        let mut leaf = proven(index)?;
        leaf.record = Some(record);
        Ok::<_, LedgerError>(leaf)
    };
    let named = |index: u64| {
        let (_, payload) = ledger.leaf_with_payload(index)?;
        let mut leaf = proven(index)?;
        leaf.record = Some(without_credential(index, &payload)?);
        Ok::<_, LedgerError>(leaf)
    };
    let contents = Contents {
        id: entry.id,
        at: entry.at,
        origin: ledger.origin().to_owned(),
        scope,
        note: sealed.checkpoint.to_string(),
        checkpoint: Covering { size: under.size, root: under.root },
        range_proof: ledger.range_proof(scope, &under)?,
        export: whole(sealed.index)?,
        keys: keys.map(proven).collect::<Result<_, _>>()?,
        key,
        agents: gathered.tally.agents.iter().map(|index| named(*index)).collect::<Result<_, _>>()?,
        policies: gathered.tally.policies.iter().map(|index| whole(*index)).collect::<Result<_, _>>()?,
        tally: gathered.tally,
        shown: gathered.shown,
        entries: gathered.entries,
        revealed: gathered.revealed,
        rows: gathered.rows,
    };
    let parts = assemble(&contents, &ledger.bundle_signer()?).map_err(|e| too_large(e.to_string()))?;
    BundleStream::new(Arc::clone(ledger), scope, sealed.index, entry.id, parts, gathered.shows)
}

/// A registration's record, but for the digest of its token.
fn without_credential(index: u64, payload: &crate::ledger::payload::Payload) -> Result<Opened, LedgerError> {
    let damaged = |what: String| LedgerError::Damaged(format!("leaf {index}: {what}"));
    let limits = JsonLimits { max_bytes: payload.declared.len(), ..JsonLimits::default() };
    let record = parse_with(&payload.declared, &limits).map_err(|e| damaged(e.to_string()))?;
    let tree = FieldTree::of_document(&record, &payload.declared_seed).map_err(|e| damaged(e.to_string()))?;
    Ok(Opened::Fields(
        tree.paths().filter(|path| *path != "/credential").filter_map(|path| tree.open(path)).collect(),
    ))
}
