"""What a token's authorisation claims allow."""

import pytest

from tests.people import Client, make_token, problem

READS = (
    ("GET", "/sessions"),
    ("GET", "/sessions/{id}"),
    ("GET", "/sessions/{id}/messages"),
    ("GET", "/sessions/{id}/values"),
    ("GET", "/values"),
    ("GET", "/export"),
    ("GET", f"/sources/{'0' * 32}/answers"),
)
WRITES = (
    ("PUT", "/sessions/{id}/values/a"),
    ("PUT", "/values/a"),
    ("PATCH", "/values/a"),
    ("POST", "/values/batch"),
    ("DELETE", "/values/a"),
    ("POST", "/sessions"),
    ("PUT", "/sessions/{id}"),
    ("POST", "/sessions/{id}/messages"),
    ("POST", "/sessions/{id}/messages/batch"),
    ("DELETE", "/sessions/{id}"),
    ("DELETE", "/sessions?confirm=all"),
)


BODIES = {
    ("PUT", "/sessions/{id}/values/a"): {"b": 1},
    ("PUT", "/values/a"): {"b": 1},
    ("PATCH", "/values/a"): {"b": 2},
    ("POST", "/values/batch"): {"operations": [{"put": "b", "json": 1}]},
    ("POST", "/sessions"): {"domain_id": "d"},
    ("PUT", "/sessions/{id}"): {"title": "t"},
    ("POST", "/sessions/{id}/messages"): {"role": "user", "content": "c"},
    ("POST", "/sessions/{id}/messages/batch"): {"messages": [{"role": "user", "content": "c"}]},
}

READER = {
    "scope": {"scope": "sessions:read"},
    "scope among others": {"scope": "openid sessions:read profile"},
    "scope a list": {"scope": ["sessions:read"]},
    "scp": {"scp": "sessions:read"},
    "scp a list": {"scp": ["openid", "sessions:read"]},
    "scope beside scp": {"scope": "sessions:read", "scp": ["sessions:write"]},
}
WRITER = {
    "scope": {"scope": "sessions:write"},
    "scp a list": {"scp": ["sessions:write"]},
}
NEITHER = {
    "scope empty": {"scope": ""},
    "scp empty": {"scp": []},
    "scopes of others": {"scope": "openid profile email"},
    "a word that begins like it": {"scope": "sessions:readonly sessions:writer"},
    "upper case": {"scope": "Sessions:Read Sessions:Write"},
    "with commas": {"scope": "sessions:read,sessions:write"},
    "a wildcard": {"scope": "sessions:* *"},
    "act-for-user alone": {"scope": "sessions:act-for-user"},
}


@pytest.fixture(scope="module")
def table(module_table):
    """One table for all tests here. They compare what changed, not what the table holds."""
    return module_table


def ask(client, session_id, method, path):
    return client.request(method, path.format(id=session_id), json=BODIES.get((method, path)))


def lacks(answer, scope):
    body = problem(answer, 403, "INSUFFICIENT_SCOPE")
    assert body["detail"] == f"The token lacks the scope {scope}."
    assert answer.headers["WWW-Authenticate"] == (
        f'Bearer realm="sessions", error="insufficient_scope", scope="{scope}"'
    )


@pytest.mark.parametrize("claims", READER.values(), ids=READER)
def test_a_read_token_can_read_and_cannot_write(app, alice, items, claims):
    session_id = alice.create_session()["session_id"]
    before = items()
    reader = Client(app, make_token("acme", "alice", **claims))
    for method, path in READS:
        assert ask(reader, session_id, method, path).status_code == 200
    for method, path in WRITES:
        lacks(ask(reader, session_id, method, path), "sessions:write")
    assert items() == before


@pytest.mark.parametrize("claims", WRITER.values(), ids=WRITER)
def test_a_write_token_can_write_and_cannot_read(app, alice, claims):
    session_id = alice.create_session()["session_id"]
    writer = Client(app, make_token("acme", "alice", **claims))
    for method, path in READS:
        lacks(ask(writer, session_id, method, path), "sessions:read")
    for method, path in WRITES:
        assert ask(writer, session_id, method, path).status_code in (200, 201, 204)


@pytest.mark.parametrize("claims", NEITHER.values(), ids=NEITHER)
def test_a_token_with_other_scopes_can_do_neither(app, alice, items, claims):
    session_id = alice.create_session()["session_id"]
    before = items()
    stranger = Client(app, make_token("acme", "alice", **claims))
    for method, path in READS:
        lacks(ask(stranger, session_id, method, path), "sessions:read")
    for method, path in WRITES:
        lacks(ask(stranger, session_id, method, path), "sessions:write")
    assert items() == before


def test_a_token_without_scopes_can_do_both(alice):
    session_id = alice.create_session()["session_id"]
    for method, path in READS + WRITES:
        assert ask(alice, session_id, method, path).status_code in (200, 201, 204)


# The values of a tenant

TENANT_READS = (("GET", "/tenant/values/a"), ("GET", "/tenant/values"), ("HEAD", "/tenant/values"))
TENANT_WRITES = (
    ("PUT", "/tenant/values/a", {"b": 1}),
    ("PATCH", "/tenant/values/a", {"b": 2}),
    ("POST", "/tenant/values/batch", {"operations": [{"put": "c", "json": 1}]}),
    ("DELETE", "/tenant/values/c", None),
    ("DELETE", "/tenant/values?prefix=c", None),
)


@pytest.fixture
def with_scope(app):
    def make(scope, **claims):
        return Client(
            app, make_token("acme", "alice", **claims, **({"scope": scope} if scope else {}))
        )

    return make


@pytest.mark.parametrize("scope", [None, "sessions:read sessions:write sessions:import", "openid"])
def test_no_token_may_use_the_values_of_its_tenant_without_saying_so(
    with_scope, items, sent, scope
):
    client, before = with_scope(scope), items()
    del sent[:]
    for method, path in TENANT_READS:
        answer = client.request(method, path)
        assert answer.status_code == 403
        assert 'scope="tenant-values:read"' in answer.headers["WWW-Authenticate"]
    for method, path, body in TENANT_WRITES:
        lacks(client.request(method, path, json=body), "tenant-values:write")
    assert sent == []
    assert items() == before


def test_the_values_of_a_tenant_need_no_other_scope(with_scope):
    reader, writer = with_scope("tenant-values:read"), with_scope("tenant-values:write")
    for method, path, body in TENANT_WRITES:
        lacks(reader.request(method, path, json=body), "tenant-values:write")
        assert writer.request(method, path, json=body).status_code in (200, 201, 204)
    for method, path in TENANT_READS:
        assert reader.request(method, path).status_code == 200
        assert writer.request(method, path).status_code == 403
    lacks(writer.get("/values"), "sessions:read")
    lacks(writer.put("/values/a", {}), "sessions:write")
    lacks(reader.get("/export"), "sessions:read")


# The answers of a tenant

AUDITED = f"/tenant/sources/{'0' * 32}/answers"


@pytest.mark.parametrize(
    "scope",
    [None, "sessions:read sessions:write tenant-values:read tenant-values:write", "sources:govern"],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_no_token_may_audit_a_tenants_sources_without_saying_so(with_scope, sent, scope, method):
    client = with_scope(scope)
    del sent[:]
    for path in (AUDITED, "/tenant/sources/nonsense/answers"):
        answer = client.request(method, path)
        assert answer.status_code == 403
        assert 'scope="sources:audit"' in answer.headers["WWW-Authenticate"]
    assert sent == []


def test_auditing_needs_no_other_scope_and_gives_no_other_right(with_scope):
    auditor = with_scope("sources:audit")
    assert auditor.get(AUDITED).status_code == 200
    assert with_scope(None, roles=["sources:audit"]).get(AUDITED).status_code == 200
    for method, path in READS:
        if "{id}" not in path:
            lacks(auditor.request(method, path), "sessions:read")
    lacks(auditor.get("/tenant/values"), "tenant-values:read")
    answer = auditor.get(AUDITED, headers={"Act-For-User": "bob"})
    lacks(answer, "sessions:act-for-user")


@pytest.mark.parametrize("claim", ["roles", "permissions"])
def test_they_can_be_granted_by_role_or_permission(with_scope, claim):
    assert (
        with_scope(None, **{claim: ["tenant-values:read"]}).get("/tenant/values").status_code == 200
    )


@pytest.mark.parametrize(
    ("path", "write", "read"),
    [
        ("/values", "sessions:write", "sessions:read"),
        ("/tenant/values", "tenant-values:write", "tenant-values:read"),
    ],
)
@pytest.mark.parametrize("reading", [{"get": "a"}, {"list": ""}])
def test_a_batch_that_reads_needs_the_scope_to_read_too(
    with_scope, items, path, write, read, reading
):
    body = {"operations": [{"put": "read-in-batch", "json": 1}, reading]}
    before = items()
    lacks(with_scope(write).post(f"{path}/batch", body), read)
    lacks(with_scope(read).post(f"{path}/batch", body), write)
    assert items() == before
    assert with_scope(f"{write} {read}").post(f"{path}/batch", body).status_code == 200


def test_values_of_the_tenant_beside_messages_need_the_scope_too(with_scope, alice, items):
    path = f"/sessions/{alice.create_session()['session_id']}/messages/batch"
    said = {"messages": [{"role": "user", "content": "c"}]}
    body = {**said, "values": {"tenant": [{"put": "a", "json": 1}]}}
    before = items()
    lacks(alice.post(path, body), "tenant-values:write")
    assert items() == before
    both = with_scope("sessions:write tenant-values:write")
    assert both.post(path, body).status_code == 201
    assert (
        alice.post(path, {**said, "values": {"user": body["values"]["tenant"]}}).status_code == 201
    )


def test_scopes_can_be_required(make_app):
    app = make_app(jwt_require_scopes=True)
    silent = Client(app, make_token("acme", "alice"))
    lacks(silent.get("/sessions"), "sessions:read")
    lacks(silent.post("/sessions", {"domain_id": "d"}), "sessions:write")
    both = Client(app, make_token("acme", "alice", scope="sessions:read sessions:write"))
    session_id = both.create_session()["session_id"]
    for method, path in READS + WRITES:
        assert ask(both, session_id, method, path).status_code in (200, 201, 204)


def test_head_needs_what_get_needs(app):
    writer = Client(app, make_token("acme", "alice", scope="sessions:write"))
    assert writer.request("HEAD", "/sessions").status_code == 403
    reader = Client(app, make_token("acme", "alice", scope="sessions:read"))
    assert reader.request("HEAD", "/sessions").status_code == 200


def test_the_scope_is_checked_before_the_session_is_read(app, alice, sent):
    """So a 403 reveals nothing about what exists."""
    session_id = alice.create_session()["session_id"]
    stranger = Client(app, make_token("globex", "charlie", scope="openid"))
    del sent[:]
    for known in (session_id, "sess_01ARZ3NDEKTSV4RRFFQ69G5FAV", "nonsense"):
        lacks(stranger.get(f"/sessions/{known}"), "sessions:read")
    assert sent == []


def test_the_log_names_who_was_not_allowed(app, logged):
    Client(app, make_token("acme", "alice", scope="openid")).get("/sessions")
    line = logged[-1]
    assert (line["status"], line["tenant"], line["user"]) == (403, "acme", "alice")


# Authorisation claims. A claim that lists none of our scopes grants nothing.

GRANTS: dict[str, tuple[dict, set[str]]] = {
    "Entra, app-only": ({"roles": ["sessions:read", "sessions:write"]}, {"read", "write"}),
    "Entra, app-only, to read": ({"roles": ["sessions:read"]}, {"read"}),
    "Entra, app-only, other roles": ({"roles": ["Directory.Read.All"], "idtyp": "app"}, set()),
    "Entra, app-only, no roles": ({"roles": []}, set()),
    "Entra, roles a string": ({"roles": "sessions:read"}, {"read"}),
    "Entra, a user's token": ({"scp": "access_as_user", "roles": ["sessions:write"]}, {"write"}),
    "Entra, a user without roles": ({"scp": "sessions:read", "roles": []}, {"read"}),
    "Auth0 RBAC, none": ({"permissions": []}, set()),
    "Auth0 RBAC, none, with scope": ({"scope": "openid profile", "permissions": []}, set()),
    "Auth0 RBAC, others": ({"permissions": ["billing:read"]}, set()),
    "Auth0 RBAC": ({"scope": "openid", "permissions": ["sessions:read"]}, {"read"}),
    "all of them": (
        {"scope": "sessions:read", "roles": ["x"], "permissions": ["sessions:write"]},
        {"read", "write"},
    ),
    "scope before scp, as ever": (
        {"scope": "sessions:read", "scp": "sessions:write", "permissions": []},
        {"read"},
    ),
    "empty everywhere": ({"scope": "", "scp": [], "roles": [], "permissions": []}, set()),
    "none of them": ({"groups": ["admins"], "role": "admin"}, {"read", "write"}),
}


@pytest.mark.parametrize("require_scopes", [False, True])
@pytest.mark.parametrize("name", GRANTS)
def test_a_token_may_do_what_its_claims_list_and_no_more(make_app, name, require_scopes):
    claims, may = GRANTS[name]
    if require_scopes and name == "none of them":
        may = set()
    app = make_app(jwt_require_scopes=require_scopes)
    client = Client(app, make_token("acme", "alice", **claims))
    read, write = client.get("/sessions"), client.post("/sessions", {"domain_id": "d"})
    assert read.status_code == (200 if "read" in may else 403)
    assert write.status_code == (201 if "write" in may else 403)


@pytest.mark.parametrize("claim", ["roles", "permissions"])
def test_acting_for_a_user_can_be_granted_by_role_or_permission(app, claim):
    rights = ["sessions:read", "sessions:act-for-user"]
    service = Client(app, make_token("acme", "agent-7", **{claim: rights}))
    assert service.get("/sessions", headers={"Act-For-User": "alice"}).status_code == 200
    rights.pop()
    service = Client(app, make_token("acme", "agent-7", **{claim: rights}))
    answer = service.get("/sessions", headers={"Act-For-User": "alice"})
    lacks(answer, "sessions:act-for-user")
