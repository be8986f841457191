"""
Asking a token server for a token, as a registry client does.

What lives here: one GET of Distribution's token protocol (docs/spec/auth/token.md) and reading its
answer.  Not here: printing (`commands.token_server`).
"""

import base64
import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from urllib.parse import urlencode

from regauth.engine.policy.policy import RemoteAccess
from regauth.servers.http_client.fetching import Bounds, FetchError, PeerReply, ask


class AskError(Exception):
    """The server cannot be reached, or its answer is none of the protocol."""


class RefusedError(Exception):
    """The server refused; the message is its own."""


def ask_for_token(
    url: str, username: str, password: str, service: str, scopes: Sequence[str]
) -> str:
    """
    Return the token that a server issues.

    Raises:
        AskError: The server cannot be reached, or its answer is none of the protocol.
        RefusedError: It refused.
    """
    query = urlencode([("service", service), *(("scope", scope) for scope in scopes)])
    headers = {"Accept": "application/json"}
    if username or password:
        pair = base64.b64encode(f"{username}:{password}".encode()).decode()
        headers["Authorization"] = f"Basic {pair}"
    try:
        reply = ask(f"{url}?{query}", RemoteAccess(), Bounds(), headers)
    except FetchError as error:
        raise AskError(str(error)) from error
    content = _content(url, reply)
    if reply.status != HTTPStatus.OK:
        raise RefusedError(_reason(content, reply.status))
    token = content.get("token")
    if not isinstance(token, str):
        raise AskError(f"{url} answered without a token")
    if not token.isascii() or not token.isprintable():  # for a terminal or a file
        raise AskError(f"{url} answered with a token of other characters than tokens have")
    return token


def _content(url: str, reply: PeerReply) -> Mapping[str, object]:
    try:
        content = json.loads(reply.body)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise AskError(f"{url} answered {reply.status}, and not in JSON; is it a token endpoint?")
    return content


def _reason(content: Mapping[str, object], status: int) -> str:
    errors = content.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    if not isinstance(first, dict):
        return f"status {status}"
    detail = first.get("detail")
    reason = detail.get("reason") if isinstance(detail, dict) else None
    return f"{first.get('message')} ({reason or status})"
