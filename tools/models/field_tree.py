#!/usr/bin/env python3
"""A second, independent implementation of the field tree (docs/format.md, "Field tree"). Standard library only.

Reads JSON lines {"document": …, "seed": base64, "open": path?} and prints one line {"root", "log2", "opening"?} each.
With --write DIR each line also has a "name" and "about", and DIR/<name>.json is written: the committed vectors.
It trusts its input to be strict JSON, and says {"error": …} where there is nothing to commit to.
"""
import base64, hashlib, json, os, sys

FIELDS_MAX, PATHS_MAX_BYTES, DEPTH_MAX = 4096, 1 << 20, 64

def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()

def number(x):
    """RFC 8785 section 3.2.2.3, that is ECMAScript's Number::toString."""
    if abs(x) >= 2**53:
        raise ValueError("integer beyond 2^53-1")
    if x == int(x):
        return str(int(x))
    mantissa, _, exponent = repr(abs(x)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    point = len(whole) + int(exponent or 0)           # value = 0.DIGITS * 10^point
    digits = whole + fraction
    point -= len(digits) - len(digits.lstrip("0"))
    digits = digits.strip("0")
    if 0 < point <= 21:                               # not whole, so there are digits behind the point
        text = digits[:point] + "." + digits[point:]
    elif -6 < point <= 0:
        text = "0." + "0" * -point + digits
    else:
        text = digits[0] + ("." + digits[1:] if digits[1:] else "") + "e%+d" % (point - 1)
    return ("-" if x < 0 else "") + text

def jcs(v, depth=0):
    if isinstance(v, (dict, list)) and depth == DEPTH_MAX:
        raise ValueError("too deep")
    if isinstance(v, dict):
        keys = sorted(v, key=lambda k: k.encode("utf-16-be"))
        return "{" + ",".join(jcs(k) + ":" + jcs(v[k], depth + 1) for k in keys) + "}"
    if isinstance(v, list):
        return "[" + ",".join(jcs(x, depth + 1) for x in v) + "]"
    if isinstance(v, (int, float)) and not isinstance(v, bool):
        return number(v)
    if isinstance(v, str):
        return json.dumps(v, ensure_ascii=False)
    return json.dumps(v)                              # true, false, null

def fields_of(v, path, fields, objects, depth=0):
    if isinstance(v, (dict, list)) and depth == DEPTH_MAX:
        raise ValueError("too deep")
    if not isinstance(v, (dict, list)) or not v:
        fields.append((path, jcs(v)))
        return
    if isinstance(v, dict) and path and set(v) == {str(i) for i in range(len(v))}:
        objects.append(path)
    for name, member in v.items() if isinstance(v, dict) else enumerate(v):
        token = str(name).replace("~", "~0").replace("/", "~1")
        fields_of(member, path + "/" + token, fields, objects, depth + 1)

def tree(document, seed):
    """All fields in order, and the hashes of every level, leaves first."""
    if not isinstance(document, dict) or not document:
        raise ValueError("not an object with members")
    fields, objects = [], []
    fields_of(document, "", fields, objects)
    if len(fields) > FIELDS_MAX or sum(len(p.encode()) for p, _ in fields) > PATHS_MAX_BYTES:
        raise ValueError("too many fields or too long paths")
    fields.sort(key=lambda f: f[0].encode())
    return hashed(fields, objects, seed)

def tree_of_groups(groups, seed):
    """As tree(), over paths that the maker chose and whole values: the groups of an evaluation."""
    return hashed([(path, jcs(value)) for path, value in groups], [], seed)

def hashed(fields, objects, seed):
    shape = [p for p, _ in fields]
    if objects:
        shape.append({"objects": sorted(objects, key=str.encode)})
    fields.insert(0, ("", jcs(shape)))
    log2 = (len(fields) - 1).bit_length()
    leaves = []
    for i in range(1 << log2):
        s = salt(seed, i)
        if i < len(fields):
            path, value = (x.encode() for x in fields[i])
            data = b"foreseal.field.v1\0" + s + len(path).to_bytes(4, "big") + path + value
        else:
            data = b"foreseal.pad.v1\0" + s
        leaves.append(sha256(b"\x00", data))
    levels = [leaves]
    while len(levels[-1]) > 1:
        row = levels[-1]
        levels.append([sha256(b"\x01", row[i], row[i + 1]) for i in range(0, len(row), 2)])
    return fields, levels

def salt(seed, i):
    return sha256(b"foreseal.salt.v1\0", seed, i.to_bytes(4, "big"))

def b64(data):
    return base64.b64encode(data).decode()

def answer(case):
    seed = base64.b64decode(case["seed"], validate=True)
    try:
        fields, levels = tree(case["document"], seed)
    except ValueError as error:
        return {"error": str(error)}
    out = {"root": b64(levels[-1][0]), "log2": len(levels) - 1}
    if "open" in case:
        i = [p for p, _ in fields].index(case["open"])
        proof = [b64(row[(i >> height) ^ 1]) for height, row in enumerate(levels[:-1])]
        out["shape"] = json.loads(fields[0][1])
        out["opening"] = {"path": case["open"], "value": json.loads(fields[i][1]), "salt": b64(salt(seed, i)),
                          "index": i, "proof": proof}
    return out

if __name__ == "__main__":
    sys.setrecursionlimit(10_000)
    for line in sys.stdin.buffer:
        case = json.loads(line)
        result = answer(case)
        if sys.argv[1:2] == ["--write"]:
            del case["open"]
            with open(os.path.join(sys.argv[2], case.pop("name") + ".json"), "w", encoding="ascii") as f:
                json.dump({**case, **result}, f, indent=1)
                f.write("\n")
        else:
            print(json.dumps(result), flush=True)
