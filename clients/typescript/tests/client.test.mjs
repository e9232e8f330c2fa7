/** Every method of the client, against the real service. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { ApiError, createClient, sessionIdOf } from "session-store-client";

import { all, API_URL, newClient, tokenOf } from "./support.mjs";

const DOMAIN = { domain_id: "civic_complaints_v1" };
const say = (content, more = {}) => ({ role: "user", content, ...more });
const contents = (messages) => messages.map(({ content }) => content);

async function newSession(client = newClient(), ...texts) {
  const { session_id } = await client.sessions.create(DOMAIN);
  if (texts.length)
    await client.messages.appendMany(
      session_id,
      texts.map((text) => say(text)),
    );
  return [client, session_id];
}

const refused =
  (status, code, more = {}) =>
  (error) => {
    assert.ok(error instanceof ApiError, error);
    assert.equal(error.status, status);
    assert.equal(error.code, code);
    for (const [name, value] of Object.entries(more)) assert.deepEqual(error.problem[name], value);
    return true;
  };

test("session ids are worked out from keys as the README says", async () => {
  const readme = readFileSync(new URL("../../../README.md", import.meta.url), "utf8");
  const vectors = [...readme.matchAll(/^\| `([^`]+)`.* \| `(sess_\w+)` \|$/gm)];
  assert.equal(vectors.length, 3);
  for (const [, key, id] of vectors) assert.equal(await sessionIdOf(key), id);

  const client = newClient();
  for (const key of ["ünï / 42 😀", "a".repeat(512)]) {
    const { session_id, created } = await client.sessions.create({ ...DOMAIN, key });
    assert.equal(session_id, await sessionIdOf(key));
    assert.equal(created, true);
    assert.equal((await client.sessions.create({ ...DOMAIN, key })).created, false);
    const only = client.sessions.create({ ...DOMAIN, key }, { onlyNew: true });
    await assert.rejects(only, refused(409, "SESSION_EXISTS", { session_id }));
  }
});

test("sessions: create, get, update, replace", async () => {
  const client = newClient();
  const created = await client.sessions.create({ ...DOMAIN, title: "A", metadata: { a: 1, b: 2 } });
  const { session_id } = created;
  const updated = await client.sessions.update(session_id, { pinned: true, metadata: { b: null } });
  assert.deepEqual(updated.metadata, { a: 1 });
  assert.notEqual(updated.etag, created.etag);
  const replaced = await client.sessions.replace(
    session_id,
    { metadata: { c: 3 } },
    { ifMatch: updated.etag },
  );
  assert.deepEqual(replaced.metadata, { c: 3 });
  const opened = await client.sessions.get(session_id);
  assert.deepEqual(opened.messages, []);
  assert.equal(opened.etag, replaced.etag);
  assert.equal(opened.pinned, true);
  assert.equal(await client.sessions.get(session_id, { ifNoneMatch: replaced.etag }), null);
  assert.ok(await client.sessions.get(session_id, { ifNoneMatch: created.etag }));
  const stale = client.sessions.update(session_id, { title: "B" }, { ifMatch: created.etag });
  await assert.rejects(stale, refused(412, "PRECONDITION_FAILED"));
});

test("sessions: get with the last messages and some values", async () => {
  const [client, id] = await newSession(undefined, "1", "2", "3");
  await client.sessionValues(id).put("agent/state", { step: 1 });
  const opened = await client.sessions.get(id, { messages: 2, values: "agent/" });
  assert.deepEqual(contents(opened.messages), ["2", "3"]);
  assert.deepEqual(
    opened.values.map(({ json }) => json),
    [{ step: 1 }],
  );
  const query = { order: "desc", cursor: opened.earlier_cursor };
  assert.deepEqual(contents(await all(client.messages.list(id, query))), ["1"]);
});

test("sessions: list goes through all pages and filters", async () => {
  const client = newClient();
  for (let n = 0; n < 7; n++) {
    const metadata = { even: n % 2 === 0, n, channel: "a b" };
    await client.sessions.create({ ...DOMAIN, key: `k${n}`, title: `Title ${n}`, metadata });
  }
  const keys = async (filters) => (await all(client.sessions.list(filters))).map(({ key }) => key);
  assert.deepEqual(await keys({ limit: 3 }), ["k6", "k5", "k4", "k3", "k2", "k1", "k0"]);
  assert.deepEqual(await keys({ limit: 2, metadata: { even: true } }), ["k6", "k4", "k2", "k0"]);
  assert.deepEqual(await keys({ metadata: { n: 3, channel: "a b" } }), ["k3"]);
  assert.deepEqual(await keys({ q: "title 5" }), ["k5"]);
  assert.deepEqual(await keys({ archived: true }), []);
  const page = await client.sessions.page({ limit: 3 });
  assert.equal(page.pagination.total, 7);
  for await (const row of client.sessions.list({ limit: 1 })) {
    assert.equal(row.key, "k6");
    break;
  }
});

test("sessions: delete, fork, check, import", async () => {
  const [client, id] = await newSession(undefined, "1", "2");
  const fork = await client.sessions.fork(id, { key: "copy", title: "Copy" });
  assert.equal(fork.session_id, await sessionIdOf("copy"));
  assert.equal(fork.message_count, 2);
  assert.equal(fork.forked_from.session_id, id);
  const native = { role: "assistant", tool_calls: [{ id: "c1", function: { name: "f" } }] };
  await client.messages.append(id, { format: "openai.chat", native });
  const [finding] = (await client.sessions.check(id, { messages: 10 })).findings;
  assert.equal(finding.tool_call_id, "c1");
  assert.deepEqual(await client.sessions.delete(id), { session_id: id, deleted_messages: 3 });
  await assert.rejects(client.sessions.get(id), refused(404, "SESSION_NOT_FOUND"));

  const session = { ...DOMAIN, title: "Old" };
  const messages = [say("Then", { created_at: "2024-05-01T09:30:00Z" })];
  await assert.rejects(
    client.sessions.import({ session, messages }),
    refused(403, "INSUFFICIENT_SCOPE"),
  );
  const scope = "sessions:read sessions:write sessions:import";
  const imported = await newClient({ claims: { scope } }).sessions.import({ session, messages });
  assert.equal(imported.imported, true);
  assert.equal(imported.created_at, "2024-05-01T09:30:00.000Z");
});

test("sessions: delete with a condition", async () => {
  const [client, id] = await newSession(undefined, "1");
  const { etag } = await client.sessions.get(id);
  await client.messages.append(id, say("2"));
  await assert.rejects(
    client.sessions.delete(id, { ifMatch: etag }),
    refused(412, "PRECONDITION_FAILED"),
  );
  await client.sessions.delete(id, { ifMatch: (await client.sessions.get(id)).etag });
});

test("sessions: deleteAll, and export before it", async () => {
  const [client, id] = await newSession(undefined, "1", "2");
  await client.values.put("note", "mine");
  await client.sessionValues(id).put("state", 1);
  const lines = await all(client.export());
  assert.deepEqual(
    lines.map(({ type }) => type),
    ["user", "session", "message", "message", "value", "value"],
  );
  assert.deepEqual(await client.sessions.deleteAll(), { deleted_sessions: 1, deleted_messages: 2 });
  assert.deepEqual(
    (await all(client.export())).map(({ type }) => type),
    ["user"],
  );
});

test("an exported line that comes as base64 is read", async () => {
  const token = tokenOf(crypto.randomUUID());
  const client = createClient({ baseUrl: API_URL, token });
  const [, id] = await newSession(client);
  await fetch(`${API_URL}/api/v1/sessions/${id}/messages`, {
    method: "POST",
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
    body: '{"role": "user", "content": {\n  "text": "é"\n}}', // kept with its line breaks
  });
  const message = (await all(client.export())).find(({ type }) => type === "message");
  assert.deepEqual(message.content, { text: "é" });
});

test("messages: append, list, get, page", async () => {
  const [client, id] = await newSession();
  const first = await client.messages.append(id, say("1"), { after: id });
  assert.equal(first.content, "1");
  const minimal = await client.messages.append(id, say("2"), {
    after: first.message_id,
    minimal: true,
  });
  assert.equal(minimal.content, undefined);
  assert.ok(minimal.session_etag);
  await assert.rejects(
    client.messages.append(id, say("3"), { after: first.message_id }),
    refused(412, "NOT_THE_LAST_MESSAGE", { last_message_id: minimal.message_id }),
  );
  const { messages } = await client.messages.appendMany(id, [say("3"), say("4"), say("5")]);
  assert.equal(messages.length, 3);
  assert.deepEqual(contents(await all(client.messages.list(id, { limit: 2 }))), [
    "1",
    "2",
    "3",
    "4",
    "5",
  ]);
  const desc = { order: "desc", limit: 2, after: first.message_id };
  assert.deepEqual(contents(await all(client.messages.list(id, desc))), ["5", "4", "3", "2"]);
  const page = await client.messages.page(id, { limit: 1 });
  assert.ok(page.next_cursor && page.changed);
  assert.equal((await client.messages.get(id, first.message_id)).content, "1");
});

test("messages: a batch creates its session and writes values in the same step", async () => {
  const client = newClient();
  const id = await sessionIdOf("thread");
  const answer = await client.messages.appendMany(id, [say("Hi")], {
    session: { ...DOMAIN, key: "thread" },
    values: {
      session: [{ put: "state", json: { step: 1 } }],
      user: [{ put: "last", json: "thread" }],
    },
  });
  assert.ok(answer.values.session[0].etag);
  assert.deepEqual((await client.sessionValues(id).get("state")).content, { step: 1 });
  assert.equal((await client.values.get("last")).content, "thread");
});

test("messages: edit, delete, deleteFrom, pop, replace", async () => {
  const [client, id] = await newSession(undefined, "1", "2", "3", "4", "5", "6");
  const { messages } = client;
  const ids = (await all(messages.list(id))).map(({ message_id }) => message_id);
  const now = async () => contents(await all(messages.list(id)));
  const { etag } = await messages.get(id, ids[0]);
  const edited = await messages.edit(
    id,
    ids[0],
    { content: "one", status: "interrupted" },
    { ifMatch: etag },
  );
  assert.equal(edited.status, "interrupted");
  assert.equal(edited.etag, (await messages.get(id, ids[0])).etag);
  const stale = messages.edit(id, ids[0], { content: "uno" }, { ifMatch: etag });
  await assert.rejects(stale, refused(412, "PRECONDITION_FAILED"));
  assert.equal((await messages.delete(id, ids[1])).deleted_messages, 1);
  const popped = await messages.pop(id, 2);
  assert.deepEqual(contents(popped.messages), ["5", "6"]);
  assert.deepEqual(await now(), ["one", "3", "4"]);
  const replaced = await messages.replace(id, { from: ids[3], messages: [say("x"), say("y")] });
  assert.equal(replaced.deleted_messages, 1);
  assert.deepEqual(await now(), ["one", "3", "x", "y"]);
  await messages.deleteFrom(id, { after: ids[2] });
  assert.deepEqual(await now(), ["one", "3"]);
  await messages.deleteFrom(id, { from: ids[2] });
  const emptied = await messages.deleteFrom(id, { all: true });
  assert.equal(emptied.session_etag, (await client.sessions.get(id)).etag);
  assert.deepEqual(await now(), []);
});

test("messages: feedback", async () => {
  const [client, id] = await newSession(undefined, "1");
  const [{ message_id }] = await all(client.messages.list(id));
  const given = await client.messages.putFeedback(id, message_id, { rating: "up", comment: "Yes" });
  assert.equal(given.rating, "up");
  assert.equal((await client.messages.get(id, message_id)).feedback[0].comment, "Yes");
  assert.equal((await client.messages.deleteFeedback(id, message_id)).deleted_feedback, 1);
});

for (const place of ["user", "session", "tenant"]) {
  test(`values of a ${place}`, async () => {
    const scope = "sessions:read sessions:write tenant-values:read tenant-values:write";
    const client = newClient({ claims: { scope } });
    const [, id] = await newSession(client);
    const values = {
      user: client.values,
      session: client.sessionValues(id),
      tenant: client.tenantValues,
    }[place];
    const prefix = `${crypto.randomUUID()}/`; // others have values of the tenant, too

    const name = `${prefix}état d'agent/100% ?#`;
    const written = await values.put(name, { step: 3, draft: "x" });
    assert.equal(written.content_type, "application/json");
    assert.deepEqual(await values.get(name), {
      name,
      content_type: "application/json",
      etag: written.etag,
      content: { step: 3, draft: "x" },
    });
    assert.equal(await values.get(name, { ifNoneMatch: written.etag }), null);
    assert.equal((await values.head(name)).size, written.size);
    assert.equal((await values.find(name)).etag, written.etag);
    const patched = await values.patch(name, { draft: null, step: 4 }, { ifMatch: written.etag });
    assert.deepEqual((await values.get(name)).content, { step: 4 });
    await assert.rejects(
      values.put(name, {}, { ifMatch: written.etag }),
      refused(412, "VALUE_CHANGED", { etag: patched.etag }),
    );
    await assert.rejects(values.put(name, {}, { onlyNew: true }), refused(412, "VALUE_CHANGED"));
    assert.equal(await values.delete(name, { ifMatch: patched.etag }), undefined);
    await assert.rejects(values.get(name), refused(404, "VALUE_NOT_FOUND"));
    assert.equal(await values.find(name), null);
    await assert.rejects(values.head(name), refused(404, "HTTP_404"));

    const results = await values.batch([
      ...[1, 2, 3, 4, 5].map((n) => ({ put: `${prefix}${n}`, json: n })),
      { get: `${prefix}3` },
      { delete: `${prefix}5` },
      { get: `${prefix}5` },
    ]);
    assert.deepEqual(
      results.map(({ status }) => status),
      [201, 201, 201, 201, 201, 200, 204, 404],
    );
    assert.equal(results[5].json, 3);
    const atomic = values.batch(
      [
        { put: `${prefix}9`, json: 9 },
        { put: `${prefix}1`, json: 0, if_none_match: "*" },
      ],
      { atomic: true },
    );
    await assert.rejects(atomic, refused(412, "VALUES_NOT_WRITTEN"));
    const listed = await all(values.list({ prefix, limit: 3 }));
    assert.deepEqual(
      listed.map(({ json }) => json),
      [1, 2, 3, 4],
    );
    const names = await values.page({ prefix, names_only: true, order: "desc" });
    assert.deepEqual(
      names.values.map(({ json }) => json),
      [undefined, undefined, undefined, undefined],
    );
    assert.deepEqual(await values.deleteAll(prefix), { deleted_values: 4 });
    assert.deepEqual(await all(values.list({ prefix })), []);
  });
}

test("values of any type come back as they were", async () => {
  const { values } = newClient();
  const bytes = Uint8Array.from({ length: 70_000 }, (_, n) => n % 256);
  const stream = () => new Blob([bytes]).stream();
  const cases = [
    [bytes, {}, "application/octet-stream", bytes],
    [bytes.buffer, { contentType: "image/png" }, "image/png", bytes],
    [new Blob([bytes], { type: "audio/wav" }), {}, "audio/wav", bytes],
    [stream(), { contentType: "video/mp4" }, "video/mp4", bytes],
    [
      "Grüße",
      { contentType: "text/plain; charset=utf-8" },
      "text/plain; charset=utf-8",
      new TextEncoder().encode("Grüße"),
    ],
    [new Uint8Array(0), {}, "application/octet-stream", new Uint8Array(0)],
    ["text", {}, "application/json", "text"],
    [null, {}, "application/json", null],
    [
      { type: "Point" },
      { contentType: "application/geo+json" },
      "application/geo+json",
      { type: "Point" },
    ],
    [
      new TextEncoder().encode("[1, 2]"),
      { contentType: "application/json" },
      "application/json",
      [1, 2],
    ],
  ];
  for (const [content, options, type, expected] of cases) {
    await values.put("it", content, options);
    const read = await values.get("it");
    assert.equal(read.content_type, type);
    assert.deepEqual(read.content, expected);
  }
  await assert.rejects(values.put("it", undefined), TypeError);
  assert.deepEqual(await values.deleteAll(""), { deleted_values: 1 });
});

test("an id or name that leads elsewhere is refused before it is sent", async () => {
  const client = newClient();
  for (const id of ["", ".", "..", "a/../b", "a//b"]) {
    await assert.rejects(client.sessions.delete(id), TypeError);
    await assert.rejects(client.values.put(id, 1), TypeError);
    await assert.rejects(client.values.delete(id), TypeError);
    assert.throws(() => client.sessionValues(id), TypeError);
  }
  await assert.rejects(client.sessions.delete("sess/messages"), TypeError);
});

test("an error has all that the problem tells", async () => {
  const [client, id] = await newSession();
  const error = await client.messages.append(id, { role: "", content: "x" }).catch((e) => e);
  assert.ok(error instanceof ApiError && error instanceof Error);
  assert.equal(error.name, "ApiError");
  assert.equal(error.status, 422);
  assert.equal(error.code, "VALIDATION_FAILED");
  assert.equal(error.errors[0].field, "role");
  assert.match(error.message, /^422 VALIDATION_FAILED: .+\n {2}role: /);
  assert.equal(error.requestId, error.problem.request_id);
  assert.ok(error.title && error.detail);
});

test("the token may come from a function, and headers from the options", async () => {
  let asked = 0;
  const token = async () => (
    asked++,
    tokenOf("bot", { scope: "sessions:read sessions:act-for-user" })
  );
  const headers = { "Act-For-User": "dora" };
  const client = createClient({ baseUrl: `${API_URL}/api/v1/`, token, headers });
  await all(client.sessions.list());
  assert.equal(asked, 1);
  const nobody = createClient({ baseUrl: API_URL, token: "none" });
  await assert.rejects(nobody.sessions.page(), refused(401, "UNAUTHORIZED"));
});
