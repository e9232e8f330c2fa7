"""The OpenAPI document, and that nothing is left out of it or of the documentation."""

import re
import subprocess
from pathlib import Path

import pytest
from openapi_spec_validator import validate

from app.config import Config

ROOT = Path(__file__).parents[2]
METHODS = {"get", "put", "post", "delete", "patch", "head", "options", "trace"}


@pytest.fixture
def document(app):
    return app.test_client().get("/openapi.json").json


@pytest.fixture
def operations(document):
    return {
        operation["operationId"]: operation
        for path in document["paths"].values()
        for method, operation in path.items()
        if method in METHODS
    }


def test_the_document_is_valid_openapi_3_1(document):
    assert document["openapi"].startswith("3.1")
    validate(document)


def test_what_is_generated_in_docs_is_current():
    """The OpenAPI document, and the key design in docs/architecture.md."""
    checked = subprocess.run([ROOT / "scripts" / "docs", "--check"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_operations_have_the_names_a_client_wants(operations):
    assert set(operations) == {
        "create_session",
        "list_sessions",
        "delete_all_sessions",
        "get_session",
        "update_session",
        "delete_session",
        "append_message",
        "append_messages",
        "list_messages",
        "get_message",
        "get_health",
    }


def test_every_operation_has_a_summary_and_documents_its_errors(operations, document):
    for name, operation in operations.items():
        assert operation["summary"], name
        if operation.get("security") == []:
            continue
        assert {"401", "403", "500", "503"} <= set(operation["responses"]), name
        if "requestBody" in operation:
            assert {"400", "413", "415", "422"} <= set(operation["responses"]), name
            assert "example" in operation["requestBody"]["content"]["application/json"], name
    for name, response in document["components"]["responses"].items():
        assert list(response["content"]) == ["application/problem+json"], name


def test_every_route_is_in_the_document(app, document):
    undocumented = {"/", "/openapi.json", "/docs", "/docs/", "/docs-assets/<name>"}
    routes = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
        if rule.rule not in undocumented
    }
    documented = {
        (path, method)
        for path, operations in document["paths"].items()
        for method in operations
        if method in METHODS
    }
    assert routes == documented


def test_every_setting_is_documented():
    documented = set(
        re.findall(r"^\| `([A-Z_]+)`", (ROOT / "docs" / "configuration.md").read_text(), re.M)
    )
    settings = {name.upper() for name in Config.__dataclass_fields__}
    assert settings <= documented
    assert documented - settings == {"AWS_ENDPOINT_URL_DYNAMODB"}
