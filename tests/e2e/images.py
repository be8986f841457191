"""Container images made by hand (OCI Image Format 1.1), so that no test needs a network."""

import gzip
import hashlib
import io
import json
import struct
import tarfile
import zlib
from pathlib import Path

_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_ZEROS = bytes(0xFFFF)


def write_image(folder: Path, tag: str, content: bytes) -> str:
    """Write an image with one file in one layer as an OCI layout; return its manifest's digest."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as archive:
        entry = tarfile.TarInfo("hello.txt")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    layer = gzip.compress(plain.getvalue(), mtime=0)
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    (blobs / _digest(layer).removeprefix("sha256:")).write_bytes(layer)
    return _finish(folder, tag, [_digest(plain.getvalue())], [_descriptor(_LAYER, layer)])


def write_large_image(folder: Path, tag: str, layers: int, size: int) -> None:
    """
    Write an image whose layers have this many bytes each, and hardly any on disk, as an OCI layout.

    The layers are zeros in blocks that gzip only stores (RFC 1951, section 3.2.4), so that clients
    move them as they are; the files have holes.
    """
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    made = [_write_stored(blobs, f"part-{number}", size) for number in range(layers)]
    described = [
        {"mediaType": _LAYER, "digest": digest, "size": length} for digest, _, length in made
    ]
    _finish(folder, tag, [diff for _, diff, _ in made], described)


def _write_stored(blobs: Path, name: str, size: int) -> tuple[str, str, int]:
    """Write one layer; return its digest, the digest of what is in it, and its length."""
    entry = tarfile.TarInfo(name)
    entry.size = size - size % 512
    head = entry.tobuf()
    left = len(head) + entry.size + 1024
    check, plain, stored = 0, hashlib.sha256(), hashlib.sha256()
    file = blobs / name
    with file.open("wb") as written:

        def put(data: bytes) -> None:
            stored.update(data)
            if data.count(0) == len(data):
                written.seek(len(data), io.SEEK_CUR)
            else:
                written.write(data)

        put(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff")
        while left:
            block = (head + _ZEROS)[: min(left, len(_ZEROS))]
            head, left = b"", left - len(block)
            check = zlib.crc32(block, check)
            plain.update(block)
            put(struct.pack("<BHH", not left, len(block), len(block) ^ 0xFFFF))
            put(block)
        put(struct.pack("<II", check, (512 + entry.size + 1024) & 0xFFFFFFFF))
        length = written.tell()
    digest = stored.hexdigest()
    file.rename(blobs / digest)
    return f"sha256:{digest}", f"sha256:{plain.hexdigest()}", length


def _finish(folder: Path, tag: str, diffs: list[str], layers: list[dict[str, object]]) -> str:
    """Write config, manifest and index; return the manifest's digest."""
    config = _json(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": diffs},
            "history": [{"created_by": "tests"}] * len(diffs),
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": _descriptor("application/vnd.oci.image.config.v1+json", config),
            "layers": layers,
        }
    )
    for blob in (config, manifest):
        (folder / "blobs" / _digest(blob).replace(":", "/")).write_bytes(blob)
    described = _descriptor(_MANIFEST, manifest)
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
