"""The command line: arguments in, a report and an exit code out."""

import argparse
import os

from .answers import AnswerChecker, read_answers
from .audit import audit_log
from .bundle import check_bundle
from .canonical import unbase64
from .history import check_history, read_checkpoint_files
from .outcome import Invalid, Report, Undecided
from .tiles import open_source
from .trust import Trust


def arguments(argv):
    """Parses the command line; argparse itself exits with 2 on a wrong one."""
    parser = argparse.ArgumentParser(prog="verifier.py", description="independent verifier; exit 0 valid, 1 proven invalid, 2 could not decide")
    commands = parser.add_subparsers(dest="command", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--vkey", help="the log's verifier key: name+id+key")
    shared.add_argument("--trust", metavar="FILE", help="a C2SP tlog-policy file")
    shared.add_argument("--token", default=os.environ.get("FORESEAL_TOKEN"), help="sent as a bearer token (default: $FORESEAL_TOKEN)")
    shared.add_argument("--json", action="store_true", help="the report as JSON")
    log = commands.add_parser("log", parents=[shared], help="verify a whole log")
    log.add_argument("log", metavar="URL|DIR")
    log.add_argument("--opaque", action="store_true", help="leaves are not Foreseal's: check hashes only")
    receipts = commands.add_parser("receipts", parents=[shared], help="verify answers and their receipts")
    receipts.add_argument("files", metavar="FILE", nargs="+")
    receipts.add_argument("--declared-dir", metavar="DIR", help="declared documents, as <id>.json, byte for byte")
    receipts.add_argument("--agent-key", metavar="NAME=KEY", action="append", default=[], help="an agent's Ed25519 public key, base64 or hex")
    receipts.add_argument("--log", metavar="URL|DIR", help="also compare the receipts' checkpoints with this log")
    checkpoints = commands.add_parser("checkpoints", parents=[shared], help="verify that observed checkpoints are one history")
    checkpoints.add_argument("files", metavar="FILE", nargs="+")
    checkpoints.add_argument("--log", metavar="URL|DIR", required=True)
    bundle = commands.add_parser("bundle", parents=[shared], help="verify a bundle")
    bundle.add_argument("file", metavar="FILE")
    commands.add_parser("selftest", help="run this tool's own tests")
    return parser.parse_args(argv)


def load_trust(options):
    if options.vkey and options.trust:
        raise Undecided("give --vkey or --trust, not both")
    if options.vkey:
        return Trust.from_vkey(options.vkey)
    if not options.trust:
        raise Undecided("whom to trust is not said\nhint: --vkey VKEY or --trust FILE; keys inside evidence prove nothing")
    try:
        with open(options.trust, "rb") as file:
            return Trust.from_policy(file.read())
    except OSError as error:
        raise Undecided("the trust file cannot be read: %s" % error) from None


def agent_keys(pairs):
    keys = {}
    for pair in pairs:
        name, _, text = pair.partition("=")
        try:
            keys[name] = bytes.fromhex(text) if len(text) == 64 else unbase64(text, "an agent's key", 32)
        except (ValueError, Invalid) as error:
            raise Undecided("--agent-key %s: %s" % (name, error)) from None
    return keys


def verify_receipts(options, trust, report):
    checker = AnswerChecker(trust, report, options.declared_dir, agent_keys(options.agent_key))
    seen = 0
    for path in options.files:
        try:
            for where, line in read_answers(path):
                seen += 1
                if isinstance(line, Undecided):
                    report.undecided("answer", "%s: %s" % (where, line))
                else:
                    checker.check(where, line)
        except OSError as error:
            report.undecided("reading", "%s: %s" % (path, error))
    if not seen:
        report.undecided("answers", "no answer found")
    checker.conclude()
    if options.log and checker.checkpoints:
        check_history(checker.checkpoints, open_source(options.log, options.token), trust, report)


def run(options, report):
    trust = load_trust(options)
    if options.command == "log":
        audit_log(open_source(options.log, options.token), trust, report, options.opaque)
    elif options.command == "receipts":
        verify_receipts(options, trust, report)
    elif options.command == "bundle":
        check_bundle(options.file, trust, report)
    else:
        found = read_checkpoint_files(options.files, report)
        check_history(found, open_source(options.log, options.token), trust, report)


def main(argv=None):
    options = arguments(argv)
    if options.command == "selftest":
        from .selftest import run_all

        return run_all()
    report = Report()
    try:
        run(options, report)
    except Invalid as error:
        report.failed(options.command, str(error))
    except Undecided as error:
        report.undecided(options.command, str(error))
    print(report.as_json() if options.json else report.as_text())
    return report.exit_code
