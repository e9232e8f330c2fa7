"""OpenTelemetry: off it is not even imported; on, nothing about tenants, users or messages leaves.

The collector is a server on loopback. The app runs in a process of its own, because the
instrumentation of botocore changes it for good.
"""

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests
from dynamodb_local import die_with_parent
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from app.http import telemetry
from tests.log_watch import MARKER
from tests.people import SECRET, Client, make_token

RUN = """
import json, os, sys
told = json.load(sys.stdin)
for name in told["missing"]:
    sys.modules[name] = None
from app.wsgi import app
client = app.test_client()
def fail(**_):
    raise ValueError(told["marker"])
app.view_functions["messages.get_message"] = fail
class Context:
    def get_remaining_time_in_millis(self): return 29000
for method, path, body, headers in told["requests"]:
    environ = {"lambda.context": Context()} if told["on_lambda"] else {}
    answer = client.open(path, method=method, json=body, headers=headers, environ_overrides=environ)
    print(answer.status_code)
print(json.dumps(sorted(sys.modules)))
sys.stdout.flush()
if told["on_lambda"]:
    os._exit(0)  # as a function that is frozen, and never goes on
"""


@dataclass
class Collector:
    """What was sent to it, as it came."""

    address: str = ""
    traces: list[bytes] = field(default_factory=list)
    metrics: list[bytes] = field(default_factory=list)

    @property
    def spans(self) -> list[Span]:
        sent = [ExportTraceServiceRequest.FromString(body) for body in self.traces]
        return [
            span
            for each in sent
            for resource in each.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    @property
    def points(self) -> dict[str, list[dict[str, str]]]:
        """The attributes of each point, by metric."""
        found: dict[str, list[dict[str, str]]] = {}
        for body in self.metrics:
            for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                for scope in resource.scope_metrics:
                    for metric in scope.metrics:
                        kind = getattr(metric, str(metric.WhichOneof("data")))
                        found.setdefault(metric.name, []).extend(
                            _attributes(point) for point in kind.data_points
                        )
        return found


def _attributes(of: Any) -> dict[str, str]:
    return {a.key: a.value.string_value or str(a.value.int_value) for a in of.attributes}


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            (collector.traces if self.path == "/v1/traces" else collector.metrics).append(body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield collector
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def run(collector: Collector, table: Any) -> Any:
    def run(
        *requests: Any, missing: Any = (), on_lambda: bool = False, **settings: str
    ) -> subprocess.CompletedProcess[str]:
        env = {
            **os.environ,
            "SESSIONS_TABLE": table.name,
            "JWT_SECRET": SECRET,
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.address,
            "NO_PROXY": "127.0.0.1",
            **settings,
        }
        told = {
            "requests": requests,
            "missing": missing,
            "marker": MARKER,
            "on_lambda": on_lambda,
        }
        return subprocess.run(
            [sys.executable, "-c", RUN],
            input=json.dumps(told),
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


TENANT, USER, AGENT = "tenant-xyzzy", "user-xyzzy", "agent-xyzzy"


def test_what_leaves_and_what_does_not(run, collector, app, table):
    token = make_token(TENANT, USER, scope="sessions:read sessions:write sessions:act-for-user")
    someone = Client(app, token)
    session_id = someone.create_session(title=MARKER)["session_id"]
    message_id = someone.append(session_id, MARKER)["message_id"]
    auth = {
        "Authorization": f"Bearer {token}",
        "User-Agent": MARKER,
        "Host": "host-xyzzy.example",
        "X-Request-Id": "request-xyzzy",
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "tracestate": "vendor=xyzzy",
        "baggage": "who=xyzzy",
    }
    path = f"/api/v1/sessions/{session_id}"
    done = run(
        ("GET", f"{path}?messages=1", None, auth),
        ("POST", f"{path}/messages", {"role": "user", "content": MARKER}, auth),
        ("PUT", f"/api/v1/values/{MARKER}", {"a": MARKER}, auth),
        ("GET", f"{path}/messages/{message_id}", None, auth),  # raises an exception
        ("GET", "/api/v1/sessions", None, {**auth, "Act-For-User": AGENT}),
        ("GET", f"/nowhere/{MARKER}?{MARKER}={MARKER}", None, auth),
        ("GET", "/api/v1/sessions", None, {"Authorization": f"Bearer {MARKER}"}),
        ("GET", "/health", None, {}),
        OTEL_ENABLED="1",
    )
    assert done.returncode == 0, done.stderr
    statuses = re.findall(r"^\d+$", done.stdout, re.M)
    assert statuses == ["200", "201", "201", "500", "200", "404", "401", "200"]

    whole = b"".join([*collector.traces, *collector.metrics]).decode("latin-1")
    for secret in (MARKER, "xyzzy", token, token.split(".")[2], session_id[5:], message_id[4:]):
        assert secret not in whole

    asked = [span for span in collector.spans if span.kind == Span.SPAN_KIND_SERVER]
    assert [span.name for span in sorted(asked, key=lambda s: s.start_time_unix_nano)] == [
        "GET /api/v1/sessions/<session_id>",
        "POST /api/v1/sessions/<session_id>/messages",
        "PUT /api/v1/values/<value_name:name>",
        "GET /api/v1/sessions/<session_id>/messages/<message_id:message_id>",
        "GET /api/v1/sessions",
        "GET",
        "GET /api/v1/sessions",
        "GET /health",
    ]
    for span in asked:
        assert _attributes(span).keys() <= telemetry.OF_A_REQUEST
        assert span.trace_state == ""
    calls = [span for span in collector.spans if span.kind == Span.SPAN_KIND_CLIENT]
    assert {"DynamoDB.TransactWriteItems", "DynamoDB.Query"} <= {span.name for span in calls}
    of_requests = {span.span_id: span for span in asked}
    for span in calls:
        assert _attributes(span).keys() <= telemetry.OF_A_CALL
        assert of_requests[span.parent_span_id].trace_id == span.trace_id
    assert asked[0].trace_id.hex() == "4bf92f3577b34da6a3ce929d0e0e4736", "the caller's trace"

    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    logged = [line for line in lines if line["message"] == "request"]
    assert {line["trace_id"] for line in logged} == {span.trace_id.hex() for span in asked}
    assert logged[0]["tenant"] == TENANT, "the log says who asked"

    points = collector.points
    assert {
        "http.server.request.duration",
        "session_store.dynamodb.calls",
        "session_store.dynamodb.units",
    } <= points.keys()
    for attributes in (each for found in points.values() for each in found):
        assert attributes.keys() <= telemetry.OF_A_REQUEST
    durations = {point.get("http.route") for point in points["http.server.request.duration"]}
    assert "/api/v1/sessions/<session_id>" in durations


def test_off_it_is_not_imported(run, collector):
    done = run(("GET", "/health", None, {}))
    assert done.returncode == 0, done.stderr
    modules = json.loads(done.stdout.splitlines()[-1])
    assert not [name for name in modules if name.startswith(("opentelemetry", "google."))]
    assert "wrapt" not in modules
    assert collector.traces == collector.metrics == []
    assert "trace_id" not in done.stdout


@pytest.mark.parametrize(
    "missing",
    ["opentelemetry", "opentelemetry.sdk.trace", "opentelemetry.instrumentation.botocore"],
)
def test_a_missing_package_refuses_the_start_and_says_what_to_install(run, missing):
    done = run(missing=[missing], OTEL_ENABLED="1")
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith("session store: OTEL_ENABLED is set, but ")
    assert line.endswith("pip install --require-hashes -r requirements-otel.txt")


@pytest.mark.parametrize(("kept", "off"), [("traces", "metrics"), ("metrics", "traces")])
def test_each_can_be_left_out(run, collector, kept, off):
    off_setting = {f"OTEL_{off.upper()}_EXPORTER": "none"}
    done = run(("GET", "/health", None, {}), OTEL_ENABLED="1", **off_setting)
    assert done.returncode == 0, done.stderr
    assert getattr(collector, kept)
    assert getattr(collector, off) == []


def test_an_exporter_that_is_not_there_is_refused(run):
    done = run(OTEL_ENABLED="1", OTEL_TRACES_EXPORTER="console")
    assert done.returncode == 1
    assert "OTEL_TRACES_EXPORTER must be one of otlp, none" in done.stderr


def test_on_lambda_the_spans_are_sent_before_the_answer(run, collector):
    done = run(("GET", "/health", None, {}), on_lambda=True, OTEL_ENABLED="1")
    assert done.returncode == 0, done.stderr
    assert [span.name for span in collector.spans] == ["GET /health"]


def test_a_collector_that_is_down_fails_no_request(run):
    nowhere = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    for on_lambda in (False, True):
        done = run(("GET", "/ready", None, {}), on_lambda=on_lambda, OTEL_ENABLED="1", **nowhere)
        assert done.returncode == 0, done.stderr
        assert re.findall(r"^\d+$", done.stdout, re.M) == ["200"]


def test_the_name_of_the_service_can_be_set(run, collector):
    run(("GET", "/health", None, {}), OTEL_ENABLED="1")
    assert b"session-store" in collector.traces[0]
    run(("GET", "/health", None, {}), OTEL_ENABLED="1", OTEL_SERVICE_NAME="our-store")
    assert b"our-store" in collector.traces[-1]


def test_the_workers_of_gunicorn_send_theirs(collector, table):
    """They are forked from a process that has made the exporters (`--preload`)."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["-m", "gunicorn", "app.wsgi:app", "--preload", "--workers=2", "--threads=2"]
    env = {
        **os.environ,
        "SESSIONS_TABLE": table.name,
        "JWT_SECRET": SECRET,
        "OTEL_ENABLED": "1",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.address,
        "NO_PROXY": "127.0.0.1",
    }
    server = subprocess.Popen(
        [sys.executable, *command, f"--bind=127.0.0.1:{port}"], env=env, preexec_fn=die_with_parent
    )
    try:
        until = time.monotonic() + 60
        while True:
            try:
                assert requests.get(f"http://127.0.0.1:{port}/health", timeout=5).ok
                break
            except requests.ConnectionError:
                assert time.monotonic() < until
                time.sleep(0.1)
    finally:
        server.terminate()
        server.wait(60)
    assert {span.name for span in collector.spans} == {"GET /health"}
    assert "http.server.request.duration" in collector.points
