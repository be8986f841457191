"""One program in several threads: no claims of one evaluation reach another."""

import sys
import threading
from collections.abc import Iterator

import pytest

from regauth.engine.cel import BOOL, DYN, Declarations, MapType, compile_expression

TEXT = (
    'claims.owner == "acme" && claims.groups.exists(g, g == "admins" && claims.ref.matches("^r/"))'
)
GOOD = {"claims": {"owner": "acme", "groups": ["dev", "admins"], "ref": "r/main"}}
EVIL = (
    {"claims": {"owner": "evil", "groups": ["dev", "admins"], "ref": "r/main"}},
    {"claims": {"owner": "acme", "groups": ["dev", "guests"], "ref": "r/main"}},
    {"claims": {"owner": "acme", "groups": ["dev", "admins"], "ref": "x/main"}},
)
DECLARED = Declarations({"claims": MapType(DYN)})


@pytest.fixture(autouse=True)
def _switch_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def run_together(*tasks: object) -> None:
    threads = [threading.Thread(target=task) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_a_good_and_an_evil_token_at_once() -> None:
    program = compile_expression(TEXT, DECLARED, BOOL).program
    assert program is not None
    allowed: list[bool] = []
    admitted: list[bool] = []

    def good() -> None:
        allowed.extend(program.holds(GOOD) for _ in range(20_000))

    def evil() -> None:
        admitted.extend(program.holds(EVIL[at % 3]) for at in range(20_000))

    run_together(good, evil, good)

    assert (40_000, True) == (len(allowed), all(allowed))
    assert (20_000, False) == (len(admitted), any(admitted))


def test_two_threads_compile_at_once() -> None:
    texts = ['claims.a == "x"', "claims.b in [1, 2]", "claims.nope(", 'claims.c.matches("a(b")']
    alone = [compile_expression(text, DECLARED, BOOL) for text in texts]
    different: list[str] = []
    count: list[int] = []

    def compile_all() -> None:
        for _ in range(60):
            for text, wanted in zip(texts, alone, strict=True):
                given = compile_expression(text, DECLARED, BOOL)
                count.append(1)
                if given.findings != wanted.findings:
                    different.append(text)
                if (given.program is None) != (wanted.program is None):
                    different.append(text)

    run_together(compile_all, compile_all)

    assert (480, []) == (len(count), different)
