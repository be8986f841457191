"""Named formats: each has an example, a pattern can name them, and a ref is what git allows."""

import subprocess
from itertools import product

import pytest
import re2

from regauth import schemas
from regauth.engine.issuers import ClaimSchemaError, check_token, claim_schema
from regauth.engine.issuers.formats import FORMATS, written_out

from .breaking import KNOWN, schema_of
from .refusing import is_a_ref, near_refs
from .test_wrong_values import with_value

PARTS = ("a", "lock", "loc", "k", "@", "{", "x")
BETWEEN = ("", ".", "/", "./", "..")
REFUSED = [*near_refs("main"), "", "/", "/a", "a/", ".a", "@{", "a/.", ".lock", "a.lock./b.lock"]


def names() -> list[str]:
    """Return names of two and three parts, and each in which git finds a fault of another kind."""
    two = ["".join(one) for one in product(PARTS, BETWEEN, PARTS)]
    three = [f"{one}{sign}lock" for one in two[::7] for sign in BETWEEN]
    return sorted({*PARTS, *two[::2], *three, *REFUSED, "é", "-a", "HEAD", "a.lock./b"})


def allowed_by_git(name: str) -> bool:
    said = subprocess.run(["git", "check-ref-format", f"refs/heads/{name}"], check=False)
    return said.returncode == 0


def test_a_ref_is_what_git_allows() -> None:
    names_of_refs, refs = (re2.compile(FORMATS[one].pattern) for one in ("ref-name", "ref"))
    told = {name: names_of_refs.fullmatch(name) is not None for name in names()}

    assert told == {name: allowed_by_git(name) for name in told}
    assert set(told.values()) == {True, False}
    assert not any(told[name] for name in REFUSED)
    for name, is_ref in told.items():
        assert (refs.fullmatch(f"refs/heads/{name}") is not None) == is_ref


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_has_an_example_and_is_in_the_schema(name: str) -> None:
    assert re2.fullmatch(FORMATS[name].pattern, FORMATS[name].example)
    of_claim = schemas.load("claim-schema")["$defs"]["claim"]["properties"]["format"]["enum"]
    assert sorted(FORMATS) == of_claim


def test_a_pattern_names_formats_where_it_reads_signs_and_nowhere_else() -> None:
    written = r"^(?P<a>(?&decimal))?[(?&decimal)]\(?&decimal\)\Q(?&decimal)\E(?&boolean)+$"

    assert written_out(written) == (
        r"^(?P<a>(?:[0-9]+))?[(?&decimal)]\(?&decimal\)\Q(?&decimal)\E(?:(true|false))+$"
    )
    assert re2.fullmatch(written_out(r"^a:(?&decimal)?$"), "a:")


def document(pattern: str) -> dict[str, object]:
    about = {"type": "string", "presence": "always", "pattern": pattern, "description": "A claim."}
    return {"name": "own", "title": "own", "claims": {"it": about}}


def test_a_format_that_there_is_not_is_a_fault_of_the_schema() -> None:
    with pytest.raises(ClaimSchemaError) as caught:
        claim_schema(document("^x:(?&ref-nam)$"))

    [fault] = caught.value.faults
    assert fault.message == "there is no format `ref-nam`"
    assert fault.hint == "did you mean `ref-name`?"
    assert fault.place == ("claims", "it", "pattern")


def test_messages_show_the_pattern_as_it_was_written() -> None:
    values = claim_schema(document("^x:(?&ref-name)$")).claims["it",].values

    assert values.described() == "a text like `^x:(?&ref-name)$`"


@pytest.mark.parametrize("name", KNOWN)
def test_no_token_has_a_ref_that_git_refuses(name: str) -> None:
    schema = schema_of(name)
    for path, claim in schema.claims.items():
        if not is_a_ref(claim.values):
            continue
        refs = [one for one in claim.examples if isinstance(one, str) and one]
        for ref in (wrong for one in refs[:1] for wrong in near_refs(one)):
            found = check_token(schema, with_value(schema, path, ref))
            assert path in {one.path for one in found}, (path, ref)
