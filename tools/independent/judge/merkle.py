"""The Merkle tree of RFC 6962 section 2.1 (SHA-256) and its proofs (RFC 9162 section 2.1)."""

import hashlib

from .outcome import Invalid

EMPTY_ROOT = hashlib.sha256(b"").digest()
TILE_WIDTH = 256


def leaf_hash(entry):
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of(hashes):
    """The tree hash over leaf hashes (or over roots of equal full subtrees)."""
    if not hashes:
        return EMPTY_ROOT
    row, sha256 = list(hashes), hashlib.sha256
    while len(row) > 1:
        # An odd last node moves up unchanged; that equals the split of the RFC.
        odd = row[-1:] if len(row) % 2 else []
        row = [sha256(b"\x01" + row[i] + row[i + 1]).digest() for i in range(0, len(row) - 1, 2)] + odd
    return row[0]


class Frontier:
    """The roots of the full subtrees of a growing tree, a unit being one leaf or one full tile."""

    def __init__(self):
        self.units = 0
        self.peaks = []

    def append(self, unit_hash):
        carry, count = unit_hash, self.units
        while count & 1:
            carry = node_hash(self.peaks.pop(), carry)
            count >>= 1
        self.peaks.append(carry)
        self.units += 1

    def root(self, tail=None):
        """The root, with `tail`, the hash of one smaller subtree to the right, if given."""
        acc = tail
        for peak in reversed(self.peaks):
            acc = peak if acc is None else node_hash(peak, acc)
        return EMPTY_ROOT if acc is None else acc


def _need_hashes(*values):
    for value in values:
        if len(value) != 32:
            raise Invalid("a hash is %d bytes long, not 32" % len(value))


def root_from_inclusion(index, size, leaf, path):
    """The root that an audit path leads to (RFC 9162 section 2.1.3.2); raises Invalid."""
    _need_hashes(leaf, *path)
    if index >= size:
        raise Invalid("index %d lies outside a tree of size %d" % (index, size))
    position, last, acc = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            raise Invalid("the inclusion proof is longer than the tree is high")
        if position & 1 or position == last:
            acc = node_hash(sibling, acc)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            acc = node_hash(acc, sibling)
        position >>= 1
        last >>= 1
    if last:
        raise Invalid("the inclusion proof is shorter than the tree is high")
    return acc


def check_inclusion(index, size, leaf, path, root):
    _need_hashes(root)
    if root_from_inclusion(index, size, leaf, path) != root:
        raise Invalid("the inclusion proof does not lead from this leaf to the checkpoint's root")


def check_range(start, end, size, leaves, proof, root):
    """That `leaves` yields exactly the hashes of leaves start .. end: the recursion of RFC 9162 section 2.1.1, in which
    every largest subtree outside of the range is taken from the proof, from left to right."""
    _need_hashes(root, *proof)
    if not 0 <= start < end <= size:
        raise Invalid("leaves %d to %d are no range of a tree of size %d" % (start, end, size))
    rest, leaves = iter(proof), iter(leaves)

    def take(source, what):
        for value in source:
            return value
        raise Invalid("%s of the range is missing" % what)

    def subtree(low, high):
        if high <= start or end <= low:
            return take(rest, "a hash beside")
        if high - low == 1:
            return take(leaves, "a leaf")
        half = 1 << (high - low - 1).bit_length() - 1
        left = subtree(low, low + half)
        return node_hash(left, subtree(low + half, high))

    computed = subtree(0, size)
    if next(rest, None) is not None or next(leaves, None) is not None:
        raise Invalid("the range has more leaves, or its proof more hashes, than belong to it")
    if computed != root:
        raise Invalid("the range does not lead to the checkpoint's root")


def check_consistency(size1, size2, root1, root2, path):
    """RFC 9162 section 2.1.4.2. A first size of 0 proves nothing and is refused."""
    _need_hashes(root1, root2, *path)
    if not 0 < size1 <= size2:
        raise Invalid("no consistency proof leads from size %d to size %d" % (size1, size2))
    if size1 == size2:
        if path or root1 != root2:
            raise Invalid("the same size with different roots, or a proof where none belongs")
        return
    nodes = list(path)
    if size1 & (size1 - 1) == 0:
        nodes.insert(0, root1)
    if not nodes:
        raise Invalid("the consistency proof is empty")
    first, second = size1 - 1, size2 - 1
    while first & 1:
        first >>= 1
        second >>= 1
    old = new = nodes[0]
    for node in nodes[1:]:
        if second == 0:
            raise Invalid("the consistency proof is too long")
        if first & 1 or first == second:
            old, new = node_hash(node, old), node_hash(node, new)
            while not first & 1 and first:
                first >>= 1
                second >>= 1
        else:
            new = node_hash(new, node)
        first >>= 1
        second >>= 1
    if second:
        raise Invalid("the consistency proof is too short")
    if old != root1 or new != root2:
        raise Invalid("the consistency proof does not connect the two roots")
