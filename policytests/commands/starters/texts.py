"""
What `policytest init` writes.

What lives here: the starters that are written by hand, the CI job, and which files a starter has.
Not here: the starters of other issuers (`starters.generated`), and writing files (`commands.init`).
"""

import shlex
from collections.abc import Mapping
from typing import Final

from .generated import policy_and_suite

_GITHUB_POLICY: Final = """\
# Who may do what in the registry.  Whatever no grant allows is refused.
version: 1

services: [registry.example.com] # the registry's auth.token.service

providers:
  github: # docker login -u github
    issuer: https://token.actions.githubusercontent.com
    audience: https://registry.example.com
    algorithms: [RS256]
    claims: github-actions
    rules:
      - name: our-organisation
        # The number of your organisation: gh api /orgs/NAME --jq .id
        check: claims.repository_owner_id == "1342004"
        message: only workflows of our organisation may log in

grants:
  - name: pull-our-images
    repositories: [acme/**]
    actions: [pull]

  - name: push-own-repository
    when: claims.event_name == "push" && claims.ref == "refs/heads/main"
    repositories: ["${claims.repository.lowerAscii()}"]
    actions: [pull, push]
"""

_GITHUB_SUITE: Final = """\
policy: ../policy
at: 2026-11-01T12:00:00Z # the clock stands still in a suite

tokens: # sample tokens, really signed; the profile fills in what is not given
  main:
    profile: github-actions/push
    claims:
      aud: https://registry.example.com
      repository: acme/app
      repository_owner_id: "1342004"
  branch: {from: main, claims: {ref: refs/heads/feature}}
  pr: {from: main, claims: {event_name: pull_request, ref: refs/pull/7/merge}}
  # An organisation can get another name; its number stays.
  renamed: {from: main, claims: {repository: acme-labs/app}}
  stranger: {from: main, claims: {repository: stranger/app, repository_owner_id: "999"}}
  forged: {from: main, forge: alg-none}

tests:
  - name: only main pushes
    # A allowed, . refused by the policy, U not authenticated, E error
    grid: |
      token     repository     pull  push  delete
      main      acme/app       A     A     .
      main      acme/lib       A     .     .
      main      acme/app-x     A     .     .
      main      other/app      .     .     .
      renamed   acme-labs/app  A     A     .
      branch    acme/app       A     .     .
      pr        acme/app       A     .     .
      stranger  acme/app       U     U     U
      forged    acme/app       U     U     U
    because: {main: [pull-our-images, push-own-repository]}

invariants: # what holds for every token there can be; it is proved, or a token breaks it
  never:
    - name: a pull request writes nothing
      when: claims.event_name == "pull_request"
      repositories: ["**"]
      actions: [push, delete]
  only:
    - name: only our organisation gets anything, by its number
      to: claims.repository_owner_id == "1342004"
      repositories: ["**"]
      actions: [pull, push, delete]

hostile: # every forgery and near miss of these must be refused
  tokens: [main]
  repositories: [acme/app]
  except: [repository-reused] # the organisation decides what a repository is called
"""

_KUBERNETES_POLICY: Final = """\
# Who may do what in the registry.  Whatever no grant allows is refused.
version: 1

services: [registry.example.com] # the registry's auth.token.service

providers:
  cluster: # docker login -u cluster
    # kubectl get --raw /.well-known/openid-configuration
    issuer: https://kubernetes.default.svc.cluster.local
    audience: https://registry.example.com
    algorithms: [RS256]
    claims: kubernetes

grants:
  - name: pull-own-namespace
    repositories: ['${claims["kubernetes.io"].namespace}/**']
    actions: [pull]

  - name: build
    when: claims["kubernetes.io"].serviceaccount.name == "builder"
    repositories: ['${claims["kubernetes.io"].namespace}/**']
    actions: [pull, push]
"""

_KUBERNETES_SUITE: Final = """\
policy: ../policy
at: 2026-11-01T12:00:00Z # the clock stands still in a suite

tokens: # sample tokens, really signed; the profile fills in what is not given
  web:
    profile: kubernetes
    claims:
      aud: https://registry.example.com
      kubernetes.io: {namespace: shop, serviceaccount: {name: web}}
  builder: {from: web, claims: {kubernetes.io: {serviceaccount: {name: builder}}}}
  other: {from: builder, claims: {kubernetes.io: {namespace: blog}}}
  forged: {from: builder, forge: alg-none}

tests:
  - name: a namespace is a tenant
    # A allowed, . refused by the policy, U not authenticated, E error
    grid: |
      token    repository  pull  push  delete
      builder  shop/web    A     A     .
      builder  shop-x/web  .     .     .
      builder  blog/web    .     .     .
      web      shop/web    A     .     .
      other    shop/web    .     .     .
      forged   shop/web    U     U     U
    because: {builder: [pull-own-namespace, build]}

invariants: # what holds for every token there can be; it is proved, or a token breaks it
  never:
    - name: nobody deletes
      repositories: ["**"]
      actions: [delete]
  only:
    - name: only builders write
      to: claims["kubernetes.io"].serviceaccount.name == "builder"
      repositories: ["**"]
      actions: [push]

hostile: # every forgery and near miss of these must be refused
  tokens: [builder]
  repositories: [shop/web]
"""

_WORKFLOW: Final = """\
name: policy
on:
  pull_request:
    types: [opened, synchronize, reopened, labeled, unlabeled]
  push:
    branches: [main]
permissions:
  contents: read
jobs:
  test:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v5
        # The whole history: policytest diff looks for the merge base.
        with: {fetch-depth: 0, persist-credentials: false}
      - uses: actions/setup-python@v6
        with: {python-version: "3.13"}
      # OWNER is whoever publishes it where you are: no name that anybody could take is trusted here
      - run: pip install "jwt-registry-auth[policytest] @ git+https://github.com/OWNER/jwt-registry-auth@v0.1.0"
      # Before the tests, which run Python of the checkout: who gains access by this change?
      # New access is accepted by a label: only people with a role in the repository can set one.
      - if: github.event_name == 'pull_request'
        run: >-
          policytest diff -f github -f "markdown=$GITHUB_STEP_SUMMARY"
          ${LABEL:+--accept-widening "the label $LABEL"}
        env:
          LABEL: >-
            ${{ contains(github.event.pull_request.labels.*.name, 'new-access-accepted')
            && 'new-access-accepted' || '' }}
      - run: policytest check --prove policy -f github
      - run: policytest --cov-fail-under 100 --min-mutation-score 100 -f github -f junit=junit.xml
"""

_BY_HAND: Final[Mapping[str, tuple[str, str]]] = {
    "github-actions": (_GITHUB_POLICY, _GITHUB_SUITE),
    "kubernetes": (_KUBERNETES_POLICY, _KUBERNETES_SUITE),
}
_OTHER_CI: Final = frozenset(
    (
        "azure-devops",
        "bitbucket-pipelines",
        "buildkite",
        "circleci",
        "gitlab-ci",
        "jenkins-oidc",
        "semaphore",
    )
)
"""Issuers whose users test the policy in their own CI system, and not in GitHub's."""


def starter(name: str) -> Mapping[str, str]:
    """Return the files of the starter for a known issuer, by their path."""
    policy, suite = _BY_HAND[name] if name in _BY_HAND else policy_and_suite(name)
    files = {"policy/policy.yaml": policy, "policytests/policy.policytest.yaml": suite}
    return files if name in _OTHER_CI else {**files, ".github/workflows/policy.yml": _WORKFLOW}


def in_folder(workflow: str, folder: str) -> str:
    """Return the workflow for a policy that lies in a folder of its repository."""
    if folder == ".":
        return workflow
    policy, suites = shlex.quote(f"{folder}/policy"), shlex.quote(folder)
    text = workflow.replace("check --prove policy", f"check --prove {policy}")
    return text.replace("policytest --cov", f"policytest {suites} --cov")
