"""Faster closures for common shapes."""

from typing import Any


def specialise(node: Any, scope: Any) -> Any:
    return None
