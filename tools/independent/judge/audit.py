"""`verifier.py log`: the whole log, leaf by leaf, tile by tile."""

from .canonical import to_base64
from .entries import LinkChecker
from .merkle import TILE_WIDTH, Frontier, leaf_hash, root_of
from .outcome import Invalid
from .tiles import LogReader, split_bundle, tile_path


class _TileCheck:
    """Holds the hashes computed so far at every level and compares them with the tiles served."""

    def __init__(self, reader, report):
        self.reader, self.report = reader, report
        self.levels = []  # per level: [number of the tile being filled, its hashes]
        self.full = self.partial = self.older = 0

    def compare(self, level, number, computed):
        """One tile, and in a directory also every narrower copy kept beside it."""
        width = len(computed)
        path = tile_path(level, number, width)
        try:
            served = self.reader.hashes(level, number, width)
        except Invalid as error:
            self.report.failed("tiles", str(error))
            return
        for i, (theirs, ours) in enumerate(zip(served, computed)):
            if theirs != ours:
                self.report.failed("tiles", "%s: hash %d is not the one computed from the entries" % (path, i))
                break
        if width == TILE_WIDTH:
            self.full += 1
        else:
            self.partial += 1
        source = self.reader.source
        for kept in source.partial_widths(tile_path(level, number)):
            if kept > width:
                self.report.note("a partial tile reaches beyond the checkpoint and was not checked")
            elif kept < width:
                data = source.get(tile_path(level, number, kept), TILE_WIDTH * 32)
                self.older += 1
                if data != b"".join(computed[:kept]):
                    self.report.failed("tiles", "%s differs from the entries" % tile_path(level, number, kept))

    def add_full(self, hashes):
        """A full tile at level 0; its root goes up, and so on while tiles fill."""
        level = 0
        self._level(0)[1].extend(hashes)
        while len(self.levels[level][1]) == TILE_WIDTH:
            number, complete = self.levels[level]
            self.compare(level, number, complete)
            self.levels[level] = [number + 1, []]
            level += 1
            self._level(level)[1].append(root_of(complete))

    def finish(self, tail):
        """Compares the partial tiles of the right edge; `tail` is the level 0 remainder."""
        self._level(0)[1].extend(tail)
        for level, (number, hashes) in enumerate(self.levels):
            if hashes:
                self.compare(level, number, hashes)

    def _level(self, level):
        while len(self.levels) <= level:
            self.levels.append([0, []])
        return self.levels[level]


def _check_older_bundles(reader, number, entries, report):
    """In a directory: every narrower bundle kept beside this one must be its prefix."""
    path = tile_path("entries", number)
    for kept in reader.source.partial_widths(path):
        if kept < len(entries):
            name = tile_path("entries", number, kept)
            try:
                same = split_bundle(reader.source.get(name, 1 << 25) or b"", name) == entries[:kept]
            except Invalid as error:
                report.failed("bundles", str(error))
                continue
            if not same:
                report.failed("bundles", "%s differs from the fuller bundle" % name)
        elif kept > len(entries):
            report.note("a partial bundle reaches beyond the checkpoint and was not checked")


def _tell_entries(links, report, bad_leaves):
    counts = ", ".join("%d %s" % (n, kind) for kind, n in sorted(links.types.items()))
    if not bad_leaves:
        report.passed("entries", "canonical, in time order, seq and prev unbroken for %d agents, what they refer to fits: %s" % (len(links.agents), counts or "none"))
    report.facts["types"] = dict(links.types)
    report.facts["outcomes"] = dict(links.outcomes)
    report.facts["not_understood"] = dict(links.not_understood)
    for kind, count in links.not_understood.items():
        report.note("%d entries of type %s are not understood: hashed, not judged" % (count, kind))
    report.unchecked("decisions were not replayed: no policy engine here")
    report.unchecked("agents' signatures: they cover declared documents, which the log does not hold")


def audit_log(source, trust, report, opaque=False):
    """Checks everything a log publishes up to its checkpoint. `opaque`: leaves are just bytes."""
    reader = LogReader(source)
    checkpoint = trust.check(reader.checkpoint(), report)
    report.facts.update(origin=checkpoint.origin, size=checkpoint.size, root=to_base64(checkpoint.root))
    report.passed("checkpoint", "%s, size %d, signed by a trusted key" % (checkpoint.origin, checkpoint.size))
    tiles, frontier, links = _TileCheck(reader, report), Frontier(), LinkChecker()
    tail, bad_leaves = [], 0
    for start in range(0, checkpoint.size, TILE_WIDTH):
        number, width = start // TILE_WIDTH, min(TILE_WIDTH, checkpoint.size - start)
        entries = reader.entries(number, width)
        hashes = [leaf_hash(entry) for entry in entries]
        if not opaque:
            for offset, entry in enumerate(entries):
                for problem in links.feed(entry):
                    bad_leaves += 1
                    report.failed("entries", "leaf %d: %s" % (start + offset, problem))
        _check_older_bundles(reader, number, entries, report)
        if width == TILE_WIDTH:
            frontier.append(root_of(hashes))
            tiles.add_full(hashes)
        else:
            tail = hashes
    before = report.problem_count
    tiles.finish(tail)
    root = frontier.root(root_of(tail) if tail else None)
    if root != checkpoint.root:
        report.failed("root", "the entries hash to %s, the checkpoint says %s" % (to_base64(root), to_base64(checkpoint.root)))
    else:
        report.passed("root", "%d leaves hash to the checkpoint's root" % checkpoint.size)
    if report.problem_count == before and not any(p["name"] == "tiles" for p in report.problems):
        report.passed("tiles", "%d full and %d partial equal what was computed (%d older partial ones too)" % (tiles.full, tiles.partial, tiles.older))
    if opaque:
        report.unchecked("the content of leaves")
    else:
        _tell_entries(links, report, bad_leaves)
    report.unchecked("whether anything was left out before it reached the log")
    return checkpoint
