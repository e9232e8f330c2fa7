/** What answers rest on, against the real service. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import test from "node:test";

import { ApiError, sourceHashOf } from "session-store-client";

import { all, newClient, startProxy } from "./support.mjs";

const SCOPE = "sessions:read sessions:write sources:audit sources:govern";

/** A client of a tenant that has nothing yet, a session, and a message that cites `doc:r1`. */
async function newAnswer(options = {}, message = CITES) {
  const claims = { scope: SCOPE, tenant_id: randomUUID() };
  const client = newClient({ claims, ...options });
  const { session_id: id } = await client.sessions.create({ domain_id: "d" });
  const { message_id } = await client.messages.append(id, message);
  return { client, id, message_id, claims };
}

const CITES = {
  role: "assistant",
  content: "One, on Main St.",
  metadata: { references: [{ type: "report", reference_id: "r1", quote: "A hole" }] },
};
const HASH = await sourceHashOf("doc:r1");

const RULES = {
  format: "anthropic.messages",
  native: {
    role: "assistant",
    content: [
      { type: "text", text: "😀" },
      {
        type: "text",
        text: "It is quiet 😴",
        citations: [
          {
            type: "char_location",
            cited_text: "Quiet",
            document_index: 0,
            document_title: "Rules",
            start_char_index: 0,
            end_char_index: 5,
          },
        ],
      },
      { type: "tool_use", id: "c1", name: "look", input: { near: 1 } },
    ],
  },
  grounding: { request: { documents: [{ index: 0, key: "doc:rules", text: "Quiet: 22 to 6" }] } },
};

const refused = (status, code) => (error) => {
  assert.ok(error instanceof ApiError, error);
  assert.deepEqual([error.status, error.code], [status, code]);
  return true;
};

const idsOf = (entries) => entries.map(({ message_id }) => message_id);

test("the hash of a source is that of the service", async () => {
  const guide = readFileSync(new URL("../../../docs/grounding.md", import.meta.url), "utf8");
  const put = /-X PUT \S+\/tenant\/sources\/(\w{32})[^]*?"key": "(.+?)"/g;
  const vectors = [...guide.matchAll(put)];
  assert.equal(vectors.length, 1);
  for (const [, hash, key] of vectors) assert.equal(await sourceHashOf(key), hash);

  const names = ["r1", "ünï / 42 😀", "half \ud800", "x".repeat(1020), "😀".repeat(1021)];
  const references = names.map((name) => ({ type: "report", reference_id: name }));
  const { client, id, message_id } = await newAnswer({}, { ...CITES, metadata: { references } });
  const { sources } = await client.messages.grounding(id, message_id);
  assert.deepEqual(
    sources.map(({ hash }) => hash),
    await Promise.all(names.map((name) => sourceHashOf(`doc:${name}`))),
  );
});

test("messages and sessions: grounding, with offsets in either unit", async () => {
  const { client, id, message_id } = await newAnswer({}, RULES);
  const { citations, sources, figures, truncated } = await client.messages.grounding(
    id,
    message_id,
  );
  assert.deepEqual(citations[0].at, [{ path: "/content/1/text", start: 0, end: 13 }]);
  assert.equal(sources[0].hash, await sourceHashOf("doc:rules"));
  assert.deepEqual([figures.quotes_verbatim.numerator, truncated], [1, false]);

  for (const read of [
    (offsets) => client.messages.grounding(id, message_id, { offsets }),
    (offsets) => client.sessions.grounding(id, { offsets }),
    async (offsets) => (await all(client.sessions.groundingPages(id, { offsets })))[0],
  ]) {
    assert.equal((await read("codepoints")).citations[0].at[0].end, 13);
    assert.equal((await read("utf16")).citations[0].at[0].end, 14);
  }
});

test("sessions: grounding goes through all pages", async () => {
  // A page has up to 4.5 MB of messages.
  const large = { ...CITES, metadata: { ...CITES.metadata, more: "x".repeat(2_500_000) } };
  const { client, id, message_id } = await newAnswer({}, large);
  const ids = [message_id];
  for (let n = 0; n < 2; n++) ids.push((await client.messages.append(id, large)).message_id);
  const pages = await all(client.sessions.groundingPages(id));
  assert.ok(pages.length > 1);
  assert.deepEqual(idsOf(pages.flatMap(({ citations }) => citations)), ids);
  const backwards = await all(client.sessions.groundingPages(id, { order: "desc" }));
  assert.deepEqual(idsOf(backwards.flatMap(({ citations }) => citations)), ids.toReversed());

  const last = await client.sessions.grounding(id, { messages: 1, offsets: "utf16" });
  assert.deepEqual(idsOf(last.citations), ids.slice(2));
  assert.equal(last.checked_messages, 1);
  const query = { order: "desc", cursor: last.earlier_cursor };
  const [earlier] = await all(client.sessions.groundingPages(id, query));
  assert.equal(earlier.citations[0].message_id, ids[1]);
});

test("messages of any provider have one form", async () => {
  const { client, id, message_id } = await newAnswer({}, RULES);
  const result = { role: "tool", tool_call_id: "c1", content: "Found" };
  await client.messages.append(id, { format: "openai.chat", native: result });
  const asked = { view: "neutral", include: "grounding" };
  for (const read of [
    (more) => all(client.messages.list(id, { ...asked, ...more, limit: 1 })),
    async (more) => (await client.messages.page(id, { ...asked, ...more })).messages,
    async (more) => (await client.sessions.get(id, { ...asked, ...more })).messages,
  ]) {
    const [first, second] = await read({});
    assert.match(first.content, /It is quiet 😴$/);
    assert.equal(first.grounding.verdict, "ungoverned");
    assert.deepEqual(first.tool_calls[0].arguments, { near: 1 });
    assert.equal(first.sources[0].key, "doc:rules");
    assert.equal(second.tool_results[0].content, "Found");
    const [inUnits] = await read({ offsets: "utf16" });
    assert.equal(inUnits.citations[0].at[0].start, first.citations[0].at[0].start + 1);
  }
  const plain = await client.messages.get(id, message_id);
  assert.deepEqual([plain.tool_calls, plain.grounding], [undefined, RULES.grounding]);
  const short = await client.messages.get(id, message_id, { include: "grounding" });
  assert.deepEqual([short.grounding.citations, short.grounding.verdict], [1, "ungoverned"]);
  const known = { ifNoneMatch: (await client.sessions.get(id, asked)).etag, ...asked };
  assert.equal(await client.sessions.get(id, known), null);
});

test("sources that are not indexed are told", async () => {
  const { client, id, message_id } = await newAnswer();
  const references = Array.from({ length: 33 }, (_, n) => ({
    type: "report",
    reference_id: `x${n}`,
  }));
  const many = { ...CITES, metadata: { references } };
  const { messages } = client;
  assert.equal((await messages.append(id, many)).unindexed, 3);
  assert.equal((await messages.append(id, many, { minimal: true })).unindexed, 3);
  assert.equal((await messages.appendMany(id, [many])).unindexed, 3);
  assert.equal((await messages.edit(id, message_id, many)).unindexed, 3);
  assert.equal((await messages.replace(id, { all: true, messages: [many] })).unindexed, 3);
  assert.equal((await messages.append(id, CITES)).unindexed, undefined);
});

test("sources: answers, of oneself and of the tenant", async () => {
  const { client, id, message_id, claims } = await newAnswer();
  const mine = [message_id];
  for (let n = 0; n < 4; n++) mine.push((await client.messages.append(id, CITES)).message_id);
  const other = await newAnswer({ claims });

  const answers = await all(client.sources.answers(HASH, { limit: 2 }));
  assert.deepEqual(idsOf(answers), mine.toReversed());
  const { timestamp } = await client.messages.get(id, mine[4]);
  assert.deepEqual(answers[0], { session_id: id, message_id: mine[4], timestamp });
  const page = await client.sources.answersPage(HASH, { limit: 3 });
  assert.equal(page.answers.length, 3);
  const rest = await client.sources.answersPage(HASH, { cursor: page.next_cursor });
  assert.deepEqual([...page.answers, ...rest.answers], answers);

  const everybody = await all(client.tenantSources.answers(HASH, { limit: 2 }));
  assert.deepEqual(idsOf(everybody).sort(), [...mine, other.message_id].sort());
  assert.equal(new Set(everybody.map(({ user_id }) => user_id)).size, 2);
  const first = await client.tenantSources.answersPage(HASH, { limit: 3 });
  const next = await client.tenantSources.answersPage(HASH, { cursor: first.next_cursor });
  assert.deepEqual([...first.answers, ...next.answers], everybody);
  const { sources, tenantSources } = newClient();
  assert.deepEqual(await all(sources.answers(HASH)), []);
  await assert.rejects(all(tenantSources.answers(HASH)), refused(403, "INSUFFICIENT_SCOPE"));
});

test("tenantSources: get and put, with conditions", async () => {
  const { client, id, message_id, claims } = await newAnswer();
  const { tenantSources } = client;
  await assert.rejects(tenantSources.get(HASH), refused(404, "VERDICT_NOT_FOUND"));
  const changed = { key: "doc:r1", state: "changed", version: "2", reason: "New" };
  const said = await tenantSources.put(changed, { onlyNew: true });
  const { governed_at, governed_by, etag, ...rest } = said;
  assert.deepEqual(rest, { hash: HASH, ...changed });
  assert.ok(governed_at && governed_by && etag);
  assert.deepEqual(await tenantSources.get(HASH), said);
  const auditor = newClient({ claims: { ...claims, scope: "sources:audit" } });
  assert.equal((await auditor.tenantSources.get(HASH)).reason, undefined);

  const current = { key: "doc:r1", state: "current" };
  const isOld = refused(412, "VERDICT_CHANGED");
  await assert.rejects(tenantSources.put(current, { onlyNew: true }), isOld);
  const withdrawn = { key: "doc:r1", state: "withdrawn" };
  assert.notEqual((await tenantSources.put(withdrawn, { ifMatch: etag })).etag, etag);
  await assert.rejects(tenantSources.put(current, { ifMatch: etag }), isOld);
  const [citation] = (await client.messages.grounding(id, message_id)).citations;
  assert.deepEqual([citation.verdict, citation.quote], ["withdrawn", null]);
});

test("tenantSources: redact goes on until it is finished, with one key", async () => {
  const proxy = await startProxy();
  try {
    const { client, id, message_id } = await newAnswer({ baseUrl: proxy.url });
    proxy.requests.length = 0;
    proxy.faults.push({ status: 202, headers: { "Content-Type": "application/json" } }, "lose");
    const receipt = await client.tenantSources.redact(HASH);
    const keys = proxy.requests.map(({ headers }) => headers["idempotency-key"]);
    assert.equal(keys.length, 3);
    assert.deepEqual([new Set(keys).size, typeof keys[0]], [1, "string"]);
    assert.deepEqual([receipt.checked_messages, receipt.redacted_messages], [1, 1]);
    assert.ok(receipt.finished_at && receipt.never_indexed.length && receipt.not_removed.length);
    const kept = JSON.stringify(await client.messages.get(id, message_id));
    assert.ok(!kept.includes("A hole"));

    const own = { idempotencyKey: "mine" };
    const one = await client.tenantSources.redact(HASH, own);
    assert.deepEqual(await client.tenantSources.redact(HASH, own), one);
    assert.notEqual(one.started_at, receipt.started_at);
  } finally {
    proxy.close();
  }
});

test("a hash that leads elsewhere is refused before it is sent", async () => {
  const { sources, tenantSources } = newClient();
  for (const hash of ["", ".", "..", "a/b"]) {
    await assert.rejects(sources.answersPage(hash), TypeError);
    await assert.rejects(tenantSources.redact(hash), TypeError);
  }
});
