#!/usr/bin/env python3
"""Vectors for the part of YAML that outputs are believed in (docs/grounding.md), as PyYAML reads and writes them.

    python3 tools/models/yaml_subset.py --write tests/vectors/policy/yaml.json
    python3 tools/models/yaml_subset.py --write FILE --count 20000 --seed 5      more, for a longer look

Needs PyYAML. Each vector has a `text`, and the `tree` that PyYAML reads it as with all scalars as texts, or null where it
refuses it or it is one scalar; `written` texts come from `safe_dump` as they are. What Foreseal reads has to be the tree,
and what is written it has to read; of what else PyYAML reads it may refuse as much as it likes.
"""
import argparse
import json
import random

import yaml

NAMES = "abcXYZ019_. -"
TEXTS = ["a", "b c", "x" * 30 + " y", "1", "10.5", "null", "true", "", " ", "  lead", "trail ", "two\nlines", "two\n\nlines\n", "it's", 'say "so"', "a: b",
         "a #b", "- item", "# no", "tab\there", "é", "日本語 テキスト", "\u00a0x", "\U0001f600", "\x00\x1b\x85\u2028", "&a", "*b", "!c", "|", ">", "%d", "@e", "`f`", "[g]",
         "{h}", "a,b", "http://x.example/?q=1#z", "2024-05-15 10:00", "bob@example.com", "~", "=", "-", "?", ":", "--- x", "...", "long " * 30, "wide" * 40,
         "end\\", "a\\nb", "'", '"', "x:", "ends with space then\n next"]
PIECES = ["- ", "-", ": ", ":", "\n", "\n  ", "\n- ", "\n\n", " ", "  ", "'", '"', "''", "\\", "\\x41", "\\n", "\\\n", "#", " #", "? ", "&a ", "*a", "!t ", "|\n", ">\n", "[]", "{}",
          "[", "]", "{", "}", ",", "%", "@", "`", "\t", "\r", "---", "\n---\n", "...", "a", "b: c", "\n  b: c", "\n    d", "é", "\u00a0", "\u2028", "\ufeff", "0", "~", "a:\n", "a: b\n"]


class Strict(yaml.BaseLoader):
    """Scalars are texts; a name twice is refused."""


def mapping(loader, node):
    found = {}
    for name, value in node.value:
        name = loader.construct_object(name, deep=True)
        if not isinstance(name, str) or name in found:
            raise yaml.YAMLError("a name twice, or no text")
        found[name] = loader.construct_object(value, deep=True)
    return found


Strict.add_constructor("tag:yaml.org,2002:map", mapping)


def read(text):
    try:
        tree = yaml.load(text, Loader=Strict)
        json.dumps(tree).encode("utf-8")
    except Exception:  # Whatever it refuses a text with.
        return None
    return tree if isinstance(tree, (list, dict)) else None


def tree(rng, depth):
    kind = rng.random()
    if depth == 0 or kind < 0.3:
        return rng.choice(TEXTS) if rng.random() < 0.8 else rng.choice([None, True, 7, -3.5, 10**20])
    if kind < 0.65:
        return [tree(rng, depth - 1) for _ in range(rng.randrange(4))]
    return {name(rng): tree(rng, depth - 1) for _ in range(rng.randrange(4))}


def name(rng):
    return "".join(rng.choice(NAMES) for _ in range(rng.randrange(1, 9)))


def written(rng):
    root = [tree(rng, 3), tree(rng, 2)] if rng.random() < 0.5 else {name(rng): tree(rng, 3), "z": tree(rng, 2)}
    return yaml.safe_dump(root, default_flow_style=False, sort_keys=rng.random() < 0.5, allow_unicode=rng.random() < 0.5,
                          width=rng.choice([20, 80, 10_000]))


def changed(rng, text):
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(text) + 1)
        kind = rng.random()
        if kind < 0.5:
            text = text[:at] + rng.choice(PIECES) + text[at:]
        elif kind < 0.8:
            text = text[:at] + text[at + rng.randrange(1, 4):]
        else:
            text = text[:at] + rng.choice(PIECES) + text[at + 1:]
    return text


def vectors(seed, count):
    rng, out, seen = random.Random(seed), [], set()
    while len(out) < count:
        kind = rng.random()
        if kind < 0.25:
            text, is_written = written(rng), True
        elif kind < 0.8:
            text, is_written = changed(rng, written(rng)), False
        else:
            text, is_written = "".join(rng.choice(PIECES) for _ in range(rng.randrange(1, 9))), False
        if len(text) > 400 or text in seen:
            continue
        seen.add(text)
        vector = {"text": text, "tree": read(text)}
        if is_written and vector["tree"] is not None:
            vector["written"] = True
        out.append(vector)
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", required=True, metavar="FILE")
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--seed", type=int, default=4)
    arguments = parser.parse_args()
    lines = [json.dumps(vector) for vector in vectors(arguments.seed, arguments.count)]
    with open(arguments.write, "w", encoding="ascii") as file:
        file.write("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    main()
