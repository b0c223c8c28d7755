"""`verifier.py checkpoints`: were all these heads heads of one history?"""

import json

from .canonical import to_base64
from .merkle import TILE_WIDTH, Frontier, root_of
from .notes import SIGNATURE_MARK
from .outcome import Invalid, Undecided
from .tiles import LogReader


def _notes_in_text(text):
    """Notes written one after the other: a new one begins after signature lines end."""
    current, in_signatures = [], False
    for line in text.split("\n"):
        signature = line.startswith(SIGNATURE_MARK)
        if in_signatures and not signature:
            yield "\n".join(current) + "\n"
            current, in_signatures = [], False
        if not current and not line.strip():
            continue
        # Only after a blank line: an origin may itself begin with a dash.
        if signature and "" in current:
            in_signatures = True
        current.append(line)
    if current:
        yield "\n".join(current) + ("\n" if in_signatures else "")


def split_notes(data):
    """The notes of a file: JSON strings or objects a line, or plain notes one after the other."""
    stripped = data.lstrip()
    if stripped[:1] not in (b'"', b"{", b"["):
        return [note.encode("utf-8") for note in _notes_in_text(data.decode("utf-8"))]
    values, decoder, text, at = [], json.JSONDecoder(), stripped.decode("utf-8").rstrip(), 0
    while at < len(text):
        value, at = decoder.raw_decode(text, at)
        values.extend(value if isinstance(value, list) else [value])
        while at < len(text) and text[at] in " \t\r\n,":
            at += 1
    notes = []
    for value in values:
        if isinstance(value, dict):
            value = value.get("checkpoint", value.get("note"))
        if not isinstance(value, str):
            raise Undecided("a line holds no checkpoint")
        notes.append(value.encode("utf-8"))
    return notes


def read_checkpoint_files(paths, report):
    """(where, bytes) of every note in the files."""
    found = []
    for path in paths:
        try:
            with open(path, "rb") as file:
                notes = split_notes(file.read())
        except (OSError, UnicodeError, ValueError, Undecided) as error:
            report.undecided("reading", "%s: %s" % (path, error))
            continue
        found.extend(("%s #%d" % (path, number), note) for number, note in enumerate(notes, 1))
    return found


def roots_at(reader, sizes, last_size):
    """The log's root at each of `sizes` and at `last_size`, all from one run of level 0 hashes."""
    wanted = sorted(set(sizes) | {last_size})
    roots, frontier = {}, Frontier()
    if wanted[0] == 0:
        roots[wanted.pop(0)] = frontier.root()
    for start in range(0, last_size, TILE_WIDTH):
        width = min(TILE_WIDTH, last_size - start)
        hashes = reader.hashes(0, start // TILE_WIDTH, width)
        while wanted and wanted[0] <= start + width:
            size = wanted.pop(0)
            roots[size] = frontier.root(root_of(hashes[: size - start]))
        if width == TILE_WIDTH:
            frontier.append(root_of(hashes))
    return roots


def check_history(found, source, trust, report):
    """Every (where, note) must be a head of the log that `source` shows now."""
    observed = {}  # (origin, size) -> {root: where first seen}
    counted = 0
    for where, data in found:
        try:
            checkpoint = trust.check(data, report)
        except Invalid as error:
            report.failed("checkpoint", "%s: %s" % (where, error))
            continue
        except Undecided as error:
            report.undecided("checkpoint", "%s: %s" % (where, error))
            continue
        counted += 1
        observed.setdefault((checkpoint.origin, checkpoint.size), {}).setdefault(checkpoint.root, where)
    if not counted:
        report.undecided("checkpoints", "no checkpoint could be verified")
        return
    report.passed("signatures", "%d checkpoints of %d sizes are signed by a trusted key" % (counted, len(observed)))
    for (origin, size), roots in observed.items():
        if len(roots) > 1:
            report.failed("fork", "%s signed two roots for size %d: %s" % (origin, size, ", ".join(roots.values())))
    reader = LogReader(source)
    head = trust.check(reader.checkpoint(), report)
    report.facts.update(origin=head.origin, size=head.size, root=to_base64(head.root), observed=counted)
    sizes = {}
    for (origin, size), roots in observed.items():
        where = next(iter(roots.values()))
        if origin != head.origin:
            report.undecided("origin", "%s is of %s, the log at hand is %s" % (where, origin, head.origin))
        elif size > head.size:
            text = "%s has size %d, the log shows only %d" % (where, size, head.size)
            if source.live:
                report.failed("rollback", text + ": it signed more than it serves now")
            else:
                report.undecided("rollback", text + ": an older copy, or a log cut short")
        else:
            sizes[size] = roots
    computed = roots_at(reader, sizes, head.size)
    if computed[head.size] != head.root:
        report.failed("root", "the log's own level 0 tiles do not hash to its checkpoint")
        return
    report.passed("log", "level 0 tiles hash to the log's checkpoint of size %d" % head.size)
    off_history = 0
    for size, roots in sorted(sizes.items()):
        for root, where in roots.items():
            if root != computed[size]:
                off_history += 1
                report.failed("history", "%s: size %d has root %s, this log's is %s" % (where, size, to_base64(root), to_base64(computed[size])))
    if not off_history:
        report.passed("history", "every checkpoint within that size is a prefix of it")
