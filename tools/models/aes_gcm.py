"""AES-256-GCM (FIPS 197, SP 800-38D) and CRC-32C, to compute test vectors with. Slow, and its time depends on the key.

    python3 tools/models/aes_gcm.py        its own check, against published figures
"""


def _sbox():
    """Inverses in GF(2^8), then the affine map (FIPS 197 section 5.1.1)."""
    box, p, q = [0] * 256, 1, 1
    while True:
        p ^= (p << 1 ^ (0x1B if p & 0x80 else 0)) & 0xFF
        for shift in (1, 2, 4):
            q ^= q << shift & 0xFF
        q ^= 0x09 if q & 0x80 else 0
        rotated = [(q << n | q >> (8 - n)) & 0xFF for n in range(5)]
        box[p] = rotated[0] ^ rotated[1] ^ rotated[2] ^ rotated[3] ^ rotated[4] ^ 0x63
        if p == 1:
            box[0] = 0x63
            return box


SBOX = _sbox()


def _double(x):
    return (x << 1 ^ (0x11B if x & 0x80 else 0)) & 0xFF


def _schedule(key):
    """The sixty words of an AES-256 key."""
    words, rcon = [list(key[i : i + 4]) for i in range(0, 32, 4)], 1
    for i in range(8, 60):
        word = list(words[-1])
        if i % 8 == 0:
            word = [SBOX[b] for b in word[1:] + word[:1]]
            word[0] ^= rcon
            rcon = _double(rcon)
        elif i % 8 == 4:
            word = [SBOX[b] for b in word]
        words.append([a ^ b for a, b in zip(word, words[i - 8])])
    return words


def _encrypt_block(words, block):
    def add(state, number):
        return [b ^ k for b, k in zip(state, sum(words[4 * number : 4 * number + 4], []))]

    state = add(block, 0)
    for number in range(1, 15):
        state = [SBOX[state[(i + 4 * (i % 4)) % 16]] for i in range(16)]
        if number < 14:
            mixed = []
            for column in range(0, 16, 4):
                c = state[column : column + 4]
                mixed += [_double(c[i]) ^ _double(c[(i + 1) % 4]) ^ c[(i + 1) % 4] ^ c[(i + 2) % 4] ^ c[(i + 3) % 4] for i in range(4)]
            state = mixed
        state = add(state, number)
    return bytes(state)


def _ghash(h, data):
    y = 0
    for i in range(0, len(data), 16):
        x, v, y = y ^ int.from_bytes(data[i : i + 16], "big"), h, 0
        for bit in range(127, -1, -1):
            if x >> bit & 1:
                y ^= v
            v = v >> 1 ^ (0xE1 << 120 if v & 1 else 0)
    return y.to_bytes(16, "big")


def seal(key, nonce, plaintext, associated):
    """The ciphertext with its 16-byte tag behind it; the nonce has 12 bytes."""
    words = _schedule(key)
    out = bytearray()
    for number, i in enumerate(range(0, len(plaintext), 16), 2):
        stream = _encrypt_block(words, nonce + number.to_bytes(4, "big"))
        out += bytes(a ^ b for a, b in zip(plaintext[i : i + 16], stream))
    padded = b"".join(part + bytes(-len(part) % 16) for part in (associated, bytes(out)))
    lengths = (8 * len(associated)).to_bytes(8, "big") + (8 * len(out)).to_bytes(8, "big")
    tag = _ghash(int.from_bytes(_encrypt_block(words, bytes(16)), "big"), padded + lengths)
    first = _encrypt_block(words, nonce + b"\0\0\0\1")
    return bytes(out) + bytes(a ^ b for a, b in zip(tag, first))


def _castagnoli():
    table = []
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
        table.append(n)
    return table


_TABLE = _castagnoli()


def crc32c(data):
    """CRC-32C (RFC 3720), as its number."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def check():
    """Test cases 14 and 16 of the GCM submission, the check value of CRC-32C."""
    zeros = seal(bytes(32), bytes(12), bytes(16), b"")
    assert zeros.hex() == "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"
    key = bytes.fromhex("feffe9928665731c6d6a8f9467308308" * 2)
    text = bytes.fromhex(
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
    )
    sealed = seal(key, bytes.fromhex("cafebabefacedbaddecaf888"), text, bytes.fromhex("feedfacedeadbeeffeedfacedeadbeefabaddad2"))
    assert sealed[-16:].hex() == "76fc6ece0f4e1768cddf8853bb2d551b"
    assert crc32c(b"123456789") == 0xE3069283


if __name__ == "__main__":
    check()
    print("aes_gcm: as published")
