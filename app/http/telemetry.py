"""OpenTelemetry traces and metrics of requests and of calls to DynamoDB, if OTEL_ENABLED is set.

Nothing else imports this module or the packages, so a service without it starts as fast as before.
The lists here say what leaves the process, whatever an instrumentation records: the method and the
route's template, but no path, query, header, address, id, text of an exception or content. A trace
does not show who asked. The request's line in the log has the trace's id, the tenant and the user.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import flask

from app import __version__
from app.config import Config, ConfigError

# Must be set before the imports below. The stable names of HTTP attributes; and seconds for
# sending, because on Lambda a request waits for it.
os.environ.setdefault("OTEL_SEMCONV_STABILITY_OPT_IN", "http")
os.environ.setdefault("OTEL_EXPORTER_OTLP_TIMEOUT", "2")

try:
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.botocore import BotocoreInstrumentor
    from opentelemetry.instrumentation.flask import FlaskInstrumentor
    from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.metrics.view import View
    from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
    from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
    from opentelemetry.trace import SpanContext, Status, get_current_span
except ImportError as missing:
    raise ConfigError(
        f"OTEL_ENABLED is set, but {missing.name} is not installed: "
        "pip install --require-hashes -r requirements-otel.txt"
    ) from None

METHOD, ROUTE, STATUS = "http.request.method", "http.route", "http.response.status_code"

OF_A_REQUEST = {METHOD, ROUTE, STATUS, "url.scheme", "network.protocol.version", "error.type"}

OF_A_CALL = {
    "rpc.system",
    "rpc.service",
    "rpc.method",
    "cloud.region",
    "aws.region",
    "aws.request_id",
    "aws.dynamodb.table_names",
    "aws.dynamodb.index_name",
    "aws.dynamodb.limit",
    "aws.dynamodb.count",
    "aws.dynamodb.scanned_count",
    "db.system",
    "db.operation",
    "http.status_code",
    "retry_attempts",
    "error.type",
}
"""The attributes of a call to DynamoDB that hold no part of a key or an item."""


def init_app(app: flask.Flask, config: Config) -> None:
    """Must be called before other hooks are added, so that a request's span begins before them.

    The SDK and the exporters read the standard variables (OTEL_EXPORTER_OTLP_ENDPOINT,
    OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER and so on).
    """
    resource = _resource()
    tracers = TracerProvider(resource=resource)
    if config.otel_traces_exporter == "otlp":
        tracers.add_span_processor(BatchSpanProcessor(SafeExporter(OTLPSpanExporter())))
    readers = []
    if config.otel_metrics_exporter == "otlp":
        readers.append(PeriodicExportingMetricReader(OTLPMetricExporter()))
    meters = MeterProvider(
        readers,
        resource=resource,
        exemplar_filter=AlwaysOffExemplarFilter(),
        views=[View(instrument_name="*", attribute_keys=OF_A_REQUEST)],
    )
    FlaskInstrumentor.instrument_app(
        app, tracer_provider=tracers, meter_provider=meters, enable_commenter=False
    )
    BotocoreInstrumentor().instrument(tracer_provider=tracers, meter_provider=meters)
    _note_trace(app)
    _count_calls(app, meters)
    _flush_on_lambda(app, tracers)


def _resource() -> Resource:
    found = Resource.create()
    ours: dict[str, Any] = {SERVICE_VERSION: __version__}
    if str(found.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
        ours[SERVICE_NAME] = "session-store"
    return found.merge(Resource(ours))


def _note_trace(app: flask.Flask) -> None:
    @app.before_request
    def note() -> None:
        context = get_current_span().get_span_context()
        if context.is_valid:
            flask.g.trace_id = f"{context.trace_id:032x}"  # for the log


def _count_calls(app: flask.Flask, meters: MeterProvider) -> None:
    meter = meters.get_meter("session-store", __version__)
    counters = {
        name: meter.create_counter(f"session_store.dynamodb.{name}", unit)
        for name, unit in (
            ("calls", "{call}"),
            ("units", "{unit}"),
            ("retries", "{retry}"),
            ("throttles", "{throttle}"),
        )
    }

    @app.after_request
    def count(response: flask.Response) -> flask.Response:
        rule = flask.request.url_rule
        route = {ROUTE: rule.rule} if rule else {}
        for name, counter in counters.items():
            counter.add(getattr(flask.g.budget, name), route)
        return response


def _flush_on_lambda(app: flask.Flask, tracers: TracerProvider) -> None:
    """Sends a request's spans before its answer, because Lambda stops all threads after it."""
    traced: Callable[..., Iterable[bytes]] = app.wsgi_app

    def flushed(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        try:
            return traced(environ, start_response)
        finally:
            if "lambda.context" in environ:
                tracers.force_flush()

    app.wsgi_app = flushed  # type: ignore[method-assign]


class SafeExporter(SpanExporter):
    """Exports only what the lists above allow of a span."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self._exporter.export([_safe(span) for span in spans])

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def _safe(span: ReadableSpan) -> ReadableSpan:
    found = span.attributes or {}
    is_request = METHOD in found
    allowed = OF_A_REQUEST if is_request else OF_A_CALL
    name = " ".join(str(found[part]) for part in (METHOD, ROUTE) if part in found)
    return ReadableSpan(
        name=name if is_request else span.name,
        context=_without_state(span.context),
        parent=_without_state(span.parent),
        resource=span.resource,
        attributes={key: value for key, value in found.items() if key in allowed},
        events=[_kind_of(event) for event in span.events if event.name == "exception"],
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _without_state(context: SpanContext | None) -> Any:
    """The trace state may be any text of the client's."""
    return context and SpanContext(
        context.trace_id, context.span_id, context.is_remote, context.trace_flags
    )


def _kind_of(event: Event) -> Event:
    """An exception's class, without its text and stack."""
    kind = (event.attributes or {}).get("exception.type", "")
    return Event("exception", {"exception.type": kind}, event.timestamp)
