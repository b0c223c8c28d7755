#!/usr/bin/env bash
# One intent, sealed and verified, with curl alone.
#
#   export FORESEAL_URL=http://127.0.0.1:8470
#   export FORESEAL_TOKEN=$(foreseal agent add curl-bot)        # with the operator's token in place
#   examples/curl.sh DATA/trust.policy                          # leaves intent.json and answer.json here
#
# Exit codes: 0 allowed and proven; 1 not allowed, or proven invalid; 2 no answer, or nothing to verify with.
set -euo pipefail

trust=${1:?hint: examples/curl.sh DATA/trust.policy}
url=${FORESEAL_URL:-http://127.0.0.1:8470}
foreseal=${FORESEAL_BIN:-foreseal}
: "${FORESEAL_TOKEN:?hint: foreseal agent add curl-bot}"

# What is sealed is these very bytes, so they are kept.
cat >intent.json <<'JSON'
{
  "agent": "curl-bot",
  "session": "shell-1",
  "goal": "What is on my account?",
  "reasoning": ["The balance answers it; reading it changes nothing."],
  "observations": [],
  "calls": [{"id": "c1", "server": "bank", "tool": "get_balance", "args": {"account": "main"}}]
}
JSON

# The token goes in by a file descriptor: an argument would show in the list of processes.
status=$(curl --silent --show-error --max-time 30 --output answer.json --write-out '%{http_code}' \
    --header @<(printf 'Authorization: Bearer %s\n' "$FORESEAL_TOKEN") \
    --header 'Content-Type: application/json' --data-binary @intent.json "$url/v1/intents") || exit 2
if [ "$status" != 201 ]; then
    printf 'HTTP %s: ' "$status" >&2
    cat answer.json >&2
    echo >&2
    exit 2
fi

# Proven first, believed after.
"$foreseal" verify receipt answer.json --trust "$trust" --intent intent.json
echo
"$foreseal" inspect answer.json | head -n 2
python3 -c 'import json, sys; sys.exit(json.load(open("answer.json"))["decision"]["outcome"] != "allow")'
