"""
Signing: from key files to the key that signs tokens, in the form the registry knows it by.

What lives here: reading the configured keys, and refusing forms that cannot work.
Not here: making keys (`regauth.servers.signing.key_folder`), working out a key's id
(`regauth.engine.tokens.key_ids`), and signing (`regauth.engine.tokens.registry_token`).
"""

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from cryptography import x509

from regauth.engine.source.startup import StartupError
from regauth.engine.tokens.algorithms import KeysError
from regauth.engine.tokens.jwks import jwks
from regauth.engine.tokens.key_ids import key_id
from regauth.engine.tokens.keys import PrivateKey, PublicKey, SigningKey, algorithms_of
from regauth.engine.tokens.pem import load_certificates, load_private_key
from regauth.servers.configuration.settings import FixedKeyId, KeyFolder, SigningSettings

from . import key_folder
from .compat import Form, IncompatibleError, choose_form


class SigningError(StartupError):
    """The configured keys cannot sign tokens; the message says why."""


@dataclass(frozen=True, slots=True)
class Signer:
    """The key that signs, and the public halves of it and of the earlier keys."""

    key: SigningKey
    published: tuple[tuple[PublicKey, str, str], ...]
    """Public key, key id and algorithm of each."""

    @property
    def expires(self) -> datetime | None:
        """When the certificates in the tokens expire, and registries begin to refuse the tokens."""
        return min((one.not_valid_after_utc for one in self.key.x5c), default=None)

    def jwks(self) -> dict[str, object]:
        """Return the JWK set to publish."""
        return jwks(self.published)


def load_signer(settings: SigningSettings, now: datetime) -> Signer:
    """
    Read the configured keys.

    Raises:
        SigningError: They cannot be read, do not fit together, or their certificates are not
            valid now.
    """
    try:
        materials = _materials(settings)
        form = _form(settings, *materials[0])
        first = _signing_key(form, *materials[0])
        others = [_other(settings, form, key) for key, _ in materials[1:]]
    except (key_folder.KeyFolderError, KeysError, IncompatibleError) as error:
        raise SigningError(str(error)) from error
    if settings.x5c and not first.x5c:
        raise SigningError(
            "`x5c: true` needs the key's certificates: `certificateFile`, or a `keyFolder`"
        )
    for certificate in first.x5c:
        if not certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc:
            raise SigningError(
                f"the signing key's certificate is valid from {certificate.not_valid_before_utc} "
                f"to {certificate.not_valid_after_utc} only, and registries check that"
            )
    mine = (first.public_key, first.key_id or "", first.algorithm)
    return Signer(first, (mine, *(one for one in others if one[1] != mine[1])))


def certified(settings: SigningSettings, key: SigningKey, now: datetime) -> SigningKey | None:
    """Return a configured key with its certificates; None when it has none that are valid now."""
    if key.x5c:
        return key
    try:
        return load_signer(replace(settings, x5c=True, compat=()), now).key
    except SigningError:
        return None


def _materials(
    settings: SigningSettings,
) -> list[tuple[PrivateKey, tuple[x509.Certificate, ...]]]:
    source = settings.source
    if isinstance(source, KeyFolder):
        return [(one.key, one.chain) for one in key_folder.read(source.folder).all]
    key = load_private_key(_read(source.key))
    return [(key, () if source.chain is None else load_certificates(_read(source.chain)))]


def _form(settings: SigningSettings, key: PrivateKey, chain: tuple[x509.Certificate, ...]) -> Form:
    return choose_form(
        settings.compat,
        settings.algorithm or algorithms_of(key.public_key())[0],
        settings.key_id,
        x5c=settings.x5c,
        certificates=bool(chain),
    )


def _signing_key(form: Form, key: PrivateKey, chain: tuple[x509.Certificate, ...]) -> SigningKey:
    return SigningKey(
        material=key,
        algorithm=form.algorithm,
        key_id=_key_id(form, key.public_key()),
        x5c=chain if form.x5c else (),
    )


def _other(settings: SigningSettings, form: Form, key: PrivateKey) -> tuple[PublicKey, str, str]:
    """Return an earlier key as it is published, with an algorithm that fits it."""
    public = key.public_key()
    fitting = algorithms_of(public)
    algorithm = settings.algorithm if settings.algorithm in fitting else fitting[0]
    return public, _key_id(form, public), algorithm


def _key_id(form: Form, public: PublicKey) -> str:
    choice = form.key_id
    return choice.name if isinstance(choice, FixedKeyId) else key_id(public, choice)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SigningError(f"{path} cannot be read: {error.strerror}") from error
