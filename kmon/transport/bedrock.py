"""ConverseStream exchanges: aiobotocore asks, kmon's own sockets carry it.

aiobotocore resolves the endpoint, serialises, signs and reads refusals; it makes exactly one request per attempt. Its
HTTP session is replaced by one that sends through :func:`kmon.transport.http.exchange`, so phases and arrivals are
stamped as for every other dialect, and the frames reach kmon's own decoder as raw bytes: aiobotocore's reader ends
without a word when a body ends early, even inside a frame.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator
from urllib.parse import unquote, urlsplit

import msgspec
from botocore.awsrequest import AWSPreparedRequest
from botocore.exceptions import BotoCoreError, ClientError

from kmon.catalog.credential import Credential
from kmon.dialects.wire import WireRequest
from kmon.transport.aws_client import SERVICE, Signing, config, header_text, refusal, signing
from kmon.transport.errors import NotSentError
from kmon.transport.http import Answer, exchange
from kmon.transport.phase import OnPhase
from kmon.transport.proxy import proxy_for

OPERATION = "ConverseStream"
_MODELS = ("endpoints", "partitions", "_retry", "sdk-default-configuration")


class Bedrock:
    """What the exchanges of a race share: per credential, a session with its loaded service model and its tokens."""

    def __init__(self, ssl_context: ssl.SSLContext) -> None:
        self._ssl_context = ssl_context
        self._signings: dict[tuple[tuple[tuple[str, str], ...], bool], Signing] = {}

    def prepare(self, credential: Credential, *, placeholder: bool) -> None:
        """Read the service model now (about 0.2 s of work), not while a round is being measured."""
        with contextlib.suppress(BotoCoreError):  # what is wrong is told by the attempt it concerns
            loader = self._signing(credential, placeholder=placeholder).session.get_component("data_loader")
            for name in _MODELS:
                loader.load_data(name)
            for kind in ("service-2", "endpoint-rule-set-1"):
                loader.load_service_model(SERVICE, kind)

    @contextlib.asynccontextmanager
    async def exchange(
        self,
        request: WireRequest,
        *,
        credential: Credential,
        region: str,
        endpoint_url: str | None,
        placeholder: bool,
        on_phase: OnPhase,
        connect_timeout_s: float,
    ) -> AsyncIterator[Answer]:
        """Ask and yield the answer once the headers are in, a refusal too; leaving the context closes the socket.

        ``endpoint_url`` None lets botocore find the endpoint of ``region``. Raises what :func:`exchange` raises, and
        :class:`NotSentError` for what botocore complains of before it sends anything.
        """
        answers: list[Answer] = []
        async with contextlib.AsyncExitStack() as stack:

            async def send(prepared: AWSPreparedRequest) -> Answer:
                answer = await stack.enter_async_context(
                    exchange(
                        prepared.method,
                        prepared.url,
                        headers={name: header_text(value) for name, value in prepared.headers.items()},
                        body=prepared.body,
                        on_phase=on_phase,
                        ssl_context=self._ssl_context,
                        connect_timeout_s=connect_timeout_s,
                        proxy=proxy_for(prepared.url),
                    )
                )
                answers.append(answer)
                return answer

            try:
                how = self._signing(credential, placeholder=placeholder)
                client = await stack.enter_async_context(
                    how.session.create_client(
                        SERVICE,
                        region_name=region,
                        endpoint_url=endpoint_url,
                        config=config(send, how.signature_version),
                        **how.keys,
                    )
                )
                await client.converse_stream(modelId=_model_of(request), **msgspec.json.decode(request.body))
            except ClientError as error:
                if not answers or error.operation_name != OPERATION:
                    raise NotSentError(refusal(error)) from error
                answers[0].error_code = error.response["Error"].get("Code")
            except (BotoCoreError, ValueError, TypeError) as error:
                raise NotSentError(refusal(error)) from error
            yield answers[0]

    def _signing(self, credential: Credential, *, placeholder: bool) -> Signing:
        at = (tuple(credential.by_env.items()), placeholder)
        if at not in self._signings:
            self._signings[at] = signing(credential, placeholder=placeholder)
        return self._signings[at]


def _model_of(request: WireRequest) -> str:
    return unquote(urlsplit(request.path).path.split("/")[2])
