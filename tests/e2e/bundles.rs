//! Promised: whoever holds the log's key can check a bundle to its last byte, offline, and sees what it does not show.

use std::path::PathBuf;

use foreseal::evidence::bundle::container::{directory, local_header, read};
use foreseal::evidence::bundle::{ByteSource, Member, verify_bundle};
use foreseal::evidence::{Report, Verdict};
use foreseal::note::TrustPolicy;
use serde_json::{Value, json};

use super::process::{Home, Server, foreseal, run};

const SECRET: &str = "the patient's name is Alice";

struct Made {
    home: Home,
    server: Server,
    ids: Vec<String>,
}

/// A log with two agents, a policy, some intents.
fn made() -> Made {
    let home = Home::with_ledger();
    let server = home.serve();
    let mut ids = Vec::new();
    for (name, count) in [("first-bot", 3), ("second-bot", 2)] {
        let agent = server.agent(name);
        for number in 0..count {
            let body = json!({
                "agent": name, "session": "s", "goal": SECRET, "reasoning": ["<script>alert(1)</script>"],
                "calls": [{"id": "c1", "server": "mail", "tool": "send_email", "args": {"to": "bob@example.com", "n": number}}],
            });
            let answer = agent.post("/v1/intents", body.to_string());
            assert_eq!(answer.status, 201, "{}", answer.text());
            ids.push(answer.json()["id"].as_str().unwrap().to_owned());
        }
    }
    Made { home, server, ids }
}

impl Made {
    fn size(&self) -> u64 {
        self.server.operator().get("/checkpoint").text().lines().nth(1).unwrap().parse().unwrap()
    }

    fn export(&self, name: &str, from: u64, to: u64, more: &[&str]) -> PathBuf {
        let out = self.home.path(name);
        let mut command = foreseal();
        command
            .args(["export", "--from", &from.to_string(), "--to", &to.to_string(), "--out"])
            .arg(&out)
            .args(more);
        command.arg("--trust").arg(self.home.trust());
        command.env("FORESEAL_URL", self.server.url()).env("FORESEAL_TOKEN", self.home.admin_token());
        run(&mut command).expect(0);
        out
    }

    fn trust(&self) -> TrustPolicy {
        self.home.trust_text().parse().unwrap()
    }
}

fn verify(bytes: &[u8], trust: &TrustPolicy) -> Report {
    verify_bundle(&Whole(bytes), Some(trust), &mut |_, _| {})
}

/// Names and contents of a container.
fn members(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let placed = read(&Whole(bytes), &mut |_, _| {}).unwrap();
    let content = |offset: u64, bytes_len: u32| {
        let from = usize::try_from(offset).unwrap();
        bytes[from..from + bytes_len as usize].to_vec()
    };
    placed.iter().map(|p| (p.member.name.clone(), content(p.offset, p.member.bytes))).collect()
}

struct Whole<'a>(&'a [u8]);

impl ByteSource for Whole<'_> {
    fn length(&self) -> std::io::Result<u64> {
        Ok(self.0.len() as u64)
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }
}

/// A container of these members, its checksums right.
fn packed(members: &[(String, Vec<u8>)]) -> Vec<u8> {
    let all: Vec<Member> = members.iter().map(|(name, content)| Member::of(name, content).unwrap()).collect();
    let mut out = Vec::new();
    for (member, (_, content)) in all.iter().zip(members) {
        out.extend(local_header(member));
        out.extend(content);
    }
    out.extend(directory(&all).unwrap());
    out
}

/// What a forger without keys can make consistent: the bag's own digests, and the manifest's list of files.
fn refitted(mut members: Vec<(String, Vec<u8>)>) -> Vec<u8> {
    use sha2::{Digest as _, Sha256};
    let hash = |bytes: &[u8]| hex::encode(Sha256::digest(bytes));
    let own = ["bagit.txt", "bag-info.txt", "manifest-sha256.txt", "tagmanifest-sha256.txt"];
    let signed = ["data/manifest.json", "data/manifest.dsse.json"];
    let at = |members: &[(String, Vec<u8>)], name: &str| members.iter().position(|(n, _)| n == name).unwrap();
    let manifest_at = at(&members, "data/manifest.json");
    if let Ok(mut manifest) = serde_json::from_slice::<Value>(&members[manifest_at].1) {
        let listed =
            members.iter().filter(|(n, _)| !own.contains(&n.as_str()) && !signed.contains(&n.as_str()));
        manifest["files"] =
            listed.map(|(n, c)| json!({"path": n, "bytes": c.len(), "sha256": hash(c)})).collect();
        members[manifest_at].1 = foreseal::record::canonical::to_jcs(&manifest).unwrap();
    }
    let line = |(name, content): &(String, Vec<u8>)| format!("{}  {name}\n", hash(content));
    let bag: String = members.iter().filter(|(n, _)| n.starts_with("data/")).map(line).collect();
    let oxum: usize = members.iter().filter(|(n, _)| n.starts_with("data/")).map(|(_, c)| c.len()).sum();
    let files = members.iter().filter(|(n, _)| n.starts_with("data/")).count();
    let info_at = at(&members, "bag-info.txt");
    let info = String::from_utf8(members[info_at].1.clone()).unwrap();
    let kept: Vec<&str> = info.lines().filter(|line| !line.starts_with("Payload-Oxum")).collect();
    members[info_at].1 = format!("{}\nPayload-Oxum: {oxum}.{files}\n", kept.join("\n")).into_bytes();
    let bag_at = at(&members, "manifest-sha256.txt");
    members[bag_at].1 = bag.into_bytes();
    let tags_at = at(&members, "tagmanifest-sha256.txt");
    let tags = members.iter().filter(|(n, _)| !n.starts_with("data/") && n != "tagmanifest-sha256.txt");
    members[tags_at].1 = tags.map(line).collect::<String>().into_bytes();
    packed(&members)
}

#[test]
fn promise_10_a_bundle_shows_what_was_chosen_and_verifies_offline() {
    let made = made();
    let (size, id) = (made.size(), made.ids[1].clone());
    let field = format!("{id}:/calls");
    let bundle = made.export("part.zip", 2, size, &["--reveal", &field]);
    let (home, server) = (&made.home, &made.server);
    let bytes = std::fs::read(&bundle).unwrap();
    let report = verify(&bytes, &made.trust());
    assert_eq!(report.verdict, Verdict::Valid, "{report:#?}");
    assert!(!String::from_utf8_lossy(&bytes).contains(SECRET), "a withheld field is in the bundle");
    assert!(
        report.not_checked.iter().any(|line| line.contains("withheld documents of 4 intents")),
        "{report:#?}"
    );
    let whole = made.export("whole.zip", 0, size, &["--reveal", "all", "--reveal-evaluation"]);
    let shown = members(&std::fs::read(&whole).unwrap());
    let page = shown.iter().find(|(name, _)| name == "report.html").unwrap();
    let page = String::from_utf8(page.1.clone()).unwrap();
    assert!(page.contains("the patient&#39;s name is Alice"), "what is shown can be read");
    assert!(page.contains("&lt;script&gt;alert") && !page.contains("<script"), "and is never markup");
    let mut command = foreseal();
    command.args(["verify", "bundle"]).arg(&whole).arg("--trust").arg(home.trust());
    let ended = run(&mut command).expect(0);
    assert!(ended.stdout.contains("split view not excluded"), "{}", ended.stdout);
    // The hand-outs are leaves, each before its bundle's checkpoint; the key was announced once.
    let (found, log) = (made.size(), home.path("whole.zip"));
    assert_eq!(found, size + 3, "a key and two hand-outs");
    let other = Home::with_ledger();
    run(foreseal().args(["verify", "bundle"]).arg(&log).arg("--trust").arg(other.trust())).expect(2);
    run(foreseal().args(["verify", "bundle"]).arg(&log)).expect(2);
    // Who may not have it gets nothing, and nothing of it is sealed.
    let asked = json!({"from": 0, "to": size}).to_string();
    assert_eq!(server.stranger().post("/v1/exports", asked.clone()).status, 401);
    assert_eq!(server.agent("nosy-bot").post("/v1/exports", asked).status, 403);
    for (body, status) in [
        (json!({"from": 3, "to": 3}), 400),
        (json!({"from": 0, "to": 1_000_000}), 404),
        (json!({"from": 0, "to": size, "reveal": ["nonsense"]}), 400),
        (json!({"from": 0, "to": size, "reveal": [format!("{id}:/nowhere")]}), 404),
        (json!({"from": 0, "to": 2, "reveal": [id.clone()]}), 404),
    ] {
        let answer = server.operator().post("/v1/exports", body.to_string());
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
    }
    made.server.stop();
    let mut fsck = foreseal();
    run(fsck.args(["fsck", "--data"]).arg(made.home.data())).expect(0);
}

#[test]
fn promise_11_what_a_bundle_withholds_is_listed_in_it_on_its_page_and_by_its_verifier() {
    let made = made();
    let size = made.size();
    let schema = serde_json::from_str(include_str!("../../schemas/bundle.schema.json")).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    let one = ["--reveal", made.ids[0].as_str()];
    for (name, more) in
        [("none.zip", &[][..]), ("one.zip", &one), ("all.zip", &["--reveal", "all", "--reveal-evaluation"])]
    {
        let parts = members(&std::fs::read(made.export(name, 0, size, more)).unwrap());
        let content = |name: &str| {
            let found = parts.iter().find(|(n, _)| n == name).unwrap();
            String::from_utf8(found.1.clone()).unwrap()
        };
        let manifest: Value = serde_json::from_str(&content("data/manifest.json")).unwrap();
        let faults: Vec<String> = schema.iter_errors(&manifest).map(|fault| fault.to_string()).collect();
        assert!(faults.is_empty(), "{faults:?}");
        for member in manifest.as_object().unwrap().keys() {
            let mut other = manifest.clone();
            other[member] = json!([null]);
            assert!(!schema.is_valid(&other), "{member} may be anything");
        }
        // Each of its sentences is on the page, and the verifier, who prints its own, has what is withheld among them.
        let page = content("report.html");
        let listed: Vec<&str> =
            manifest["not_established"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
        assert!(!listed.is_empty());
        for sentence in listed {
            let escaped = sentence.replace('&', "&amp;").replace('\'', "&#39;");
            assert!(page.contains(&escaped), "{name}: the page lacks: {sentence}");
        }
        let withheld = manifest["shown"]["withheld"].as_u64().unwrap();
        assert_eq!(
            withheld,
            match name {
                "none.zip" => 5,
                "one.zip" => 4,
                _ => 0,
            }
        );
        let verified = verify(&std::fs::read(made.home.path(name)).unwrap(), &made.trust());
        let said = verified.not_checked.iter().any(|line| line.contains("withheld documents"));
        assert_eq!(said, withheld > 0, "{name}: {:#?}", verified.not_checked);
        assert!(verified.not_checked.iter().any(|line| line.contains("split view not excluded")));
    }
    made.server.stop();
}

#[test]
fn every_changed_byte_of_a_bundle_is_caught() {
    let made = made();
    let bundle = made.export(
        "small.zip",
        3,
        7,
        &["--reveal", &made.ids[1], "--reveal", &format!("{}:/goal", made.ids[0])],
    );
    let (bytes, trust) = (std::fs::read(bundle).unwrap(), made.trust());
    assert_eq!(verify(&bytes, &trust).verdict, Verdict::Valid);
    let invalid = |changed: &[u8], what: &str| {
        // What a forger cannot help to make right again is no forgery.
        if changed == bytes {
            return;
        }
        assert_eq!(verify(changed, &trust).verdict, Verdict::Invalid, "{what}");
    };
    // A checkpoint that claims another log's name or key is nobody's the verifier knows: not decided, never valid.
    let refused = |changed: &[u8], what: &str| {
        let verdict = verify(changed, &trust).verdict;
        assert!(changed == bytes || matches!(verdict, Verdict::Invalid | Verdict::Undecided), "{what}");
    };
    let mut changed = bytes.clone();
    for at in 0..bytes.len() {
        for flip in [0x01, 0x20, 0x80] {
            changed[at] ^= flip;
            invalid(&changed, &format!("byte {at} flipped by {flip:#x}"));
            changed[at] = bytes[at];
        }
        invalid(&bytes[..at], &format!("cut at {at}"));
    }
    for at in (0..=bytes.len()).step_by(7).chain([0, bytes.len()]) {
        invalid(&[&bytes[..at], b"\0", &bytes[at..]].concat(), &format!("a byte inserted at {at}"));
    }
    // A forger repacks: checksums, digests and lists of files all fit what he changed.
    let parts = members(&bytes);
    assert_eq!(packed(&parts), bytes, "the container follows from names and contents");
    for (number, (name, content)) in parts.iter().enumerate() {
        let step = 1 + content.len() / 400;
        for at in (0..content.len()).step_by(step) {
            let mut forged = parts.clone();
            forged[number].1[at] ^= 0x01;
            invalid(&packed(&forged), &format!("{name}: byte {at}, repacked"));
            if name.starts_with("data/") && at.is_multiple_of(5) {
                refused(&refitted(forged), &format!("{name}: byte {at}, refitted"));
            }
        }
    }
    // Members left out, doubled, or in another order.
    for number in 0..parts.len() {
        let mut forged = parts.clone();
        let taken = forged.remove(number);
        invalid(&packed(&forged), &format!("{} left out", taken.0));
        forged.insert((number + 1) % parts.len(), taken.clone());
        invalid(&packed(&forged), &format!("{} moved", taken.0));
        let mut forged = parts.clone();
        forged.insert(number, taken.clone());
        invalid(&packed(&forged), &format!("{} twice", taken.0));
    }
}

#[test]
fn a_forged_bundle_is_refused_whatever_was_forged() {
    let (ours, theirs) = (made(), made());
    let (trust, size) = (ours.trust(), ours.size());
    let ours_bytes = std::fs::read(ours.export("a.zip", 2, size, &["--reveal", "all"])).unwrap();
    let theirs_bytes = std::fs::read(theirs.export("b.zip", 2, size, &["--reveal", "all"])).unwrap();
    let (parts, other) = (members(&ours_bytes), members(&theirs_bytes));
    let place = |name: &str| parts.iter().position(|(n, _)| n == name).unwrap();
    let invalid = |forged: Vec<(String, Vec<u8>)>, what: &str| {
        let verdict = verify(&refitted(forged), &trust).verdict;
        // The other log's key is not known to this verifier, which proves nothing either way.
        let wanted = if what == "data/checkpoint" { Verdict::Undecided } else { Verdict::Invalid };
        assert_eq!(verdict, wanted, "{what}");
    };
    // Another log of the same name, whose proofs and signatures all hold: taken over file by file.
    for name in [
        "data/manifest.json",
        "data/manifest.dsse.json",
        "data/entries.jsonl",
        "data/range-proof.json",
        "data/keys.jsonl",
        "data/agents.jsonl",
        "data/policies.jsonl",
        "data/export.json",
        "data/checkpoint",
    ] {
        let mut forged = parts.clone();
        forged[place(name)].1 = other[place(name)].1.clone();
        invalid(forged, name);
    }
    // Its manifest signed by its own key, announced in its own log.
    let mut forged = parts.clone();
    for name in ["data/manifest.dsse.json", "data/keys.jsonl"] {
        forged[place(name)].1 = other[place(name)].1.clone();
    }
    invalid(forged, "signed by the key of another log");
    // A withheld entry, and a narrowed range that says so.
    let entries = String::from_utf8(parts[place("data/entries.jsonl")].1.clone()).unwrap();
    let lines: Vec<&str> = entries.lines().collect();
    for left_out in 0..lines.len() {
        let mut forged = parts.clone();
        let kept =
            lines.iter().enumerate().filter(|(i, _)| *i != left_out).map(|(_, line)| format!("{line}\n"));
        forged[place("data/entries.jsonl")].1 = kept.collect::<String>().into_bytes();
        invalid(forged.clone(), "an entry withheld");
        let mut manifest: Value = serde_json::from_slice(&forged[place("data/manifest.json")].1).unwrap();
        manifest["scope"]["to"] = json!(size - 1);
        forged[place("data/manifest.json")].1 = foreseal::record::canonical::to_jcs(&manifest).unwrap();
        invalid(forged, "a narrowed range");
    }
}

/// Other people's readers of zip files agree on what is in one.
#[test]
fn other_readers_of_zip_files_find_the_same() {
    let made = made();
    let bytes = std::fs::read(made.export("z.zip", 0, 5, &[])).unwrap();
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(&bytes)).unwrap();
    let ours = members(&bytes);
    assert_eq!(archive.len(), ours.len());
    for (number, (name, content)) in ours.iter().enumerate() {
        let mut file = archive.by_index(number).unwrap();
        assert_eq!(file.name().unwrap(), format!("foreseal-bundle/{name}"));
        assert_eq!((file.unix_mode(), file.compressed_size()), (Some(0o100_644), content.len() as u64));
        let mut theirs = Vec::new();
        std::io::Read::read_to_end(&mut file, &mut theirs).unwrap();
        assert_eq!(&theirs, content, "{name}");
    }
}
