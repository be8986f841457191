"""
Realms: whether the proxy's login may be sent where an upstream's challenge says.

What lives here: the judgement of a token server's address.
Not here: reading challenges (`regauth.servers.protocol.challenges`), and sending the login
(`credentials`).
"""

from urllib.parse import SplitResult, urlsplit

from regauth.engine.source.addresses import is_loopback
from regauth.engine.source.foreign_text import quoted
from regauth.servers.http_client.pool import UpstreamError


def trusted_realm(text: str, origin: SplitResult) -> SplitResult:
    """
    Return a realm that the proxy's login may be sent to.

    The upstream chooses the realm.  So the realm must not lead into this machine or its network,
    and the login must not go without TLS.

    Args:
        text: The realm, as the challenge names it.
        origin: The upstream's own address.

    Raises:
        UpstreamError: It is none.
    """
    try:
        realm = urlsplit(text)
        good = realm.port != 0 and bool(realm.hostname) and "@" not in realm.netloc
    except ValueError:
        good = False
    # `user@host` shows one host and names another.
    if not good or realm.fragment or not text.isascii() or not text.isprintable():
        raise UpstreamError("the upstream names a token server with no usable address")
    host = realm.hostname or ""
    secure = realm.scheme == "https"
    # The host itself may use plain HTTP where the operator configured it so, and only there.
    if host == origin.hostname:
        trusted = secure or (realm.scheme == origin.scheme == "http")
    else:
        at_home = is_loopback(origin.hostname or "") and is_loopback(host)
        trusted = (secure and not _is_inside(host)) or at_home
    if trusted and realm.scheme in ("http", "https"):
        return realm
    raise UpstreamError(f"the upstream names a token server that is not trusted: {quoted(text)}")


def _is_inside(host: str) -> bool:
    """
    Whether a host is written as an address, or is a name of this machine.

    A name whose last label begins with a digit is an address to some resolvers (WHATWG URL, "ends
    in a number").
    """
    last = host.rstrip(".").rpartition(".")[2]
    return is_loopback(host.rstrip(".")) or ":" in host or last[:1].isdigit() or not last
