"""Sinks that speak HTTP: Splunk HEC, Loki, Datadog, OTLP logs and traces, and any webhook that takes JSON lines.

A batch is one request. 2xx means that it arrived; everything else, a redirect too, means that it has to be sent again.
What a receiver will refuse again (3xx and 4xx, but for those that ask for patience) is told apart from trouble that
passes, since only somebody who mends it helps: see ``gateway.audit.shipping.shipper``.
"""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import time
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, ClassVar, Final, Self
from urllib.parse import urlsplit, urlunsplit

from typing_extensions import override

from gateway.audit.shipping import forms
from gateway.audit.shipping.forms import Place
from gateway.audit.shipping.options import Options
from gateway.audit.shipping.shorten import shortened
from gateway.audit.sinks import DeliveryDeferred, DeliveryRefused
from gateway.errors import AuditError, ConfigurationError

if TYPE_CHECKING:
    import httpx2

_CONTENT: Final = frozenset({400, 413, 415, 422})
"""Statuses by which a receiver refuses what it was sent."""
_PATIENCE: Final = frozenset({408, 423, 425, 429})
"""Statuses of 4xx that say: later."""
_BUSY: Final = frozenset({8, 9, 18, 19, 20, 23})
"""HEC's codes for trouble that passes: an error inside, busy, full queues, shutting down."""
_ANSWER: Final = 64 * 1024
"""Bytes of an answer that are read."""
LEAST_EVENT: Final = 2048
"""Bytes that an event needs to say anything."""
_SHOWN: Final = 200
"""Characters of a receiver's complaint that are told."""


class HttpSink:
    """What all of them share.

    Options: ``url``, ``headers``, ``timeout``, ``ca``, ``gzip``, ``max_event``, ``service``.
    """

    spooled: ClassVar[bool] = True
    content_type: ClassVar[str] = "application/json"
    most: ClassVar[int] = 1 << 20
    """Bytes of an event that the receiver takes as a rule; ``max_event`` says otherwise."""

    def __init__(self, options: Options) -> None:
        self._url = self.address(options.url("url"))
        headers = options.words("headers")
        self._gzip = options.flag("gzip", True)
        self._place = Place(socket.gethostname(), options.text("service", "querygate"))
        self._timeout = options.seconds("timeout", 10.0)
        self._ca = options.path("ca")
        self._most = options.size("max_event", self.most, least=LEAST_EVENT)
        self.configure(options)
        options.done()
        # Answers are read as they come: none may grow while it is unpacked.
        own = {"Content-Type": self.content_type, "Accept-Encoding": "identity"}
        self._headers = own | self.credentials() | headers
        if self._gzip:
            self._headers["Content-Encoding"] = "gzip"
        self._client: httpx2.Client | None = None

    @classmethod
    def from_options(cls, options: Mapping[str, object], data_dir: Path) -> Self:
        """Raises ``ConfigurationError``."""
        return cls(Options(options, data_dir))

    def configure(self, options: Options) -> None:
        """Take the options of one's own."""

    def credentials(self) -> dict[str, str]:
        """Headers that prove who sends."""
        return {}

    def address(self, url: str) -> str:
        """The address to post to, from the one that is configured."""
        return url

    @abstractmethod
    def body(self, lines: Sequence[bytes]) -> bytes | None:
        """The request's content; None where nothing of it is for this receiver."""

    def write(self, lines: Sequence[bytes]) -> None:
        """Post a batch. Raises ``AuditError`` where it did not arrive."""
        import httpx2

        body = self.body([shortened(line, self._most) for line in lines])
        if body is None:
            return
        try:
            if self._client is None:
                self._client = httpx2.Client(timeout=self._timeout, verify=self._context(), follow_redirects=False)
            content = gzip.compress(body, 1) if self._gzip else body
            with self._client.stream("POST", self._url, content=content, headers=self._headers) as answer:
                status, later = answer.status_code, answer.headers.get("Retry-After", "")
                told = self._read(answer.iter_raw(), httpx2)
        except httpx2.HTTPError as error:
            raise AuditError(f"{self._where}: {type(error).__name__}: {error}") from error
        if not 200 <= status < 300:
            problem = f"{self._where}: status {status}: {_told(told.decode(errors='replace'))}"
            if 300 <= status < 500 and status not in _PATIENCE:
                raise DeliveryRefused(problem, content=status in _CONTENT)
            if (seconds := _deferral(later, time.time())) > 0:
                raise DeliveryDeferred(problem, seconds=seconds)
            raise AuditError(problem)
        if complaint := self.complaint(told):
            raise DeliveryRefused(f"{self._where}: {_told(complaint)}", content=True)

    def _context(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=None if self._ca is None else str(self._ca))
        except OSError as error:  # which does not say which file
            raise AuditError(f"{self._where}: ca {self._ca}: {error}") from error

    def _read(self, chunks: Iterator[bytes], httpx2: ModuleType) -> bytes:
        """The beginning of an answer, which may be endless or take for ever."""
        told, deadline = b"", time.monotonic() + self._timeout
        for chunk in chunks:
            told += chunk
            if len(told) >= _ANSWER:
                break
            if time.monotonic() > deadline:
                raise httpx2.ReadTimeout("the answer does not come to its end")
        return told[:_ANSWER]

    def complaint(self, answer: bytes) -> str:
        """What a receiver that answered with 2xx did not take, in its words; empty where it took everything."""
        return ""

    def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.close()

    @property
    def _where(self) -> str:
        parts = urlsplit(self._url)
        return f"{parts.scheme}://{parts.netloc}"


class SplunkSink(HttpSink):
    """``type: splunk``: HTTP Event Collector. Options beside HTTP's: ``token``, ``index``, ``sourcetype``."""

    @override
    def configure(self, options: Options) -> None:
        self._token = options.text("token")
        self._index = options.text("index", "")
        self._sourcetype = options.text("sourcetype", "querygate:ocsf")

    @override
    def credentials(self) -> dict[str, str]:
        return {"Authorization": f"Splunk {self._token}"}

    @override
    def address(self, url: str) -> str:
        return _with_path(url, "/services/collector/event")

    @override
    def complaint(self, answer: bytes) -> str:
        # Load balancers and products that speak HEC answer 200 and say in the body that it is not so.
        try:
            match json.loads(answer):
                case {"code": int(code), "text": str(text)} if code in _BUSY:
                    raise AuditError(f"{self._where}: code {code}: {_told(text)}")
                case {"code": int(code), "text": str(text)} if code != 0:
                    return f"code {code}: {text}"
        except ValueError:
            pass  # not an answer of HEC's form; the status said that all is well
        return ""

    @override
    def body(self, lines: Sequence[bytes]) -> bytes:
        return forms.splunk(lines, self._place, index=self._index, sourcetype=self._sourcetype)


class LokiSink(HttpSink):
    """``type: loki``. Options beside HTTP's: ``labels``, ``tenant``, ``username`` and ``password``."""

    most = 256 * 1024  # Loki's own max_line_size

    @override
    def configure(self, options: Options) -> None:
        self._labels = options.words("labels")
        self._tenant = options.text("tenant", "")
        self._username = options.text("username", "")
        self._password = options.text("password", "")

    @override
    def credentials(self) -> dict[str, str]:
        found = {"X-Scope-OrgID": self._tenant} if self._tenant else {}
        return found | _basic(self._username, self._password)

    @override
    def address(self, url: str) -> str:
        return _with_path(url, "/loki/api/v1/push")

    @override
    def body(self, lines: Sequence[bytes]) -> bytes:
        return forms.loki(lines, self._place, labels=self._labels)


class DatadogSink(HttpSink):
    """``type: datadog``. Options beside HTTP's: ``api_key``, ``tags``."""

    most = 480 * 1024  # of 1 MB for a log: the event is a text in another JSON, where each quote takes two bytes

    @override
    def configure(self, options: Options) -> None:
        self._key = options.text("api_key")
        self._tags = options.words("tags")

    @override
    def credentials(self) -> dict[str, str]:
        return {"DD-API-KEY": self._key}

    @override
    def address(self, url: str) -> str:
        return _with_path(url, "/api/v2/logs")

    @override
    def body(self, lines: Sequence[bytes]) -> bytes:
        return forms.datadog(lines, self._place, tags=self._tags)


class OtlpLogsSink(HttpSink):
    """``type: otlp``: OpenTelemetry logs over OTLP/HTTP. Options beside HTTP's: ``attributes`` of the resource."""

    @override
    def configure(self, options: Options) -> None:
        self._attributes = options.words("attributes")

    @override
    def address(self, url: str) -> str:
        return _with_path(url, "/v1/logs")

    @override
    def complaint(self, answer: bytes) -> str:
        # Counts are numbers or texts: 64-bit integers are texts in protobuf's JSON form.
        try:
            match json.loads(answer):
                case {"partialSuccess": {**partial}}:
                    counts = [partial.get(name, 0) for name in ("rejectedLogRecords", "rejectedSpans")]
                    if any(int(str(count)) > 0 for count in counts):
                        return f"partly refused: {partial.get('errorMessage', '')}"
        except (ValueError, TypeError):
            pass  # not an answer of OTLP's form; the status said that all is well
        return ""

    @override
    def body(self, lines: Sequence[bytes]) -> bytes:
        return forms.otlp_logs(lines, self._place, attributes=self._attributes)


class OtlpTracesSink(OtlpLogsSink):
    """``type: otlp_traces``: a span for each statement, a trace for each session. Options as ``otlp``."""

    @override
    def address(self, url: str) -> str:
        return _with_path(url, "/v1/traces")

    @override
    def body(self, lines: Sequence[bytes]) -> bytes | None:  # type: ignore[override]
        return forms.otlp_traces(lines, self._place, attributes=self._attributes)


class WebhookSink(HttpSink):
    """``type: webhook``: JSON lines to any address. Options beside HTTP's: ``token`` (a bearer token)."""

    content_type = "application/x-ndjson"

    @override
    def configure(self, options: Options) -> None:
        self._token = options.text("token", "")

    @override
    def credentials(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}

    @override
    def body(self, lines: Sequence[bytes]) -> bytes:
        return forms.json_lines(lines)


def _deferral(header: str, now: float) -> float:
    """What Retry-After says, in seconds (RFC 9110, 10.2.3); 0 where it says nothing."""
    if header.isascii() and header.isdigit():
        return float(header)
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - now)
    except (ValueError, OverflowError):
        return 0.0


def _told(text: str) -> str:
    return text[:_SHOWN].replace("\n", " ")


def _with_path(url: str, path: str) -> str:
    """The engine's own path, unless the address has one already."""
    parts = urlsplit(url)
    return url if parts.path not in ("", "/") else urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))


def _basic(username: str, password: str) -> dict[str, str]:
    import base64

    if not username:
        return {}
    if not password:
        raise ConfigurationError("password: a username needs one")
    return {"Authorization": "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()}
