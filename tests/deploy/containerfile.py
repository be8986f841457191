"""
Rules for a Containerfile, in hadolint's manner, about what matters here.

Source: Containerfile(5).  Each rule is shown to fail by `test_containerfile.py`.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_FORMS = {"RUN", "CMD", "ENTRYPOINT"}
_SECRET = re.compile(r"PASSW|SECRET|TOKEN|PRIVATE|CREDENTIAL|API_?KEY", re.IGNORECASE)
_PINNED = re.compile(r"(@sha256:[0-9a-f]{64}|:[0-9]+\.[0-9]+\.[0-9]+[A-Za-z0-9.-]*)$")


@dataclass
class Stage:
    """One FROM and what follows it."""

    name: str
    base: str
    instructions: list[tuple[int, str, str]] = field(default_factory=list)

    def last(self, word: str) -> str | None:
        """Return the arguments of the last such instruction."""
        found = [rest for _, one, rest in self.instructions if one == word]
        return found[-1] if found else None


def stages(text: str) -> list[Stage]:
    """Read a Containerfile; arguments before the first FROM are put in by their defaults."""
    arguments: dict[str, str] = {}
    found: list[Stage] = []
    for number, word, rest in instructions(text):
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            base = re.sub(r"\$\{(\w+)\}", lambda match: arguments.get(match[1], ""), base)
            found.append(Stage(name.strip(), base.strip()))
        elif not found:
            assert word == "ARG", f"line {number}: only ARG stands before the first FROM"
            name, _, value = rest.partition("=")
            arguments[name] = value
        else:
            found[-1].instructions.append((number, word, rest))
    return found


def instructions(text: str) -> Iterator[tuple[int, str, str]]:
    """Return each instruction with its line; continued lines are joined, comments dropped."""
    joined, begun = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#") or (not joined and not line.strip()):
            continue
        begun = begun or number
        if line.endswith("\\"):
            joined += line[:-1].strip() + " "
            continue
        word, _, rest = (joined + line.strip()).partition(" ")
        yield begun, word.upper(), rest.strip()
        joined, begun = "", 0


def complaints(text: str, repository: Path) -> list[str]:
    """Return everything that a Containerfile does and should not."""
    found = stages(text)
    names = {stage.name for stage in found}
    result = []
    for stage in found:
        if stage.base not in names and not _PINNED.search(stage.base):
            result.append(f"{stage.name}: the base {stage.base!r} is not pinned")
        for number, word, rest in stage.instructions:
            result += [f"{number}: {one}" for one in _instruction(word, rest, repository)]
    for stage in found:
        if stage.last("ENTRYPOINT") is not None:
            result += [f"{stage.name}: {one}" for one in _image(chain(stage, found))]
    return result


def chain(stage: Stage, found: list[Stage]) -> list[Stage]:
    """Return a stage and those it is based on, the first base first."""
    bases = [one for one in found if one.name == stage.base]
    return [*(chain(bases[0], found) if bases else []), stage]


def _instruction(word: str, rest: str, repository: Path) -> Iterator[str]:
    if word == "ADD":
        yield "ADD fetches and unpacks; COPY copies"
    if word in _FORMS and not _is_exec(rest):
        yield f"{word} needs a shell"
    if word == "HEALTHCHECK" and rest != "NONE" and not _is_exec(rest.partition("CMD ")[2]):
        yield "HEALTHCHECK needs a shell"
    if word in ("ARG", "ENV") and _SECRET.search(rest):
        yield f"{word} stays in the image's history; a secret is a file"
    if word == "RUN" and _is_exec(rest):
        yield from _command(json.loads(rest))
    if word == "COPY" and "--from=" not in rest:
        *sources, _ = [one for one in rest.split() if not one.startswith("--")]
        for source in sources:
            if source in (".", "./", "*"):
                yield "COPY takes the whole checkout, keys and all"
            elif not (repository / source).exists():
                yield f"COPY {source}: there is no such file"


def _command(words: list[str]) -> Iterator[str]:
    pinned = {"--require-hashes", "--no-index", "--no-deps"}
    pip = set(words) if "pip" in " ".join(words[:3]) else set()
    if {"install", "wheel"} & pip and not pinned & pip:
        yield "pip takes whatever is newest; --require-hashes takes what was seen"
    if "install" in pip and "--no-compile" not in pip:
        yield "pip's bytecode holds the times of this build; --no-compile leaves it out"
    if words[0] in ("apt-get", "apk", "curl", "wget", "sudo", "sh", "bash"):
        yield f"{words[0]} makes the image depend on the day"


def _image(parts: list[Stage]) -> Iterator[str]:
    def last(word: str) -> str | None:
        return next((rest for part in reversed(parts) if (rest := part.last(word))), None)

    for number, word, rest in (one for part in parts for one in part.instructions):
        if word == "COPY" and "--from=" not in rest and "--chmod=" not in rest:
            yield f"{number}: COPY keeps the mode that the checkout's umask gave; --chmod sets one"
    user = last("USER") or ""
    if not re.fullmatch(r"[1-9][0-9]*:[1-9][0-9]*", user):
        yield f"the user {user!r} is root, or a name that Kubernetes cannot check"
    if last("HEALTHCHECK") is None:
        yield "there is no HEALTHCHECK"
    for word in ("VOLUME", "WORKDIR"):
        if (rest := last(word)) and not rest.startswith("/"):
            yield f"{word} {rest} is not absolute"


def _is_exec(rest: str) -> bool:
    try:
        words = json.loads(rest)
    except ValueError:
        return False
    return isinstance(words, list) and bool(words) and all(isinstance(one, str) for one in words)
