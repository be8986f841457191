"""
Build kube-apiserver and etcd with Go, from nothing but the Go module proxy, and `kubelet.go`.

    python tests/controller/build_kube_apiserver.py FOLDER [VERSION]

VERSION is one of Kubernetes, such as v1.36.3; without it, the oldest that is tested.

Kubernetes's own module replaces its staging modules by folders of its repository, which
`go install` refuses; a module that requires the published ones instead builds the same program.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

OLDEST = "v1.34.2"
ETCD = "v3.6.6"


def go(folder: Path, *arguments: str) -> str:
    environment = {**os.environ, "GOFLAGS": "-mod=mod"}
    return subprocess.check_output(["go", *arguments], cwd=folder, env=environment, text=True)


def build(folder: Path, package: str, program: Path, *arguments: str) -> None:
    sys.stderr.write(f"building {program}\n")
    go(folder, "build", "-trimpath", *arguments, "-o", str(program), package)


def kubernetes(folder: Path, target: Path, version: str) -> None:
    (folder / "go.mod").write_text("module scratch\n")
    module = f"k8s.io/kubernetes@{version}"
    source = json.loads(go(folder, "mod", "download", "-json", module))["GoMod"]
    found = json.loads(go(folder, "mod", "edit", "-json", source))
    published = version.replace("v1.", "v0.", 1)
    staging = {
        one["Old"]["Path"] for one in found["Replace"] if one["New"]["Path"].startswith("./")
    }
    lines = ["module scratch", f"go {found['Go']}", f"require k8s.io/kubernetes {version}"]
    for one in found["Require"]:
        needed = published if one["Path"] in staging else one["Version"]
        lines.append(f"require {one['Path']} {needed}")
    lines += [f"replace {path} => {path} {published}" for path in sorted(staging)]
    (folder / "go.mod").write_text("\n".join(lines) + "\n")
    flags = f"-ldflags=-s -w -X k8s.io/component-base/version.gitVersion={version}"
    build(folder, "k8s.io/kubernetes/cmd/kube-apiserver", target / "kube-apiserver", flags)
    shutil.copy(Path(__file__).parent / "kubelet.go", folder / "main.go")
    build(folder, ".", target / "kubelet-credentials")


def etcd(folder: Path, target: Path) -> None:
    (folder / "go.mod").write_text("module scratch\n")
    go(folder, "get", f"go.etcd.io/etcd/server/v3@{ETCD}")
    build(folder, "go.etcd.io/etcd/server/v3", target / "etcd", "-ldflags=-s -w")


def main() -> int:
    if not 2 <= len(sys.argv) <= 3 or sys.argv[1].startswith("-"):
        sys.stderr.write(__doc__)
        return 2
    target = Path(sys.argv[1]).resolve()
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        etcd(Path(folder), target)
    with tempfile.TemporaryDirectory() as folder:
        kubernetes(Path(folder), target, sys.argv[2] if len(sys.argv) == 3 else OLDEST)
    return 0


if __name__ == "__main__":
    sys.exit(main())
