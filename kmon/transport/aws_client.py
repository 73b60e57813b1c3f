"""Adapts aiobotocore: sessions by credential, an HTTP session on kmon's sockets, botocore's errors as ``StreamError``.

This module and ``bedrock`` import aiobotocore and botocore, so they are imported only for a target that needs them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from functools import cache
from typing import Any, NamedTuple

from aiobotocore.awsrequest import AioAWSResponse
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore import exceptions as aws
from botocore.awsrequest import AWSPreparedRequest
from botocore.loaders import Loader, create_loader
from botocore.tokens import FrozenAuthToken

from kmon import __version__
from kmon.catalog.aws import BEARER, KEY_ID, PROFILE, SECRET, SESSION
from kmon.catalog.credential import Credential
from kmon.dialects.bounds import QUOTED_LIMIT_CHARS, bounded
from kmon.dialects.delta import StreamError
from kmon.transport.errors import NotSentError
from kmon.transport.http import ERROR_BODY_LIMIT_BYTES, ERROR_BODY_WAIT_S, WHOLE_BODY_LIMIT_BYTES, Answer

SERVICE = "bedrock-runtime"
_CREDENTIAL_ERRORS = (
    aws.NoCredentialsError, aws.PartialCredentialsError, aws.CredentialRetrievalError, aws.ProfileNotFound,
    aws.NoAuthTokenError, aws.TokenRetrievalError, aws.SSOError, aws.MetadataRetrievalError, aws.ConfigNotFound,
    aws.ConfigParseError, aws.InvalidConfigError, aws.InfiniteLoopConfigError, aws.RefreshWithMFAUnsupportedError,
)  # fmt: skip

Send = Callable[[AWSPreparedRequest], Awaitable[Answer]]
"""Sends a signed request and returns its answer once the headers are in."""
carrier: ContextVar[Send] = ContextVar("carrier")
"""Sends the requests of this task: tasks share a client, but each attempt has its own connection."""


class _Token:
    """Token provider with a fixed Bedrock token; botocore's own reads only the process environment."""

    def __init__(self, token: str) -> None:
        self._token = FrozenAuthToken(token)

    def load_token(self, **_: object) -> FrozenAuthToken:
        return self._token


class Signing(NamedTuple):
    """A session, and the arguments for its clients."""

    session: AioSession
    keys: dict[str, str]
    signature_version: str | None
    """None leaves it to botocore."""


@cache
def model_loader() -> Loader:
    """A loader that has read the service model, once per process (0.2 s), for all sessions."""
    loader: Loader = create_loader()
    for name in ("endpoints", "partitions", "_retry", "sdk-default-configuration"):
        loader.load_data(name)
    for kind in ("service-2", "endpoint-rule-set-1"):
        loader.load_service_model(SERVICE, kind)
    return loader


def signing(credential: Credential, loader: Loader, *, placeholder: bool) -> Signing:
    """How requests are signed with ``credential``: its token, its keys, its profile, else botocore's own chain.

    The profile and the chain are the user's own, and used only if ``credential.chain``. With ``placeholder``, a request
    without a credential is signed with invented keys, so that a service on this machine never gets real keys that were
    not meant for it. Raises :class:`botocore.exceptions.ProfileNotFound`, and :class:`NotSentError` if there is nothing
    to sign with.
    """
    by_env = credential.by_env
    if token := by_env.get(BEARER):
        session = _session(loader)
        session.register_component("token_provider", _Token(token))
        return Signing(session, {}, "bearer")
    pair = {"aws_access_key_id": by_env.get(KEY_ID, ""), "aws_secret_access_key": by_env.get(SECRET, "")}
    if all(pair.values()):
        return Signing(_session(loader), pair | _given("aws_session_token", by_env.get(SESSION)), "v4")
    if (profile := by_env.get(PROFILE)) and credential.chain:
        return Signing(_session(loader, profile), {}, "v4")
    if placeholder:
        return Signing(_session(loader), dict.fromkeys(pair, "kmon"), "v4")
    if not credential.chain:
        raise NotSentError(
            StreamError("credentials", "no AWS credentials were given, and this endpoint may not be sent any others")
        )
    return Signing(_session(loader), {}, None)


def _session(loader: Loader, profile: str | None = None) -> AioSession:
    session = AioSession(profile=profile)
    session.register_component("data_loader", loader)
    return session


def config(signature_version: str | None) -> AioConfig:
    """One request per attempt, sent by its ``carrier``. There are no timeouts: kmon's own clocks decide."""
    return AioConfig(
        http_session_cls=StampedSession,
        retries={"total_max_attempts": 1, "mode": "standard"},
        user_agent_extra=f"kmon/{__version__}",
        **_given("signature_version", signature_version),
    )


class StampedSession:
    """The HTTP session interface of aiobotocore. It holds no connection: every attempt opens and closes its own."""

    def __init__(self, **_: object) -> None:
        """Ignores its arguments: the carrier decides timeouts, proxies and certificates."""

    async def __aenter__(self) -> StampedSession:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing to close."""

    async def close(self) -> None:
        """Nothing to close."""

    async def send(self, request: AWSPreparedRequest) -> AioAWSResponse:
        answer = await carrier.get()(request)
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return AioAWSResponse(request.url, answer.status, headers, _Body(answer))


class _Body:
    """The body of an answer, for botocore to read an error or a whole answer from; it never reads frames."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def read(self) -> bytes:
        if self._answer.status < 300:
            return await self._answer.body(WHOLE_BODY_LIMIT_BYTES, None)
        return await self._answer.body(ERROR_BODY_LIMIT_BYTES, ERROR_BODY_WAIT_S)


def header_text(value: object) -> str:
    """A header value of botocore, which may be text or bytes, as text."""
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def refusal(error: Exception) -> StreamError:
    """The error for an exception of botocore before the request to the service was sent."""
    message = bounded(" ".join(str(error).split()), QUOTED_LIMIT_CHARS)
    if isinstance(error, _CREDENTIAL_ERRORS):
        return StreamError("credentials", f"no AWS credentials could be used: {message}")
    if isinstance(error, aws.ClientError):  # of another service: STS, SSO
        code = str(error.response.get("Error", {}).get("Code") or "") or None
        return StreamError("credentials", f"AWS refused to give credentials: {message}", code=code)
    return StreamError("not-sent", f"the AWS client did not send the request: {message}")


def _given(name: str, value: str | None) -> dict[str, Any]:
    return {name: value} if value else {}
