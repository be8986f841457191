"""
Comments that silence a warning, or make one.

What lives here: `# policytest: ignore[CODE] REASON`, read and applied to what was found, and
`# policytest: draft`.
Not here: finding comments (`regauth.engine.source.comments`), and other warnings (`lints`).
"""

import re
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from regauth.engine.source.comments import comments
from regauth.engine.source.problems import Location, Problem, Severity

_SILENCE: Final = re.compile(r"#\s*policytest:\s*ignore\[([a-z0-9, -]+)\](.*)", re.DOTALL)

UNSILENCED: Final = frozenset({"silence-without-reason", "silence-unused"})


PROVED: Final = frozenset(
    {
        "grant-never-matches",
        "open-to-everybody",
        "swallowed-grant",
        "useless-denial",
        "useless-part",
        "useless-rule",
    }
)
"""Codes of warnings that `policytest check --prove` finds, and the compiler never does."""


_DRAFT: Final = re.compile(r"#\s*policytest:\s*draft\b", re.ASCII)


def drafts(files: Mapping[str, str]) -> Iterator[Problem]:
    """Yield a warning for each comment `# policytest: draft`, which `policytest suggest` writes."""
    for name in sorted(files):
        if "policytest:" not in files[name] or not name.endswith((".yaml", ".yml")):
            continue
        for comment in comments(files[name], name):
            if _DRAFT.match(comment.text):
                yield Problem(
                    comment.location,
                    "draft",
                    "this policy is a draft: it allows what was asked, and nobody has judged that",
                    "read every grant, mend it, and remove this comment",
                    Severity.WARNING,
                )


def silence(
    files: Mapping[str, str],
    found: Iterable[Problem],
    lints: Container[str] = (),
    *,
    proved: bool = False,
) -> list[Problem]:
    """
    Leave out the warnings that a comment silences, in the warning's line or in the line above.

    The comment is `# policytest: ignore[CODE] REASON`, with several codes separated by commas.
    One without a reason silences nothing, and one that silences nothing is reported itself:
    otherwise it would go on to hide the next mistake.  Of errors only those with the codes of
    `lints` can be silenced: they rest on what is known of an issuer, which may have grown.  As long
    as there is another error not every warning is known, and so it is not said which comments are
    of no use.  Comments with codes of `PROVED` are looked at with `proved`, and no others.
    """
    found = list(found)
    silences = [one for name in sorted(files) for one in _silences(name, files[name])]
    by_line: dict[tuple[str, int], list[_Silence]] = {}
    for one in silences:
        for line in one.lines:
            by_line.setdefault((one.location.file, line), []).append(one)
    used: set[tuple[Location, str]] = set()
    kept: list[Problem] = []
    for problem in found:
        near = by_line.get((problem.location.file, problem.location.line), ())
        silencing = [one for one in near if one.reason and problem.code in one.codes]
        lasting = problem.severity is Severity.ERROR and problem.code not in lints
        if lasting or not silencing:
            kept.append(problem)
        used.update((one.location, problem.code) for one in silencing)
    whole = not any(
        problem.severity is Severity.ERROR and problem.code not in lints for problem in found
    )
    for one in silences:
        kept.extend(one.problems(used if whole else None, proved=proved))
    return kept


@dataclass(frozen=True, slots=True)
class _Silence:
    location: Location
    codes: tuple[str, ...]
    reason: str
    lines: range

    def problems(
        self, used: Container[tuple[Location, str]] | None, *, proved: bool
    ) -> Iterator[Problem]:
        """Say what is wrong with the comment; `used` is None where that is not known."""
        if not self.reason and proved:
            return  # the compiler has told of it
        if not self.reason:
            yield Problem(
                self.location,
                "silence-without-reason",
                "a warning is silenced without a reason",
                "write the reason behind the bracket; until then nothing is silenced",
                Severity.WARNING,
            )
            return
        codes = [code for code in self.codes if (code in PROVED) == proved]
        for code in codes if used is not None else ():
            if used is not None and (self.location, code) not in used:
                yield Problem(
                    self.location,
                    "silence-unused",
                    f"there is no warning `{code}` here to silence",
                    "remove the comment",
                    Severity.WARNING,
                )


def _silences(name: str, text: str) -> Iterator[_Silence]:
    if "policytest:" not in text or not name.endswith((".yaml", ".yml")):
        return
    for comment in comments(text, name):
        match = _SILENCE.match(comment.text)
        if match is not None:
            yield _Silence(
                comment.location,
                tuple(code.strip() for code in match[1].split(",") if code.strip()),
                match[2].strip(" -:\r"),
                comment.lines,
            )
