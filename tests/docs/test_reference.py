"""The reference pages are what the schemas and the programs say; --golden-update rewrites them."""

from collections.abc import Callable
from pathlib import Path

from regauth import schemas

from . import reference


def test_the_reference_is_current(
    repository: Path, docs: Path, golden: Callable[[Path, str], None]
) -> None:
    for name, text in reference.pages(repository).items():
        golden(docs / "reference" / name, text)


def test_no_page_is_left_of_what_is_no_more(repository: Path, docs: Path) -> None:
    there = {path.name for path in (docs / "reference").iterdir()}

    assert set(reference.pages(repository)) == there


def test_every_key_of_the_policy_is_described() -> None:
    page = reference.schema_page(schemas.load("policy"))
    wanted = (
        "providers.NAME.keys.jwksUri",
        "grants[].when",
        "denials[].expires",
        "definitions.NAME",
    )

    assert [] == [key for key in wanted if f"## `{key}`\n" not in page]


def test_every_command_is_shown(repository: Path) -> None:
    page = reference.programs_page(repository)

    for command in ("token-server keys rotate", "policytest check", "registry-auth-proxy"):
        assert f" {command}\n" in page, command
