"""How a check ends: valid, proven invalid, or undecided."""

import json

VALID, INVALID, UNDECIDED = 0, 1, 2

# A broken log of a million leaves has a million problems; this many are told.
PROBLEMS_SHOWN = 25


class Invalid(Exception):
    """The evidence contradicts itself, a signature, or the specification."""


class Undecided(Exception):
    """Nothing was proven: something is missing, unreadable, or not understood."""


class Report:
    """Collects what was checked, what failed, what is worth telling, what was left out."""

    def __init__(self):
        self.checks = []
        self.problems = []
        self.problem_count = 0
        self.open_questions = []
        self.notes = {}
        self.not_checked = []
        self.facts = {}

    def passed(self, name, detail=""):
        self.checks.append({"name": name, "ok": True, "detail": detail})

    def failed(self, name, detail):
        """The evidence is wrong; the verdict will be 1."""
        self.problem_count += 1
        if len(self.problems) < PROBLEMS_SHOWN:
            self.problems.append({"name": name, "detail": detail})

    def undecided(self, name, detail):
        """It could not be decided; the verdict will be 2 unless something failed."""
        self.open_questions.append({"name": name, "detail": detail})

    def note(self, text):
        """Worth knowing, changes no verdict. The same text is counted, not repeated."""
        self.notes[text] = self.notes.get(text, 0) + 1

    def unchecked(self, text):
        if text not in self.not_checked:
            self.not_checked.append(text)

    @property
    def exit_code(self):
        if self.problem_count:
            return INVALID
        return UNDECIDED if self.open_questions else VALID

    @property
    def verdict(self):
        return ("valid", "invalid", "undecided")[self.exit_code]

    def as_json(self):
        return json.dumps(
            {
                "verdict": self.verdict,
                "exit": self.exit_code,
                "checks": self.checks,
                "problems": self.problems,
                "problem_count": self.problem_count,
                "undecided": self.open_questions,
                "notes": [{"text": t, "count": n} for t, n in self.notes.items()],
                "not_checked": self.not_checked,
                "facts": self.facts,
            },
            ensure_ascii=False,
            indent=1,
        )

    def as_text(self):
        lines = []
        for check in self.checks:
            lines.append("✓ " + check["name"] + (": " + check["detail"] if check["detail"] else ""))
        for problem in self.problems:
            lines.append("✗ " + problem["name"] + ": " + problem["detail"])
        hidden = self.problem_count - len(self.problems)
        if hidden > 0:
            lines.append("✗ … and %d more" % hidden)
        for question in self.open_questions:
            lines.append("? " + question["name"] + ": " + question["detail"])
        for text, count in self.notes.items():
            lines.append("note: " + text + (" (%d times)" % count if count > 1 else ""))
        for text in self.not_checked:
            lines.append("not checked: " + text)
        lines.append("verdict: " + self.verdict)
        return "\n".join(lines)
