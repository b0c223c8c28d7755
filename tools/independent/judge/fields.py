"""Foreseal's commitments: the field tree, call digests, signed statements (docs/format.md)."""

import hashlib

from . import ed25519
from .canonical import jcs, to_base64
from .merkle import leaf_hash, root_of
from .outcome import Invalid

MAX_FIELDS = 4096
MAX_PATH_BYTES = 1 << 20
STATEMENT_TYPE = "application/vnd.foreseal.statement.v1+json"


def _sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def _escape(key):
    return key.replace("~", "~0").replace("/", "~1")


def document_fields(document):
    """(path, value) of every field in order, the shape first: scalars, {} and [] at their RFC 6901 paths."""
    if not isinstance(document, dict) or not document:
        raise Invalid("only an object with at least one member has a field tree")
    fields, objects, waiting = [], [], [("", document)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, dict) and value:
            if path and _reads_as_array(value):
                objects.append(path)
            waiting.extend((path + "/" + _escape(key), inner) for key, inner in value.items())
        elif isinstance(value, list) and value:
            waiting.extend(("%s/%d" % (path, i), inner) for i, inner in enumerate(value))
        else:
            fields.append((path, value))
    if len(fields) > MAX_FIELDS:
        raise Invalid("the document has %d fields, more than %d" % (len(fields), MAX_FIELDS))
    if sum(len(path.encode("utf-8")) for path, _ in fields) > MAX_PATH_BYTES:
        raise Invalid("the paths of all fields have more than %d bytes together" % MAX_PATH_BYTES)
    fields.sort(key=lambda field: field[0].encode("utf-8"))
    shape = [path for path, _ in fields]
    if objects:
        shape.append({"objects": sorted(objects, key=lambda path: path.encode("utf-8"))})
    return [("", shape), *fields]


def _reads_as_array(members):
    """Whether the names of an object's n members are exactly "0", "1", … "n-1"."""
    return all(str(i) in members for i in range(len(members)))


def field_salt(seed, index):
    return _sha256(b"foreseal.salt.v1\0", seed, index.to_bytes(4, "big"))


def field_leaf(salt, path, value):
    name = path.encode("utf-8")
    return b"foreseal.field.v1\0" + salt + len(name).to_bytes(4, "big") + name + jcs(value)


def field_tree(document, seed):
    """(root, log2) that commit to a document under a 32-byte seed."""
    fields = document_fields(document)
    log2 = (len(fields) - 1).bit_length()
    leaves = [field_leaf(field_salt(seed, i), path, value) for i, (path, value) in enumerate(fields)]
    leaves += [b"foreseal.pad.v1\0" + field_salt(seed, i) for i in range(len(fields), 1 << log2)]
    return root_of([leaf_hash(leaf) for leaf in leaves]), log2


def call_digest(seed, index, call):
    """The salted digest by which a leaf names call number `index` of a declared document."""
    salt = _sha256(b"foreseal.callsalt.v1\0", seed, index.to_bytes(4, "big"))
    named = {"args": call["args"], "server": call.get("server") or "", "tool": call["tool"]}
    return _sha256(b"foreseal.call.v1\0", salt, jcs(named))


def pae(payload_type, payload):
    """DSSE v1 pre-authentication encoding."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def statement(document, declared_root, origin):
    """The bytes that an agent signs for a declared document."""
    made = {"declared": to_base64(declared_root), "log": origin}
    for name in ("agent", "created", "id", "session"):
        if name not in document:
            raise Invalid("a signed intent needs %r" % name)
        made[name] = document[name]
    for name in ("client_prev", "client_seq"):
        if name in document:
            made[name] = document[name]
    return jcs(made)


def sign_statement(agent_seed, statement_bytes):
    return ed25519.sign(agent_seed, pae(STATEMENT_TYPE, statement_bytes))


def check_statement(public_key, statement_bytes, signature):
    if not ed25519.verify(public_key, pae(STATEMENT_TYPE, statement_bytes), signature):
        raise Invalid("the agent's signature does not verify over its statement")
