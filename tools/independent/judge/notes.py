"""Signed notes, verifier keys, checkpoints and cosignatures (C2SP)."""

import hashlib
import re
from collections import namedtuple

from . import ed25519
from .canonical import unbase64
from .merkle import EMPTY_ROOT
from .outcome import Invalid, Undecided

MAX_NOTE_BYTES = 1 << 20
MAX_SIGNATURES = 128  # C2SP asks for at least 16
ALG_ED25519, ALG_COSIGNATURE = 1, 4
SIGNATURE_MARK = "\u2014 "
_DECIMAL = re.compile(r"(?:0|[1-9][0-9]{0,18})\Z")

Note = namedtuple("Note", "text signatures")  # signatures: (name, 4-byte id, signature)
Checkpoint = namedtuple("Checkpoint", "origin size root extensions text note")
VerifierKey = namedtuple("VerifierKey", "name id algorithm public")


def decimal(text, what):
    """An ASCII decimal without leading zeros, below 2^63."""
    if not _DECIMAL.match(text) or int(text) >= 2**63:
        raise Invalid("%s is not a plain decimal number" % what)
    return int(text)


def _check_key_name(name):
    if not name or "+" in name or any(c.isspace() for c in name):
        raise Invalid("a key name is empty or holds a space or a plus")


def key_id(name, algorithm, public):
    return hashlib.sha256(name.encode() + b"\n" + bytes([algorithm]) + public).digest()[:4]


def parse_vkey(text):
    """name+hexid+base64(algorithm || key). What cannot be read is the caller's fault: Undecided."""
    parts = text.strip().split("+", 2)
    try:
        if len(parts) != 3:
            raise Invalid("it is not name+id+key")
        name, id_text, key_text = parts
        _check_key_name(name)
        if not re.match(r"[0-9a-f]{8}\Z", id_text):
            raise Invalid("its key id is not 8 lower-case hexadecimal digits")
        data = unbase64(key_text, "its key")
        if len(data) < 2:
            raise Invalid("its key is empty")
        algorithm, public, identity = data[0], data[1:], bytes.fromhex(id_text)
        if algorithm in (ALG_ED25519, ALG_COSIGNATURE):
            if len(public) != 32:
                raise Invalid("an Ed25519 key has 32 bytes")
            if key_id(name, algorithm, public) != identity:
                raise Invalid("its key id does not belong to its name and key")
    except Invalid as error:
        raise Undecided("unusable verifier key %r: %s" % (text.strip()[:120], error)) from None
    return VerifierKey(name, identity, algorithm, public)


def format_vkey(name, algorithm, public):
    from .canonical import to_base64

    return "%s+%s+%s" % (name, key_id(name, algorithm, public).hex(), to_base64(bytes([algorithm]) + public))


def parse_note(data):
    """Splits a signed note; verifies nothing. Raises Invalid."""
    if len(data) > MAX_NOTE_BYTES:
        raise Invalid("the note is larger than %d bytes" % MAX_NOTE_BYTES)
    try:
        whole = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Invalid("the note is not UTF-8 at byte %d" % error.start) from None
    if any(c < " " and c != "\n" for c in whole):
        raise Invalid("the note holds a control character")
    cut = whole.rfind("\n\n")
    if cut < 0:
        raise Invalid("the note has no blank line before its signatures")
    text, tail = whole[: cut + 1], whole[cut + 2 :]
    if not tail.endswith("\n"):
        raise Invalid("the note has no signature, or its last line is not ended")
    lines = tail[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise Invalid("the note has more than %d signatures" % MAX_SIGNATURES)
    signatures = []
    for line in lines:
        name, space, encoded = line[len(SIGNATURE_MARK) :].partition(" ")
        if not line.startswith(SIGNATURE_MARK) or not space:
            raise Invalid("a signature line is malformed")
        _check_key_name(name)
        payload = unbase64(encoded, "a note signature")
        if len(payload) < 5:
            raise Invalid("a note signature is too short")
        signatures.append((name, payload[:4], payload[4:]))
    return Note(text, signatures)


def parse_checkpoint(data):
    """Reads a checkpoint without verifying it. Raises Invalid."""
    note = parse_note(data)
    lines = note.text[:-1].split("\n")
    if len(lines) < 3 or not all(lines):
        raise Invalid("a checkpoint needs three or more non-empty lines")
    size = decimal(lines[1], "the tree size")
    root = unbase64(lines[2], "the root hash", 32)
    if size == 0 and root != EMPTY_ROOT:
        raise Invalid("a checkpoint of size 0 has a root that is not the empty tree's")
    return Checkpoint(lines[0], size, root, lines[3:], note.text, note)


def _cosigned_message(text, timestamp):
    return ("cosignature/v1\ntime %d\n%s" % (timestamp, text)).encode()


def check_signature(key, text, signature):
    """Whether `signature` by `key` holds over a note's text; the cosigning time, or None."""
    if key.algorithm == ALG_ED25519:
        if not ed25519.verify(key.public, text.encode(), signature):
            raise Invalid("the signature of %s does not verify" % key.name)
        return None
    if key.algorithm == ALG_COSIGNATURE:
        if len(signature) != 72:
            raise Invalid("the cosignature of %s is not 72 bytes long" % key.name)
        timestamp = int.from_bytes(signature[:8], "big")
        message = _cosigned_message(text, timestamp)
        if timestamp >= 2**63 or not ed25519.verify(key.public, message, signature[8:]):
            raise Invalid("the cosignature of %s does not verify" % key.name)
        return timestamp
    raise Undecided("the key %s uses signature type %d, which this tool cannot verify" % (key.name, key.algorithm))
