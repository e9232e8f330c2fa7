/** The parts of assistant-ui's protocol that the page does not use, without a browser. */
import assert from "node:assert/strict";
import test from "node:test";

import { AssistantMessageStream } from "assistant-stream";
import { sessionIdOf } from "session-store-client";
import { createHistoryAdapter, createThreadListAdapter } from "session-store-client/assistant-ui";

import { all, newClient, startProxy } from "./support.mjs";

const METADATA = { custom: {} };

function message(id, role, text, more = {}) {
  const createdAt = new Date("2026-01-31T12:00:00.000Z");
  const content = [{ type: "text", text }];
  const status = role === "assistant" ? { status: { type: "complete", reason: "stop" } } : {};
  return { id, role, content, createdAt, metadata: METADATA, ...status, ...more };
}

/** A thread that gets its session when the first message is written, as in the runtime. */
function newThread(client, adapter = createThreadListAdapter(client), id = crypto.randomUUID()) {
  let remoteId;
  return {
    getState: () => ({ id, remoteId }),
    initialize: async () => {
      const created = await adapter.initialize(id);
      remoteId = created.remoteId;
      return created;
    },
  };
}

test("threads are found by any id, and listed by page with their metadata", async () => {
  const client = newClient();
  const adapter = createThreadListAdapter(client, { domainId: "mine" });
  const own = "any id / 42 é";
  const long = { note: "x".repeat(1000) }; // the list leaves such metadata out
  const { remoteId, externalId } = await adapter.initialize(own, { custom: long });
  assert.equal(remoteId, await sessionIdOf(own));
  assert.equal(externalId, own);
  assert.equal((await adapter.initialize(own)).remoteId, remoteId);
  await client.sessions.create({ domain_id: "other" });
  for (let n = 0; n < 25; n++) await adapter.initialize(`thread ${n}`);

  const first = await adapter.list();
  const second = await adapter.list({ after: first.nextCursor });
  assert.equal(second.nextCursor, undefined);
  const threads = [...first.threads, ...second.threads];
  assert.equal(threads.length, 26);
  assert.deepEqual(threads.at(-1), await adapter.fetch(own));
  assert.deepEqual(await adapter.fetch(remoteId), {
    remoteId,
    externalId: own,
    status: "regular",
    title: undefined,
    lastMessageAt: undefined,
    custom: long,
  });
  await adapter.updateCustom(remoteId, { short: 1 });
  assert.deepEqual((await adapter.fetch(own)).custom, { short: 1 });
  await adapter.updateCustom(remoteId, undefined);
  assert.deepEqual((await adapter.fetch(own)).custom, {});
  await adapter.delete(remoteId);
  await adapter.delete(remoteId);
  await assert.rejects(adapter.fetch(own), { code: "SESSION_NOT_FOUND" });
});

test("a title is made by a function, in pieces, and stored before its stream ends", async () => {
  const client = newClient();
  const messages = [message("1", "user", "one two three ".repeat(20))];
  async function* pieces() {
    yield "Pot";
    yield "holes";
  }
  for (const [generateTitle, expected] of [
    [undefined, "one two three one two three one two three one two three one …"],
    [() => "Given", "Given"],
    [async () => "Later", "Later"],
    [pieces, "Potholes"],
  ]) {
    const adapter = createThreadListAdapter(client, { generateTitle });
    const { remoteId } = await adapter.initialize(crypto.randomUUID());
    const stream = await adapter.generateTitle(remoteId, messages);
    const results = await all(AssistantMessageStream.fromAssistantStream(stream));
    assert.equal(results.at(-1).parts[0].text, expected);
    assert.equal((await adapter.fetch(remoteId)).title, expected);
  }
});

test("messages come back whole, with dates, parents and the settings of their run", async () => {
  const client = newClient();
  const thread = newThread(client);
  const history = createHistoryAdapter(client, () => thread);
  assert.deepEqual((await history.load()).messages, []);
  const inner = message("inner", "assistant", "thinking");
  const call = {
    type: "tool-call",
    toolCallId: "c",
    toolName: "f",
    args: {},
    argsText: "{}",
    messages: [inner],
  };
  const attachment = {
    id: "a",
    type: "file",
    name: "a.txt",
    content: [],
    status: { type: "complete" },
  };
  const items = [
    { parentId: null, message: message("ü/1", "user", "Hi", { attachments: [attachment] }) },
    {
      parentId: "ü/1",
      message: message("2", "assistant", "Hello", { content: [call] }),
      runConfig: { custom: { a: 1 } },
    },
  ];
  const file = { ...attachment, file: new File(["x"], "a.txt") };
  await history.append({ ...items[0], message: { ...items[0].message, attachments: [file] } });
  await history.append(items[1]);
  const again = createHistoryAdapter(client, () => thread);
  assert.deepEqual((await again.load()).messages, items);
});

test("a paused run is updated in place, even from another process", async () => {
  const client = newClient();
  const thread = newThread(client);
  const history = createHistoryAdapter(client, () => thread);
  await history.append({ parentId: null, message: message("1", "user", "Go") });
  const status = { type: "requires-action", reason: "tool-calls" };
  await history.append({ parentId: "1", message: message("2", "assistant", "May I?", { status }) });
  const { remoteId } = thread.getState();
  const statuses = async () =>
    (await all(client.messages.list(remoteId))).map(({ status }) => status);
  assert.deepEqual(await statuses(), ["complete", "in_progress"]);

  const done = { parentId: "1", message: message("2", "assistant", "Done") };
  await createHistoryAdapter(client, () => thread).update(done);
  assert.deepEqual(await statuses(), ["complete", "complete"]);
  assert.deepEqual((await history.load()).messages[1], done);
  // An update of a message whose first write has failed adds it.
  await history.update({ parentId: "2", message: message("3", "user", "New") });
  assert.equal((await history.load()).messages.length, 3);
});

test("a message is looked for from the end, and not at all if it is known", async () => {
  const proxy = await startProxy();
  const client = newClient({ baseUrl: proxy.url });
  const thread = newThread(client);
  const history = createHistoryAdapter(client, () => thread);
  for (let n = 0; n < 45; n++) {
    await history.append({
      parentId: n ? `${n - 1}` : null,
      message: message(`${n}`, "user", `${n}`),
    });
  }
  const reads = async (job) => {
    proxy.requests.length = 0;
    await job();
    return proxy.requests.filter(({ method, url }) => method === "GET" && url.includes("/messages"))
      .length;
  };
  const change = (id) => ({ parentId: `${id - 1}`, message: message(`${id}`, "user", "changed") });
  const other = createHistoryAdapter(client, () => thread);
  assert.equal(await reads(() => history.update(change(3))), 0);
  assert.equal(await reads(() => other.update(change(40))), 1);
  assert.equal(await reads(() => other.update(change(40))), 0);
  assert.equal(await reads(() => other.update(change(20))), 2);
  assert.equal(await reads(() => other.load()), 1);
  assert.equal(await reads(() => other.update(change(1))), 0);
  proxy.close();
});

test("what follows a removed message gets its parent", async () => {
  const client = newClient();
  const thread = newThread(client);
  const history = createHistoryAdapter(client, () => thread);
  const items = ["1", "2", "3"].map((id, at, ids) => ({
    parentId: ids[at - 1] ?? null,
    message: message(id, "user", id),
  }));
  for (const item of items) await history.append(item);
  const other = createHistoryAdapter(client, () => thread); // has read nothing yet
  await other.delete([items[1]]);
  await other.delete([items[1]]);
  await history.delete([items[1]]);
  const loaded = (await history.load()).messages;
  assert.deepEqual(
    loaded.map(({ parentId, message }) => [parentId, message.id]),
    [
      [null, "1"],
      ["1", "3"],
    ],
  );
  assert.deepEqual(loaded[1].message, items[2].message);
});

test("formats are kept apart, and a pinned thread stays the same", async () => {
  const client = newClient();
  const [one, two] = [newThread(client), newThread(client)];
  let current = one;
  const history = createHistoryAdapter(client, () => current);
  const format = {
    format: "test/v1",
    encode: ({ message }) => ({ parts: [{ type: "text", text: message.text }] }),
    decode: ({ id, parent_id, content }) => ({
      parentId: parent_id,
      message: { id, text: content.parts[0].text },
    }),
    getId: ({ id }) => id,
  };
  const formatted = history.withFormat(format);
  formatted.pin();
  await history.append({ parentId: null, message: message("m", "user", "Other format") });
  current = two;
  const item = { parentId: null, message: { id: "x", text: "Hi" } };
  await formatted.append(item);
  await formatted.update({ ...item, message: { id: "x", text: "Hello" } }, "x");
  assert.equal(two.getState().remoteId, undefined);
  const { messages } = await formatted.load();
  assert.deepEqual(messages, [{ parentId: null, message: { id: "x", text: "Hello" } }]);
  const stored = await all(client.messages.list(one.getState().remoteId));
  assert.deepEqual(
    stored.map(({ content }) => content),
    ["Other format", "Hello"],
  );
  await formatted.delete([item]);
  assert.deepEqual((await formatted.load()).messages, []);
});

test("resuming is offered only for a question without an answer", async () => {
  const client = newClient();
  const thread = newThread(client);
  async function* resume() {}
  const history = createHistoryAdapter(client, () => thread, { resume, scopeId: "alice" });
  assert.equal(history.scopeId, "alice");
  assert.equal(history.resume, resume);
  await history.append({ parentId: null, message: message("1", "user", "Hi") });
  assert.equal((await history.load()).unstable_resume, true);
  assert.equal((await createHistoryAdapter(client, () => thread).load()).unstable_resume, false);
  await history.append({ parentId: "1", message: message("2", "assistant", "Hello") });
  assert.equal((await history.load()).unstable_resume, false);
});

test("copies of another backend's messages are made and kept current", async () => {
  const client = newClient();
  const thread = newThread(client);
  assert.equal(createHistoryAdapter(client, () => thread).unstable_copy, undefined);
  const history = createHistoryAdapter(client, () => thread, { copies: true });
  const branch = ["1", "2", "3"].map((id) => message(id, "user", id));
  await history.unstable_copy(branch, ["2"]);
  await history.unstable_copy([branch[0], message("2", "user", "changed"), branch[2]], ["2", "3"]);
  const { messages } = await history.load();
  assert.deepEqual(
    messages.map(({ parentId, message }) => [parentId, message.id, message.content[0].text]),
    [
      [null, "1", "1"],
      ["1", "2", "changed"],
      ["2", "3", "3"],
    ],
  );
});
