"""Ed25519: the RFC's vectors, and what a strict verifier must refuse."""

from .. import ed25519

# RFC 8032 section 7.1: seed, public key, message, signature.
RFC8032 = (
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
    (
        "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
    ),
)


def _small_order_encodings():
    """The eight canonical encodings of points of order 1, 2, 4 and 8."""
    y = 2
    while True:
        point = ed25519._decode(y.to_bytes(32, "little"))
        y += 1
        if point is None:
            continue
        torsion = ed25519.IDENTITY
        for bit in bin(ed25519.ORDER)[2:]:
            torsion = ed25519._double(torsion)
            if bit == "1":
                torsion = ed25519._add(torsion, point)
        multiples, current = set(), torsion
        for _ in range(8):
            multiples.add(ed25519._encode(current))
            current = ed25519._add(current, torsion)
        if len(multiples) == 8:
            return sorted(multiples)


def run(tally, _directory):
    for number, (seed, public, message, signature) in enumerate(RFC8032, 1):
        seed, public, message, signature = map(bytes.fromhex, (seed, public, message, signature))
        tally.equal("RFC 8032 vector %d: key" % number, ed25519.public_key(seed), public)
        tally.equal("RFC 8032 vector %d: signature" % number, ed25519.sign(seed, message), signature)
        tally.holds("RFC 8032 vector %d: verifies" % number, ed25519.verify(public, message, signature))
        flips = [signature[:i] + bytes([signature[i] ^ 1 << i % 8]) + signature[i + 1 :] for i in range(64)]
        tally.holds("no flipped signature verifies", not any(ed25519.verify(public, message, f) for f in flips))
        tally.holds("another message does not verify", not ed25519.verify(public, message + b"x", signature))
        raised = (int.from_bytes(signature[32:], "little") + ed25519.ORDER).to_bytes(32, "little")
        tally.holds("S + order is refused", not ed25519.verify(public, message, signature[:32] + raised))
        for length in (0, 63, 65):
            tally.holds("a signature of another length is refused", not ed25519.verify(public, message, (signature * 2)[:length]))
    _strictness(tally)


def _strictness(tally):
    identity = (1).to_bytes(32, "little")
    torsion = _small_order_encodings()
    tally.equal("there are eight small-order points", len(torsion), 8)
    tally.holds("the identity is one of them", identity in torsion)
    # With A of small order and R = identity, S = 0, a lax verifier takes many messages.
    for encoded in torsion:
        accepted = any(ed25519.verify(encoded, b"m%d" % i, identity + bytes(32)) for i in range(32))
        tally.holds("a public key of small order is refused", not accepted)
    # R = identity with a true key: S = k * a satisfies the equation.
    seed = bytes(range(32))
    public, scalar = ed25519.public_key(seed), ed25519._expand(seed)[0]
    k = ed25519._challenge(identity, public, b"message")
    forged = identity + (k * scalar % ed25519.ORDER).to_bytes(32, "little")
    tally.holds("an R of small order is refused", not ed25519.verify(public, b"message", forged))
    for y in (ed25519.P, ed25519.P + 1, 2**255 - 1):
        for sign in (0, 1 << 255):
            encoded = (y | sign).to_bytes(32, "little")
            tally.holds("a non-canonical encoding is no point", ed25519._decode(encoded) is None)
    minus_zero = (1 | 1 << 255).to_bytes(32, "little")
    tally.holds("x = 0 with a sign is no point", ed25519._decode(minus_zero) is None)
    tally.holds("a key of another length is refused", not ed25519.verify(public[:31], b"", bytes(64)))
