"""
The examples of the commands' help.

What lives here: texts.  Not here: the commands and their options (`group`, `log_commands`).
"""

from collections.abc import Mapping, Sequence
from typing import Final

HELP: Final = """\
policytest tests registry policies: sample tokens, and what each may do.

  policytest                              run every *.policytest.yaml below this folder
  policytest policytests/ -k release      only the cases whose name has "release"
  policytest "ci.policytest.yaml::only main pushes[pr-acme/app-push]"
                                          one case, by its id in the reports
  policytest -x --lf                      pytest's own options work as they are
  policytest --snapshot-update            write access tables; wider access needs
    --accept-widening "REASON"            a reason, which is kept in the file
  policytest --mutate                     change the policy one step at a time:
                                          which change does no test notice?
  policytest --cov-fail-under 100 --min-mutation-score 100
  policytest --html report.html -f junit=junit.xml -f github
  policytest --html report.html --usage-log decisions.jsonl
                                          also what production never used

Beside the tests (policytest COMMAND --help):

  init        write a policy, a suite and a CI job to begin with
  check       what is wrong, or looks wrong, with a policy
  why         one decision, step by step
  can         everything a token can do
  who-can     who may do something, for every possible token
  profiles    the usual tokens of each issuer, for a suite
  token       what a sample token holds, and where each value comes from
  diff        who gains and who loses access by a change, proved for every token
  replay      a server's decision log, decided again: who gains what, who loses what
  usage       which parts of a policy the requests of decision logs used
  tighten     the narrowest change that still allows what decision logs show
  suggest     a draft of a first policy, from what a server allowed
  hostile     list the forgeries, or send them to a running server
  schema      JSON Schemas for your editor
  migrate     a policy from the proof of concept's configuration
  completion  for bash, zsh and fish

Formats of -f: json, junit, github, sarif, tap, markdown, lcov, cobertura; FORMAT=FILE for a file.

Exit codes: 0 all passed, 1 a case failed, 2 interrupted, 3 internal error, 4 wrong usage,
5 no case at all, 10 a policy does not compile, 11 coverage or mutation score too low,
12 new access, 13 new access cannot be excluded.
"""

EXAMPLES: Final[Mapping[str, Sequence[str]]] = {
    "check": (
        "policytest check policy/",
        "policytest check --prove policy/",
        "policytest check -f sarif policy/ > policy.sarif",
        "policytest check --explain impossible-value",
    ),
    "why": (
        "policytest why main acme/app:push",
        "policytest why --policy policy/ --keys jwks.json token.jwt repository:acme/app:pull",
        "policytest why --policy policy/ --request 6f1c2a90b1d24c55 decisions.jsonl",
    ),
    "can": (
        "policytest can main",
        "policytest can pr acme/app library/alpine",
        "cat token.jwt | policytest can --policy policy/ -",
    ),
    "suggest": (
        "policytest suggest decisions.jsonl decisions.jsonl.1.gz > draft.yaml",
        "policytest suggest decisions.jsonl --since 30d --write registry/",
        "policytest suggest tokens.txt --asks repository:acme/tools:pull",
    ),
    "who-can": ("policytest who-can push acme/app",),
    "profiles": ("policytest profiles",),
    "token": (
        "policytest token main",
        "policytest token github-actions/tag",
    ),
    "diff": (
        "policytest diff",
        "policytest diff main HEAD --policy policy/",
        "policytest diff old/ new/ --explain",
        "policytest diff -f github -f markdown=summary.md --accept-widening 'team B moves in'",
    ),
    "replay": (
        "policytest replay decisions.jsonl --policy policy/",
        "policytest replay decisions.jsonl.2.gz decisions.jsonl.1 decisions.jsonl --limit 0",
        "ssh registry cat decisions.jsonl | policytest replay - -f markdown",
        "policytest replay decisions.jsonl --suite policytests/recorded.policytest.yaml",
        'policytest replay decisions.jsonl --accept-widening "team-b may push now, #12"',
    ),
    "usage": (
        "policytest usage decisions.jsonl",
        "policytest usage server-*.jsonl.gz --since 90d -f html > usage.html",
    ),
    "tighten": (
        "policytest tighten decisions.jsonl > tighter.patch",
        "policytest tighten server-*.jsonl --since 90d --names 0 --write",
    ),
    "init": ("policytest init", "policytest init --issuer gitlab-ci"),
    "schema": ("policytest schema", "policytest schema suite -o suite.schema.json"),
    "migrate": (
        "policytest migrate config.yaml --service registry.example.com \\",
        "  --audience https://registry.example.com -o policy/policy.yaml",
    ),
    "hostile": (
        "policytest hostile --list",
        "policytest hostile --server https://registry.example.com/auth/token \\",
        "  --suite ci.policytest.yaml --key issuer.pem --key-id 1",
    ),
    "completion": ('eval "$(policytest completion bash)"',),
}
"""Examples by command."""
