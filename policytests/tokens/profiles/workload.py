"""
Tokens of workloads that are no CI jobs: Kubernetes service accounts, Google, SPIFFE.

What lives here: their claims, as each documents them.  Not here: any other issuer.
"""

from datetime import timedelta
from typing import Final

from .profile import Claims, Issue, Profile, number_of, text, uuid_of


def _kubernetes(claims: Claims, _issue: Issue) -> None:
    """Kubernetes documentation, "Managing Service Accounts": bound service account tokens."""
    given = claims.get("kubernetes.io")
    private: Claims = dict(given) if isinstance(given, dict) else {}
    namespace = text(private, "namespace", "default")
    account = _object(private, "serviceaccount")
    name = text(account, "name", "default")
    text(account, "uid", uuid_of(namespace, "serviceaccount", name))
    for kind in ("pod", "node", "secret"):
        if kind in private:
            bound = _object(private, kind)
            text(bound, "uid", uuid_of(namespace, kind, text(bound, "name", f"{name}-0")))
    if given is None or isinstance(given, dict):
        claims["kubernetes.io"] = private
    text(claims, "sub", f"system:serviceaccount:{namespace}:{name}")
    text(claims, "jti", uuid_of(namespace, name, "token"))


def _object(claims: Claims, name: str) -> Claims:
    given = claims.get(name)
    copy: Claims = dict(given) if isinstance(given, dict) else {}
    claims[name] = copy
    return copy


KUBERNETES: Final = Profile(
    name="kubernetes",
    about="a bound service account token (TokenRequest, projected volume)",
    variants={
        "": {"kubernetes.io": {"pod": {}, "node": {"name": "worker-1"}}},
        "pod": {"kubernetes.io": {"pod": {}, "node": {"name": "worker-1"}}},
        "account": {},
    },
    complete=_kubernetes,
    lifetime=timedelta(hours=1),
)


def _google(claims: Claims, _issue: Issue) -> None:
    """Google Cloud documentation, "Verify VM identity" and "ID tokens"."""
    email = text(claims, "email", "builder@acme.iam.gserviceaccount.com")
    claims.setdefault("email_verified", True)
    number = text(claims, "sub", number_of(email) * 2)
    text(claims, "azp", number)


GOOGLE: Final = Profile(
    name="google",
    about="an ID token of a Google service account",
    variants={
        "": {},
        "service-account": {},
        "instance": {
            "google": {
                "compute_engine": {
                    "project_id": "acme",
                    "project_number": 1234567890,
                    "zone": "europe-west1-b",
                    "instance_id": "3412512345",
                    "instance_name": "builder-1",
                    "instance_creation_timestamp": 1760000000,
                }
            }
        },
    },
    complete=_google,
    lifetime=timedelta(hours=1),
    backdated=None,
)


def _spiffe(claims: Claims, issue: Issue) -> None:
    """SPIFFE JWT-SVID, section 3."""
    domain = issue.issuer.removeprefix("https://").partition("/")[0] or "example.com"
    text(claims, "sub", f"spiffe://{domain}/ns/default/sa/app")


SPIFFE: Final = Profile(
    name="spiffe",
    about="a JWT-SVID of a SPIFFE workload",
    variants={"": {}, "svid": {}},
    complete=_spiffe,
    lifetime=timedelta(minutes=5),
    algorithm="ES256",
)
