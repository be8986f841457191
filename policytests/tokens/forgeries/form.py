"""
Forgeries of form: text that is no token, or that two readers read differently.

What lives here: the group `form`.  Not here: what a well-formed token says (`claims`).
"""

import json
from collections.abc import Callable
from typing import Final

from regauth.engine.tokens.jwt import MAX_TOKEN_LENGTH

from .forgery import Forgery, Make, Material, base64url, encode, genuine, sealed, signed


def _payload(make: Callable[[Material], bytes]) -> Make:
    """Sign a payload of any bytes under the genuine header."""

    def token(material: Material) -> str:
        return sealed(encode(material.header), base64url(make(material)), material.key)

    return token


def _header(make: Callable[[Material], bytes]) -> Make:
    """Sign the genuine payload under a header of any bytes."""

    def token(material: Material) -> str:
        return sealed(base64url(make(material)), encode(material.claims), material.key)

    return token


def _text(material: Material) -> str:
    return json.dumps(material.claims, separators=(",", ":"))


def _duplicated(material: Material, name: str) -> bytes:
    """Return the claims with a second member before the genuine one of the same name."""
    return f'{{"{name}":"root",{_text(material)[1:]}'.encode()


def _nested(depth: int) -> Callable[[Material], bytes]:
    def make(material: Material) -> bytes:
        deep = "[" * depth + "]" * depth
        return f'{{"deep":{deep},{_text(material)[1:]}'.encode()

    return make


def _inserted(member: str) -> Callable[[Material], bytes]:
    return lambda material: f"{{{member},{_text(material)[1:]}".encode()


_READ_DIFFERENTLY: Final[tuple[tuple[str, str, Make], ...]] = (
    ("payload-not-json", "reads claims into what is no JSON", _payload(lambda _: b"not json")),
    ("payload-empty", "accepts a token without claims", _payload(lambda _: b"")),
    ("payload-null", "accepts claims that are no object", _payload(lambda _: b"null")),
    ("payload-list", "accepts claims in a list", _payload(lambda m: f"[{_text(m)}]".encode())),
    (
        "payload-string",
        "accepts claims in a string",
        _payload(lambda m: json.dumps(_text(m)).encode()),
    ),
    (
        "payload-two",
        "ignores what follows the claims",
        _payload(lambda m: (_text(m) + "{}").encode()),
    ),
    ("payload-cut", "accepts JSON that does not end", _payload(lambda m: _text(m)[:-1].encode())),
    (
        "payload-bom",
        "accepts a byte order mark",
        _payload(lambda m: b"\xef\xbb\xbf" + _text(m).encode()),
    ),
    ("payload-utf16", "guesses the encoding", _payload(lambda m: _text(m).encode("utf-16"))),
    (
        "payload-bad-utf8",
        "accepts broken UTF-8",
        _payload(lambda m: b'{"x":"\xff",' + _text(m)[1:].encode()),
    ),
    ("payload-surrogate", "accepts half a character", _payload(_inserted('"x":"\\ud800"'))),
    ("payload-nan", "accepts NaN", _payload(_inserted('"x":NaN'))),
    ("payload-infinity", "accepts a number beyond a double", _payload(_inserted('"x":1e999'))),
    ("payload-comment", "accepts a comment", _payload(lambda m: f"/**/{_text(m)}".encode())),
    ("payload-deep", "reads any depth", _payload(_nested(1000))),
    ("payload-deeper", "lets depth exhaust the stack", _payload(_nested(5000))),
    ("duplicate-iss", "takes the first of two `iss`", _payload(lambda m: _duplicated(m, "iss"))),
    ("duplicate-sub", "takes one of two `sub`", _payload(lambda m: _duplicated(m, "sub"))),
    ("duplicate-aud", "takes one of two `aud`", _payload(lambda m: _duplicated(m, "aud"))),
    (
        "duplicate-escaped",
        "takes one of two spellings",
        _payload(lambda m: _duplicated(m, "\\u0073ub")),
    ),
    ("duplicate-exp", "takes one of two `exp`", _payload(_inserted('"exp":99999999999'))),
    (
        "duplicate-alg",
        "takes one of two `alg`",
        _header(lambda m: f'{{"alg":"none",{json.dumps(m.header)[1:]}'.encode()),
    ),
    ("header-not-json", "guesses the header", _header(lambda _: b"JWT")),
    (
        "header-list",
        "accepts a header that is no object",
        _header(lambda m: json.dumps([m.header]).encode()),
    ),
    ("header-empty", "accepts an empty header", _header(lambda _: b"{}")),
    ("header-null", "accepts no header", _header(lambda _: b"null")),
)


def _around(before: str, after: str) -> Make:
    return lambda material: f"{before}{'.'.join(genuine(material))}{after}"


def _standard_alphabet(material: Material) -> str:
    # A signature of many bytes nearly always has one of the two characters; force one.
    claims = material.changed(filler="\u00ff\u00fe\u00ff?>?>~~\u07ff\u07ff")
    text = json.dumps(claims, ensure_ascii=False, separators=(",", ":")).encode()
    return sealed(encode(material.header), f"{base64url(text)[:-4]}+/+/", material.key)


def _padded(material: Material) -> str:
    header, payload, mark = genuine(material)
    padded = [part + "=" * (-len(part) % 4 or 4) for part in (header, payload, mark)]
    return sealed(padded[0], padded[1], material.key)


def _trailing_bits(material: Material) -> str:
    header, payload, mark = genuine(material)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = letters[letters.index(mark[-1]) ^ 1]
    return f"{header}.{payload}.{mark[:-1]}{last}"


def _json_form(material: Material) -> str:
    header, payload, mark = genuine(material)
    return json.dumps({"protected": header, "payload": payload, "signature": mark})


def _flattened_list(material: Material) -> str:
    header, payload, mark = genuine(material)
    return json.dumps(
        {"payload": payload, "signatures": [{"protected": header, "signature": mark}]}
    )


def _in_a_token(material: Material) -> str:
    inner = ".".join(genuine(material))
    return sealed(
        encode({**material.header, "cty": "JWT"}), base64url(inner.encode()), material.key
    )


def _huge(material: Material) -> str:
    return signed(material.header, material.changed(filler="x" * MAX_TOKEN_LENGTH), material.key)


def _encrypted(material: Material) -> str:
    header = encode({"alg": "dir", "enc": "A256GCM"})
    return f"{header}..{base64url(b'0' * 12)}.{encode(material.claims)}.{base64url(b'0' * 16)}"


_MISSHAPEN: Final[tuple[tuple[str, str, Make], ...]] = (
    ("five-parts", "reads an encrypted token unverified", _encrypted),
    ("four-parts", "ignores a fourth part", _around("", ".e30")),
    ("leading-dot", "skips an empty part", _around(".", "")),
    ("trailing-dot", "skips an empty part", _around("", ".")),
    ("leading-space", "trims the token", _around(" ", "")),
    ("trailing-newline", "trims the token", _around("", "\n")),
    ("null-byte", "stops at a null byte", _around("", "\0")),
    ("bearer-prefix", "strips a scheme", _around("Bearer ", "")),
    ("quoted", "strips quotes", _around('"', '"')),
    ("base64-standard", "accepts the other base64 alphabet", _standard_alphabet),
    ("base64-padding", "accepts padding", _padded),
    ("base64-trailing-bits", "ignores the bits left over in base64", _trailing_bits),
    ("json-general", "accepts the JSON serialization", _flattened_list),
    ("json-flattened", "accepts the JSON serialization", _json_form),
    ("nested", "reads the token in a token", _in_a_token),
    ("huge", "reads a token of any length", _huge),
    ("empty", "accepts an empty password", lambda _: ""),
    ("dots", "accepts three empty parts", lambda _: ".."),
    ("word", "accepts any word", lambda _: "token"),
)

FORGERIES: Final[tuple[Forgery, ...]] = tuple(
    Forgery(name, "form", about, make) for name, about, make in (*_READ_DIFFERENTLY, *_MISSHAPEN)
)
