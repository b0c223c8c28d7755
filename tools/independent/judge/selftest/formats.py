"""Notes, checkpoints, policies, proofs and JSON: the worked example and the malformed."""

import base64
import json
import random

from .. import ed25519
from ..canonical import jcs, parse, parse_canonical, unbase64
from ..merkle import check_consistency, check_inclusion, leaf_hash, root_from_inclusion
from ..notes import parse_checkpoint, parse_note, parse_vkey
from ..outcome import Report
from ..proof import check_receipt, parse_tlog_proof
from ..tiles import split_bundle, tile_path
from ..trust import Trust
from ..writer import Signer, Tree, bundle, tlog_proof

EXAMPLE = Signer("example.com/intent-ledger", bytes(range(32)))
WITNESS = Signer("witness.example/w1", bytes(range(32, 64)))
EXAMPLE_ROOTS = {
    0: "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
    1: "dziFphNIniTOLPdhmdakI/BC5LvxLX7s7pEu8nbGVwE=",
    2: "WkdmL9ijF9lgSaP59HxV3GfKZgUbqjaD27GbL+CaB7A=",
    3: "lPvQ3YNvUDAWkubQ6t5yjuGexSv/8WBu2AfIV11aqhk=",
    7: "mMl/C6MXXNCLAx3QhLncTmSbZNGijm6mlGRlAxc6tYc=",
    8: "tpcyzlyRQWLKmsz69OldP5h01ogFQ3CIqv8YSk25Z3M=",
    256: "2mWW2VNp9f7zIquOTg2jsLUCNqqcijsdJG90Ecni4y4=",
    300: "yjk9Apa+xeC43KuYO9H7fRRh9RLnJny4ljGtJv1m2Eg=",
    70000: "o5IPun8jmgcam9EHIfE0Gt3vuu3ttBx+JEN6nRa98Ao=",
}
EXAMPLE_LINE_7 = (
    "— example.com/intent-ledger S7oepoSav23fS66i65DeZugxCZcSfT7usNpCdZPBZwi0bbpeC//7X0VScq1QNR2AEayvINwxp4by18y+9WeYA5cj/ws=\n"
)
EXAMPLE_CONSISTENCY = (
    "V8efTzGuApxdS9MLBzwnyU35NDiytGl+Hh7vW8A5SkE=",
    "YcoROfaBWEHVuvLQ0tm9nf7pfImN1ve6DAqpQe5sAes=",
    "WkdmL9ijF9lgSaP59HxV3GfKZgUbqjaD27GbL+CaB7A=",
    "lK+4osoFHAVFjqOdzRmxvWjn4zUp8QtDnSphWlH2NuI=",
)
EXAMPLE_INCLUSION = (
    "n/U3thiiV++CkIxFkVrLrrbZ3qA11tk5ZPyIwZ6YyLM=",
    "vhV4G2KKKEFMHIoRuG24Qi+hBBIV/g18RJbSPNoeQUI=",
    "l5nzB1F+9RfCIF35tndivzR1ayAJn7ffzOdrzr0nOy4=",
)
EXAMPLE_COSIGNATURE = (
    "— witness.example/w1 IDJKvgAAAABkGFDLqTtClvD1VeNNSHnljW/elnY6RbR3upF6aPPYglvNo1IrKUkTenHdcYRqAzIWCYFh1jchcjA7jXUEcx0iYclZAQ==\n"
)
# COSE_Sign1 of the root, with the inclusion proof in its unprotected header.
EXAMPLE_COSE = bytes.fromhex(
    "d28447a219018b010127a119018ca12081586a8307048358209ff537b618a257ef82908c45915acbaeb6d9dea035d6d93964fc88c19e98c8b35820be15781b628a"
    "28414c1c8a11b86db8422fa1041215fe0d7c4496d23cda1e414258209799f307517ef517c2205df9b67762bf34756b20099fb7dfcce76bcebd273b2ef658404dca"
    "cccf32bc18fd589cd39a15ffed27eac14c0083bdf225c843bee98a8d4ae921fee9dab89e064ae894f7f9c8b022de974713e41f57f8398f42ca7de158a00f"
)
EXAMPLE_VKEY = "example.com/intent-ledger+4bba1ea6+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"
WITNESS_VKEY = "witness.example/w1+20324abe+BCmsuuFBvMrwsi4alNNNC8c2HlJtC/4SyJeUvJMilm3X"
FOO_VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"


def run(tally, _directory):
    _worked_example(tally)
    _proofs(tally)
    _notes(tally)
    _policies(tally)
    _tiles(tally)
    _json(tally)


def _worked_example(tally):
    tally.equal("worked example: public key", EXAMPLE.public.hex(), "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8")
    tally.equal("worked example: vkey", EXAMPLE.vkey, EXAMPLE_VKEY)
    tally.equal("worked example: witness vkey", WITNESS.witness_vkey, WITNESS_VKEY)
    tree = Tree([b"entry %d" % i for i in range(70000)])
    for size, root in EXAMPLE_ROOTS.items():
        tally.equal("worked example: root %d" % size, base64.b64encode(tree.root(size)).decode(), root)
    seven = EXAMPLE.checkpoint(7, tree.root(7))
    tally.equal("worked example: checkpoint 7", seven.decode(), "example.com/intent-ledger\n7\n%s\n\n%s" % (EXAMPLE_ROOTS[7], EXAMPLE_LINE_7))
    consistency = [base64.b64decode(text) for text in EXAMPLE_CONSISTENCY]
    tally.equal("worked example: consistency 3 to 7", tree.consistency(3, 7), consistency)
    check_consistency(3, 7, tree.root(3), tree.root(7), consistency)
    inclusion = [base64.b64decode(text) for text in EXAMPLE_INCLUSION]
    tally.equal("worked example: inclusion 4 of 7", tree.inclusion(4, 7), inclusion)
    trust = Trust.from_vkey(EXAMPLE_VKEY)
    proof, checkpoint = check_receipt(tlog_proof(4, inclusion, seven), b"entry 4", trust, Report())
    tally.equal("worked example: tlog-proof", (proof.index, checkpoint.size), (4, 7))
    big = EXAMPLE.checkpoint(70000, tree.root(70000))
    text = parse_note(big).text
    tally.equal("worked example: cosignature", WITNESS.cosign(text, 1679315147), EXAMPLE_COSIGNATURE)
    policy = "log %s\nwitness w %s\nquorum w\n" % (EXAMPLE_VKEY, WITNESS_VKEY)
    witnessed = Trust.from_policy(policy.encode())
    tally.equal("worked example: cosigned", witnessed.check(big + EXAMPLE_COSIGNATURE.encode(), Report()).size, 70000)
    tally.undecided("worked example: without the cosignature", witnessed.check, big, Report())
    wrong_time = WITNESS.cosign(text, 1679315148)[:60] + EXAMPLE_COSIGNATURE[60:]
    tally.refused("a cosignature with another time", witnessed.check, big + wrong_time.encode(), Report())
    # The signed bytes of COSE: ["Signature1", protected, external_aad, payload].
    signed = b"\x84\x6aSignature1\x47" + EXAMPLE_COSE[3:10] + b"\x40\x58\x20" + tree.root(7)
    tally.holds("worked example: COSE receipt", ed25519.verify(EXAMPLE.public, signed, EXAMPLE_COSE[-64:]))
    tally.holds("worked example: COSE receipt holds the path", all(h in EXAMPLE_COSE for h in inclusion))
    foo = parse_vkey(FOO_VKEY)
    tally.equal("C2SP example key", foo.name, "example.com/foo")


def _proofs(tally):
    """Every proof of every tree up to 40 leaves, and forgeries of each."""
    entries = [b"%d" % i for i in range(40)]
    tree, dice = Tree(entries), random.Random(6962)
    good = bad = checked = forged = 0
    for size in range(1, 41):
        for index in range(size):
            path, leaf = tree.inclusion(index, size), leaf_hash(entries[index])
            checked += 1
            good += root_from_inclusion(index, size, leaf, path) == tree.root(size)
            for forgery in _forgeries(path, dice):
                forged += 1
                bad += _fails(check_inclusion, index, size, leaf, forgery, tree.root(size))
            for other in (index + 1, size, size + 1):
                forged += 1
                bad += _fails(check_inclusion, other, size, leaf, path, tree.root(size))
        for old in range(1, size):
            path = tree.consistency(old, size)
            checked += 1
            good += not _fails(check_consistency, old, size, tree.root(old), tree.root(size), path)
            for forgery in _forgeries(path, dice):
                forged += 1
                bad += _fails(check_consistency, old, size, tree.root(old), tree.root(size), forgery)
            forged += 1
            bad += _fails(check_consistency, old, size, tree.root(size), tree.root(size), path)
    tally.equal("every true proof holds", good, checked)
    tally.equal("no forged proof holds", bad, forged)


def _forgeries(path, dice):
    """The path with a hash changed, dropped, added; never the path itself."""
    made = [path + [bytes(32)], [bytes(32)] + path]
    if path:
        at = dice.randrange(len(path))
        changed = bytearray(path[at])
        changed[dice.randrange(32)] ^= 1 << dice.randrange(8)
        made += [path[:at] + [bytes(changed)] + path[at + 1 :], path[:-1], path[1:], path[:at] + [path[at][:31]] + path[at + 1 :]]
    if len(path) > 1 and path[0] != path[1]:
        made.append([path[1], path[0]] + path[2:])
    return made


def _fails(function, *arguments):
    from ..outcome import Invalid

    try:
        function(*arguments)
    except Invalid:
        return True
    return False


def _notes(tally):
    good = EXAMPLE.checkpoint(0, Tree([]).root(0))
    tally.equal("a checkpoint of size 0", parse_checkpoint(good).size, 0)
    trust = Trust.from_vkey(EXAMPLE_VKEY)
    body, line = good[: good.rindex(b"\n\n") + 2], good[good.rindex(b"\n\n") + 2 :]
    text = body[:-1].decode()
    cases = {
        "no signature": body,
        "no blank line": good.replace(b"\n\n", b"\n"),
        "an unended last line": good[:-1],
        "a carriage return": good.replace(b"\n", b"\r\n"),
        "a tab": good.replace(b"example", b"exa\tmple"),
        "a hyphen for the dash": body + line.replace("\u2014".encode(), b"-"),
        "base64 without padding": body + line.replace(b"=", b""),
        "bytes that are not UTF-8": b"\xff" + good,
        "something after the signatures": good + b"x\n",
        "an empty signature": body + "\u2014 example.com/intent-ledger S7oepg==\n".encode(),
        "a note larger than a megabyte": good + line * 12000,
        "a leading zero": _signed(text.replace("\n0\n", "\n00\n")),
        "a plus sign": _signed(text.replace("\n0\n", "\n+0\n")),
        "a size beyond 2^63": _signed(text.replace("\n0\n", "\n9223372036854775808\n")),
        "two lines only": _signed("\n".join(text.split("\n")[:2]) + "\n"),
        "an empty extension line": _signed(text + "\nmore\n"),
        "size 0 with a root": _signed(text.replace("47DE", "47DF")),
        "a root of 31 bytes": _signed("o\n1\n%s\n" % base64.b64encode(bytes(31)).decode()),
        "a root with loose bits": _signed(text.replace("uFU=", "uFV=")),
        "an origin not signed for": _signed(text.replace("intent", "int"), good=line),
        "another key's signature": Signer(EXAMPLE.name, bytes(32)).checkpoint(0, Tree([]).root(0)),
        "a known key's false signature beside its true one": good + _broken(line),
    }
    for name, data in cases.items():
        tally.refused("a checkpoint with " + name, trust.check, data, Report())
    tally.undecided("a checkpoint of another log", trust.check, WITNESS.checkpoint(0, Tree([]).root(0)), Report())
    stranger = Signer("stranger.example", bytes(32)).sign_note(text).encode()
    tally.equal("strangers' signatures are ignored", trust.check(good + stranger * 16, Report()).size, 0)
    extended = Report()
    tally.equal("extension lines are read", trust.check(_signed(text + "more\n"), extended).extensions, ["more"])
    tally.holds("extension lines are told", bool(extended.notes))
    for vkey in ("", "a+b", EXAMPLE_VKEY.replace("4bba", "4bbb"), EXAMPLE_VKEY[:-4], EXAMPLE_VKEY.replace("4bba", "4BBA")):
        tally.undecided("the vkey %r" % vkey, parse_vkey, vkey)


def _signed(text, good=None):
    return text.encode() + b"\n" + (EXAMPLE.sign_note(text).encode() if good is None else good)


def _broken(line):
    data = bytearray(base64.b64decode(line.split(b" ")[2]))
    data[40] ^= 1
    return line.rsplit(b" ", 1)[0] + b" " + base64.b64encode(bytes(data)) + b"\n"


def _policies(tally):
    witnesses = [Signer("w%d.example" % i, bytes([i + 1]) * 32) for i in range(3)]
    lines = "".join("witness w%d %s https://w%d.example/\n" % (i, w.witness_vkey, i) for i, w in enumerate(witnesses))
    head = EXAMPLE.checkpoint(0, Tree([]).root(0))
    text = parse_note(head).text
    for rule, need in (("any", 1), ("2", 2), ("all", 3)):
        policy = "# ours\n\tlog %s http://x\n%s\ngroup g %s w0 w1\tw2\nquorum g\n" % (EXAMPLE_VKEY, lines, rule)
        trust = Trust.from_policy(policy.encode())
        for count in range(4):
            note = head + "".join(w.cosign(text, 5) for w in witnesses[:count]).encode()
            if count >= need:
                tally.equal("%d cosignatures meet %s" % (count, rule), trust.check(note, Report()).size, 0)
            else:
                tally.undecided("%d cosignatures do not meet %s" % (count, rule), trust.check, note, Report())
        twice = head + (witnesses[0].cosign(text, 5) + witnesses[0].cosign(text, 6)).encode()
        if need > 1:
            tally.undecided("one witness twice is one witness", trust.check, twice, Report())
    log = "log %s\n" % EXAMPLE_VKEY
    wrong = {
        "no quorum": log, "two quorums": log + "quorum none\nquorum none\n", "an unknown quorum": log + "quorum g\n",
        "a log twice": log * 2 + "quorum none\n", "a witness key twice": log + lines + lines.replace(" w", " v") + "quorum none\n",
        "a group before its members": "group g any w0\n" + lines + "quorum g\n", "k of 0": lines + "group g 0 w0\nquorum g\n",
        "k beyond n": lines + "group g 2 w0\nquorum g\n", "a member twice": lines + "group g 1 w0 w0\nquorum g\n",
        "a member of two groups": lines + "group g 1 w0\ngroup h 1 w0\nquorum g\n", "none as a member": lines + "group g 1 none\nquorum g\n",
        "an unknown line": "trust me\nquorum none\n", "a carriage return": "quorum none\r\n", "a log key for a witness": "witness w %s\nquorum w\n" % EXAMPLE_VKEY,
    }  # fmt: skip
    for name, policy in wrong.items():
        tally.undecided("a policy with " + name, Trust.from_policy, policy.encode())
    tally.undecided("a policy without the log's key", Trust.from_policy(b"quorum none\n").check, head, Report())


def _tiles(tally):
    for number, wanted in ((5, "005"), (1234, "x001/234"), (1234067, "x001/x234/067"), (999, "999"), (1000, "x001/000")):
        tally.equal("tile path %d" % number, tile_path(0, number), "tile/0/" + wanted)
    tally.equal("partial tile path", tile_path("entries", 1234067, 5), "tile/entries/x001/x234/067.p/5")
    tally.equal("bundle", bundle([b"one", b"two", b"three"]).hex(), "00036f6e65000374776f00057468726565")
    entries = [b"", b"x" * 65535, b"one"]
    tally.equal("a bundle comes back", split_bundle(bundle(entries), "b"), entries)
    for cut in (1, 3, 65540, 65543):
        tally.refused("a bundle cut short", split_bundle, bundle(entries)[:cut], "b")
    tally.refused("a bundle of 257", split_bundle, bundle([b""] * 257), "b")
    for text in ("", "c2sp.org/tlog-proof@v2\nindex 0\n\n", "c2sp.org/tlog-proof@v1\nindex 00\n\nx", "c2sp.org/tlog-proof@v1\nindex -1\n\nx",
                 "c2sp.org/tlog-proof@v1\n\nx", "c2sp.org/tlog-proof@v1\nextra ?\nindex 0\n\nx", "c2sp.org/tlog-proof@v1\nindex 0\nAAAA\n\nx",
                 "c2sp.org/tlog-proof@v1\nindex 0\nextra AAAA\n\nx", "c2sp.org/tlog-proof@v1\nindex 0\n" + (base64.b64encode(bytes(32)).decode() + "\n") * 64 + "\nx"):  # fmt: skip
        tally.refused("the tlog-proof %r" % text[:60], parse_tlog_proof, text.encode())
    tally.equal("extra data is read", parse_tlog_proof(b"c2sp.org/tlog-proof@v1\nextra AAAA\nindex 0\n\nx").extra, bytes(3))


def _json(tally):
    for data in (b"", b"{", b"01", b"1 2", b"nul", b"NaN", b"-Infinity", b"[1,]", b'{"a":1,"a":2}', b'{"a":1,"\\u0061":2}', b'"\\ud800"', b'"\\udc00\\ud800"',
                 b'"\xed\xa0\x80"', b'"\xff"', b"\xef\xbb\xbf1", b'"\n"', b"9007199254740992", b"-9007199254740992", b"1" * 5000, b"1e400", b"1e16", b"9007199254740992.0", b"-1e20", b"'a'", b"+1", b".5",
                 b"[" * 65 + b"]" * 65, b'{"a":' * 65 + b"1" + b"}" * 65, b"[" * 100000):  # fmt: skip
        tally.refused("the JSON %r" % data[:24], parse, data)
    for data in (b" 1 ", b"9007199254740991", b"-9007199254740991", b'"\\ud83d\\ude00"', b"[" * 64 + b"]" * 64, b"9.007199254740991e15", b"\t{}\r\n"):
        try:
            parse(data)
            tally.passed += 1
        except Exception as error:
            tally.holds("the JSON %r is read" % data[:24], False, error)
    # RFC 8785 appendix B and section 3.2, by value.
    numbers = {
        "0": 0.0, "-0": None, "5e-324": 5e-324, "-5e-324": -5e-324, "1.7976931348623157e+308": 1.7976931348623157e308, "295147905179352830000": 295147905179352830000.0,
        "1e+23": 1e23, "9.999999999999997e+22": 9.999999999999997e22, "999999999999999900000": 999999999999999900000.0, "1e+21": 1e21, "0.000001": 1e-6,
        "9.999999999999997e-7": 9.999999999999997e-7, "333333333.3333332": 333333333.3333332, "0.0000033333333333333333": 0.0000033333333333333333, "-1": -1.0, "1e-7": 1e-7, "1.5": 1.5, "100": 100.0, "1424953923781206.2": 1424953923781206.2,
    }  # fmt: skip
    for text, value in numbers.items():
        if value is not None:
            tally.equal("JCS number", jcs(value).decode(), text)
    tally.equal("JCS minus zero", (jcs(-0.0), jcs(parse(b"-0")), jcs(parse(b"-0.0"))), (b"0", b"0", b"0"))
    keys = {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\x80": 6, "\u00f6": 7}
    tally.equal("JCS key order", [v for v in json.loads(jcs(keys)).values()], [2, 4, 6, 7, 1, 5, 3])
    tally.equal("JCS strings", jcs("\u20ac$\x0f\nA'B\"\\\"/\x7f\b").decode(), '"\u20ac$\\u000f\\nA\'B\\"\\\\\\"/\x7f\\b"')
    for data in (b'{"b":1,"a":2}', b'{ "a":1}', b"1.0", b'"\\u0041"', b'"\\/"', b'"\\u000A"', b"1e2", b'{"a":1}\n'):
        tally.refused("%r as canonical" % data, parse_canonical, data)
    for text in ("AA=", "AAAA=", "AB==", "A A=", "AA-_", "QUJD\n", "\u00e9AAA", None, 1):
        tally.refused("the base64 %r" % (text,), unbase64, text, "it")
    dice = random.Random(8785)
    for _ in range(300):
        value = _any_json(dice, 4)
        tally.equal("JCS comes back", parse_canonical(jcs(value)), value)


def _any_json(dice, depth):
    kind = dice.randrange(8 if depth else 6)
    if kind < 6:
        return (None, True, dice.randrange(-(2**53) + 1, 2**53), dice.uniform(-1e6, 1e6), dice.random() * 1e-9, "".join(chr(dice.choice((34, 92, 10, 65, 233, 8364, 128512))) for _ in range(4)))[kind]
    if kind == 6:
        return [_any_json(dice, depth - 1) for _ in range(dice.randrange(4))]
    return {str(i) + chr(dice.randrange(32, 55000)): _any_json(dice, depth - 1) for i in range(dice.randrange(4))}
