"""
Forgeries of the registered claims: issuer, audience and times that only look right.

What lives here: the groups `issuer`, `audience` and `time`.  Not here: the signatures, which are
genuine (`tokens.issuing`).

An attacker may find a way to make the issuer sign such claims.
"""

from collections.abc import Callable
from typing import Final

from .forgery import Forgery, Make, Material, signed

Value = Callable[[Material], object]


def _with_claim(name: str, value: Value) -> Make:
    def make(material: Material) -> str:
        return signed(material.header, material.changed(**{name: value(material)}), material.key)

    return make


def _derived(name: str, part: Callable[[Material], str], change: Callable[[str], object]) -> Make:
    return _with_claim(name, lambda material: change(part(material)))


def _without_claim(name: str) -> Make:
    def make(material: Material) -> str:
        rest = {key: value for key, value in material.claims.items() if key != name}
        return signed(material.header, rest, material.key)

    return make


def _issuer(material: Material) -> str:
    return str(material.claims["iss"])


def _swap_case(url: str) -> str:
    scheme, colon, rest = url.partition(":")
    return f"{scheme}{colon}{rest.upper()}" if rest != rest.upper() else url.swapcase()


def _host_suffix(url: str, suffix: str) -> str:
    scheme, slashes, rest = url.partition("//")
    host, slash, path = rest.partition("/")
    return f"{scheme}{slashes}{host}{suffix}{slash}{path}"


def _toggled_slash(url: str) -> str:
    return url[:-1] if url.endswith("/") else f"{url}/"


_ISSUERS: Final[dict[str, Callable[[str], object]]] = {
    "iss-slash": _toggled_slash,
    "iss-case": _swap_case,
    "iss-scheme-case": lambda url: (
        url.replace("https://", "HTTPS://", 1) if "//" in url else url.upper()
    ),
    "iss-port": lambda url: _host_suffix(url, ":443"),
    "iss-http": lambda url: (
        url.replace("https://", "http://", 1) if "https" in url else f"http:{url}"
    ),
    "iss-host-suffix": lambda url: _host_suffix(url, ".example.net"),
    "iss-host-dot": lambda url: _host_suffix(url, "."),
    "iss-user": lambda url: url.replace("//", "//evil@", 1) if "//" in url else f"evil@{url}",
    "iss-query": lambda url: f"{url}?x",
    "iss-fragment": lambda url: f"{url}#x",
    "iss-path": lambda url: f"{url}/x",
    "iss-prefix": lambda url: url[:-1],
    "iss-space": lambda url: f"{url} ",
    "iss-newline": lambda url: f"{url}\n",
    "iss-null-byte": lambda url: f"{url}\0",
    "iss-homoglyph": lambda url: url.replace("e", "\u0435", 1) if "e" in url else f"{url}\u200b",
    "iss-list": lambda url: [url],
    "iss-object": lambda url: {url: url},
    "iss-null": lambda _: None,
    "iss-empty": lambda _: "",
    "iss-number": lambda _: 1,
    "iss-other": lambda _: "https://issuer.example.net",
}


def _audience(material: Material) -> str:
    audience = material.claims["aud"]
    return str(audience[0] if isinstance(audience, list) else audience)


_AUDIENCES: Final[dict[str, Callable[[str], object]]] = {
    "aud-list-other": lambda aud: [f"{aud}x", "https://example.net"],
    "aud-list-nested": lambda aud: [[aud]],
    "aud-list-mixed": lambda aud: [aud, 1],
    "aud-list-substring": lambda aud: [aud[:-1]],
    "aud-list-empty": lambda _: [],
    "aud-substring": lambda aud: aud[:-1],
    "aud-superstring": lambda aud: f"{aud}.example.net",
    "aud-slash": _toggled_slash,
    "aud-case": lambda aud: aud.swapcase(),
    "aud-joined": lambda aud: f"{aud} https://example.net",
    "aud-comma": lambda aud: f"{aud},https://example.net",
    "aud-other": lambda _: "https://example.net",
    "aud-empty": lambda _: "",
    "aud-null": lambda _: None,
    "aud-object": lambda aud: {aud: True},
    "aud-true": lambda _: True,
    "aud-wildcard": lambda _: "*",
}


def _late(seconds: float) -> Value:
    """A time this long beyond the skew that the policy allows, in the future."""
    return lambda material: material.seconds(material.skew.total_seconds() + seconds)


def _early(seconds: float) -> Value:
    """A time this long beyond the skew that the policy allows, in the past."""
    return lambda material: material.seconds(-material.skew.total_seconds() - seconds)


_HOUR: Final = 3600
_TIMES: Final[dict[str, tuple[str, Value]]] = {
    "exp-past": ("exp", _early(_HOUR)),
    "exp-edge": ("exp", _early(0)),
    "exp-zero": ("exp", lambda _: 0),
    "exp-negative": ("exp", lambda _: -1),
    "exp-string": ("exp", lambda material: str(material.seconds(_HOUR))),
    "exp-true": ("exp", lambda _: True),
    "exp-null": ("exp", lambda _: None),
    "exp-list": ("exp", lambda material: [material.seconds(_HOUR)]),
    "exp-milliseconds": ("exp", lambda material: material.seconds(_HOUR) * 1000),
    "exp-huge": ("exp", lambda _: 10**18),
    "exp-beyond-int64": ("exp", lambda _: 10**30),
    "exp-date": ("exp", lambda _: "2999-01-01T00:00:00Z"),
    "nbf-future": ("nbf", _late(_HOUR)),
    "nbf-edge": ("nbf", _late(1)),
    "nbf-string": ("nbf", lambda material: str(material.seconds(-_HOUR))),
    "nbf-true": ("nbf", lambda _: True),
    "nbf-null": ("nbf", lambda _: None),
    "iat-future": ("iat", _late(_HOUR)),
    "iat-edge": ("iat", _late(1)),
    "iat-string": ("iat", lambda material: str(material.seconds())),
    "iat-true": ("iat", lambda _: True),
    "iat-negative": ("iat", lambda _: -1),
    "iat-null": ("iat", lambda _: None),
}

FORGERIES: Final[tuple[Forgery, ...]] = (
    *(
        Forgery(
            name,
            "issuer",
            "compares `iss` otherwise than character by character",
            _derived("iss", _issuer, change),
        )
        for name, change in _ISSUERS.items()
    ),
    Forgery("iss-absent", "issuer", "accepts a token without `iss`", _without_claim("iss")),
    *(
        Forgery(
            name,
            "audience",
            "accepts a token that is meant for somebody else, or for nobody",
            _derived("aud", _audience, change),
        )
        for name, change in _AUDIENCES.items()
    ),
    Forgery("aud-absent", "audience", "accepts a token without `aud`", _without_claim("aud")),
    *(
        Forgery(
            name,
            "time",
            f"accepts a token whose `{claim}` is out of time, or no time",
            _with_claim(claim, value),
        )
        for name, (claim, value) in _TIMES.items()
    ),
    Forgery("exp-absent", "time", "accepts a token that never expires", _without_claim("exp")),
)
