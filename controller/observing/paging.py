"""
Reading a list in pages of bounded size, whatever the objects in it weigh.

What lives here: how many objects the next page is asked for, and how many bytes of it are read.
Not here: what becomes of the objects (`watching`).

Whoever may write objects in one namespace chooses how large they are.  Three hundred Secrets of a
mebibyte in one page would be more than the controller's memory.

Source: Kubernetes documentation, "Kubernetes API Concepts", "Retrieving large results sets in
chunks".
"""

from collections.abc import Iterator, Mapping
from typing import Final

from .api_errors import ApiError, TooLargeError
from .cluster import Cluster, Object

FIRST_LIMIT: Final = 50
"""Objects in the first page: nothing is known of their size yet."""
MAX_LIMIT: Final = 500
MAX_GROWTH: Final = 4
"""By how much a page may have more objects than the one before."""

PAGE_BYTES: Final = 4 * 1024 * 1024
"""Bytes of a page with several objects; a larger one is asked for again in smaller parts."""
OBJECT_BYTES: Final = 32 * 1024 * 1024
"""
Bytes of a page with one object.  The API server takes requests of 3 MiB (k8s.io/apiserver,
`MaxRequestBodyBytes`), of which JSON may write each byte as six.
"""


def read_pages(cluster: Cluster, path: str, query: Mapping[str, str]) -> Iterator[Object]:
    """
    Yield the pages of a list.  Each is read when the one before it has been dealt with.

    Args:
        cluster: The API.
        path: The collection.
        query: What the list is restricted to.

    Raises:
        ApiError: A page failed; 410 when the list changed too much between two pages.
    """
    limit, token = FIRST_LIMIT, ""
    while True:
        asked = {**query, "limit": str(limit), **({"continue": token} if token else {})}
        try:
            page, size = cluster.page(path, asked, PAGE_BYTES if limit > 1 else OBJECT_BYTES)
        except TooLargeError:
            if limit == 1:
                mebibytes = OBJECT_BYTES // 1024**2
                raise ApiError(0, f"an object of the list has over {mebibytes} MiB") from None
            limit = max(limit // 8, 1)
            continue
        yield page
        token = (page.get("metadata") or {}).get("continue") or ""
        if not token:
            return
        limit = max(min(limit * PAGE_BYTES // (2 * size), limit * MAX_GROWTH, MAX_LIMIT), 1)
