"""The images: what the Containerfile says, and, where one can be built, what comes out."""

import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from ..e2e.programs import free_ports, run
from .containerfile import complaints, stages

TARGETS = {"policytest", "token-server", "registry-auth-proxy", "kube-controller"}
CLEAN = """\
ARG BASE=docker.io/library/python:3.13.7-slim
FROM ${BASE} AS build
RUN ["pip", "install", "--require-hashes", "--requirement=deploy/requirements.txt"]
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
        (":3.13.7-slim", "", "build: the base 'docker.io/library/python' is not pinned"),
        (":3.13.7-slim", ":latest", "is not pinned"),
        (":3.13.7-slim", ":3-slim", "is not pinned"),
        ("USER 65532:65532\n", "", "server: the user '' is root"),
        ("USER 65532:65532", "USER root", "server: the user 'root' is root"),
        ("USER 65532:65532", "USER 0:0", "server: the user '0:0' is root"),
        ("FROM runtime AS server\n", "FROM runtime AS server\nUSER 0:0\n", "the user '0:0' is root"),
        ('HEALTHCHECK CMD ["healthy"]\n', "", "server: there is no HEALTHCHECK"),
        ('CMD ["healthy"]', "CMD healthy", "10: HEALTHCHECK needs a shell"),
        ('ENTRYPOINT ["server"]', "ENTRYPOINT server", "9: ENTRYPOINT needs a shell"),
        ('RUN ["pip"', 'RUN pip install x\nRUN ["pip"', "3: RUN needs a shell"),
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
    for name, needed in (
        ("requirements.txt", project["project"]["dependencies"]),
        ("build-requirements.txt", project["build-system"]["requires"]),
    ):
        text = (repository / "deploy" / name).read_text(encoding="utf-8")
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
@pytest.mark.parametrize("target", sorted(TARGETS))
def test_an_image_is_built_and_its_program_runs_without_writing(
    repository: Path, target: str
) -> None:
    """Needs the network for the base, so it runs where REGAUTH_BUILD_IMAGES=1 says that there is one."""
    builder = shutil.which("podman")
    if builder is None:
        pytest.skip("podman is not installed; on Debian: apt-get install -y podman")
    if os.environ.get("REGAUTH_BUILD_IMAGES") != "1":
        pytest.skip("REGAUTH_BUILD_IMAGES=1 builds the images; it fetches the base")
    tag = f"localhost/regauth-test/{target}:test"
    file = repository / "deploy" / "Containerfile"
    build = [builder, "build", "--file", file, "--target", target, "--tag", tag, repository]
    built = subprocess.run(build, capture_output=True, text=True, timeout=1800, check=False)
    assert built.returncode == 0, built.stderr[-2000:]
    done = run([builder, "run", "--rm", "--read-only", "--network=none", tag, "--help"])

    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout or "usage" in done.stdout
