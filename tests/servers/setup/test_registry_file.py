"""Registries' own configurations, read as they read them: rows O6 and `doctor-yaml-anchor`."""

import json
from pathlib import Path

import pytest

from regauth.servers.setup.registry_file import (
    RegistryConfiguration,
    RegistryFileError,
    RegistryKind,
    read_registry_configuration,
)

TOKEN = "realm: https://auth.example.com/auth/token, service: registry.example.com, issuer: us"
WANTED = RegistryConfiguration(
    RegistryKind.DISTRIBUTION,
    "https://auth.example.com/auth/token",
    "registry.example.com",
    "us",
    Path("/keys/root.crt"),
)
FORMS = {
    "plain": f"version: 0.1\nauth:\n  token: {{{TOKEN}, rootcertbundle: /keys/root.crt}}\n",
    "alias": f"x: &t {{{TOKEN}, rootcertbundle: /keys/root.crt}}\nauth: {{token: *t}}\n",
    "alias of all": f"x: &a {{token: {{{TOKEN}, rootcertbundle: /keys/root.crt}}}}\nauth: *a\n",
    "merge": f"x: &t {{{TOKEN}}}\nauth:\n  token:\n    <<: *t\n    rootcertbundle: /keys/root.crt\n",
    "json": json.dumps(
        {
            "auth": {
                "token": {
                    "realm": WANTED.realm,
                    "service": WANTED.service,
                    "issuer": "us",
                    "rootcertbundle": "/keys/root.crt",
                }
            }
        }
    ),
}


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS)
def test_doctor_yaml_anchor_every_form_that_the_registry_takes_is_read(
    tmp_path: Path, text: str
) -> None:
    file = tmp_path / "registry.yml"
    file.write_text(text)

    assert read_registry_configuration(file, None) == WANTED


VARIABLES = """\
# as docker --env-file takes them
REGISTRY_LOG_LEVEL=info
REGISTRY_AUTH=token
REGISTRY_AUTH_TOKEN_REALM=https://auth.example.com/auth/token
REGISTRY_AUTH_TOKEN_SERVICE=registry.example.com
export REGISTRY_AUTH_TOKEN_ISSUER="us"
REGISTRY_AUTH_TOKEN_ROOTCERTBUNDLE=/keys/root.crt
"""


def test_a_registry_that_is_configured_by_variables_alone_is_read(tmp_path: Path) -> None:
    environment = tmp_path / "registry.env"
    environment.write_text(VARIABLES)

    assert read_registry_configuration(None, environment) == WANTED


def test_variables_go_before_the_file(tmp_path: Path) -> None:
    file, environment = tmp_path / "registry.yml", tmp_path / "registry.env"
    file.write_text(FORMS["plain"])
    environment.write_text(
        "REGISTRY_AUTH_TOKEN_ISSUER=them\nREGISTRY_AUTH_TOKEN_SIGNINGALGORITHMS=[RS256, ES256]\n"
    )
    found = read_registry_configuration(file, environment)

    assert (found.issuer, found.algorithms) == ("them", ("RS256", "ES256"))
    assert found.certificates == Path("/keys/root.crt")


def test_o6_zot_is_read(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    bearer = {"realm": "https://auth.example.com/auth/token", "service": "zot", "cert": "us.crt"}
    file.write_text(json.dumps({"distSpecVersion": "1.1.0", "http": {"auth": {"bearer": bearer}}}))
    found = read_registry_configuration(file, None)

    assert (found.kind, found.service, found.certificates) == ("zot", "zot", tmp_path / "us.crt")


def test_o6_our_proxy_is_read(tmp_path: Path) -> None:
    file = tmp_path / "proxy.yaml"
    file.write_text(
        "upstream: {url: 'http://127.0.0.1:5001'}\n"
        "token:\n  realm: https://auth.example.com/auth/token\n  service: registry.example.com\n"
        "  issuer: us\n  rootCertBundle: root.crt\n"
    )
    found = read_registry_configuration(file, None)

    assert (found.kind, found.issuer) == ("registry-auth-proxy", "us")
    assert found.certificates == tmp_path / "root.crt"


BAD = {
    "no token": ("version: 0.1\n", "has no `auth: token:`"),
    "a token that is empty": ("auth: {token: }\n", "has no `auth: token:`"),
    "a list": ("- a\n", "has no `auth: token:`"),
    "nothing": ("", "has no `auth: token:`"),
    "no YAML": ("auth: {token: [\n", "registry.yml:2:1"),
    "an alias of nothing": ("auth: {token: *t}\n", "registry.yml:1:15: found undefined alias"),
    "an escape": ('a: "\\e[2J\nauth: *t\x1b\n', "registry.yml"),
    "an object": ("auth: !!python/object/apply:os.system [id]\n", "registry.yml:1:7"),
    "zot without tokens": ('{"distSpecVersion": "1.1.0"}', "`http.auth.bearer`"),
    "a proxy that is wrong": ("token: {service: s}\n", "registry.yml:1"),
}


@pytest.mark.parametrize(("text", "said"), BAD.values(), ids=BAD)
def test_what_cannot_be_read_says_where_and_what_to_do(
    tmp_path: Path, text: str, said: str
) -> None:
    file = tmp_path / "registry.yml"
    file.write_text(text)

    with pytest.raises(RegistryFileError) as caught:
        read_registry_configuration(file, None)
    assert said in str(caught.value)
    assert caught.value.remedy
    assert str(caught.value).isprintable()


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    for file, environment in ((tmp_path / "x", None), (None, tmp_path / "x")):
        with pytest.raises(RegistryFileError, match="cannot be read"):
            read_registry_configuration(file, environment)
