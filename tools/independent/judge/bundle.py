"""`verifier.py bundle`: a range of a log as one signed file (docs/format.md, "Bundle")."""

import collections
import hashlib
import zipfile

from . import ed25519
from .canonical import jcs, parse_canonical, parse, to_base64, unbase64
from .entries import check_intent, check_members, is_understood, parse_entry
from .fields import call_digest, check_statement, field_leaf, field_salt, field_tree, pae, statement
from .merkle import check_inclusion, check_range, leaf_hash, root_of
from .outcome import Invalid, Undecided

BASE = "foreseal-bundle/"
FIXED = (
    "bagit.txt", "bag-info.txt", "manifest-sha256.txt", "tagmanifest-sha256.txt", "VERIFY.md", "report.html",
    "data/manifest.json", "data/manifest.dsse.json", "data/checkpoint", "data/range-proof.json", "data/export.json",
    "data/keys.jsonl", "data/agents.jsonl", "data/policies.jsonl", "data/entries.jsonl",
)  # fmt: skip
PAYLOAD_TYPE = "application/vnd.in-toto+json"
MEMBER_MAX_BYTES = 1 << 30


def check_bundle(path, trust, report):
    try:
        archive = zipfile.ZipFile(path)
    except OSError as error:
        raise Undecided("the bundle cannot be read: %s" % error) from None
    except zipfile.BadZipFile as error:
        raise Invalid("not a zip file: %s" % error) from None
    with archive:
        try:
            _Bundle(archive, trust, report).check()
        except (zipfile.BadZipFile, KeyError, TypeError, AttributeError, UnicodeError) as error:
            raise Invalid("not of the form of a bundle: %s: %s" % (type(error).__name__, error)) from None


class _Bundle:
    def __init__(self, archive, trust, report):
        self.archive, self.trust, self.report = archive, trust, report

    def bytes_of(self, name):
        return self.archive.read(BASE + name)

    def check(self):
        self._names()
        self.manifest_bytes = self.bytes_of("data/manifest.json")
        self.manifest = parse_canonical(self.manifest_bytes)
        self._bag()
        self.checkpoint = self.trust.check(self.bytes_of("data/checkpoint"), self.report)
        told = self.manifest["checkpoint"]
        if (self.manifest["origin"], told["size"], told["root"]) != (self.checkpoint.origin, self.checkpoint.size, to_base64(self.checkpoint.root)):
            raise Invalid("the manifest is of another checkpoint")
        self.report.passed("checkpoint", "%s, size %d, signed by a trusted key" % (self.checkpoint.origin, self.checkpoint.size))
        self._leaves()
        self._signature()
        self._range()
        self.report.unchecked("slack in the container that zip readers pass over: `foreseal verify bundle` leaves none")
        self.report.unchecked("the words of report.html")
        self.report.unchecked("decisions were not replayed: no policy engine here")

    def _names(self):
        names = [info.filename for info in self.archive.infolist()]
        if any(info.compress_type != zipfile.ZIP_STORED or info.file_size > MEMBER_MAX_BYTES for info in self.archive.infolist()):
            raise Invalid("a member is compressed, or longer than a bundle's")
        if len(set(names)) != len(names) or not all(name.startswith(BASE) for name in names):
            raise Invalid("a name is there twice, or outside of the one directory")
        self.names = [name[len(BASE) :] for name in names]
        self.revealed = self.names[len(FIXED) :]
        if tuple(self.names[: len(FIXED)]) != FIXED or self.revealed != sorted(self.revealed):
            raise Invalid("the files are not those of a bundle, in their order")

    def _bag(self):
        digests = {}
        for name in self.names:
            digest = hashlib.sha256()
            with self.archive.open(BASE + name) as file:
                while piece := file.read(1 << 16):
                    digest.update(piece)
            digests[name] = digest.hexdigest()
        lines = lambda names: "".join("%s  %s\n" % (digests[name], name) for name in names).encode()  # noqa: E731
        payload = [name for name in self.names if name.startswith("data/")]
        tags = [name for name in self.names if not name.startswith("data/") and name != "tagmanifest-sha256.txt"]
        if self.bytes_of("manifest-sha256.txt") != lines(payload) or self.bytes_of("tagmanifest-sha256.txt") != lines(tags):
            raise Invalid("a digest of the bag is not that of its file")
        listed = [(row["path"], row["bytes"], row["sha256"]) for row in self.manifest["files"]]
        signed = [name for name in self.names[4:] if name not in ("data/manifest.json", "data/manifest.dsse.json")]
        if listed != [(name, self.archive.getinfo(BASE + name).file_size, digests[name]) for name in signed]:
            raise Invalid("the manifest names other files than are there")
        self.report.passed("bag", "%d files, each with the digest that bag and manifest name" % len(self.names))

    def _proven(self, leaf):
        """One leaf with its inclusion proof; the entry, checked only once it is proven."""
        data = leaf["entry"].encode()
        path = [unbase64(text, "a hash", 32) for text in leaf["proof"]]
        check_inclusion(leaf["index"], self.checkpoint.size, leaf_hash(data), path, self.checkpoint.root)
        entry = parse_entry(data)
        if is_understood(entry):
            check_members(entry)
        return entry

    def _lines(self, name):
        before = -1
        for line in self.bytes_of(name).splitlines():
            leaf = parse_canonical(line)
            if leaf["index"] <= before:
                raise Invalid("%s: leaf %d is out of order" % (name, leaf["index"]))
            before = leaf["index"]
            yield leaf, self._proven(leaf)

    def _leaves(self):
        manifest, scope = self.manifest, self.manifest["scope"]
        export = parse_canonical(self.bytes_of("data/export.json"))
        entry = self._proven(export)
        told = ("export", manifest["id"], manifest["at"], scope["from"], scope["to"], manifest["export"])
        if (entry["type"], entry["id"], entry["at"], entry.get("from"), entry.get("to"), export["index"]) != told:
            raise Invalid("the log records another hand-out")
        self.export_record = opened(export["record"], entry["declared"])[0]
        last = None
        for leaf, entry in self._lines("data/keys.jsonl"):
            if entry["type"] != "key" or entry.get("replaces") != last:
                raise Invalid("leaf %d does not continue the history of keys" % leaf["index"])
            last, key = leaf["index"], entry["key"]
        if last != manifest["key"]:
            raise Invalid("the manifest names another key than the last one announced")
        self.key = unbase64(key, "the bundle key", 32)
        self.agents = {}
        for leaf, entry in self._lines("data/agents.jsonl"):
            record, _ = opened(leaf["record"], entry["declared"])
            if entry["type"] != "agent":
                raise Invalid("leaf %d registers no agent" % leaf["index"])
            self.agents[leaf["index"]] = (record["/agent"], entry.get("key"))
        self.policies = set()
        for leaf, entry in self._lines("data/policies.jsonl"):
            record, whole = opened(leaf["record"], entry["declared"])
            if entry["type"] != "policy" or not whole or record["digest"] != bundle_digest(record["files"]):
                raise Invalid("leaf %d: its files do not have the digest that is recorded" % leaf["index"])
            self.policies.add(leaf["index"])
        self.report.passed("leaves", "hand-out, keys, %d agents and %d policies are in the log" % (len(self.agents), len(self.policies)))

    def _signature(self):
        manifest = self.manifest
        envelope = parse_canonical(self.bytes_of("data/manifest.dsse.json"))
        predicate = {name: manifest[name] for name in ("origin", "id", "checkpoint", "export", "key")}
        predicate.update(manifest["scope"])
        wanted = {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": "data/manifest.json", "digest": {"sha256": hashlib.sha256(self.manifest_bytes).hexdigest()}}],
            "predicateType": "urn:foreseal:bundle:v1",
            "predicate": predicate,
        }
        payload = unbase64(envelope["payload"], "the payload")
        if envelope["payloadType"] != PAYLOAD_TYPE or payload != jcs(wanted) or len(envelope["signatures"]) != 1:
            raise Invalid("the statement is not about this manifest")
        signature = unbase64(envelope["signatures"][0]["sig"], "the signature", 64)
        if not ed25519.verify(self.key, pae(PAYLOAD_TYPE, payload), signature):
            raise Invalid("the manifest is not signed by the key that the log announced")
        self.report.passed("signature", "by the key of leaf %d" % manifest["key"])

    def _range(self):
        scope = self.manifest["scope"]
        proof = parse_canonical(self.bytes_of("data/range-proof.json"))
        if (proof["from"], proof["to"], proof["size"]) != (scope["from"], scope["to"], self.checkpoint.size):
            raise Invalid("the range proof is of another range")
        with self.archive.open(BASE + "data/entries.jsonl") as file:
            hashes = (leaf_hash(line[:-1]) for line in file)
            check_range(scope["from"], scope["to"], self.checkpoint.size, hashes, [unbase64(h, "a hash", 32) for h in proof["proof"]], self.checkpoint.root)
        self.report.passed("range", "all %d entries, and nothing else" % (scope["to"] - scope["from"]))
        self._entries(scope)

    def _entries(self, scope):
        types, outcomes, shown = collections.Counter(), collections.Counter(), collections.Counter()
        agents, policies, digest, waiting, last_at = set(), set(), hashlib.sha256(), collections.deque(self.revealed), ""
        with self.archive.open(BASE + "data/entries.jsonl") as file:
            for index, line in enumerate(file, scope["from"]):
                entry = parse_entry(line[:-1])
                types[entry["type"]] += 1
                if not is_understood(entry):
                    continue
                (check_intent if entry["type"] == "intent" else check_members)(entry)
                if entry["at"] < last_at:
                    raise Invalid("leaf %d lies before the leaf before it" % index)
                last_at = entry["at"]
                if entry["type"] == "policy" and "declared" in entry:
                    policies.add(index)
                if entry["type"] != "intent":
                    continue
                outcomes[entry["outcome"]] += 1
                agents.update(entry[name] for name in ("agent", "signer") if name in entry)
                policies.update(entry[name] for name in ("policy",) if name in entry)
                if waiting and waiting[0] == "data/revealed/%016d.json" % index:
                    digest.update(self._revealed(waiting.popleft(), index, entry, shown))
                else:
                    shown["withheld"] += 1
        counts = {name: shown[name] for name in ("documents", "partial", "evaluations", "withheld")}
        if waiting or (types, outcomes, counts) != (self.manifest["types"], self.manifest["outcomes"], self.manifest["shown"]):
            raise Invalid("the manifest's counts are not those of the entries")
        if agents != set(self.agents) or policies != self.policies:
            raise Invalid("an agent or policy that the range refers to is missing, or there is one too many")
        record = {"from": scope["from"], "to": scope["to"], "shown": digest.hexdigest(), **{name: counts[name] for name in ("documents", "partial", "evaluations")}}
        if self.export_record != record:
            raise Invalid("the log records a hand-out of other documents")
        self.report.passed("shown", "%(documents)d documents whole, %(partial)d in part, %(evaluations)d evaluations" % counts)
        self.report.facts.update(entries=sum(types.values()), **counts)
        if counts["withheld"] or counts["partial"]:
            self.report.unchecked("what is withheld: %(withheld)d documents, and fields of %(partial)d" % counts)

    def _revealed(self, name, index, entry, shown):
        revealed = parse_canonical(self.bytes_of(name))
        document, whole = opened(revealed["declared"], entry["declared"])
        if revealed["index"] != index:
            raise Invalid("%s is of another leaf" % name)
        line, evaluation = "%d whole" % index, None
        if "evaluation" in revealed:
            evaluation, all_of_it = opened(revealed["evaluation"], entry["evaluation"], groups)
            if not all_of_it or [v["outcome"] for v in evaluation["verdicts"]] != [c["outcome"] for c in entry["calls"]]:
                raise Invalid("leaf %d: its evaluation says otherwise" % index)
        if whole:
            shown["documents"] += 1
            self._document(revealed, document, entry, evaluation)
        else:
            shown["partial"] += 1
            line = " ".join(["%d fields" % index, *(jcs(path).decode() for path in document)])
            if "signature" in revealed:
                raise Invalid("a signature needs the whole document")
        if "evaluation" in revealed:
            shown["evaluations"] += 1
            line += " evaluation"
        return (line + "\n").encode()

    def _document(self, revealed, document, entry, evaluation):
        seed = unbase64(revealed["declared"]["whole"]["seed"], "a seed", 32)
        if len(document["calls"]) != len(entry["calls"]):
            raise Invalid("leaf %d seals other calls" % revealed["index"])
        digests = []
        for i, (call, sealed) in enumerate(zip(document["calls"], entry["calls"])):
            if sealed["outcome"] == "modify" and evaluation is None:
                digests.append(sealed["digest"])  # Only the evaluation says what a modified call became.
                continue
            if sealed["outcome"] == "modify":
                call = {**call, "args": evaluation["requests"][i]["changed"]["args"]}
            digests.append(to_base64(call_digest(seed, i, call)))
        if digests != [call["digest"] for call in entry["calls"]] or document.get("id", entry["id"]) != entry["id"]:
            raise Invalid("leaf %d seals other calls, or another id" % revealed["index"])
        if self.agents[entry["agent"]][0] != document["agent"]:
            raise Invalid("leaf %d was declared by another agent" % revealed["index"])
        if ("signer" in entry) != ("signature" in revealed):
            raise Invalid("leaf %d: a signature is missing, or one too many" % revealed["index"])
        if "signer" in entry:
            key = unbase64(self.agents[entry["signer"]][1], "an agent's key", 32)
            signature = unbase64(revealed["signature"], "a signature", 64)
            check_statement(key, statement(document, unbase64(entry["declared"]["root"], "a root", 32), self.checkpoint.origin), signature)


def groups(document, seed):
    """(root, log2) of an evaluation: each group is one field, whatever is in it."""
    found = []
    for name, value in document.items():
        if name in ("requests", "verdicts") and isinstance(value, list):
            found += [("/%s/%d" % (name, i), item) for i, item in enumerate(value)]
        else:
            found.append(("/" + name, value))
    found.sort(key=lambda group: group[0].encode())
    fields = [("", [path for path, _ in found]), *found]
    log2 = (len(fields) - 1).bit_length()
    leaves = [field_leaf(field_salt(seed, i), path, value) for i, (path, value) in enumerate(fields)]
    leaves += [b"foreseal.pad.v1\0" + field_salt(seed, i) for i in range(len(fields), 1 << log2)]
    return root_of([leaf_hash(leaf) for leaf in leaves]), log2


def opened(shown, commitment, tree=field_tree):
    """What is shown of a document, held against its commitment: (document, True), or ({path: value}, False)."""
    root, log2 = unbase64(commitment["root"], "a root", 32), commitment["log2"]
    if set(shown) == {"whole"}:
        document = parse(shown["whole"]["document"].encode())
        if tree(document, unbase64(shown["whole"]["seed"], "a seed", 32)) != (root, log2):
            raise Invalid("a document is not the one that its leaf commits to")
        return document, True
    if set(shown) != {"fields"}:
        raise Invalid("it is not said what is shown")
    fields, before = {}, -1
    for field in shown["fields"]:
        path = [unbase64(text, "a hash", 32) for text in field["proof"]]
        leaf = leaf_hash(field_leaf(unbase64(field["salt"], "a salt", 32), field["path"], field["value"]))
        if len(path) != log2 or (field["index"] == 0) != (field["path"] == "") or field["index"] <= before or field["path"] in fields:
            raise Invalid("a field is out of order or place")
        check_inclusion(field["index"], 1 << log2, leaf, path, root)
        before, fields[field["path"]] = field["index"], field["value"]
    if "" in fields:
        listed = [path for path in fields[""] if isinstance(path, str)]
        if any(path and (field_index(listed, path) != i) for path, i in ((f["path"], f["index"]) for f in shown["fields"])):
            raise Invalid("a field contradicts the shape")
    return fields, False


def field_index(paths, path):
    return paths.index(path) + 1 if path in paths else None


def bundle_digest(files):
    parts = [b"foreseal.bundle.v1\0", len(files).to_bytes(8, "big")]
    for name in sorted(files, key=str.encode):
        for text in (name.encode(), files[name].encode()):
            parts += [len(text).to_bytes(8, "big"), text]
    return hashlib.sha256(b"".join(parts)).hexdigest()
