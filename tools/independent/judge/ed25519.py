"""Ed25519 after RFC 8032, in plain integers.

Verification is strict: S must be below the group order, A and R must be
canonical encodings, neither may be of small order, and the equation is checked
without the cofactor ([S]B = R + [k]A). Signing exists for tests and examples;
it is not constant-time and must never see a key that matters.
"""

import functools
import hashlib

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
D2 = 2 * D % P
SQRT_MINUS_1 = pow(2, (P - 1) // 4, P)
IDENTITY = (0, 1, 1, 0)

# A fixed scalar is read as 64 digits of four bits; each digit has its own row
# of 15 multiples, so a multiplication is at most 64 additions and no doubling.
DIGITS, DIGIT_BITS = 64, 4


def _add(p, q):
    """Adds two points in extended coordinates (complete for this curve)."""
    x1, y1, z1, t1 = p
    x2, y2, z2, t2 = q
    a = (y1 - x1) * (y2 - x2) % P
    b = (y1 + x1) * (y2 + x2) % P
    c = t1 * D2 % P * t2 % P
    d = 2 * z1 * z2 % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def _double(p):
    x1, y1, z1, _ = p
    a = x1 * x1 % P
    b = y1 * y1 % P
    c = 2 * z1 * z1 % P
    h = a + b
    e = h - (x1 + y1) * (x1 + y1) % P
    g = a - b
    f = c + g
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def _negate(p):
    return ((P - p[0]) % P, p[1], p[2], (P - p[3]) % P)


def _table(point):
    """Rows of (y+x, y-x, 2dxy) for every digit value at every digit position."""
    rows, base = [], point
    for _ in range(DIGITS):
        row = [base]
        for _ in range(2**DIGIT_BITS - 2):
            row.append(_add(row[-1], base))
        rows.append(row)
        base = _add(row[-1], base)
    flat = [p for row in rows for p in row]
    # One inversion serves all points (Montgomery's trick).
    running, prefix = 1, []
    for p in flat:
        prefix.append(running)
        running = running * p[2] % P
    inverse = pow(running, -1, P)
    cached = [None] * len(flat)
    for i in range(len(flat) - 1, -1, -1):
        x, y, z, _ = flat[i]
        z_inverse = inverse * prefix[i] % P
        inverse = inverse * z % P
        x, y = x * z_inverse % P, y * z_inverse % P
        cached[i] = ((y + x) % P, (y - x) % P, D2 * x % P * y % P)
    width = 2**DIGIT_BITS - 1
    return [cached[i : i + width] for i in range(0, len(cached), width)]


def _accumulate(acc, scalar, rows):
    """acc + scalar * (the point the rows were made of); scalar below 2^256."""
    x1, y1, z1, t1 = acc
    for row in rows:
        digit = scalar & 15
        scalar >>= DIGIT_BITS
        if digit:
            plus, minus, t2d = row[digit - 1]
            a = (y1 - x1) * minus % P
            b = (y1 + x1) * plus % P
            c = t1 * t2d % P
            d = 2 * z1
            e, f, g, h = b - a, d - c, d + c, b + a
            x1, y1, z1, t1 = e * f % P, g * h % P, f * g % P, e * h % P
    return (x1, y1, z1, t1)


def _encode(p):
    z_inverse = pow(p[2], -1, P)
    x, y = p[0] * z_inverse % P, p[1] * z_inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _decode(data):
    """The point of a canonical encoding, or None (RFC 8032 section 5.1.3)."""
    if len(data) != 32:
        return None
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number & (2**255 - 1)
    if y >= P:
        return None
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    if v * x * x % P != u:
        if v * x * x % P != P - u:
            return None
        x = x * SQRT_MINUS_1 % P
    if x == 0 and sign:
        return None
    if x & 1 != sign:
        x = P - x
    return (x, y, 1, x * y % P)


def _is_small_order(p):
    x, y, z, _ = _double(_double(_double(p)))
    return x % P == 0 and (y - z) % P == 0


@functools.lru_cache(maxsize=1)
def _base_rows():
    y = 4 * pow(5, -1, P) % P
    return _table(_decode(y.to_bytes(32, "little")))


@functools.lru_cache(maxsize=64)
def _key_rows(public_key):
    """Rows for -A, or None where A must be refused. Cached for each key."""
    point = _decode(public_key)
    if point is None or _is_small_order(point):
        return None
    return _table(_negate(point))


def _challenge(r_bytes, public_key, message):
    digest = hashlib.sha512(r_bytes + public_key + message).digest()
    return int.from_bytes(digest, "little") % ORDER


def verify(public_key, message, signature):
    """True if the signature holds under the strict rules above; never raises on bytes."""
    if len(signature) != 64:
        return False
    rows = _key_rows(bytes(public_key))
    scalar = int.from_bytes(signature[32:], "little")
    if rows is None or scalar >= ORDER:
        return False
    r_bytes = bytes(signature[:32])
    k = _challenge(r_bytes, bytes(public_key), bytes(message))
    r_point = _accumulate(_accumulate(IDENTITY, scalar, _base_rows()), k, rows)
    # Comparing encodings is what demands that R be canonical: _encode makes no other.
    return _encode(r_point) == r_bytes and not _is_small_order(r_point)


def _expand(seed):
    digest = hashlib.sha512(seed).digest()
    scalar = int.from_bytes(digest[:32], "little")
    scalar = scalar & ((1 << 254) - 8) | 1 << 254
    return scalar, digest[32:]


def public_key(seed):
    """The public key of a 32-byte seed (RFC 8032 section 5.1.5)."""
    scalar, _ = _expand(seed)
    return _encode(_accumulate(IDENTITY, scalar, _base_rows()))


def sign(seed, message):
    """A signature by a 32-byte seed. For tests and examples only: not constant-time."""
    scalar, prefix = _expand(seed)
    own_key = public_key(seed)
    nonce = int.from_bytes(hashlib.sha512(prefix + message).digest(), "little") % ORDER
    r_bytes = _encode(_accumulate(IDENTITY, nonce, _base_rows()))
    s = (nonce + _challenge(r_bytes, own_key, message) * scalar) % ORDER
    return r_bytes + s.to_bytes(32, "little")
