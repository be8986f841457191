"""Values of a host's configuration file, read once its schema has passed it."""

from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest

from regauth.engine.files import read_configuration
from regauth.engine.source import nodes
from regauth.engine.source.configuration_file import (
    ConfigurationError,
    ValueReader,
    listed,
    mapping,
    only_given,
    plain,
    text_of,
)
from regauth.engine.source.nodes import MappingNode
from regauth.engine.source.problems import Problems


def read(text: str) -> tuple[MappingNode, ValueReader]:
    problems = Problems()
    node = nodes.parse(text, "c.yaml", problems)
    assert isinstance(node, MappingNode)
    return node, ValueReader(problems)


def test_what_a_file_leaves_out_is_left_to_the_defaults() -> None:
    node, values = read("threads: 0\nlimits: {burst: 2}\n")

    assert only_given(threads=plain(node, "threads"), realm=plain(node, "realm")) == {"threads": 0}
    assert plain(mapping(node, "limits"), "burst") == 2
    assert plain(mapping(node, "caches"), "logins") is None
    assert values.networks(node.get("trustedProxies")) is None
    assert values.addresses(node.get("listen")) == ()


def test_one_address_or_a_list_of_them() -> None:
    node, values = read("one: 127.0.0.1:80\nseveral: ['*:80', '[::1]:81']\n")

    assert values.addresses(node["one"]) == (("127.0.0.1", 80),)
    assert values.addresses(node["several"]) == (("", 80), ("::1", 81))
    assert [text_of(each) for each in listed(node["several"])] == ["*:80", "[::1]:81"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("listen: [127.0.0.1:80, nowhere]", "c.yaml:1:24: error: 'nowhere' is not an address"),
        ("networks: [10.0.0.0/8, 10.0.0.0/99]", "c.yaml:1:24: error: '10.0.0.0/99'"),
        ("life: 2h", "c.yaml:1:7: error: 2h is out of bounds (1 s to 60 s can be written)"),
    ],
)
def test_what_is_wrong_is_reported_at_its_place_and_the_rest_is_read(text: str, said: str) -> None:
    node, values = read(text)

    addresses = values.addresses(node.get("listen"))
    networks = values.networks(node.get("networks"))
    values.duration(node.get("life"), timedelta(seconds=1), timedelta(minutes=1))

    assert addresses in ((), (("127.0.0.1", 80),))
    assert networks in (None, (ip_network("10.0.0.0/8"),))
    assert [str(problem).startswith(said) for problem in values.problems] == [True]


def test_a_file_that_is_missing_or_wrong_is_one_error_with_its_text(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    with pytest.raises(ConfigurationError, match="make one") as missing:
        read_configuration(file, lambda _, __: 1, "make one")
    file.write_text("a: 1", encoding="utf-8")

    def parse(text: str, problems: Problems) -> int:
        node = nodes.parse(text, str(file), problems)
        assert node is not None
        problems.error(node.location, "wrong-value", "no")
        return 1

    with pytest.raises(ConfigurationError, match=":1:1: error: no") as wrong:
        read_configuration(file, parse)

    assert (missing.value.sources, wrong.value.sources) == ({}, {str(file): "a: 1"})
    assert read_configuration(file, lambda text, _: text) == "a: 1"
