"""The one module that asks the API: how it logs in."""

import threading
from collections.abc import Callable, Iterator

import pytest
from kubernetes.client import Configuration
from kubernetes.config.config_exception import ConfigException

from regauth.controller.observing import cluster as requests
from regauth.controller.observing.api_errors import ApiError
from regauth.controller.observing.cluster import Cluster

from .api_server import ApiServer
from .conftest import Api, connection, only_own
from .listening import Request


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


@pytest.fixture
def silent(api: Api) -> Iterator[None]:
    """An API server that takes connections and requests, and answers nothing."""
    end = threading.Event()

    def wait(_request: Request) -> None:
        end.wait()
        raise ConnectionAbortedError

    api.before = wait
    yield
    end.set()


@only_own
@pytest.mark.usefixtures("silent")
def test_a_watch_that_does_not_begin_is_given_up_long_before_one_that_is_silent(
    api: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It made the controller blind for four and a half minutes."""
    monkeypatch.setattr(requests, "_READ_SECONDS", 0.1)
    with pytest.raises(ApiError, match="ReadTimeoutError"):
        Cluster(connection(api)).stream("/api/v1/secrets", {"watch": "true"}, 3600)


@only_own
@pytest.mark.usefixtures("silent")
def test_a_lease_is_not_waited_for_as_long_as_anything_else(
    api: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "_URGENT_SECONDS", 0.1)
    monkeypatch.setattr(requests, "_READ_SECONDS", 3600)
    with pytest.raises(ApiError, match="ReadTimeoutError"):
        Cluster(connection(api)).urgent("/apis/coordination.k8s.io/v1/namespaces/a/leases/a")


def test_a_watch_that_has_begun_may_be_silent_for_its_time(api: Api) -> None:
    stream = Cluster(connection(api)).stream("/api/v1/secrets", {"watch": "true"}, 1234.0)

    assert stream._response.connection.sock.gettimeout() == 1234.0
    stream.close()
