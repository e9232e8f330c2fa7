/** The real AI SDK with a fake model: streams, and saves as its documentation shows. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import test from "node:test";

import {
  convertToModelMessages,
  createUIMessageStream,
  generateId,
  simulateReadableStream,
  streamText,
  toUIMessageStream,
} from "ai";
import { MockLanguageModelV4 } from "ai/test";
import { sessionIdOf } from "session-store-client";
import { ChatStore } from "session-store-client/ai-sdk";

import { all, newClient, startProxy } from "./support.mjs";

const question = (text, id = generateId()) => ({
  id,
  role: "user",
  parts: [{ type: "text", text }],
});
const textsOf = (messages) =>
  messages.map(({ parts }) => parts.map((part) => part.text ?? "").join(""));

/** Says these pieces of text, one after the other. */
function modelThatSays(...pieces) {
  const chunks = [
    { type: "stream-start", warnings: [] },
    { type: "text-start", id: "t" },
    ...pieces.map((delta) => ({ type: "text-delta", id: "t", delta })),
    { type: "text-end", id: "t" },
    {
      type: "finish",
      finishReason: { unified: "stop", raw: "stop" },
      usage: { inputTokens: { total: 1 }, outputTokens: { total: 1 } },
    },
  ];
  return new MockLanguageModelV4({
    doStream: async () => ({ stream: simulateReadableStream({ chunks, chunkDelayInMs: 5 }) }),
  });
}

/** What a route handler does. Returns the stream of chunks. */
async function answer(chats, chatId, messages, model, abortSignal) {
  await chats.save(chatId, messages);
  const result = streamText({
    model,
    abortSignal,
    messages: await convertToModelMessages(messages),
    onError: () => {},
  });
  return toUIMessageStream({
    stream: result.stream,
    originalMessages: messages,
    generateMessageId: generateId,
    onEnd: chats.onEnd(chatId),
  });
}

/** The stored messages of a chat. */
const stored = async (client, chatId) => all(client.messages.list(await sessionIdOf(chatId)));

test("a conversation survives a restart", async () => {
  const client = newClient();
  const chatId = `chat / ${randomUUID()} é`;
  const first = [question("Any potholes?")];
  await all(await answer(new ChatStore(client), chatId, first, modelThatSays("Five ", "of them.")));

  const restarted = new ChatStore(client);
  const loaded = await restarted.load(chatId);
  assert.deepEqual(textsOf(loaded), ["Any potholes?", "Five of them."]);
  const second = [...loaded, question("Where?")];
  await all(await answer(restarted, chatId, second, modelThatSays("Main St.")));

  const messages = await restarted.load(chatId);
  assert.deepEqual(textsOf(messages), ["Any potholes?", "Five of them.", "Where?", "Main St."]);
  assert.deepEqual(messages.slice(0, 3), second);
  assert.equal(await restarted.status(chatId), "complete");
  const opened = await client.sessions.get(await sessionIdOf(chatId), { messages: 0 });
  assert.equal(opened.key, chatId);
  assert.equal(opened.message_count, 4);
  assert.equal(opened.last_message.text, "Main St."); // the store can read what it keeps
});

test("an answer that was aborted is kept as interrupted, and completed later", async () => {
  const client = newClient();
  const chats = new ChatStore(client);
  const chatId = randomUUID();
  const abort = new AbortController();
  const model = modelThatSays("Once ", "upon ", "a ", "time ", "there ", "was ");
  const stream = await answer(chats, chatId, [question("A story")], model, abort.signal);
  let deltas = 0;
  for await (const chunk of stream)
    if (chunk.type === "text-delta" && ++deltas === 2) abort.abort();

  assert.equal(await chats.status(chatId), "interrupted");
  const [, partial] = await chats.load(chatId);
  assert.match(textsOf([partial])[0], /^Once upon /);
  assert.doesNotMatch(textsOf([partial])[0], /was/);

  // The last message is the assistant's, so the SDK continues it.
  const again = new ChatStore(client);
  await all(await answer(again, chatId, await again.load(chatId), modelThatSays("… the end.")));
  const [, whole] = await again.load(chatId);
  assert.equal(whole.id, partial.id);
  assert.equal(textsOf([whole])[0], `${textsOf([partial])[0]}… the end.`);
  assert.equal(await again.status(chatId), "complete");
  assert.equal((await stored(client, chatId)).length, 2);
});

test("a new question after an abort leaves the answer interrupted", async () => {
  const client = newClient();
  const chats = new ChatStore(client);
  const [one, two] = [question("One"), question("Two")];
  const partial = { id: "a1", role: "assistant", parts: [{ type: "text", text: "On" }] };
  await chats.save("chat", [one, partial], { status: "interrupted" });
  await chats.save("chat", [one, partial, two]);
  const messages = await stored(client, "chat");
  assert.deepEqual(
    messages.map(({ status }) => status),
    ["complete", "interrupted", "complete"],
  );
  assert.equal(messages[1].edited_at, null);
});

test("onFinish of createUIMessageStream saves, too", async () => {
  const chats = new ChatStore(newClient());
  const messages = [question("Hello")];
  const stream = createUIMessageStream({
    originalMessages: messages,
    execute: async ({ writer }) => {
      const prompt = await convertToModelMessages(messages);
      const result = streamText({ model: modelThatSays("Hi."), messages: prompt });
      writer.merge(toUIMessageStream({ stream: result.stream }));
    },
    onFinish: chats.onEnd("chat"),
  });
  await all(stream);
  assert.deepEqual(textsOf(await chats.load("chat")), ["Hello", "Hi."]);
});

test("only what is new is written, and the rest is not read", async () => {
  const proxy = await startProxy();
  const client = newClient({ baseUrl: proxy.url });
  const chats = new ChatStore(client);
  const messages = Array.from({ length: 120 }, (_, n) => question(`Question ${n}`));
  await chats.save("long", messages);
  const before = (await stored(client, "long")).map(({ message_id }) => message_id);
  assert.equal(before.length, 120);

  proxy.requests.length = 0;
  await chats.save("long", [...messages, question("One more")]);
  const sent = proxy.requests.map(({ method, url }) => `${method} ${url.split("/").at(-1)}`);
  assert.deepEqual(sent, [
    `GET ${await sessionIdOf("long")}?messages=2`,
    `POST batch?after=${before.at(-1)}`,
  ]);
  await chats.save("long", [...messages.slice(-3), (await chats.load("long")).at(-1)]);
  const after = await stored(client, "long");
  assert.deepEqual(
    after.slice(0, 120).map(({ message_id }) => message_id),
    before,
  );
  assert.equal(after.length, 121);
  assert.ok(after.every(({ edited_at }) => edited_at === null));
  proxy.close();
});

test("a last message that has changed is edited", async () => {
  const client = newClient();
  const chats = new ChatStore(client);
  const call = { type: "tool-search", toolCallId: "c1", state: "input-available", input: { q: 1 } };
  const asked = { id: "a1", role: "assistant", parts: [call] };
  await chats.save("chat", [question("Search", "u1"), asked], { status: "in_progress" });
  const done = { ...asked, parts: [{ ...call, state: "output-available", output: { hits: 2 } }] };
  await chats.save("chat", [question("Search", "u1"), done, question("Thanks", "u2")]);
  const messages = await stored(client, "chat");
  assert.deepEqual(
    messages.map(({ native }) => native.id),
    ["u1", "a1", "u2"],
  );
  assert.deepEqual(messages[1].native, done);
  assert.equal(messages[1].status, "complete");
  assert.equal((await client.sessions.check(await sessionIdOf("chat"))).findings.length, 0);
});

test("an answer that is generated again takes the place of the old one", async () => {
  const client = newClient();
  const chats = new ChatStore(client);
  const asked = [question("Hello", "u1")];
  await all(await answer(chats, "chat", asked, modelThatSays("Hi.")));
  const old = (await chats.load("chat"))[1];
  await all(await answer(chats, "chat", asked, modelThatSays("Hello!")));
  const messages = await chats.load("chat");
  assert.deepEqual(textsOf(messages), ["Hello", "Hello!"]);
  assert.notEqual(messages[1].id, old.id);
});

test("an edited first question replaces everything", async () => {
  const chats = new ChatStore(newClient());
  await chats.save("chat", [question("a", "1"), question("b", "2"), question("c", "3")]);
  await chats.save("chat", [question("x", "4"), question("y", "5")]);
  assert.deepEqual(textsOf(await chats.load("chat")), ["x", "y"]);
  await chats.save("chat", [question("x", "4")]);
  assert.deepEqual(textsOf(await chats.load("chat")), ["x"]);
});

test("an answer that ends late removes nothing that came meanwhile", async () => {
  const chats = new ChatStore(newClient());
  const [u1, u2] = [question("One", "u1"), question("Two", "u2")];
  await chats.save("chat", [u1]);
  const late = { id: "a1", role: "assistant", parts: [{ type: "text", text: "Late" }] };
  await chats.save("chat", [u1, u2]);
  await chats.onEnd("chat")({ messages: [u1, late], isAborted: true });
  assert.deepEqual(textsOf(await chats.load("chat")), ["One", "Two", "Late"]);
});

test("two requests that save the same messages store them once", async () => {
  const client = newClient();
  const messages = [question("One"), question("Two")];
  await Promise.all([1, 2, 3, 4].map(() => new ChatStore(client).save("same", messages)));
  assert.deepEqual(await new ChatStore(client).load("same"), messages);
});

test("requests that edit and append the same at once store it once", async () => {
  const client = newClient();
  const asked = { id: "a1", role: "assistant", parts: [{ type: "text", text: "W" }] };
  const done = { ...asked, parts: [{ type: "text", text: "Whole" }] };
  const others = [question("Gone", "u2"), question("Gone, too", "u3")];
  await new ChatStore(client).save("same", [question("One", "u1"), asked, ...others]);
  const messages = [question("One", "u1"), done, question("Two", "u4"), question("Three", "u5")];
  await Promise.all([1, 2, 3, 4].map(() => new ChatStore(client).save("same", messages)));
  assert.deepEqual(await new ChatStore(client).load("same"), messages);
});

test("a lost answer stores no message twice", async () => {
  const proxy = await startProxy();
  const client = newClient({ baseUrl: proxy.url });
  const chats = new ChatStore(client);
  proxy.faults.push("pass", "lose");
  const messages = [question("One"), question("Two")];
  await chats.save("chat", messages);
  assert.equal(proxy.requests.length, 3);
  proxy.faults.push("pass", "lose");
  await chats.save("chat", [...messages, question("Three")]);
  assert.deepEqual(textsOf(await chats.load("chat")), ["One", "Two", "Three"]);
  proxy.close();
});

test("chats are listed and deleted; other sessions are left out", async () => {
  const client = newClient();
  const chats = new ChatStore(client, { session: (first) => ({ title: textsOf(first)[0] }) });
  await client.sessions.create({ domain_id: "other", key: "other" });
  await chats.save("one", [question("First question")]);
  await chats.save("two", []);
  const rows = await all(chats.list());
  assert.deepEqual(rows.map(({ key }) => key).sort(), ["one", "two"]);
  assert.equal(rows.find(({ key }) => key === "one").title, "First question");
  await chats.delete("one");
  await chats.delete("one");
  assert.deepEqual(await chats.load("one"), []);
  assert.equal(await chats.status("one"), null);
});

test("a message without an id is refused", async () => {
  const chats = new ChatStore(newClient());
  await assert.rejects(chats.save("chat", [question("Hello", "")]), /generateMessageId/);
});
