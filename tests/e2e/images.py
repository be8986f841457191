"""Container images made by hand (OCI Image Format 1.1), so that no test needs a network."""

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path


def write_image(folder: Path, tag: str, content: bytes) -> str:
    """Write an image with one file in one layer as an OCI layout; return its manifest's digest."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as archive:
        entry = tarfile.TarInfo("hello.txt")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    layer = gzip.compress(plain.getvalue(), mtime=0)
    config = _json(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [_digest(plain.getvalue())]},
            "history": [{"created_by": "tests"}],
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": _descriptor("application/vnd.oci.image.config.v1+json", config),
            "layers": [_descriptor("application/vnd.oci.image.layer.v1.tar+gzip", layer)],
        }
    )
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for blob in (layer, config, manifest):
        (blobs / _digest(blob).removeprefix("sha256:")).write_bytes(blob)
    described = _descriptor("application/vnd.oci.image.manifest.v1+json", manifest)
    described["annotations"] = {"org.opencontainers.image.ref.name": tag}
    (folder / "index.json").write_bytes(_json({"schemaVersion": 2, "manifests": [described]}))
    (folder / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))
    return _digest(manifest)


def layer_content(folder: Path) -> bytes:
    """Return the one file of the one layer of the one image in an OCI layout."""
    index = json.loads((folder / "index.json").read_bytes())
    manifest = json.loads(_blob(folder, index["manifests"][0]["digest"]))
    layer = _blob(folder, manifest["layers"][0]["digest"])
    with tarfile.open(fileobj=io.BytesIO(layer), mode="r:gz") as archive:
        file = archive.extractfile("hello.txt")
        assert file is not None
        return file.read()


def _blob(folder: Path, digest: str) -> bytes:
    return (folder / "blobs" / digest.replace(":", "/")).read_bytes()


def _descriptor(media_type: str, content: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": _digest(content), "size": len(content)}


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
