"""The one module that asks the API: how it logs in."""

from collections.abc import Callable

import pytest
from kubernetes.client import Configuration
from kubernetes.config.config_exception import ConfigException

from regauth.controller.observing.api_errors import ApiError
from regauth.controller.observing.cluster import Cluster

from .conftest import Api, connection


def changing(api: Api, change: Callable[[Configuration], None]) -> Cluster:
    """A cluster whose token is read anew before each request, as in a pod."""
    found = connection(api)
    found.refresh_api_key_hook = change
    return Cluster(found)


def test_a_token_that_is_replaced_is_used_from_then_on(api: Api) -> None:
    tokens = ["wrong", api.bearer]

    def change(configuration: Configuration) -> None:
        configuration.api_key["authorization"] = f"Bearer {tokens.pop(0)}\n"

    cluster = changing(api, change)
    if api.bearer != "secret-bearer":  # the tests' own API server knows everybody
        with pytest.raises(ApiError, match="Unauthorized"):
            cluster.get("/api/v1/namespaces")
    else:
        tokens.pop(0)

    assert "items" in cluster.get("/api/v1/namespaces")


@pytest.mark.parametrize("error", [ConfigException("empty"), FileNotFoundError(2, "secret")])
def test_credentials_that_cannot_be_read_are_an_error_for_now(api: Api, error: Exception) -> None:
    def change(_configuration: Configuration) -> None:
        raise error

    with pytest.raises(ApiError) as caught:
        changing(api, change).get("/api/v1/namespaces")

    assert caught.value.temporary
    assert str(caught.value) == f"the credentials cannot be read: {type(error).__name__}"


def test_a_token_that_is_none_is_not_quoted(api: Api) -> None:
    def change(configuration: Configuration) -> None:
        configuration.api_key["authorization"] = "Bearer sec\nret"

    with pytest.raises(ApiError) as caught:
        changing(api, change).get("/api/v1/namespaces")

    assert "ret" not in str(caught.value).replace("credentials", "")
    assert caught.value.__cause__ is None
