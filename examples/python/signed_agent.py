#!/usr/bin/env python3
"""An agent that signs its intent and brings its own seed, so that nobody can seal another in its name.

    export FORESEAL_URL=http://127.0.0.1:8470
    export FORESEAL_ORIGIN=example.com/log     # the log's name, as trust.policy has it
    export FORESEAL_TOKEN=$(foreseal agent add signing-bot --public-key "$(python3 signed_agent.py key)")
    python3 signed_agent.py

With `key` it prints its public key and makes agent.key if there is none.
Signing is in plain Python to show all of it; in production use a library, as
this arithmetic takes a time that depends on the key.

Exit codes: 0 allowed, 1 not allowed, 2 no answer.
"""

import base64
import datetime
import hashlib
import json
import os
import sys

from foreseal_client import NotAllowed, check_allowed, new_id, read_answer, seal_bytes

STATEMENT_TYPE = "application/vnd.foreseal.statement.v1+json"
P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P


def _add(p, q):
    """Two affine points of the curve (RFC 8032 section 5.1.4)."""
    (x1, y1), (x2, y2) = p, q
    k = D * x1 * x2 * y1 * y2 % P
    x = (x1 * y2 + x2 * y1) * pow(1 + k, -1, P) % P
    y = (y1 * y2 + x1 * x2) * pow(1 - k, -1, P) % P
    return x, y


def _times_base(scalar):
    """[scalar]B, encoded."""
    result, power = (0, 1), (15112221349535400772501151409588531511454012693041857206046113283949847762202, 4 * pow(5, -1, P) % P)
    while scalar:
        if scalar & 1:
            result = _add(result, power)
        power, scalar = _add(power, power), scalar >> 1
    return (result[1] | (result[0] & 1) << 255).to_bytes(32, "little")


def _number(*parts):
    return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little") % ORDER


def _secret(seed):
    digest = hashlib.sha512(seed).digest()
    return int.from_bytes(digest[:32], "little") & ((1 << 254) - 8) | 1 << 254, digest[32:]


def public_key(seed):
    return _times_base(_secret(seed)[0])


def sign(seed, message):
    scalar, prefix = _secret(seed)
    nonce = _number(prefix, message)
    r = _times_base(nonce)
    return r + ((nonce + _number(r, public_key(seed), message) * scalar) % ORDER).to_bytes(32, "little")


def canonical(value):
    """RFC 8785 for what this agent sends: ASCII keys and no fractions."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8")


def fields(value, objects, path=""):
    """(path, value) of every scalar, {} and []; notes the objects that would read as arrays."""
    if isinstance(value, (dict, list)) and value:
        if isinstance(value, dict) and path and all(str(i) in value for i in range(len(value))):
            objects.append(path)
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from fields(inner, objects, path + "/" + str(key).replace("~", "~0").replace("/", "~1"))
    else:
        yield path, value


def declared_root(document, seed):
    """The field tree's root (docs/format.md): what the leaf will commit to, and what is signed."""

    def salt(index):
        return hashlib.sha256(b"foreseal.salt.v1\0" + seed + index.to_bytes(4, "big")).digest()

    objects = []
    ordered = sorted(fields(document, objects), key=lambda field: field[0].encode())
    shape = [path for path, _ in ordered]
    if objects:
        shape.append({"objects": sorted(objects, key=str.encode)})
    ordered.insert(0, ("", shape))
    width = 1 << (len(ordered) - 1).bit_length()
    row = []
    for index in range(width):
        if index < len(ordered):
            path, value = ordered[index][0].encode(), canonical(ordered[index][1])
            leaf = b"foreseal.field.v1\0" + salt(index) + len(path).to_bytes(4, "big") + path + value
        else:
            leaf = b"foreseal.pad.v1\0" + salt(index)
        row.append(hashlib.sha256(b"\0" + leaf).digest())
    while len(row) > 1:
        row = [hashlib.sha256(b"\1" + row[i] + row[i + 1]).digest() for i in range(0, len(row), 2)]
    return row[0]


def signature_headers(document, agent_seed, document_seed, log):
    """The headers that sign a declared document: the statement covers its root, not its text."""
    root = declared_root(document, document_seed)
    names = ("agent", "client_prev", "client_seq", "created", "id", "session")
    named = {name: document[name] for name in names if name in document}
    named.update(declared=base64.b64encode(root).decode(), log=log)
    payload = canonical(named)
    pae = b"DSSEv1 %d %s %d %s" % (len(STATEMENT_TYPE), STATEMENT_TYPE.encode(), len(payload), payload)
    keyid = hashlib.sha256(public_key(agent_seed)).hexdigest()
    signature = base64.b64encode(sign(agent_seed, pae)).decode()
    return root, {
        "Foreseal-Seed": base64.b64encode(document_seed).decode(),
        "Foreseal-Signature": 'keyid="%s", sig="%s"' % (keyid, signature),
    }


def own_key():
    """This agent's key from agent.key, made at the first run and readable by its owner alone."""
    try:
        with open("agent.key", "rb") as file:
            return file.read(32)
    except FileNotFoundError:
        seed = os.urandom(32)
        with open(os.open("agent.key", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(seed)
        return seed


def main(arguments):
    if arguments == ["key"]:
        print(base64.b64encode(public_key(own_key())).decode())
        return 0
    token, log = os.environ.get("FORESEAL_TOKEN"), os.environ.get("FORESEAL_ORIGIN")
    if not token or not log:
        print("FORESEAL_TOKEN or FORESEAL_ORIGIN is not set", file=sys.stderr)
        return 2
    now = datetime.datetime.now(datetime.timezone.utc)
    intent = {
        "id": new_id(),
        "created": now.strftime("%Y-%m-%dT%H:%M:%S.") + "%03dZ" % (now.microsecond // 1000),
        "agent": "signing-bot",
        "session": "ticket-4711",
        "goal": "Please tell me what I have ordered.",
        "reasoning": ["The customer's number is in the ticket; looking it up changes nothing."],
        "observations": [],
        "calls": [{"id": "c1", "server": "crm", "tool": "list_orders", "args": {"customer": "4711"}}],
    }
    root, headers = signature_headers(intent, own_key(), os.urandom(32), log)
    body = json.dumps(intent, ensure_ascii=False).encode("utf-8")
    try:
        data = seal_bytes(os.environ.get("FORESEAL_URL", "http://127.0.0.1:8470"), token, body, headers=headers)
        for name, content in (("intent.json", body), ("answer.json", data)):
            with open(name, "wb") as file:
                file.write(content)
        answer = read_answer(data, intent)
        # The root was computed here: a service that sealed anything else is caught at once.
        # (That the entry is in the log is what `foreseal verify receipt` proves.)
        entry = json.loads(base64.b64decode(answer["entry"]))
        if entry["declared"]["root"] != base64.b64encode(root).decode():
            raise NotAllowed("the service sealed another document than the one signed", answer)
        check_allowed(answer, "c1")
    except (KeyError, TypeError, ValueError) as error:
        print("not run: the answer cannot be read: %s" % error)
        return 2
    except NotAllowed as error:
        print("not run: %s" % error)
        return 1 if error.answer else 2
    print("leaf %s: allowed; crm/list_orders may run" % answer["index"])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
