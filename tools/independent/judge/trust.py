"""Whom the person running this tool trusts: one key, or a C2SP tlog-policy file."""

from .notes import ALG_COSIGNATURE, ALG_ED25519, check_signature, parse_checkpoint, parse_vkey
from .outcome import Invalid, Undecided


class Trust:
    """Keys of logs and witnesses, and the quorum that a checkpoint needs."""

    def __init__(self):
        self.logs = []
        self.witnesses = {}
        self.groups = {}
        self.quorum = "none"

    @classmethod
    def from_vkey(cls, text):
        trust = cls()
        trust._add_log(parse_vkey(text))
        return trust

    @classmethod
    def from_policy(cls, data):
        """Parses a tlog-policy; anything wrong with it is Undecided, since it is not evidence."""
        trust, quorum = cls(), None
        for number, raw in enumerate(data.split(b"\n"), 1):
            if any((b < 0x20 and b != 9) or b == 0x7F for b in raw):
                raise Undecided("trust file line %d: a control character" % number)
            # Octets above ASCII are opaque to the policy; key names in vkeys are UTF-8.
            words = [w.decode("utf-8", "surrogateescape") for w in raw.replace(b"\t", b" ").split(b" ") if w]
            if not words or words[0].startswith("#"):
                continue
            try:
                if words[0] == "quorum":
                    if quorum is not None or len(words) != 2:
                        raise Undecided("there must be exactly one quorum line with one name")
                    quorum = trust._defined(words[1], none_too=True)
                else:
                    trust._line(words)
            except Undecided as error:
                raise Undecided("trust file line %d: %s" % (number, error)) from None
        if quorum is None:
            raise Undecided("the trust file has no quorum line")
        trust.quorum = quorum
        return trust

    def _defined(self, name, none_too=False):
        if name in self.witnesses or name in self.groups or (none_too and name == "none"):
            return name
        raise Undecided("%r is not defined above" % name)

    def _add_log(self, key):
        if key.algorithm == ALG_COSIGNATURE:
            raise Undecided("the key of %s is a cosigner's, not a log's" % key.name)
        if any(known.public == key.public for known in self.logs):
            raise Undecided("the log key %s is listed twice" % key.name)
        self.logs.append(key)

    def _line(self, words):
        keyword = words[0]
        if keyword == "log" and len(words) in (2, 3):
            self._add_log(parse_vkey(words[1]))
        elif keyword == "witness" and len(words) in (3, 4):
            self._new_name(words[1])
            key = parse_vkey(words[2])
            if key.algorithm == ALG_ED25519:
                raise Undecided("the key of witness %r is a log key, not a cosigner's" % words[1])
            if any(known.public == key.public for known in self.witnesses.values()):
                raise Undecided("the key of witness %r is listed twice" % words[1])
            self.witnesses[words[1]] = key
        elif keyword == "group" and len(words) >= 4:
            self._group(words[1], words[2], words[3:])
        else:
            raise Undecided("not a log, witness, group or quorum line")

    def _new_name(self, name):
        if name == "none" or name in self.witnesses or name in self.groups:
            raise Undecided("the name %r is taken" % name)

    def _group(self, name, rule, members):
        self._new_name(name)
        listed = {m for _, group in self.groups.values() for m in group}
        for position, member in enumerate(members):
            self._defined(member)
            if member in listed or member in members[:position]:
                raise Undecided("%r is a member more than once" % member)
        if rule in ("any", "all"):
            need = 1 if rule == "any" else len(members)
        elif rule.isascii() and rule.isdigit() and not rule.startswith("0"):
            need = int(rule)
        else:
            raise Undecided("a group needs any, all or a number")
        if not 1 <= need <= len(members):
            raise Undecided("a group of %d cannot need %d" % (len(members), need))
        self.groups[name] = (need, members)

    def _met(self, name, cosigned):
        if name in self.witnesses:
            return name in cosigned
        need, members = self.groups[name]
        return sum(self._met(member, cosigned) for member in members) >= need

    def check(self, data, report):
        """Verifies a checkpoint's bytes against this trust and returns the checkpoint.

        Invalid: malformed; a known key's signature fails; or it speaks for a
        trusted log without that log's signature. Undecided: another log's, or
        the quorum is not met.
        """
        checkpoint = parse_checkpoint(data)
        named = {(key.name, key.id): ("log", key) for key in self.logs}
        for name, key in self.witnesses.items():
            named[(key.name, key.id)] = (name, key)
        signers, cosigned, strangers = set(), set(), 0
        for name, identity, signature in checkpoint.note.signatures:
            role, key = named.get((name, identity), (None, None))
            if key is None:
                strangers += 1
            elif key.algorithm not in (ALG_ED25519, ALG_COSIGNATURE):
                report.unchecked("signatures of type %d by %s, which this tool cannot verify" % (key.algorithm, name))
            elif role == "log":
                check_signature(key, checkpoint.text, signature)
                if key.name == checkpoint.origin:
                    signers.add(key.public)
            else:
                check_signature(key, checkpoint.text, signature)
                cosigned.add(role)
        own_keys = [k for k in self.logs if k.name == checkpoint.origin and k.algorithm == ALG_ED25519]
        if not signers:
            if not own_keys:
                raise Undecided("no trusted Ed25519 key for the log %r" % checkpoint.origin)
            raise Invalid("no signature of the trusted key of %r on it" % checkpoint.origin)
        if len(signers) < len(own_keys):
            report.note("a checkpoint carries %d of the %d trusted keys' signatures" % (len(signers), len(own_keys)))
        if strangers:
            report.note("signatures by unknown keys were ignored")
        if checkpoint.extensions:
            report.note("a checkpoint has extension lines, which nobody audits")
        if self.quorum == "none":
            report.unchecked("split view not excluded: no witness quorum in the trust given")
        elif not self._met(self.quorum, cosigned):
            raise Undecided("the witness quorum %r of the trust file is not met" % self.quorum)
        return checkpoint
