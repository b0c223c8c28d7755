"""Figures of Foreseal's own formats, computed here, for other implementations to repeat.

    python3 -m judge.figures > vectors.json       (in the folder of verifier.py)
"""

import json

from . import ed25519
from .canonical import jcs, parse, to_base64
from .fields import (
    STATEMENT_TYPE,
    call_digest,
    document_fields,
    field_leaf,
    field_salt,
    field_tree,
    pae,
    sign_statement,
    statement,
)
from .merkle import leaf_hash

# Written as a client might write them: spaces, escapes and numbers are not canonical.
DOCUMENTS = (
    '{"a":1}',
    '{"a": 1.50, "b": [], "c": {}, "d": null, "e": true, "f": ""}',
    '{"b/c":{"~":[1,2,{"x":"y"}]},"":0,"\\u00e9":"\\ud83d\\ude00","e\\u0301":-0}',
    '{"list":[10,20,30,40,50,60,70,80,90,100,110,120],"big":9007199254740991,"small":1e-7,"large":9.007199254740991e15}',
    '{"\\ue000":1,"\\ud800\\udc00":2,"!":3,"a!":{"b":4},"a":{"b":5}}',
    # Fields alike, but for one being an array and the other an object: the shape tells them apart.
    '{"a":[1]}',
    '{"a":{"0":1}}',
    '{"args":{"0":"x"},"deep":{"~0":{"0":{},"1":{"0":[]}}},"gap":{"0":1,"2":2},"padded":{"00":1},"10":1,"list":{"0":1,"1":2,"10":3,"2":4,"3":5,"4":6,"5":7,"6":8,"7":9,"8":10,"9":11}}',
)
INTENT = (
    '{"id":"0199bb7e-6c00-7000-8000-000000000001","created":"2026-02-03T04:05:06.789Z","client_seq":41,'
    '"client_prev":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","agent":"support-bot","session":"s-42","goal":"refund, please",'
    '"reasoning":["look","act"],"calls":[{"id":"c1","server":"mail","tool":"send_email","args":{"to":"bob@example.com","n":1.0},"after":[]},'
    '{"id":"c2","tool":"nach\\u0073ehen","args":{}}],"observations":[]}'
)
SEED = bytes(range(32))
AGENT_SEED = bytes(range(64, 96))
ORIGIN = "example.com/foreseal"


def _tree(text):
    document = parse(text.encode())
    root, log2 = field_tree(document, SEED)
    fields = document_fields(document)
    return {
        "document": text,
        "seed": to_base64(SEED),
        "fields": [
            {"path": path, "value": jcs(value).decode(), "leaf_hash": to_base64(leaf_hash(field_leaf(field_salt(SEED, i), path, value)))}
            for i, (path, value) in enumerate(fields)
        ],
        "root": to_base64(root),
        "log2": log2,
    }


def figures():
    """Everything as one JSON value."""
    intent = parse(INTENT.encode())
    signed = statement(intent, field_tree(intent, SEED)[0], ORIGIN)
    return {
        "field_trees": [_tree(text) for text in (*DOCUMENTS, INTENT)],
        "call_digests": {
            "document": INTENT,
            "seed": to_base64(SEED),
            "digests": [to_base64(call_digest(SEED, i, call)) for i, call in enumerate(intent["calls"])],
        },
        "statement": {
            "document": INTENT,
            "seed": to_base64(SEED),
            "log": ORIGIN,
            "statement": signed.decode(),
            "payload_type": STATEMENT_TYPE,
            "pae": to_base64(pae(STATEMENT_TYPE, signed)),
            "agent_seed": AGENT_SEED.hex(),
            "agent_public": ed25519.public_key(AGENT_SEED).hex(),
            "signature": to_base64(sign_statement(AGENT_SEED, signed)),
        },
    }


if __name__ == "__main__":
    print(json.dumps(figures(), indent=1))
