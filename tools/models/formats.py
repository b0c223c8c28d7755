#!/usr/bin/env python3
"""Test vectors of docs/format.md, computed without the Rust: `formats.py --write tests/vectors`, or `--check`.

Standard library only. Every secret in here is made up from counting bytes and guards nothing.
"""
import hashlib, hmac, json, os, sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "independent")]
sys.dont_write_bytecode = True

import aes_gcm
from aes_gcm import crc32c
from field_tree import b64, jcs, salt, sha256, tree, tree_of_groups
from judge import ed25519

ORIGIN = "example.com/foreseal-example"


def bytes_from(first, count=32):
    return bytes((first + i) % 256 for i in range(count))


def u32(n):
    return n.to_bytes(4, "big")


def u64(n):
    return n.to_bytes(8, "big")


def canonical(value):
    return jcs(value).encode()


def leaf_hash(data):
    return sha256(b"\x00", data)


def commitment(document, seed):
    _, levels = tree(document, seed)
    return {"root": b64(levels[-1][0]), "log2": len(levels) - 1}


def uuid7(number):
    text = "%012x7%03x8%015x" % (1_790_000_000_000 + number, number, number)
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def moment(milliseconds):
    return "2026-11-21T10:%02d:%02d.%03dZ" % (milliseconds // 60_000, milliseconds // 1000 % 60, milliseconds % 1000)


# ---- the declared document, call digests, statement ---------------------------------------------------------------


def call_digest(seed, index, call):
    call_salt = sha256(b"foreseal.callsalt.v1\0", seed, u32(index))
    named = canonical({"args": call["args"], "server": call.get("server", ""), "tool": call["tool"]})
    return call_salt, named, sha256(b"foreseal.call.v1\0", call_salt, named)


def result_digest(seed, index, result):
    salt_of_call = sha256(b"foreseal.callsalt.v1\0", seed, u32(index))
    return b64(sha256(b"foreseal.result.v1\0", salt_of_call, canonical(result)))


def declared(text, seed):
    """What follows from a declared document and its seed alone."""
    document = json.loads(text)
    calls = []
    for i, call in enumerate(document["calls"]):
        call_salt, named, digest = call_digest(seed, i, call)
        calls.append({"salt": b64(call_salt), "canonical": named.decode(), "digest": b64(digest)})
    return {"document": text, "seed": b64(seed), "commitment": commitment(document, seed), "calls": calls}


PLAIN = '{"agent":"support-bot", "session":"ticket-4711", "calls":[{"id":"c1", "tool":"t\\u006fol", "args":{"n":1.0, "0":"x"}}]}'
SIGNED = json.dumps(
    {
        "id": uuid7(5), "created": "2026-11-21T11:00:01.5+01:00", "client_seq": 41, "client_prev": b64(bytes(32)),
        "agent": "signing-bot", "session": "s-42", "goal": "pay the invoice",
        "reasoning": ["The invoice is due.", "It is below the limit."],
        "calls": [
            {"id": "pay", "server": "bank", "tool": "send_payment", "args": {"amount": 120.50, "destination": "DE00"}},
            {"id": "tell", "server": "mail", "tool": "send", "args": {"to": ["bob@example.com"]}, "after": ["pay"]},
        ],
        "observations": [],
    },
    indent=1,
)  # fmt: skip
PLAIN_SEED, SIGNED_SEED, AGENT_SEED = bytes_from(0), bytes_from(32), bytes_from(64)
STATEMENT_TYPE = b"application/vnd.foreseal.statement.v1+json"


def statement(text, seed, agent_seed):
    document = json.loads(text)
    names = ("agent", "client_prev", "client_seq", "created", "id", "session")
    members = {name: document[name] for name in names if name in document}
    members.update(declared=commitment(document, seed)["root"], log=ORIGIN)
    payload = canonical(members)
    pae = b"DSSEv1 %d %s %d %s" % (len(STATEMENT_TYPE), STATEMENT_TYPE, len(payload), payload)
    public, signature = ed25519.public_key(agent_seed), b64(ed25519.sign(agent_seed, pae))
    key_id = hashlib.sha256(public).hexdigest()
    return {
        "log": ORIGIN, "agent_secret": b64(agent_seed), "agent_key": b64(public), "statement": payload.decode(),
        "pae": b64(pae), "signature": signature, "header": 'keyid="%s", sig="%s"' % (key_id, signature),
    }  # fmt: skip


def intents():
    unsigned = {"about": "As few members as an intent can have, and not in canonical form.", **declared(PLAIN, PLAIN_SEED)}
    signed = {"about": "Two calls, signed. `created` is in the statement as it was declared.", **declared(SIGNED, SIGNED_SEED)}
    return {"unsigned": unsigned, "signed": {**signed, **statement(SIGNED, SIGNED_SEED, AGENT_SEED)}}


# ---- evaluation -----------------------------------------------------------------------------------------------------

EVALUATION_SEED = bytes_from(96)


def evaluation_of(calls):
    groups = {"/engine": {"version": 1}, "/facts": {"agent": {"name": "signing-bot"}, "calls": calls}}
    for i in range(calls):
        groups["/requests/%d" % i] = {"call": "c%d" % i, "context": {}}
        groups["/verdicts/%d" % i] = {"call": "c%d" % i, "outcome": "allow", "reasons": [], "0": 0}
    document = {"engine": groups["/engine"], "facts": groups["/facts"]}
    for name in ("requests", "verdicts"):
        document[name] = [groups["/%s/%d" % (name, i)] for i in range(calls)]
    ordered = sorted(groups.items(), key=lambda group: group[0].encode())
    _, levels = tree_of_groups(ordered, EVALUATION_SEED)
    return {
        "about": "Groups as single fields, in byte order of the paths: /requests/10 before /requests/2. Only the form is real.",
        "seed": b64(EVALUATION_SEED), "document": document, "paths": [path for path, _ in ordered],
        "commitment": {"root": b64(levels[-1][0]), "log2": len(levels) - 1},
    }  # fmt: skip


# ---- entries and the records behind them ----------------------------------------------------------------------------

TOKENS = {"admin": "fsa_" + "A" * 43, "support-bot": "fsk_" + "B" * 43, "signing-bot": "fsk_" + "C" * 43, "new": "fsk_" + "D" * 43, "helpdesk": "fsp_" + "E" * 43, "mail": "fst_" + "F" * 43}
SHADOW = {"common.cedar": '@id("none") forbid (principal, action, resource);\n'}
FILES = {"common.cedar": '@id("all") permit (principal, action, resource);\n', "more.cedar": "// \u00fc\n"}


def credential(name):
    return hashlib.sha256(b"foreseal.token.v1\0" + TOKENS[name].encode()).hexdigest()


def bundle_digest(files):
    """Numbers of 8 bytes, file names in byte order (docs/policy.md)."""
    parts = [b"foreseal.bundle.v1\0", u64(len(files))]
    for name in sorted(files, key=str.encode):
        for text in (name.encode(), files[name].encode()):
            parts += [u64(len(text)), text]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def entry(kind, number, at, **members):
    return {"v": 1, "type": kind, "id": uuid7(number), "at": moment(at), **members}


def story():
    """A short log: its leaves, and the records and documents that they commit to."""
    key = b64(ed25519.public_key(AGENT_SEED))
    new_key = b64(ed25519.public_key(bytes_from(128)))
    records = {
        0: {"operator": "admin", "credential": credential("admin")},
        1: {"author": "operator, unsigned", "digest": bundle_digest(FILES), "files": FILES},
        2: {"agent": "support-bot", "roles": ["support", "mail"], "credential": credential("support-bot"), "key": None},
        3: {"agent": "signing-bot", "roles": [], "credential": credential("signing-bot"), "key": key},
        12: {"from": 3, "to": 9, "shown": hashlib.sha256(b'4 whole evaluation\n5 fields "" "/goal"\n').hexdigest(), "documents": 1, "partial": 1, "evaluations": 1},
        7: {"agent": "support-bot", "credential": credential("new"), "key": new_key},
        14: {"application": "helpdesk", "credential": credential("helpdesk")},
        15: {"tool": "mail", "credential": credential("mail")},
        16: {"agent": "support-bot", "session": "s-7", "principal": {"id": "alice@example.com", "roles": ["customer"]}, "environment": "prod", "words": ["Send my invoice to bob@example.com"], "plan": {"steps": [{"server": "mail", "tool": "send"}]}, "delegation_depth": 1},
        17: {"words": ["And one to carol@example.com"]},
        **{index: {"author": "operator, unsigned", "digest": bundle_digest(files), "files": files}
           for index, files in ((22, SHADOW), (23, FILES), (24, SHADOW), (25, SHADOW), (26, FILES), (27, SHADOW))},
        19: {"intent": uuid7(18), "call": "c1", "tool": "tool", "result": {"messages": [{"from": "bob@example.com"}, 1.5, None]}},
    }
    seeds = {index: bytes_from(160 + index) for index in records}
    sealed = {index: commitment(record, seeds[index]) for index, record in records.items()}
    plain, signed, evaluation = declared(PLAIN, PLAIN_SEED), declared(SIGNED, SIGNED_SEED), evaluation_of(2)["commitment"]
    calls = lambda of, *outcomes: [{"outcome": o, "digest": c["digest"]} for o, c in zip(outcomes, of["calls"])]  # noqa: E731
    answered = result_digest(seeds[19], 0, records[19]["result"])
    in_session = {"agent": 2, "session": tag(2, "s-7"), "declared": plain["commitment"], "evaluation": evaluation, "policy": 1, "engine": 1, "signer": 7}
    by_support = {"agent": 2, "session": tag(2, "ticket-4711"), "declared": plain["commitment"], "evaluation": evaluation, "policy": 1, "engine": 1}
    by_signing = {"agent": 3, "session": tag(3, "s-42"), "declared": signed["commitment"], "evaluation": evaluation, "policy": 1, "engine": 1}
    leaves = [
        entry("operator", 0, 0, operation="register", declared=sealed[0]),
        entry("policy", 1, 0, by=0, mode="enforce", rules=1, declared=sealed[1]),
        entry("agent", 2, 7, operation="register", by=0, declared=sealed[2]),
        entry("agent", 3, 8, operation="register", by=0, declared=sealed[3], key=key),
        entry("intent", 4, 1000, seq=0, outcome="allow", calls=calls(plain, "allow"), **by_support),
        entry("intent", 5, 2000, seq=0, signer=3, outcome="hold", expires=moment(902_000), calls=calls(signed, "hold", "allow"), **by_signing),
        entry("intent", 6, 2000, seq=1, prev=4, outcome="deny", calls=calls(plain, "deny"), **by_support),
        entry("agent", 7, 3000, operation="rotate", agent=2, by=0, declared=sealed[7], key=new_key),
        entry("intent", 8, 3001, seq=2, prev=6, signer=7, outcome="deny", calls=calls(plain, "allow"), **by_support),
        entry("refused", 9, 60_000, since=moment(0), counts={"400": 3, "401": 1, "403": 0, "409": 0, "413": 0, "429": 0, "503": 2}),
        entry("agent", 10, 61_000, operation="revoke", agent=3, by=0),
        entry("key", 11, 61_000, by=0, purpose="bundle", key=b64(ed25519.public_key(bytes_from(192)))),
        entry("export", 12, 62_000, by=0, declared=sealed[12], **{"from": 3, "to": 9}),
        entry("key", 13, 63_000, by=0, purpose="bundle", key=b64(ed25519.public_key(bytes_from(193))), replaces=11),
        entry("application", 14, 64_000, operation="register", by=0, declared=sealed[14]),
        entry("tool", 15, 64_000, operation="register", by=0, declared=sealed[15]),
        entry("session", 16, 65_000, agent=2, application=14, session=tag(2, "s-7"), declared=sealed[16]),
        entry("turn", 17, 66_000, application=14, opened=16, session=tag(2, "s-7"), declared=sealed[17]),
        entry("intent", 18, 67_000, seq=3, prev=8, outcome="allow", calls=calls(plain, "allow"), delta={"labels": ["untrusted"]}, **in_session),
        entry("outcome", 19, 68_000, tool=15, intent=18, call=0, session=tag(2, "s-7"), status="ok", result=answered, declared=sealed[19]),
        entry("tool", 20, 69_000, operation="revoke", tool=15, by=0),
        entry("application", 21, 69_000, operation="revoke", application=14, by=0),
        entry("policy", 22, 70_000, by=0, mode="shadow", rules=1, declared=sealed[22]),
        entry("policy", 23, 71_000, by=0, mode="enforce", rules=1, declared=sealed[23]),
        entry("policy", 24, 72_000, by=0, mode="shadow", rules=1, declared=sealed[24], ends=22),
        entry("policy", 25, 73_000, by=0, mode="enforce", rules=1, declared=sealed[25], ends=24),
        entry("policy", 26, 74_000, by=0, mode="enforce", rules=1, declared=sealed[26], restores=1),
        entry("policy", 27, 75_000, by=0, mode="shadow", rules=1, declared=sealed[27]),
        entry("intent", 28, 76_000, seq=4, prev=18, outcome="allow", calls=calls(plain, "allow"), **{**by_support, "policy": 26, "signer": 7}),
        entry("policy", 29, 77_000, by=0, mode="withdraw", ends=27),
        {"v": 1, "type": "novelty", "at": "whenever"},
        {"v": 2, "type": "intent"},
    ]
    return leaves, records, seeds


def entries():
    leaves, _, _ = story()
    names = (
        "operator", "policy", "agent registered", "agent registered with a key", "intent, the first of its agent",
        "intent, held and signed", "intent, the second of its agent", "agent rotated, and given a key",
        "intent, stricter than its call", "refused", "agent revoked",
        "bundle key", "export", "bundle key that replaces one",
        "application registered", "tool server registered", "session", "turn", "intent that sets a label", "outcome",
        "tool server revoked", "application revoked", "policy in shadow", "policy beside one in shadow",
        "policy in shadow in place of another", "policy that was in shadow", "policy restored", "policy in shadow again",
        "intent beside a policy in shadow", "policy withdrawn from shadow", "a type that is not known", "a version that is not known",
    )  # fmt: skip
    accepted = [
        {"about": name, "entry": jcs(leaf), "leaf_hash": b64(leaf_hash(canonical(leaf)))} for name, leaf in zip(names, leaves)
    ]
    held = jcs(leaves[5])
    base = leaves[4]
    without = lambda name: {k: v for k, v in base.items() if k != name}  # noqa: E731
    refused = {
        "white space": held.replace(",", ", ", 1),
        "a newline behind it": held + "\n",
        "members out of order": json.dumps(base, separators=(",", ":")),
        "a member twice": held[:-1] + ',"v":1}',
        "a member that is not known": jcs({**base, "dela": {}}),
        "a delta without labels": jcs({**base, "delta": {}}),
        "a delta of no labels": jcs({**base, "delta": {"labels": []}}),
        "a delta with a label twice": jcs({**base, "delta": {"labels": ["untrusted", "untrusted"]}}),
        "a delta with a label that is not known": jcs({**base, "delta": {"labels": ["trusted"]}}),
        "a delta with counters": jcs({**base, "delta": {"labels": ["untrusted"], "counters": {}}}),
        "no seq": jcs(without("seq")),
        "no calls member": jcs(without("calls")),
        "prev null": jcs({**base, "prev": None}),
        "an outcome in capitals": jcs({**base, "outcome": "Allow"}),
        "an outcome that is not known": jcs({**base, "outcome": "maybe"}),
        "a time without milliseconds": jcs({**base, "at": "2026-11-21T10:00:01Z"}),
        "a time with an offset": jcs({**base, "at": "2026-11-21T10:00:01.000+00:00"}),
        "a session of 15 bytes": jcs({**base, "session": b64(bytes(15))}),
        "a session with stray bits": jcs({**base, "session": b64(bytes(16))[:-3] + "B=="}),
        "a digest without padding": jcs({**base, "calls": [{"outcome": "allow", "digest": b64(bytes(32))[:-1]}]}),
        "a root of 31 bytes": jcs({**base, "declared": {"root": b64(bytes(31)), "log2": 1}}),
        "a commitment with more members": jcs({**base, "declared": {**base["declared"], "seed": ""}}),
        "a negative seq": jcs({**base, "seq": -1}),
        "a seq that is a text": jcs({**base, "seq": "0"}),
        "an id in capitals": jcs({**base, "id": base["id"].upper()}),
        "an id without hyphens": jcs({**base, "id": base["id"].replace("-", "")}),
        "an id in braces": jcs({**base, "id": "{%s}" % base["id"]}),
        "declared null": jcs({**leaves[10], "declared": None}),
        "an id that is no UUID": jcs({**base, "id": "i-4"}),
        "a count left out": jcs({**leaves[9], "counts": {"400": 3}}),
        "a mode that is not known": jcs({**leaves[1], "mode": "watch"}),
        "a policy that restores a text": jcs({**leaves[26], "restores": "1"}),
        "a policy that ends null": jcs({**leaves[24], "ends": None}),
        "a policy with its author": jcs({**leaves[1], "author": "operator, unsigned"}),
        "a purpose that is not known": jcs({**leaves[11], "purpose": "permit"}),
        "replaces null": jcs({**leaves[11], "replaces": None}),
        "an export without its record": jcs({k: v for k, v in leaves[12].items() if k != "declared"}),
        "an export that names who got it": jcs({**leaves[12], "for": "a regulator"}),
        "a session of no application": jcs({k: v for k, v in leaves[16].items() if k != "application"}),
        "a session with the user's words": jcs({**leaves[16], "words": ["hello"]}),
        "a turn without its session's leaf": jcs({k: v for k, v in leaves[17].items() if k != "opened"}),
        "an outcome with another status": jcs({**leaves[19], "status": "unknown"}),
        "an outcome of a call that is a text": jcs({**leaves[19], "call": "c1"}),
        "an application with a key": jcs({**leaves[14], "key": b64(bytes(32))}),
        "no type": jcs({"v": 1}),
        "no object": "[]",
    }
    return {
        "about": "Leaves, each in canonical form; what Entry::parse takes, and what it refuses.",
        "accepted": accepted,
        "refused": [{"about": about, "entry": text} for about, text in refused.items()],
    }


def chain():
    leaves, _, _ = story()
    change = lambda index, **members: {k: v for k, v in {**leaves[index], **members}.items() if v is not None}  # noqa: E731
    broken = [
        ("a time before the previous leaf's", 4, change(4, at=moment(7))),
        ("an operator who is rotated", 1, change(0, operation="rotate")),
        ("a policy by nobody", 1, change(1, by=1)),
        ("a policy without its record", 1, change(1, declared=None)),
        ("a policy without the number of its rules", 1, change(1, rules=None)),
        ("a first policy that restores one", 1, change(1, restores=0)),
        ("a policy that ends no shadow", 1, change(1, ends=0)),
        ("a policy in shadow that restores one", 22, change(22, restores=1)),
        ("a policy in shadow that ends the active one", 22, change(22, ends=1)),
        ("a policy that ends another shadow", 23, change(23, ends=1)),
        ("a policy in shadow beside another", 24, change(24, ends=None)),
        ("a policy that restores one that watched", 26, change(26, restores=24)),
        ("a policy that restores one to come", 26, change(26, restores=26)),
        ("a withdrawal of nothing", 22, change(29, at=moment(70_000), ends=None)),
        ("a withdrawal that names none", 29, change(29, ends=None)),
        ("a withdrawal of another", 29, change(29, ends=24)),
        ("a withdrawal with a bundle", 29, change(29, rules=1, declared=leaves[27]["declared"])),
        ("a withdrawal by an agent", 29, change(29, by=2)),
        ("a withdrawal of what is withdrawn", 30, change(29)),
        ("an intent decided by what watches", 28, change(28, policy=27)),
        ("an intent decided by what was replaced", 28, change(28, policy=25)),
        ("an agent registered by an agent", 3, change(3, by=2)),
        ("a registration without its record", 3, change(3, declared=None)),
        ("a registration that names an agent", 3, change(3, agent=2)),
        ("a rotation that names no agent", 7, change(7, agent=None)),
        ("a rotation of what is no agent", 7, change(7, agent=1)),
        ("an intent of no agent", 4, change(4, agent=1)),
        ("an intent of an agent to come", 4, change(4, agent=4)),
        ("a seq left out", 6, change(6, seq=2)),
        ("a seq again", 6, change(6, seq=0, prev=None)),
        ("a prev that is another agent's", 6, change(6, prev=5)),
        ("a prev at the first", 4, change(4, prev=2)),
        ("no prev at the second", 6, change(6, prev=None)),
        ("a signer that is another agent's key", 8, change(8, signer=3)),
        ("a signer of an agent without a key", 6, change(6, signer=2)),
        ("a policy that is not the active one", 4, change(4, policy=0)),
        ("no policy where one is active", 4, change(4, policy=None)),
        ("an outcome milder than a call's", 5, change(5, outcome="allow")),
        ("an intent without calls", 4, change(4, calls=[])),
        ("an intent of a revoked agent", 11, change(5, at=moment(61_000), seq=1, prev=5)),
        ("a key by nobody", 11, change(11, by=1)),
        ("a key that replaces none", 13, change(13, replaces=None)),
        ("a key that replaces another entry", 13, change(13, replaces=12)),
        ("a first key that replaces one", 11, change(11, replaces=3)),
        ("an export by an agent", 12, change(12, by=2)),
        ("an export of nothing", 12, change(12, to=3)),
        ("an export of leaves to come", 12, change(12, to=13)),
        ("an application registered by an agent", 14, change(14, by=2)),
        ("an application that names one", 14, change(14, application=2)),
        ("a tool server without its record", 15, change(15, declared=None)),
        ("a session by no application", 16, change(16, application=15)),
        ("a session of no agent", 16, change(16, agent=14)),
        ("a session of a revoked agent", 16, change(16, agent=3)),
        ("a session that is open", 17, change(16, at=moment(66_000))),
        ("a turn in a session that is not open", 17, change(17, session=tag(2, "s-8"))),
        ("a turn of another session", 17, change(17, opened=14)),
        ("a turn by another application", 17, change(17, application=15)),
        ("a turn a day after", 17, change(17, at="2026-11-22T10:01:05.001Z")),
        ("an outcome by no tool server", 19, change(19, tool=14)),
        ("an outcome of what is no intent before it", 19, change(19, intent=19)),
        ("an outcome of a call that no intent has", 19, change(19, call=64)),
        ("an outcome by a revoked tool server", 21, change(19, at=moment(69_000))),
        ("a tool server revoked twice", 21, change(20)),
        ("a session by a revoked application", 22, change(16, at=moment(69_000))),
        ("an agent revoked twice", 11, change(10, at=moment(61_000))),
    ]
    return {
        "about": "Leaves that follow from each other, and for each rule one that does not follow from those before `at`.",
        "leaves": [jcs(leaf) for leaf in leaves],
        "broken": [{"about": about, "at": at, "entry": jcs(leaf)} for about, at, leaf in broken],
    }


def records():
    leaves, records, seeds = story()
    rows = [
        {"leaf": index, "entry": jcs(leaves[index]), "record": jcs(record), "seed": b64(seeds[index]), "commitment": commitment(record, seeds[index])}
        for index, record in records.items()
    ]  # fmt: skip
    return {
        "about": "The declared documents of administrative entries. Tokens are in them as digests only.",
        "tokens": [{"holder": holder, "token": TOKENS[name], "digest": credential(name)} for holder, name in
                   (("operator 0", "admin"), ("agent 2, until leaf 7", "support-bot"), ("agent 2, from leaf 7", "new"), ("agent 3, until leaf 10", "signing-bot"),
                    ("application 14, until leaf 21", "helpdesk"), ("tool server 15, until leaf 20", "mail"))],
        "bundle": {"files": FILES, "digest": bundle_digest(FILES)},
        "records": rows,
    }  # fmt: skip


# ---- keys and payloads at rest --------------------------------------------------------------------------------------

KEK, SESSION_KEY, EPOCH_ROOT, KID = bytes_from(16), bytes_from(48), bytes_from(80), bytes_from(112, 16)
JOURNAL_KEY = bytes_from(144)


def tag(agent, session):
    return b64(hmac.digest(SESSION_KEY, u64(agent) + session.encode(), "sha256")[:16])


def wrapped(secret, purpose, nonce):
    context = b"foreseal.keyring.v1\0" + ORIGIN.encode() + b"\0" + purpose
    return b"FSK1" + nonce + aes_gcm.seal(KEK, nonce, secret, context)


def payload_key(kid):
    """HKDF-SHA-256 (RFC 5869) without a salt; one block is enough."""
    extracted = hmac.digest(bytes(32), EPOCH_ROOT, "sha256")
    return hmac.digest(extracted, b"foreseal.payload.v1" + kid + b"\x01", "sha256")


def size_class(length):
    if length > 65_536:
        return -(-length // 65_536) * 65_536
    return max(512, 1 << (length - 1).bit_length())


def plaintext(*parts):
    data = b"".join(u32(len(part)) + part for part in parts)
    return data + bytes(size_class(len(data)) - len(data))


def at_rest():
    """The key files of a ledger, and the payload of leaf 5 of the story under them."""
    leaves, _, _ = story()
    identity = bytes.fromhex(leaves[5]["id"].replace("-", ""))
    evaluation = canonical(evaluation_of(2)["document"])
    signature = statement(SIGNED, SIGNED_SEED, AGENT_SEED)["signature"]
    plain = plaintext(SIGNED.encode(), evaluation, SIGNED_SEED, EVALUATION_SEED, _unbase64(signature))
    unsigned = plaintext(PLAIN.encode(), b"", PLAIN_SEED, bytes(32), b"")
    key = payload_key(KID)
    return {
        "about": "Key files, session tags, and a payload: epoch 3, AES-256-GCM (cipher 1), nonce of zeros.",
        "origin": ORIGIN,
        "files": {
            "kek": b64(KEK),
            "session.key": b64(wrapped(SESSION_KEY, b"session", bytes_from(1, 12))),
            "journal.key": b64(wrapped(JOURNAL_KEY, b"journal", bytes_from(3, 12))),
            "epochs/00000003": b64(wrapped(EPOCH_ROOT, b"epoch 3", bytes_from(2, 12))),
        },
        "session_key": b64(SESSION_KEY),
        "journal_key": b64(JOURNAL_KEY),
        "epoch_root": b64(EPOCH_ROOT),
        "session_tags": [{"agent": a, "session": s, "tag": tag(a, s)} for a, s in ((2, "ticket-4711"), (3, "s-42"), (2, ""))],
        "payload": {
            "id": leaves[5]["id"], "epoch": 3, "kid": b64(KID), "key": b64(key),
            "declared": SIGNED, "evaluation": evaluation.decode(), "declared_seed": b64(SIGNED_SEED),
            "evaluation_seed": b64(EVALUATION_SEED), "signature": signature,
            "plaintext": b64(plain), "ciphertext": b64(aes_gcm.seal(key, bytes(12), plain, ORIGIN.encode() + identity)),
        },
        "plaintexts": [
            {"about": "unsigned, without evaluation", "declared": PLAIN, "evaluation": "", "declared_seed": b64(PLAIN_SEED),
             "evaluation_seed": b64(bytes(32)), "signature": None, "plaintext": b64(unsigned)},
        ],
        "size_classes": [[n, size_class(n)] for n in (1, 512, 513, 1024, 1025, 65_536, 65_537, 131_072, 131_073)],
    }  # fmt: skip


def _unbase64(text):
    import base64

    return base64.b64decode(text, validate=True)


# ---- files of the data directory ------------------------------------------------------------------------------------


def frame(segment, offset, epoch, first, previous, checkpoint, entries, payloads):
    body = u32(len(checkpoint)) + checkpoint + b"".join(len(e).to_bytes(2, "big") + e for e in entries)
    for number, key_epoch, cipher, kid, ciphertext in payloads:
        body += u32(number) + u32(key_epoch) + bytes([cipher]) + kid + u32(len(ciphertext)) + ciphertext
    head = b"FSJ1" + bytes((0, 2, 0, 0)) + u64(segment) + u64(offset) + u64(epoch) + u64(first)
    head += u32(len(entries)) + u32(len(payloads)) + u32(len(body) + 32) + previous
    head += u32(crc32c(head))
    body += hmac.digest(JOURNAL_KEY, b"foreseal.frame.v2\0" + hashlib.sha256(head + body).digest(), "sha256")
    return head + body + u32(crc32c(body))


def journal():
    marker = frame(0, 4096, 1, 5, b"\x11" * 32, b"cp", [], [])
    one = frame(2, 0, 3, 7, hashlib.sha256(marker).digest(), b"cp", [b"{}"], [(0, 9, 2, bytes(range(16)), b"\xaa\xbb\xcc")])
    rows = [
        ("a marker", {"segment": 0, "offset": 4096, "epoch": 1, "first_index": 5, "previous": "11" * 32}, [], marker),
        ("one entry and its payload", {"segment": 2, "offset": 0, "epoch": 3, "first_index": 7, "previous": hashlib.sha256(marker).hexdigest()},
         [{"entry": 0, "key_epoch": 9, "cipher": 2, "kid": bytes(range(16)).hex(), "ciphertext": "aabbcc"}], one),
    ]  # fmt: skip
    return {
        "about": "Frames without their padding (zeros up to the next multiple of 4,096), hex; tagged with the journal key of keys/at-rest.json. The checkpoint is the text cp; the second has one entry, {}.",
        "frames": [{"about": about, **at, "payloads": payloads, "frame": data.hex(), "hash": hashlib.sha256(data).hexdigest()} for about, at, payloads, data in rows],
    }


def packs():
    hashes = b"".join(hashlib.sha256(u32(i)).digest() for i in range(256))
    checksum = crc32c(b"\0" + u64(1) + hashes)
    slot = hashes + u32(checksum)
    bundles = [b"".join(len(e).to_bytes(2, "big") + e for e in ((b"%d" % (256 * n + i)) for i in range(256))) for n in (0, 1)]
    offsets, end = b"", 0
    for number, data in enumerate(bundles):
        record = u64(end) + u32(len(data))
        offsets += record + u32(crc32c(u64(number) + record + data))
        end += len(data)
    return {
        "about": "Tile 0/1 of the hashes SHA-256(u32be(i)) in hashes-0.pack, whose slot 0 is not written; bundles 0 and 1 of the entries \"0\", \"1\", … \"511\".",
        "tile": {"level": 0, "index": 1, "offset": len(slot), "checksum": "%08x" % checksum, "slot_sha256": hashlib.sha256(slot).hexdigest()},
        "entries_offsets": offsets.hex(),
        "entries_pack_sha256": hashlib.sha256(b"".join(bundles)).hexdigest(),
    }


def index_blocks():
    block = bytes(i % 251 for i in range(4096))
    says = b"foreseal blocks 1 in use\n".ljust(4096, b"\0")
    stored = [data + u32(crc32c(u64(n) + data)) for n, data in enumerate((says, block, block))]
    return {
        "about": "Two equal blocks, the bytes i mod 251, as they stand in index.redb behind the block that says it is in use: 4,100 bytes each.",
        "checksums": ["%08x" % crc32c(u64(n) + data) for n, data in enumerate((says, block, block))],
        "sha256": hashlib.sha256(b"".join(stored)).hexdigest(),
    }


def vectors():
    """Every file, by its path below tests/vectors."""
    files = {"intent/%s.json" % name: value for name, value in intents().items()}
    files["evaluation/eleven-calls.json"] = evaluation_of(11)
    files["evaluation/two-calls.json"] = evaluation_of(2)
    for name, make in (("entries", entries), ("chain", chain), ("records", records)):
        files["entries/%s.json" % name] = make()
    files["keys/at-rest.json"] = at_rest()
    files["data-directory/journal.json"] = journal()
    files["data-directory/packs.json"] = packs()
    files["data-directory/index-blocks.json"] = index_blocks()
    return {path: (json.dumps(value, indent=1) + "\n").encode("ascii") for path, value in files.items()}


def main(arguments):
    if len(arguments) != 2 or arguments[0] not in ("--write", "--check"):
        print(__doc__, file=sys.stderr)
        return 2
    aes_gcm.check()
    different = 0
    for path, data in vectors().items():
        path = os.path.join(arguments[1], path)
        if arguments[0] == "--write":
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(data)
        elif not os.path.exists(path) or open(path, "rb").read() != data:
            different += 1
            print("%s is not what this model computes" % path)
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
