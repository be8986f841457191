"""
Requests that try to be read in two ways, byte by byte.

`{token}` stands for a token that may pull from and push to `acme/app` and nothing else. Whatever is
sent, no request for `secret` may reach a registry. `HIDDEN` is one in what could be a body.
"""

DIGEST = "sha256:" + "a" * 64
UPLOADS = "/v2/acme/app/blobs/uploads/"
TAGS, SECRET = "/v2/acme/app/tags/list", "/v2/secret/tags/list"
HOST, AUTH = "Host: registry.example.com", "Authorization: Bearer {token}"
PATCH, GET = f"PATCH {UPLOADS}u1 HTTP/1.1", f"GET {TAGS} HTTP/1.1"


def raw(*lines: str, body: str = "") -> str:
    """Return a request of these lines."""
    return "\r\n".join(lines) + "\r\n\r\n" + body


HIDDEN = raw("GET /v2/secret/manifests/latest HTTP/1.1", HOST)
_END = "0\r\n\r\n"
_FORM = f"from=secret&mount={DIGEST}"
_CHUNKED = "Transfer-Encoding: chunked"


def _patch(*lines: str, body: str = HIDDEN) -> str:
    return raw(PATCH, HOST, AUTH, *lines, body=body)


def _post(kind: str, form: str = _FORM, query: str = "") -> str:
    length = f"Content-Length: {len(form)}"
    return raw(f"POST {UPLOADS}{query} HTTP/1.1", HOST, AUTH, kind, length, body=form)


def _get(*lines: str, target: str = TAGS, version: str = "HTTP/1.1") -> str:
    return raw(f"GET {target} {version}", HOST, AUTH, *lines)


_LENGTHS = {
    "and chunks": _patch("Content-Length: 5", _CHUNKED, body=_END + HIDDEN),
    "after chunks": _patch(_CHUNKED, f"Content-Length: {len(HIDDEN) + 5}", body=_END + HIDDEN),
    "twice": _patch("Content-Length: 0", f"Content-Length: {len(HIDDEN)}"),
    "twice the same": _patch("Content-Length: 5", "Content-Length: 5", body="hello" + HIDDEN),
    "in a list": _patch("Content-Length: 5, 5", body="hello" + HIDDEN),
    "with a sign": _patch("Content-Length: +5"),
    "negative": _patch("Content-Length: -1"),
    "with a space": _patch("Content-Length: 1 0"),
    "with an underscore": _patch("Content-Length: 1_0"),
    "in hexadecimal": _patch("Content-Length: 0x5"),
    "with a point": _patch("Content-Length: 5.0"),
    "with an exponent": _patch("Content-Length: 1e1"),
    "in other digits": _patch("Content-Length: \xef\xbc\x95"),
    "with a superscript": _patch("Content-Length: \xb2"),
    "with a vertical tab": _patch("Content-Length: \x0b5"),
    "with a null": _patch("Content-Length: 5\x00"),
    "empty": _patch("Content-Length:"),
    "beyond all": _patch("Content-Length: " + "9" * 30),
    "before a space": _patch("Content-Length : 5"),
    "with an underscore in its name": _patch("Content_Length: 5", "Transfer_Encoding: chunked"),
    "of a GET": _get(f"Content-Length: {len(HIDDEN)}") + HIDDEN,
    "of a HEAD": raw(f"HEAD {TAGS} HTTP/1.1", HOST, AUTH, f"Content-Length: {len(HIDDEN)}", body=HIDDEN),
    "of a DELETE": raw(f"DELETE {UPLOADS}u1 HTTP/1.1", HOST, AUTH, f"Content-Length: {len(HIDDEN)}", body=HIDDEN),
    "named by Connection": _patch("Connection: Content-Length", f"Content-Length: {len(HIDDEN)}"),
}  # fmt: skip

_CODINGS = {
    "unknown": _patch("Transfer-Encoding: xchunked", body=_END + HIDDEN),
    "twice": _patch(_CHUNKED, "Transfer-Encoding: identity", body=_END + HIDDEN),
    "first another": _patch("Transfer-Encoding: identity", _CHUNKED, body=_END + HIDDEN),
    "in a list": _patch("Transfer-Encoding: identity, chunked", body=_END + HIDDEN),
    "not at the end of a list": _patch("Transfer-Encoding: chunked, identity", body=_END + HIDDEN),
    "chunked twice": _patch("Transfer-Encoding: chunked, chunked", body=_END + HIDDEN),
    "with a parameter": _patch("Transfer-Encoding: chunked;q=0", body=_END + HIDDEN),
    "quoted": _patch('Transfer-Encoding: "chunked"', body=_END + HIDDEN),
    "in upper case, and a length": _patch("TRANSFER-ENCODING: CHUNKED", "Content-Length: 5", body=_END + HIDDEN),
    "after a vertical tab": _patch("Transfer-Encoding: \x0bchunked", body=_END + HIDDEN),
    "after a no-break space": _patch("Transfer-Encoding: \xa0chunked", body=_END + HIDDEN),
    "after a null": _patch("Transfer-Encoding: \x00chunked", body=_END + HIDDEN),
    "before a space": _patch("Transfer-Encoding : chunked", body=_END + HIDDEN),
    "before a tab": _patch("Transfer-Encoding\t: chunked", body=_END + HIDDEN),
    "in a folded line": _patch("Transfer-Encoding:", " chunked", body=_END + HIDDEN),
    "folded into another header": _patch("X-A: b", f" {_CHUNKED}", body=_END + HIDDEN),
    "behind a line feed": _patch(f"X-A: b\n{_CHUNKED}", body=_END + HIDDEN),
    "behind a carriage return": _patch(f"X-A: b\r{_CHUNKED}", body=_END + HIDDEN),
    "behind a null": _patch(f"X-A: b\x00{_CHUNKED}", body=_END + HIDDEN),
    "of HTTP/1.0": raw(f"PATCH {UPLOADS}u1 HTTP/1.0", HOST, AUTH, _CHUNKED, body=_END + HIDDEN),
    "named by Connection": _patch("Connection: Transfer-Encoding", _CHUNKED, body=_END + HIDDEN),
    "of a GET": _get(_CHUNKED) + _END + HIDDEN,
}  # fmt: skip

_CHUNKS = {
    "a sign": "+5\r\nhello\r\n0\r\n\r\n",
    "a minus": "-1\r\nhello\r\n0\r\n\r\n",
    "an open string": '5;x="\r\nhello\r\n0\r\n\r\n',
    "a line feed in an extension": "5;x\nhello\r\n0\r\n\r\n",
    "a space": "5 \r\nhello\r\n0\r\n\r\n",
    "a space before": " 5\r\nhello\r\n0\r\n\r\n",
    "a prefix": "0x5\r\nhello\r\n0\r\n\r\n",
    "an underscore": "0_5\r\nhello\r\n0\r\n\r\n",
    "no size": "\r\nhello\r\n0\r\n\r\n",
    "a line feed alone": "5\nhello\n0\n\n",
    "a carriage return alone": "5\rhello\r0\r\r",
    "no line end after the data": "5\r\nhello0\r\n\r\n",
    "two bytes for the line end": "5\r\nhelloXX0\r\n\r\n",
    "an end that is longer": "00000000000000000\r\n\r\n",
    "no last line": "5\r\nhello\r\n0\r\n",
    "an address after the last one": "0\r\nX-Original-URI: /v2/secret/tags/list\r\nAuthorization: x\r\n\r\n",
    "a length after the last one": f"0\r\nContent-Length: {len(HIDDEN)}\r\n\r\n",
}  # fmt: skip

_LINES = {
    "a second request": _get() + HIDDEN,
    "line ends before": "\r\n\r\n" + _get() + HIDDEN,
    "a space before": " " + _get(target=SECRET),
    "line ends in the target": raw(f"GET {TAGS} HTTP/1.1\r\nX: y {SECRET} HTTP/1.1", HOST, AUTH),
    "a line feed in the target": raw(f"GET {TAGS}\nX: {SECRET} HTTP/1.1", HOST, AUTH),
    "a carriage return in the target": raw(f"GET {TAGS}\r{SECRET} HTTP/1.1", HOST, AUTH),
    "a null in the target": _get(target=f"/v2/acme/app\x00/..{SECRET[3:]}"),
    "a form feed in the target": _get(target=f"{TAGS}\x0c{SECRET}"),
    "a vertical tab in the target": _get(target=f"{TAGS}\x0b{SECRET}"),
    "a no-break space in the target": _get(target=f"{TAGS}\xa0{SECRET}"),
    "two targets": _get(target=f"{TAGS} {SECRET}"),
    "two targets the other way": _get(target=f"{SECRET} {TAGS}"),
    "a tab for a space": raw(f"GET\t{SECRET} HTTP/1.1", HOST, AUTH),
    "two spaces": raw(f"GET  {SECRET} HTTP/1.1", HOST, AUTH),
    "no target": raw("GET HTTP/1.1", HOST, AUTH),
    "no version": raw(f"GET {SECRET}", HOST, AUTH),
    "HTTP/0.9": f"GET {SECRET}\r\n",
    "version 2": _get(target=SECRET, version="HTTP/2.0"),
    "version 1.2": _get(target=SECRET, version="HTTP/1.2"),
    "version 01.1": _get(target=SECRET, version="HTTP/01.1"),
    "a version in lower case": _get(target=SECRET, version="http/1.1"),
    "another protocol": _get(target=SECRET, version="ICAP/1.1"),
    "the preface of HTTP/2": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    "a method in lower case": raw(f"get {SECRET} HTTP/1.1", HOST, AUTH),
    "a method with a null": raw(f"GET\x00 {SECRET} HTTP/1.1", HOST, AUTH),
    "a method of two words": raw(f"GET,POST {SECRET} HTTP/1.1", HOST, AUTH),
    "an absolute target": _get(target=f"http://registry.example.com{TAGS}"),
    "an absolute target of another": _get(target=f"http://registry.example.com{SECRET}"),
    "an absolute target of another host": _get(target=f"http://127.0.0.1:1{SECRET}"),
    "an absolute target with a user": _get(target=f"http://x@registry.example.com{SECRET}"),
    "an absolute target without a host": _get(target=f"http://{SECRET}"),
    "an absolute target of a file": _get(target="file:///etc/passwd"),
    "an authority": raw("CONNECT secret:443 HTTP/1.1", HOST, AUTH),
    "an authority of one's own": raw("CONNECT 127.0.0.1:80 HTTP/1.1", HOST, AUTH),
    "an asterisk": raw("OPTIONS * HTTP/1.1", HOST, AUTH),
    "a bare line feed": f"{PATCH}\r\n{HOST}\r\n{AUTH}\nContent-Length: 5\r\n\r\nhello{HIDDEN}",
    "line feeds alone": _get(target=SECRET).replace("\r\n", "\n"),
    "line feeds alone, and a body": _patch(f"Content-Length: {len(HIDDEN)}").replace("\r\n", "\n"),
    "a bare carriage return": f"{PATCH}\r\n{HOST}\r\n{AUTH}\rX: y\r\n\r\n{HIDDEN}",
    "an end with a space": f"{GET}\r\n{HOST}\r\n{AUTH}\r\n \r\n{HIDDEN}",
    "an end of carriage returns": f"{GET}\r\n{HOST}\r\n{AUTH}\r\n\r\r\n{HIDDEN}",
    "a first line that is folded": f"{GET}\r\n X: y\r\n{HOST}\r\n{AUTH}\r\n\r\n{HIDDEN}",
    "a header without a colon": _get("nonsense") + HIDDEN,
    "a header without a name": _get(": nonsense") + HIDDEN,
}  # fmt: skip

_FORMS = {
    "that mounts": _post("Content-Type: application/x-www-form-urlencoded"),
    "beside a query": _post("Content-Type: application/x-www-form-urlencoded", "from=secret", f"?mount={DIGEST}"),
    "against a query": _post("Content-Type: application/x-www-form-urlencoded", "from=secret", f"?mount={DIGEST}&from=acme/app"),
    "in parts": _post("Content-Type: multipart/form-data; boundary=x", f'--x\r\nContent-Disposition: form-data; name="from"\r\n\r\nsecret\r\n--x\r\nContent-Disposition: form-data; name="mount"\r\n\r\n{DIGEST}\r\n--x--\r\n'),
    "behind another type": _post("Content-Type: text/plain\r\nContent-Type: application/x-www-form-urlencoded"),
    "before another type": _post("Content-Type: application/x-www-form-urlencoded\r\nContent-Type: text/plain"),
    "in upper case": _post("Content-Type: APPLICATION/X-WWW-FORM-URLENCODED"),
    "with a parameter": _post("Content-Type: application/x-www-form-urlencoded; charset=utf-8"),
    "with a bad parameter": _post("Content-Type: application/x-www-form-urlencoded; ="),
    "behind a tab": _post("Content-Type:\tapplication/x-www-form-urlencoded"),
    "behind a no-break space": _post("Content-Type: \xc2\xa0application/x-www-form-urlencoded"),
    "behind a line separator": _post("Content-Type: \xe2\x80\xa8application/x-www-form-urlencoded"),
    "with an I that has a dot, which Go lowers to i": _post("Content-Type: appl\xc4\xb0cation/x-www-form-urlencoded"),
    "in parts, with an I that has a dot": _post("Content-Type: mult\xc4\xb0part/form-data; boundary=x", f'--x\r\nContent-Disposition: form-data; name="from"\r\n\r\nsecret\r\n--x\r\nContent-Disposition: form-data; name="mount"\r\n\r\n{DIGEST}\r\n--x--\r\n'),
    "in a folded header": _post("Content-Type:\r\n application/x-www-form-urlencoded"),
    "with an underscore in the header's name": _post("Content_Type: application/x-www-form-urlencoded"),
    "with a null": _post("Content-Type: application/x-www-form-urlencoded\x00"),
}  # fmt: skip

_HEADERS = {
    "addresses": _get(*(f"{name}: {SECRET}" for name in ("X-Original-URI", "X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Uri", "X-Forwarded-Path", "X-Envoy-Original-Path", "X-Request-Uri", "X-Http-Path-Override", "X-Original_URI", "X_Original_URI", "Destination", "X-Accel-Redirect", "X-Sendfile"))),
    "addresses that would be allowed": _get(*(f"{name}: {TAGS}" for name in ("X-Original-URI", "X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Uri", "X-Envoy-Original-Path", "X_Original_URI")), target=SECRET),
    "an address of HTTP/2": _get(f":path: {SECRET}"),
    "methods": _get(*(f"{name}: DELETE" for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Original-Method", "X-Forwarded-Method"))),
    "methods that would be allowed": raw(f"DELETE {UPLOADS}u1 HTTP/1.1", HOST, AUTH, *(f"{name}: GET" for name in ("X-HTTP-Method-Override", "X-Original-Method", "X-Forwarded-Method"))),
    "a method in the query": _get(target=f"{TAGS}?_method=DELETE"),
    "prefixes": _get("X-Forwarded-Prefix: /v2/secret", "X-Script-Name: /v2/secret", "SCRIPT_NAME: /v2/secret"),
    "hosts": _get("X-Forwarded-Host: evil.example.com", "X-Host: evil.example.com", "Forwarded: host=evil.example.com", "X-Forwarded-Server: evil.example.com"),
    "two hosts": _get("Host: evil.example.com"),
    "no host": raw(GET, AUTH),
    "an empty host": raw(GET, "Host:", AUTH),
    "clients of this machine": _get("X-Forwarded-For: 127.0.0.1", "X-Real-IP: 127.0.0.1", "Forwarded: for=127.0.0.1", "X-Client-IP: 127.0.0.1", target=SECRET),
    "users": _get("X-Forwarded-User: root", "Remote-User: root", "X-Remote-User: root", "REMOTE_USER: root", target=SECRET),
    "dropping the token": _get("Connection: close, Authorization, X-Forwarded-For"),
    "dropping the gateway's words": _get("Connection: close, X-Original-URI, X-Original-Method, X-Forwarded-Uri", target=SECRET),
    "dropping the host": _get("Connection: Host"),
    "an upgrade": _get("Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA", "Connection: Upgrade, HTTP2-Settings", target=SECRET),
    "a socket": _get("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13") + HIDDEN,
    "an expectation": _patch("Expect: 100-continue", f"Content-Length: {len(HIDDEN)}"),
    "an expectation of a GET": _get("Expect: 100-continue") + HIDDEN,
    "another expectation": _patch("Expect: 200-ok", f"Content-Length: {len(HIDDEN)}"),
    "trailers": _get("TE: trailers", "Trailer: Authorization"),
    "the gateway": _get(target=f"/authorize/envoy{SECRET}"),
    "the gateway, left": _get(target=f"/authorize/envoy/../..{SECRET}"),
    "the health page, left": _get(target=f"/healthz/..{SECRET}"),
    "the decision, asked by a client": _get("X-Original-URI: " + SECRET, "X-Original-Method: GET", target="/_authorize"),
    "the token endpoint, left": _get(target=f"/auth/token/../..{SECRET}"),
    "the token endpoint, left encoded": _get(target=f"/auth/token/%2e%2e/%2e%2e{SECRET}"),
}  # fmt: skip

REQUESTS = {
    **{f"a length {name}": text for name, text in _LENGTHS.items()},
    **{f"a coding {name}": text for name, text in _CODINGS.items()},
    **{f"a chunk with {name}": _patch(_CHUNKED, body=text + HIDDEN) for name, text in _CHUNKS.items()},
    **_LINES,
    **{f"a form {name}": text for name, text in _FORMS.items()},
    **{f"headers: {name}": text for name, text in _HEADERS.items()},
}  # fmt: skip
"""Requests by what they try."""
