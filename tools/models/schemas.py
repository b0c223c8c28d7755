#!/usr/bin/env python3
"""Validates JSON against schemas/: `schemas.py NAME FILE...`, each FILE one JSON value or one a line.

    python3 tools/models/schemas.py report report.json
    python3 tools/models/schemas.py --vectors tests/vectors      the entries there, good and bad

Knows the keywords that our schemas use (JSON Schema 2020-12) and stops at any other. Where the package jsonschema is
installed, it is asked too, and has to agree.
"""
import json, os, re, sys

try:
    import jsonschema
except ImportError:
    jsonschema = None

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "schemas")
ABOUT = {"$schema", "$id", "$defs", "title", "description"}
TYPES = {
    "object": lambda v: isinstance(v, dict),
    "array": lambda v: isinstance(v, list),
    "string": lambda v: isinstance(v, str),
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
}


def same(a, b):
    return json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)


def problems(schema, value, whole, at=""):
    """What is wrong with a value, as texts."""
    if isinstance(schema, bool):
        return [] if schema else ["%s: must not be there" % at]
    found, obj, arr = [], isinstance(value, dict), isinstance(value, list)
    for word, rule in schema.items():
        if word in ABOUT or word == "properties" and not obj or word in ("required", "additionalProperties") and not obj:
            continue
        if word == "$ref":
            found += problems(whole["$defs"][rule.removeprefix("#/$defs/")], value, whole, at)
        elif word == "type":
            found += [] if TYPES[rule](value) else ["%s: is no %s" % (at, rule)]
        elif word == "const":
            found += [] if same(rule, value) else ["%s: is not %r" % (at, rule)]
        elif word == "enum":
            found += [] if any(same(item, value) for item in rule) else ["%s: is none of %r" % (at, rule)]
        elif word == "required":
            found += ["%s/%s: is missing" % (at, name) for name in rule if name not in value]
        elif word == "properties":
            for name in rule.keys() & value.keys():
                found += problems(rule[name], value[name], whole, "%s/%s" % (at, name))
        elif word == "additionalProperties" and rule is False:
            found += ["%s/%s: is not known" % (at, name) for name in value.keys() - schema["properties"].keys()]
        elif word == "items":
            for i, item in enumerate(value if arr else ()):
                found += problems(rule, item, whole, "%s/%d" % (at, i))
        elif word in ("minItems", "maxItems"):
            bad = arr and (len(value) < rule if word == "minItems" else len(value) > rule)
            found += ["%s: has %d items" % (at, len(value))] if bad else []
        elif word in ("minimum", "maximum"):
            bad = TYPES["integer"](value) and (value < rule if word == "minimum" else value > rule)
            found += ["%s: is out of range" % at] if bad else []
        elif word == "pattern":
            # Ours end in "$", which in Python also stands before a last newline.
            bad = isinstance(value, str) and not re.search(re.sub(r"\$$", r"\\Z", rule), value)
            found += ["%s: has another form" % at] if bad else []
        elif word == "oneOf":
            met = sum(not problems(option, value, whole, at) for option in rule)
            found += [] if met == 1 else ["%s: fits %d of %d forms" % (at, met, len(rule))]
        else:
            raise SystemExit("schemas.py does not know the keyword %r" % word)
    return found


def load(name):
    with open(os.path.join(FOLDER, name + ".schema.json"), "rb") as file:
        return json.load(file)


def validate(name, value):
    schema = load(name)
    found = problems(schema, value, schema)
    if jsonschema:
        theirs = jsonschema.Draft202012Validator(schema).is_valid(value)
        if theirs == bool(found):
            raise SystemExit("schemas.py and jsonschema disagree over %s: %r" % (name, found))
    return found


def values(path):
    with open(path, "rb") as file:
        data = file.read()
    try:
        return [json.loads(data)]
    except ValueError:
        return [json.loads(line) for line in data.splitlines() if line.strip()]


# Wrong in their bytes, and right as values.
BYTES = {"white space", "a newline behind it", "members out of order", "a member twice"}


def vectors(folder):
    """How many entries were validated; every one as it should be."""
    with open(os.path.join(folder, "entries", "entries.json"), "rb") as file:
        cases = json.load(file)
    judged = 0
    for case in cases["accepted"] + cases["refused"]:
        entry = json.loads(case["entry"])
        kind = entry.get("type") if isinstance(entry, dict) else None
        if case["about"] in BYTES or not os.path.exists(os.path.join(FOLDER, "entry.%s.schema.json" % kind)) or entry.get("v") != 1:
            continue
        found = validate("entry." + kind, entry)
        if bool(found) == (case in cases["accepted"]):
            raise SystemExit("%s: %s" % (case["about"], "; ".join(found) or "was taken"))
        judged += 1
    return judged


def main(arguments):
    if len(arguments) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    if arguments[0] == "--vectors":
        print("schemas: %d entries of the vectors judged" % vectors(arguments[1]))
        return 0
    wrong = 0
    for path in arguments[1:]:
        for value in values(path):
            name = arguments[0] if arguments[0] != "entry" else "entry.%s" % value["type"]
            for problem in validate(name, value):
                wrong += 1
                print("%s: not as schemas/%s.schema.json says: %s" % (path, name, problem))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
