"""ConverseStream exchanges: aiobotocore makes the request, kmon's own sockets carry it.

aiobotocore resolves the endpoint, serialises, signs and reads errors; it makes exactly one request per attempt. Its
HTTP session is replaced by one that sends through :func:`kmon.transport.http.exchange`, so phases and arrivals are
stamped as for every other dialect. The frames reach kmon's own decoder as raw bytes, because aiobotocore's reader ends
without an error when a body ends early, even inside a frame.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec
from botocore.awsrequest import AWSPreparedRequest
from botocore.exceptions import BotoCoreError, ClientError

from kmon.catalog.aws import AwsEndpoint
from kmon.catalog.credential import Credential
from kmon.dialects.delta import StreamError
from kmon.dialects.dialect import WireRequest
from kmon.errors import UsageError
from kmon.transport.aws_client import SERVICE, Signing, carrier, config, header_text, model_loader, refusal, signing
from kmon.transport.carriage import OWN_CONNECTION, Carriage
from kmon.transport.errors import NotSentError
from kmon.transport.http import Answer, HttpRequest, exchange
from kmon.transport.phase import OnPhase, OnSampler
from kmon.transport.proxy import proxy_for

OPERATIONS = ("ConverseStream", "Converse")
WHOLE_ANSWER = "/converse"
"""The end of the path of a request whose answer is not streamed."""


class Bedrock:
    """Shared by the exchanges of a race: the service model, and clients by credential and endpoint."""

    def __init__(self, ssl_context: ssl.SSLContext) -> None:
        self._ssl_context = ssl_context
        self._loader = model_loader()
        self._signings: dict[object, Signing] = {}
        self._clients: dict[object, Any] = {}

    async def prepare(self, credential: Credential, place: AwsEndpoint, limit_s: float) -> None:
        """Make the client and fetch its credentials before a round is measured, within ``limit_s`` seconds.

        Errors are ignored: they come again in the attempt, which reports them.
        """
        with contextlib.suppress(BotoCoreError, ClientError, NotSentError, ValueError, TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._client(credential, place)
                how = self._signing(credential, place)
                if not how.keys and how.signature_version != "bearer":
                    fetched = await how.session.get_credentials()
                    if fetched is not None:
                        await fetched.get_frozen_credentials()

    @contextlib.asynccontextmanager
    async def exchange(
        self,
        request: WireRequest,
        place: AwsEndpoint,
        *,
        credential: Credential,
        on_phase: OnPhase,
        connect_timeout_s: float,
        on_sampler: OnSampler | None = None,
        carriage: Carriage = OWN_CONNECTION,
    ) -> AsyncIterator[Answer]:
        """Send the request and yield the answer after its headers, an error answer too; leaving closes the socket.

        Raises what :func:`kmon.transport.http.exchange` raises, and :class:`NotSentError` for errors of botocore before
        it sends anything.
        """
        answers: list[Answer] = []
        async with contextlib.AsyncExitStack() as stack:

            async def send(prepared: AWSPreparedRequest) -> Answer:
                proxy = proxy_for(prepared.url)
                _check(credential, prepared.url, proxied=proxy is not None)
                headers = {name: header_text(value) for name, value in prepared.headers.items()}
                answer = await stack.enter_async_context(
                    exchange(
                        HttpRequest(prepared.method, prepared.url, headers, prepared.body),
                        on_phase=on_phase,
                        ssl_context=self._ssl_context,
                        connect_timeout_s=connect_timeout_s,
                        proxy=proxy,
                        on_sampler=on_sampler,
                        carriage=carriage,
                    )
                )
                answers.append(answer)
                return answer

            carrier.set(send)
            try:
                client = await self._client(credential, place)
                ask = client.converse if request.path.endswith(WHOLE_ANSWER) else client.converse_stream
                await ask(modelId=_model_of(request), **msgspec.json.decode(request.body))
            except ClientError as error:
                if not answers or error.operation_name not in OPERATIONS:
                    raise NotSentError(refusal(error)) from error
                answers[0].error_code = error.response["Error"].get("Code")
            except (BotoCoreError, ValueError, TypeError) as error:
                if not answers:  # else it could not read a whole answer, which kmon reads again and judges itself
                    raise NotSentError(refusal(error)) from error
            yield answers[0]

    async def _client(self, credential: Credential, place: AwsEndpoint) -> Any:  # noqa: ANN401 - botocore makes its class
        at = (*credential.by_env.items(), credential.chain, place)
        if at not in self._clients:
            how = self._signing(credential, place)
            # Entered and never left: its HTTP session has nothing to close.
            self._clients[at] = await how.session.create_client(
                SERVICE,
                region_name=place.region,
                endpoint_url=place.endpoint_url,
                config=config(how.signature_version),
                **how.keys,
            ).__aenter__()
        return self._clients[at]

    def _signing(self, credential: Credential, place: AwsEndpoint) -> Signing:
        """A session keeps loaded models and fetched credentials, so there is one per credential."""
        at = (*credential.by_env.items(), credential.chain, place.placeholder)
        if at not in self._signings:
            self._signings[at] = signing(credential, self._loader, placeholder=place.placeholder)
        return self._signings[at]


def _check(credential: Credential, url: str, *, proxied: bool) -> None:
    try:
        credential.check(url, proxied=proxied)
    except UsageError as error:
        raise NotSentError(StreamError("key-withheld", str(error))) from None


def _model_of(request: WireRequest) -> str:
    return unquote(urlsplit(request.path).path.split("/")[2])
