/** What the client does when the network, a gateway or the service fails. */
import assert from "node:assert/strict";
import test from "node:test";

import { createClient } from "session-store-client";

import { all, newClient, startProxy, tokenOf } from "./support.mjs";

async function throughProxy(use, options = {}) {
  const proxy = await startProxy();
  const client = newClient({ baseUrl: proxy.url, ...options });
  const { session_id } = await client.sessions.create({ domain_id: "d" });
  proxy.requests.length = 0;
  try {
    await use({ proxy, client, id: session_id });
  } finally {
    proxy.close();
  }
}

const hello = { role: "user", content: "Hello" };
const keysOf = ({ requests }) => requests.map(({ headers }) => headers["idempotency-key"]);

for (const fault of ["lose", "cut"]) {
  test(`an append whose answer is ${fault === "cut" ? "cut off" : "lost"} stores one message`, () =>
    throughProxy(async ({ proxy, client, id }) => {
      proxy.faults.push(fault, fault);
      const { message_id } = await client.messages.append(id, hello);
      const [first, second, third] = keysOf(proxy);
      assert.ok(first);
      assert.deepEqual([second, third], [first, first]);
      const messages = await all(client.messages.list(id));
      assert.deepEqual(
        messages.map((message) => message.message_id),
        [message_id],
      );
    }));
}

test("every call has a key of its own, or the one that was given", () =>
  throughProxy(async ({ proxy, client, id }) => {
    await client.messages.append(id, hello);
    await client.messages.append(id, hello);
    await client.messages.append(id, hello, { idempotencyKey: "mine" });
    await client.messages.append(id, hello, { idempotencyKey: "mine" });
    await client.values.put("a", 1);
    const keys = keysOf(proxy);
    assert.equal(new Set(keys.slice(0, 2)).size, 2);
    assert.deepEqual(keys.slice(2, 4), ["mine", "mine"]);
    assert.ok(keys[4]);
    assert.equal((await all(client.messages.list(id))).length, 3);
  }));

test("a value that is written only if it is new is not refused for its own first try", () =>
  throughProxy(async ({ proxy, client }) => {
    proxy.faults.push("lose");
    const written = await client.values.put("a", new Uint8Array([1, 2]), { onlyNew: true });
    assert.equal((await client.values.get("a")).etag, written.etag);
  }));

test("a fork and a replacement happen once", () =>
  throughProxy(async ({ proxy, client, id }) => {
    await client.messages.append(id, hello);
    proxy.faults.push("lose");
    await client.sessions.fork(id);
    proxy.faults.push("lose");
    await client.messages.replace(id, { all: true, messages: [hello, hello] });
    assert.equal((await all(client.messages.list(id))).length, 2);
    assert.equal((await all(client.sessions.list())).length, 2);
  }));

test("503 is retried after the seconds of Retry-After", () =>
  throughProxy(async ({ proxy, client }) => {
    proxy.faults.push({ status: 503, headers: { "Retry-After": "1" } });
    const started = performance.now();
    await client.sessions.page();
    const took = performance.now() - started;
    assert.ok(took >= 1000 && took < 2500, `${took}`);
    assert.equal(proxy.requests.length, 2);
  }));

test("a Retry-After of more than a minute is not waited for", () =>
  throughProxy(async ({ proxy, client }) => {
    proxy.faults.push({ status: 503, headers: { "Retry-After": "61" } });
    await assert.rejects(client.sessions.page(), { status: 503, code: "HTTP_503" });
    assert.equal(proxy.requests.length, 1);
  }));

for (const status of [429, 502, 503, 504]) {
  test(`${status} is retried twice, then thrown`, () =>
    throughProxy(async ({ proxy, client }) => {
      proxy.faults.push({ status }, { status }, { status });
      await assert.rejects(client.sessions.page(), { status });
      assert.equal(proxy.requests.length, 3);
    }));
}

for (const [status, told, tries] of [
  [503, "false", 1],
  [409, "true", 2],
  [500, "true", 2],
  [500, undefined, 1],
  [409, undefined, 1],
  [404, undefined, 1],
  [412, undefined, 1],
  [412, "true", 1],
]) {
  test(`${status} with Should-Retry: ${told} is tried ${tries} times`, () =>
    throughProxy(async ({ proxy, client }) => {
      const headers = told ? { "Should-Retry": told } : {};
      proxy.faults.push({ status, headers });
      const done = client.sessions.page();
      await (tries === 1 ? assert.rejects(done, { status }) : done);
      assert.equal(proxy.requests.length, tries);
    }));
}

test("the service tells of each refusal whether to try again", async () => {
  const told = [];
  const fetch = async (...sent) => {
    const answer = await globalThis.fetch(...sent);
    told.push(answer.headers.get("Should-Retry"));
    return answer;
  };
  await assert.rejects(newClient({ fetch }).sessions.get("none"), { status: 404 });
  assert.deepEqual(told, ["false"]);
});

test("a failed precondition of the service is not repeated", () =>
  throughProxy(async ({ proxy, client, id }) => {
    const appended = client.messages.append(id, hello, { ifMatch: "01ARZ3NDEKTSV4RRFFQ69G5FAV" });
    await assert.rejects(appended, { status: 412 });
    assert.equal(proxy.requests.length, 1);
  }));

test("retries: 0 sends a request once", () =>
  throughProxy(async ({ proxy, client, id }) => {
    proxy.faults.push("lose");
    await assert.rejects(client.messages.append(id, hello, { retries: 0 }), TypeError);
    assert.equal(proxy.requests.length, 1);
  }));

test("a stream is sent once, because it cannot be repeated", () =>
  throughProxy(async ({ proxy, client }) => {
    proxy.faults.push({ status: 503 });
    const stream = new Blob(["abc"]).stream();
    await assert.rejects(client.values.put("a", stream), { status: 503 });
    assert.equal(proxy.requests.length, 1);
  }));

test("bytes are sent in the way that API Gateway lets through", () =>
  throughProxy(async ({ proxy, client }) => {
    await client.values.put("a", new Uint8Array([1]), { contentType: "image/png" });
    await client.values.get("a");
    const [put, get] = proxy.requests.map(({ headers }) => headers);
    assert.equal(put["content-type"], "application/octet-stream");
    assert.equal(put["value-type"], "image/png");
    assert.match(get.accept, /^application\/octet-stream,/);
  }));

test("a try that takes too long is given up, and made again", () =>
  throughProxy(async ({ proxy, client }) => {
    proxy.faults.push("hang");
    await client.sessions.page({}, { timeout: 300 });
    assert.equal(proxy.requests.length, 2);
    proxy.faults.push("hang", "hang", "hang");
    await assert.rejects(client.sessions.page({}, { timeout: 100 }), { name: "TimeoutError" });
  }));

test("a signal stops a request and the waiting between tries", () =>
  throughProxy(async ({ proxy, client }) => {
    proxy.faults.push("hang");
    const first = new AbortController();
    setTimeout(() => first.abort(), 50);
    await assert.rejects(client.sessions.page({}, { signal: first.signal }), {
      name: "AbortError",
    });
    assert.equal(proxy.requests.length, 1);

    proxy.faults.push({ status: 503, headers: { "Retry-After": "30" } });
    const started = performance.now();
    const signal = AbortSignal.timeout(300);
    await assert.rejects(client.sessions.page({}, { signal }), { name: "TimeoutError" });
    assert.ok(performance.now() - started < 2000);
  }));

test("the token is asked for before every try", () =>
  throughProxy(async ({ proxy }) => {
    const tokens = [tokenOf("a"), tokenOf("b")];
    const token = () => tokens.shift();
    proxy.faults.push({ status: 503 });
    await createClient({ baseUrl: proxy.url, token }).sessions.page();
    assert.equal(new Set(proxy.requests.map(({ headers }) => headers.authorization)).size, 2);
  }));

/** A client that gets these answers, because the service answers 202 only for very large sessions. */
function scripted(...answers) {
  const requests = [];
  const fetch = async (url, { headers }) => {
    requests.push(headers);
    const [status, body] = answers.shift();
    return Response.json(body, { status, headers: { "Retry-After": "0", ETag: '"e"' } });
  };
  return [createClient({ baseUrl: "http://unused", token: "t", fetch }), requests];
}

test("deletions are repeated while the answer is 202, and their counts added", async () => {
  const counts = (n) => ({ deleted_sessions: 1, deleted_messages: n, deleted_values: n });
  const answers = [
    [202, counts(5)],
    [202, counts(7)],
    [200, counts(1)],
  ];
  const [one] = scripted(...answers);
  assert.deepEqual(await one.sessions.deleteAll(), { deleted_sessions: 3, deleted_messages: 13 });
  const [two] = scripted(...answers);
  assert.deepEqual(await two.values.deleteAll("a/"), { deleted_values: 13 });
  const [three, requests] = scripted(...answers);
  const deleted = await three.sessions.delete("s", { ifMatch: "1" });
  assert.equal(deleted.deleted_messages, 13);
  const conditions = requests.map((headers) => headers.get("If-Match"));
  assert.deepEqual(conditions, ['"1"', null, null]); // the first request has changed the session
});

test("a fork is continued with the same key until it is whole", async () => {
  const [client, requests] = scripted([202, { session_id: "s" }], [201, { session_id: "s" }]);
  assert.equal((await client.sessions.fork("a")).etag, "e");
  const [first, second] = requests.map((headers) => headers.get("Idempotency-Key"));
  assert.ok(first);
  assert.equal(first, second);
});
