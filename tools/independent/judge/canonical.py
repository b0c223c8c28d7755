"""Strict JSON in, canonical JSON (RFC 8785, JCS) out, and strict base64."""

import base64
import binascii
import json

from .outcome import Invalid

MAX_SAFE_INTEGER = 2**53 - 1
MAX_DEPTH = 64  # containers within containers, the outermost counted


def unbase64(text, what, length=None):
    """Standard base64 with padding and zero trailing bits; nothing else has the same meaning."""
    if not isinstance(text, str):
        raise Invalid("%s is not a base64 string" % what)
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error, ValueError):
        raise Invalid("%s is not base64" % what) from None
    if base64.b64encode(data).decode() != text:
        raise Invalid("%s is not canonical base64" % what)
    if length is not None and len(data) != length:
        raise Invalid("%s holds %d bytes, not %d" % (what, len(data), length))
    return data


def to_base64(data):
    return base64.b64encode(data).decode()


def _object(pairs):
    made = dict(pairs)
    if len(made) != len(pairs):
        seen = set()
        for key, _ in pairs:
            if key in seen:
                raise Invalid("the key %s occurs twice in one object" % json.dumps(key))
            seen.add(key)
    return made


def _integer(text):
    if len(text) > 17 or abs(int(text)) > MAX_SAFE_INTEGER:
        raise Invalid("an integer lies beyond 2^53-1")
    return int(text)


def _float(text):
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise Invalid("a number is too large for a double")
    # However it is written: beyond 2^53-1 a whole number cannot be told from its neighbours.
    if value.is_integer() and abs(value) > MAX_SAFE_INTEGER:
        raise Invalid("an integer lies beyond 2^53-1")
    return value


def _constant(text):
    raise Invalid("%s is not JSON" % text)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant, strict=True
)


def _check_depth(value):
    open_containers, depth = [value], 0
    while open_containers:
        inner = []
        for container in open_containers:
            if isinstance(container, dict):
                inner.extend(v for v in container.values() if isinstance(v, (dict, list)))
            elif isinstance(container, list):
                inner.extend(v for v in container if isinstance(v, (dict, list)))
            else:
                return
        depth += 1
        if depth > MAX_DEPTH:
            raise Invalid("nested deeper than %d" % MAX_DEPTH)
        open_containers = inner


def parse(data):
    """Strict JSON from bytes; raises Invalid."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Invalid("not UTF-8 at byte %d" % error.start) from None
    try:
        value, end = _DECODER.raw_decode(text, len(text) - len(text.lstrip(" \t\n\r")))
    except json.JSONDecodeError as error:
        raise Invalid("not JSON: %s at character %d" % (error.msg, error.pos)) from None
    except RecursionError:
        raise Invalid("nested deeper than %d" % MAX_DEPTH) from None
    if text[end:].strip(" \t\n\r"):
        raise Invalid("something follows the JSON value at character %d" % end)
    _check_depth(value)
    if "\\" in text:
        try:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError:
            raise Invalid("a lone surrogate in a string") from None
    return value


def number(value):
    """A double as ECMAScript prints it (RFC 8785 section 3.2.2.3)."""
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    point = len(whole) + int(exponent or 0)
    digits = (whole + fraction).lstrip("0")
    point -= len(whole + fraction) - len(digits)
    digits = digits.rstrip("0")
    count = len(digits)
    if count <= point <= 21:
        return sign + digits + "0" * (point - count)
    if 0 < point <= 21:
        return sign + digits[:point] + "." + digits[point:]
    if -6 < point <= 0:
        return sign + "0." + "0" * -point + digits
    head = digits[0] + ("." + digits[1:] if count > 1 else "")
    return "%s%se%s%d" % (sign, head, "+" if point > 0 else "-", abs(point - 1))


def _in_jcs_order(keys):
    if all(key.isascii() for key in keys):
        return sorted(keys)
    # UTF-16 code units, which order differently from code points above U+FFFF.
    return sorted(keys, key=lambda key: key.encode("utf-16-be"))


def _write(value, out):
    if value is None:
        out.append("null")
    elif value is True:
        out.append("true")
    elif value is False:
        out.append("false")
    elif isinstance(value, str):
        out.append(json.dumps(value, ensure_ascii=False))
    elif isinstance(value, int):
        out.append(str(value))
    elif isinstance(value, float):
        out.append(number(value))
    elif isinstance(value, list):
        mark = "["
        for item in value:
            out.append(mark)
            _write(item, out)
            mark = ","
        out.append("]" if value else "[]")
    else:
        mark = "{"
        for key in _in_jcs_order(value):
            out.append(mark + json.dumps(key, ensure_ascii=False) + ":")
            _write(value[key], out)
            mark = ","
        out.append("}" if value else "{}")


def jcs(value):
    """Canonical JSON bytes of a parsed value."""
    out = []
    _write(value, out)
    return "".join(out).encode("utf-8")


def parse_canonical(data):
    """Parses JSON that must already be in canonical form; raises Invalid."""
    value = parse(data)
    if jcs(value) != data:
        raise Invalid("not in canonical form (RFC 8785)")
    return value
