"""
Running a token server: from settings to a process that serves and ends in order.

What lives here: the order in which things are loaded, bound, started and ended.  What must not:
how each of them works.
"""

import signal
from datetime import UTC, datetime
from types import FrameType

from . import hosting
from .event_log import EventLog
from .live_policy import PolicyFolderError, PolicyProblemsError, load_policy
from .login_cache import LoginCache
from .observing import Observer
from .provider_keys import ProviderKeys
from .settings import Settings
from .signing import SigningError, load_signer
from .terminal import EXIT_POLICY, fail, fail_with_problems
from .token_app import create_app
from .token_service import State, TokenService


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; end the process when the settings or policy are wrong."""
    state = load_state(settings)
    log = EventLog(settings.log_format, settings.log_level)
    log.take_over_logging()
    try:
        listeners = hosting.bind(settings.listen)
    except OSError as error:
        fail(f"cannot listen on {error.filename}: {error.strerror}")
    keys = ProviderKeys()
    keys.serve([(state.policy, settings.policy)])
    keys.start()
    logins = LoginCache(keys)
    service = TokenService(state, logins, issuer=settings.issuer, lifetime=settings.lifetime)
    application = create_app(settings, service, keys, Observer(log))
    server = hosting.Server(application, listeners, threads=settings.threads)

    def stop(_number: int, _frame: FrameType | None) -> None:
        log.event("ending")
        server.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    log.event("listening", addresses=hosting.addresses_of(listeners), policy=state.policy.hash)
    server.run()
    keys.close()
    log.event("ended")


def load_state(settings: Settings) -> State:
    """Load policy and keys; end the process with everything that is wrong with them."""
    try:
        policy = load_policy(settings.policy)
    except PolicyProblemsError as error:
        fail_with_problems(error.problems, error.sources, EXIT_POLICY)
    except PolicyFolderError as error:
        fail(str(error), EXIT_POLICY)
    try:
        signer = load_signer(settings.signing, datetime.now(UTC))
    except SigningError as error:
        fail(str(error))
    return State(policy, signer)
