//! Evidence: answers, whole logs, bundles.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use foreseal::evidence::audit::{Leaves, LogReader, ReadLogError, audit_log, tile_path};
use foreseal::evidence::verify::{ReceiptEvidence, verify_receipt};
use foreseal::evidence::{Answer, Verdict};
use foreseal::merkle::{Frontier, Hash, Tile, TileKind, TilePath, encode_bundle, leaf_hash};
use foreseal::note::{Checkpoint, KeyName, LogSigner, TrustPolicy};
use foreseal::record::json;

use crate::edits::{choice, edited};
use crate::{text, vector};

const GOOD_ANSWER: &str = include_str!("../../../examples/receipt/answer.json");
const GOOD_INTENT: &str = include_str!("../../../examples/receipt/intent.json");
static GOOD: LazyLock<Answer> =
    LazyLock::new(|| Answer::parse(GOOD_ANSWER).expect("the example is an answer"));
static TRUST: LazyLock<TrustPolicy> = LazyLock::new(|| {
    TrustPolicy::parse(include_str!("../../../examples/receipt/trust.policy"))
        .expect("the example is a policy")
});

/// What `verify receipt` finds of an answer.
fn verdict(answer: &Answer, intent: Option<&[u8]>) -> Verdict {
    let Ok(entry) = STANDARD.decode(&answer.entry) else { return Verdict::Undecided };
    let evidence = ReceiptEvidence { receipt: &answer.receipt, entry: &entry, answer: Some(answer), intent };
    verify_receipt(&evidence, Some(&TRUST)).verdict
}

/// Only what the good answer says of the leaf is valid: id, index, leaf, expiry, verdicts.
pub fn answer(bytes: &[u8]) {
    let forged = match choice(bytes) {
        Some((0, edits)) => edited(GOOD_ANSWER.as_bytes(), edits),
        _ => Some(bytes.to_vec()),
    };
    let Some(answer) = forged.as_deref().and_then(text).and_then(|text| Answer::parse(text).ok()) else {
        return;
    };
    if verdict(&answer, None) != Verdict::Valid {
        return;
    }
    let said = |answer: &Answer| {
        let verdicts: Vec<_> = answer.decision.calls.iter().map(|call| call.outcome).collect();
        (
            answer.id,
            answer.index,
            answer.entry.clone(),
            answer.decision.outcome,
            answer.decision.expires,
            verdicts,
        )
    };
    assert_eq!(said(&answer), said(&GOOD), "a forged answer is valid");
}

/// With the good answer, one document is the declared one; however it is spelled, no other is.
pub fn declared(bytes: &[u8]) {
    let forged = match choice(bytes) {
        Some((0, edits)) => edited(GOOD_INTENT.as_bytes(), edits),
        _ => Some(bytes.to_vec()),
    };
    let Some(intent) = forged else { return };
    if verdict(&GOOD, Some(&intent)) == Verdict::Valid {
        let good = json::parse(GOOD_INTENT.as_bytes()).expect("the example is JSON");
        assert_eq!(json::parse(&intent).expect("an intent is JSON"), good, "another document was declared");
    }
}

/// A log held in memory.
struct Log {
    checkpoint: Vec<u8>,
    resources: BTreeMap<String, Vec<u8>>,
}

impl LogReader for Log {
    fn checkpoint(&self) -> Result<String, ReadLogError> {
        String::from_utf8(self.checkpoint.clone()).map_err(|_| ReadLogError::Damaged {
            what: "checkpoint".to_owned(),
            why: "it is not UTF-8".to_owned(),
        })
    }

    fn tile(&self, path: &TilePath) -> Result<Vec<u8>, ReadLogError> {
        self.resources.get(&path.to_string()).cloned().ok_or_else(|| ReadLogError::Missing(path.to_string()))
    }
}

/// Two logs and whom to trust for them: the vectors' entries, and 300 leaves of no form, so that there are full tiles.
static LOGS: LazyLock<(TrustPolicy, [(Log, Leaves); 2])> = LazyLock::new(|| {
    let name = KeyName::parse("example.com/fuzzed").expect("a name");
    let signer = LogSigner::from_seed(name, &[9; 32]);
    let vector = vector!("entries/chain.json");
    let entries = vector["leaves"].as_array().expect("the vector lists leaves");
    let entries = entries.iter().map(|leaf| leaf.as_str().expect("a text").as_bytes().to_vec()).collect();
    let opaque = (0..300u16).map(|number| number.to_be_bytes().to_vec()).collect();
    let logs = [(entries, Leaves::Entries), (opaque, Leaves::Opaque)];
    let made = logs.map(|(leaves, kind): (Vec<Vec<u8>>, Leaves)| (log_of(&signer, &leaves), kind));
    (TrustPolicy::of_log(&signer), made)
});

fn log_of(signer: &LogSigner, leaves: &[Vec<u8>]) -> Log {
    let size = leaves.len() as u64;
    let mut resources = BTreeMap::new();
    for (bundle, index) in leaves.chunks(256).zip(0..) {
        let path = tile_path(TileKind::Entries, index, size).expect("the log has it");
        resources.insert(path.to_string(), encode_bundle(bundle).expect("they fit"));
    }
    let mut level_hashes: Vec<Hash> = leaves.iter().map(|leaf| leaf_hash(leaf)).collect();
    let mut frontier = Frontier::new();
    level_hashes.iter().for_each(|hash| frontier.append(*hash));
    for level in 0.. {
        if level_hashes.is_empty() {
            break;
        }
        let tiles = level_hashes.chunks(256).map(|hashes| Tile::from_hashes(hashes).expect("at most 256"));
        let tiles: Vec<Tile> = tiles.collect();
        for (tile, index) in tiles.iter().zip(0..) {
            let path = tile_path(TileKind::Hashes { level }, index, size).expect("the log has it");
            resources.insert(path.to_string(), tile.to_bytes());
        }
        level_hashes = tiles.iter().filter(|tile| tile.width() == 256).filter_map(Tile::root).collect();
    }
    let origin = signer.verifier().name().to_string();
    let checkpoint = Checkpoint { origin, size, root: frontier.root(), extensions: Vec::new() };
    let checkpoint = signer.sign_checkpoint(&checkpoint).expect("its own log").into_bytes();
    Log { checkpoint, resources }
}

/// An audit of a log of which one resource was edited, or is gone, finds that.
pub fn log(bytes: &[u8]) {
    let Some((way, rest)) = choice(bytes) else { return };
    let Some((which, edits)) = choice(rest) else { return };
    let (trust, logs) = &*LOGS;
    let (good, leaves) = &logs[usize::from(way & 1)];
    let mut log = Log { checkpoint: good.checkpoint.clone(), resources: good.resources.clone() };
    let audit = |log: &Log| audit_log(log, *leaves, Some(trust), &mut |_, _| {}).verdict;
    static SOUND: LazyLock<()> = LazyLock::new(|| {
        let (trust, logs) = &*LOGS;
        for (log, leaves) in logs {
            let report = audit_log(log, *leaves, Some(trust), &mut |_, _| {});
            assert_eq!(report.verdict, Verdict::Valid, "{report:?}");
        }
    });
    LazyLock::force(&SOUND);
    let which = usize::from(which) % (log.resources.len() + 1);
    let place = log.resources.values_mut().nth(which).unwrap_or(&mut log.checkpoint);
    match edited(place, edits) {
        Some(forged) => *place = forged,
        None => return,
    }
    assert_ne!(audit(&log), Verdict::Valid, "an edited log passes the audit");
}
