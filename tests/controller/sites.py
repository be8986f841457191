"""A controller that does nothing by itself, on an API server of the tests, and what it has done."""

import base64
import json
from datetime import timedelta
from typing import Any

from regauth.controller.applying.host import Host
from regauth.controller.applying.reconciling import Controller
from regauth.controller.event_log import ControllerLog
from regauth.controller.measures import Measures
from regauth.controller.observing.cluster import Cluster
from regauth.controller.observing.server_clock import ServerClock
from regauth.controller.planning.entitlements import Entitlements
from regauth.controller.settings import Memory, Registry, Selection
from tests.controller.clocks import Clock
from tests.controller.conftest import Api, connection

HOUR = timedelta(hours=1)
MAIN = Registry(
    "registry.example.com",
    username="cluster",
    audience="https://registry.example.com",
    token_duration=HOUR,
)
OTHER = Registry(
    "other.example.com",
    username="cluster",
    audience="https://other.example.com",
    token_duration=HOUR,
)
SECRET = "builder-pull-secret"


class Site:
    """A controller that does nothing by itself."""

    def __init__(
        self,
        api: Api,
        clock: Clock,
        *registries: Registry,
        instance: str = "default",
        attach: bool = True,
        memory: Memory = Memory.SECRETS,
        namespaces: tuple[str, ...] = (),
    ) -> None:
        self.api, self.clock = api, clock
        self.leads = True
        self.measures = Measures()
        self.server_clock = ServerClock(clock.now)
        cluster = Cluster(
            connection(api), count=self.measures.request, dated=self.server_clock.hear
        )
        log = ControllerLog(descriptor=-1)
        host = Host(
            cluster, self.server_clock.now, clock.monotonic, lambda: self.leads, log, self.measures
        )
        selection = Selection(namespaces=namespaces)
        entitlements = Entitlements(
            registries or (MAIN,), selection, instance=instance, attach=attach
        )
        self.controller = Controller(host, entitlements, memory)

    def settle(self) -> None:
        """List everything and work until nothing is left to do now."""
        self.controller.sync()
        self.work()

    def work(self) -> None:
        while (key := self.controller.queue.take()) is not None:
            self.controller.work(key)


def writes(api: Api) -> list[str]:
    return [one.what for one in api.seen if one.method != "GET"]


def logins(secret: dict[str, Any]) -> dict[str, dict[str, str]]:
    return json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))["auths"]


def claims(password: str) -> dict[str, Any]:
    part = password.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
