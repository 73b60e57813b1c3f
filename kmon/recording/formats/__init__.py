"""The formats of recordings, one module each, and the table that says which is asked first."""

from __future__ import annotations

from kmon.recording.formats.burp import BURP
from kmon.recording.formats.charles import CHARLES
from kmon.recording.formats.claude_code import CLAUDE_CODE
from kmon.recording.formats.curl_trace import CURL_TRACE
from kmon.recording.formats.curl_verbose import CURL_VERBOSE
from kmon.recording.formats.format import Format
from kmon.recording.formats.har import HAR
from kmon.recording.formats.hoverfly import HOVERFLY
from kmon.recording.formats.http_dump import HTTP_DUMP
from kmon.recording.formats.httpie import HTTPIE
from kmon.recording.formats.httpmock import HTTPMOCK
from kmon.recording.formats.httprr import HTTPRR
from kmon.recording.formats.json_events import JSON_EVENTS
from kmon.recording.formats.kmon_json import KMON_JSON
from kmon.recording.formats.log_lines import LOG_LINES
from kmon.recording.formats.mitmproxy import MITMPROXY
from kmon.recording.formats.mock_servers import MOCK_SERVERS
from kmon.recording.formats.nock import NOCK
from kmon.recording.formats.packet_text import PACKET_TEXT
from kmon.recording.formats.pasted import PASTED
from kmon.recording.formats.postman import POSTMAN
from kmon.recording.formats.printed import PRINTED
from kmon.recording.formats.raw_stream import RAW_ANSWER, RAW_CHUNKS, RAW_STREAM
from kmon.recording.formats.req_llm import REQ_LLM
from kmon.recording.formats.stamped_lines import STAMPED_LINES
from kmon.recording.formats.test_proxy import TEST_PROXY
from kmon.recording.formats.undici import UNDICI
from kmon.recording.formats.vcr import VCR_JSON, VCR_YAML
from kmon.recording.formats.wiremock import WIREMOCK
from kmon.recording.formats.wireshark import WIRESHARK_TEXT, WIRESHARK_YAML

FORMATS: tuple[Format, ...] = (
    HTTPIE,
    RAW_STREAM,
    HTTP_DUMP,
    HTTPRR,
    MITMPROXY,
    CURL_TRACE,
    CURL_VERBOSE,
    PACKET_TEXT,
    STAMPED_LINES,
    RAW_CHUNKS,
    WIRESHARK_TEXT,
    KMON_JSON,
    CLAUDE_CODE,
    HAR,
    REQ_LLM,
    TEST_PROXY,
    HOVERFLY,
    CHARLES,
    POSTMAN,
    MOCK_SERVERS,
    BURP,
    NOCK,
    UNDICI,
    VCR_JSON,
    WIREMOCK,
    JSON_EVENTS,
    RAW_ANSWER,
    HTTPMOCK,
    WIRESHARK_YAML,
    VCR_YAML,
    PASTED,
    LOG_LINES,
    PRINTED,
)
"""The first that a file looks like reads it: what only one program writes stands before what many do."""

__all__ = ["FORMATS", "Format"]
