"""The OpenAPI document. Nothing may be missing from it or from the documentation."""

import json
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


def test_the_types_of_the_typescript_client_are_current(document, operations):
    """Made by `npm run schema` in clients/typescript, and lost easily when branches are merged."""
    types = (ROOT / "clients/typescript/src/schema.d.ts").read_text()
    schemas = document["components"]["schemas"]
    assert [path for path in document["paths"] if f'"{path}": {{' not in types] == []
    assert [name for name in operations if f" {name}: {{" not in types] == []
    assert [name for name in schemas if f" {name}: {{" not in types] == []
    for name, schema in schemas.items():
        [body] = re.findall(rf"^        {name}: \{{\n(.*?)^        \}}", types, re.M | re.S)[:1]
        members = schema.get("properties", {})
        assert [m for m in members if not re.search(rf"^ +\"?{m}\"?\??:", body, re.M)] == []
    codes = schemas["Problem"]["properties"]["code"]["enum"]
    assert [code for code in codes if f'"{code}"' not in types] == []


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
        "patch_session",
        "fork_session",
        "import_session",
        "edit_message",
        "delete_message",
        "delete_messages",
        "pop_messages",
        "replace_messages",
        "put_feedback",
        "delete_feedback",
        "check_history",
        "get_message_grounding",
        "get_session_grounding",
        "list_source_answers",
        "list_tenant_source_answers",
        "get_source",
        "put_source",
        "redact_source",
        "export_user",
        "get_tenant_usage",
        "get_health",
        "get_ready",
        *(
            view.format(of)
            for of in ("session", "user", "tenant")
            for view in (
                *("get_{}_value", "put_{}_value", "patch_{}_value", "delete_{}_value"),
                *("list_{}_values", "delete_{}_values", "batch_{}_values"),
            )
        ),
    }


def test_every_operation_has_a_summary_and_documents_its_errors(operations, document):
    for name, operation in operations.items():
        assert operation["summary"], name
        if operation.get("security") == []:
            continue
        assert {"401", "403", "429", "500", "503"} <= set(operation["responses"]), name
        if "requestBody" in operation:
            assert {"400", "413", "415", "422"} <= set(operation["responses"]), name
            assert "example" in operation["requestBody"]["content"]["application/json"], name
    for name, response in document["components"]["responses"].items():
        assert list(response["content"]) == ["application/problem+json"], name


def test_every_operation_has_a_description(operations):
    assert [name for name, operation in operations.items() if not operation["description"]] == []


def test_every_component_is_used(document):
    text = json.dumps(document)
    for kind, components in document["components"].items():
        for name in components:
            used = f'"#/components/{kind}/{name}"' in text
            assert used or kind == "securitySchemes", f"{kind} {name}"


def test_client_generators_see_optional_members_as_optional(document):
    """openapi-typescript makes a member with a default required."""
    schemas = document["components"]["schemas"]
    for name, schema in schemas.items():
        assert not [p for p, told in schema["properties"].items() if "default" in told], name
    assert schemas["NewSession"]["required"] == ["domain_id"]
    assert "required" not in schemas["NewMessage"]


def test_client_generators_see_open_objects_as_open(document):
    schemas = document["components"]["schemas"]
    for message in ("NewMessage", "Message"):
        members = schemas[message]["properties"]
        for name in ("content", "native"):
            assert not {"type", "oneOf", "properties"} & members[name].keys(), name
        metadata = members["metadata"]
        reference = metadata["properties"]["references"]["items"]
        for opened in (metadata, reference, reference["properties"]["location"]):
            assert opened["additionalProperties"] is True


def test_every_error_code_is_listed(document):
    codes = document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]
    source = (ROOT / "app" / "errors.py").read_text()
    ours = re.findall(r'^    (?:status, )?code(?:, title)? = (?:\d+, )?"([A-Z_]+)"', source, re.M)
    assert len(ours) >= 13
    assert set(ours) <= set(codes)
    assert {"INTERNAL_ERROR", "NOT_FOUND", "METHOD_NOT_ALLOWED"} <= set(codes)


def test_the_example_of_an_error_in_a_field_names_the_field(document):
    responses = document["components"]["responses"]
    [error] = responses["Problem422"]["content"]["application/problem+json"]["example"]["errors"]
    assert set(error) == {"location", "field", "message"}


def test_nothing_dangerous_is_filled_in_by_swagger_ui(operations):
    """Swagger UI fills in examples, defaults and the first value of an enum."""
    for name, operation in operations.items():
        for parameter in operation.get("parameters", []):
            told = {**parameter, **parameter["schema"]}
            if parameter["name"] in ("limit", "order", "page", "offsets"):
                continue
            if parameter["name"] == "prefix" and name.startswith("list_"):
                continue
            assert not {"example", "default", "enum"} & set(told), (name, parameter["name"])


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
    settings = {name.upper() for name in Config.__dataclass_fields__} - {"ISSUER_SECRETS"}
    assert settings <= documented
    assert documented - settings == {"AWS_ENDPOINT_URL_DYNAMODB", "AWS_REGION", "ISSUERS_FILE"}
