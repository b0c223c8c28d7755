"""Runs `foreseal policy eval` as docs/effectiveness.md says, and writes its tables there. See tools/effectiveness."""

import collections
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

REGISTRIES = "tests/registries"
TOOLS = [f"{REGISTRIES}/{name}.tools.json" for name in ("agentdojo", "agentdyn", "injecagent", "taubench")]
PAGE = pathlib.Path("docs/effectiveness.md")
TWO = ["agentdojo", "agentdyn"]
PACKS = ["default", "strict", "plan"]


class Machine:
    """Evaluations by one binary over one directory of traces."""

    def __init__(self, binary, traces):
        self.binary, self.traces = binary, traces

    def evaluate(self, policies, corpora, plans=False):
        command = [self.binary, "policy", "eval", "--json", "--cases", "telling", "--policies", str(policies)]
        command += ["--traces"] + [f"{self.traces}/{corpus}.jsonl.zst" for corpus in corpora]
        command += ["--tools"] + TOOLS + ["--principals", f"{REGISTRIES}/principals.json"]
        if plans:
            command += ["--plans", f"{self.traces}/tasks.json"]
        return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def percent(share):
    return f"{100 * share['share']:.1f}" if "share" in share else "–"


def with_interval(share):
    if "share" not in share:
        return "–"
    low, high = share["interval"]
    return f"{percent(share)} [{100 * low:.0f}, {100 * high:.0f}]"


def row(name, report_row):
    attacks, benign = report_row["attacks"], report_row["benign"]
    per_100 = benign.get("holds_per_100_calls")
    cells = [
        name,
        str(attacks["stopped"]["of"]),
        with_interval(attacks["stopped"]),
        percent(attacks["by_deny"]),
        percent(attacks["every_side_effect"]),
        f"{percent(attacks['fetch_only'])} of {attacks['fetch_only']['of']}",
        percent(attacks["others"]),
        str(benign["held"]["of"]),
        percent(benign["denied"]),
        with_interval(benign["held"]),
        "–" if per_100 is None else f"{per_100:.1f}",
        percent(report_row["hold_precision"]),
    ]
    return "| " + " | ".join(cells) + " |"


HEAD = [
    "| | attacks | stopped, % | by deny | every side effect | fetch-only | others | benign | denied | held, % "
    "| holds / 100 calls | precision |",
    "|---|" + "---:|" * 11,
]


def table(pooled, separate):
    lines = list(HEAD)
    for pack in PACKS:
        lines.append(row(f"**{pack}**, agentdojo and agentdyn", pooled[pack]["rows"][0]))
        for report in (pooled[pack], separate[pack]):
            for found in report["rows"][1:]:
                suite = found.get("suite")
                lines.append(row(f"{found['corpus']}, {suite}" if suite else found["corpus"], found))
    return lines


def plain(rows):
    lines = list(HEAD)
    return lines + [row(name, found) for name, found in rows]


def without(pack, rules, directory):
    """A copy of a pack without some rules, its tests and manifest."""
    copy = pathlib.Path(directory) / ("without-" + "-".join(rules))
    copy.mkdir()
    for file in sorted(pathlib.Path("policies", pack).glob("*.cedar")):
        chunks = re.split(r"(?m)^(?=@id\()", file.read_text())
        kept = [chunk for chunk in chunks if not any(chunk.startswith(f'@id("{rule}")') for rule in rules)]
        (copy / file.name).write_text("".join(kept))
    return copy


def ablation(machine, pooled, directory):
    lines = [
        "| without | stopped, % | every side effect, % | denied, % | held, % |",
        "|---|---:|---:|---:|---:|",
    ]

    def add(name, report):
        found = report["rows"][0]
        attacks, benign = found["attacks"], found["benign"]
        cells = [attacks["stopped"], attacks["every_side_effect"], benign["denied"], benign["held"]]
        lines.append(f"| {name} | " + " | ".join(percent(cell) for cell in cells) + " |")

    add("(nothing)", pooled["default"])
    for rules in (
        ["ungrounded-destination"],
        ["ungrounded-fetch"],
        ["object-not-asked-for"],
        ["act-not-asked-for", "injected-act"],
        ["injected-act"],
        ["unaddressed-untrusted-text"],
        ["untrusted-link"],
        ["physical-security-execute"],
    ):
        add(", ".join(f"`{rule}`" for rule in rules), machine.evaluate(without("default", rules, directory), TWO))
    return lines


def residual(reports):
    lines = ["| pack | corpus | what | runs |", "|---|---|---|---:|"]
    for name, report in reports:
        missed = collections.Counter()
        for case in report["cases"]:
            if case["kind"] == "missed":
                tools = sorted({call["tool"] for call in case["calls"] if call["mal"]})
                missed[(case["corpus"], ", ".join(tools))] += 1
        by_corpus = collections.defaultdict(list)
        for (corpus, tools), count in missed.most_common():
            by_corpus[corpus].append((tools, count))
        for corpus, found in sorted(by_corpus.items()):
            shown = [f"`{tools}` {count}" for tools, count in found[:6]]
            if len(found) > 6:
                shown.append(f"{len(found) - 6} other sets of tools {sum(count for _, count in found[6:])}")
            lines.append(f"| {name} | {corpus} | missed: {'; '.join(shown)} | {sum(c for _, c in found)} |")
        for kind in ("denied", "held"):
            rules = collections.Counter()
            cases = [case for case in report["cases"] if case["kind"] == kind]
            for case in cases:
                rules.update({rule for call in case["calls"] if call["outcome"] != "allow" for rule in call["rules"]})
            if cases:
                shown = ", ".join(f"`{rule}` {count}" for rule, count in rules.most_common())
                lines.append(f"| {name} | all | benign {kind}: {shown} | {len(cases)} |")
    return lines


def latency(report):
    found = report["latency"]
    decide, answer = found["decide_us_at_most"], found["answer_us"]
    return [
        f"{found['calls']} calls, 64 sessions side by side: facts and rules took at most {decide['p50']} µs (p50) and "
        f"{decide['p99']} µs (p99); the answer, sealed, durable and signed, came after {answer['p50'] / 1000:.1f} ms "
        f"(p50) and {answer['p99'] / 1000:.1f} ms (p99)."
    ]


def write(name, lines):
    text = PAGE.read_text()
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    before, rest = text.split(begin)
    _, after = rest.split(end)
    PAGE.write_text(before + begin + "\n".join(lines) + "\n" + end + after)


def main():
    machine = Machine(*sys.argv[1:3])
    with tempfile.TemporaryDirectory() as directory:
        pooled = {pack: machine.evaluate(f"policies/{pack}", TWO, pack == "plan") for pack in PACKS}
        others = ["agentdojo_drift", "taubench"]
        separate = {pack: machine.evaluate(f"policies/{pack}", others, pack == "plan") for pack in PACKS}
        write("table", table(pooled, separate))
        strict = pathlib.Path(directory) / "strict-confidential"
        shutil.copytree("policies/strict", strict)
        shutil.copy("policies/confidential/confidential.cedar", strict)
        shutil.rmtree(strict / "tests")
        inject = {
            "default": machine.evaluate("policies/default", ["injecagent"]),
            "confidential": machine.evaluate("policies/confidential", ["injecagent"]),
            "strict and confidential": machine.evaluate(strict, ["injecagent"]),
        }
        cost = machine.evaluate("policies/confidential", TWO)
        rows = [(f"{name}, injecagent", report["rows"][0]) for name, report in inject.items()]
        rows.append(("confidential, agentdojo and agentdyn", cost["rows"][0]))
        write("injecagent", plain(rows))
        write("ablation", ablation(machine, pooled, directory))
        reports = [(pack, pooled[pack]) for pack in PACKS]
        reports += [("default", inject["default"]), ("confidential", inject["confidential"])]
        write("residual", residual(reports))
        write("latency", latency(pooled["default"]))


if __name__ == "__main__":
    main()
