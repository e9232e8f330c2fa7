/** Compiled with `tsc --strict`, not run. What must not compile is marked so. */
import { streamText, toUIMessageStream, type ToolSet, type UIMessage } from "ai";
import {
  useLocalRuntime,
  useRemoteThreadListRuntime,
  type ChatModelAdapter,
} from "@assistant-ui/react";
import {
  ApiError,
  createClient,
  sessionIdOf,
  sourceHashOf,
  type Message,
  type Schemas,
} from "session-store-client";
import { ChatStore } from "session-store-client/ai-sdk";
import { createThreadListAdapter } from "session-store-client/assistant-ui";

const client = createClient({ baseUrl: "https://api.example.com", token: async () => "token" });

// @ts-expect-error - a token is needed
createClient({ baseUrl: "https://api.example.com" });

export async function sessions(): Promise<void> {
  const session = await client.sessions.create({ key: "thread-42", domain_id: "support" });
  const id: string = session.session_id;
  const etag: string = session.etag;
  // @ts-expect-error - domain_id is needed
  await client.sessions.create({ title: "No domain" });

  const opened = await client.sessions.get(id, { messages: 20, values: "agent/" });
  const last: Message | undefined = opened.messages.at(-1);
  const status: "in_progress" | "complete" | "interrupted" | undefined = last?.status;
  // @ts-expect-error - it may be undefined
  opened.messages[0].content;
  const unchanged = await client.sessions.get(id, { ifNoneMatch: etag });
  // @ts-expect-error - null if it has not changed
  unchanged.title;

  for await (const row of client.sessions.list({ archived: false, metadata: { channel: "web" } })) {
    // @ts-expect-error - null if it is too long for the list
    row.metadata["channel"];
    const text: string | undefined = row.last_message?.text;
    console.log(row.title, text, status);
  }
  await client.sessions.update(id, { archived: true, metadata: { a: null } }, { ifMatch: etag });
  // @ts-expect-error - no such member
  await client.sessions.update(id, { archive: true });
}

export async function messages(id: string): Promise<void> {
  const said = await client.messages.append(id, { role: "user", content: "Hi" }, { after: id });
  const previous: string | null | undefined = said.previous;
  await client.messages.appendMany(await sessionIdOf("thread-42"), [{ role: "user", content: 1 }], {
    session: { key: "thread-42", domain_id: "support" },
    values: { session: [{ put: "agent/state", json: { step: 1 } }] },
    idempotencyKey: "turn-1",
    signal: AbortSignal.timeout(1000),
  });
  await client.messages.edit(id, said.message_id, { status: "interrupted" });
  // @ts-expect-error - no such status
  await client.messages.edit(id, said.message_id, { status: "done" });
  await client.messages.deleteFrom(id, { after: said.message_id });
  await client.messages.replace(id, { all: true, messages: [] });
  // @ts-expect-error - where the tail begins is needed
  await client.messages.replace(id, { messages: [] });
  const { messages: popped } = await client.messages.pop(id, 2);
  console.log(previous, popped?.length);
}

export async function grounding(id: string): Promise<void> {
  const opened = await client.sessions.get(id, { view: "neutral", offsets: "utf16" });
  const start: number | undefined = opened.messages[0]?.citations?.[0]?.at[0]?.start;
  // @ts-expect-error - no such view
  await client.sessions.get(id, { view: "plain" });
  for await (const { figures, citations } of client.sessions.groundingPages(id, { order: "desc" }))
    console.log(figures.citations_resolved.numerator, citations[0]?.verdict === "dangling", start);
  const { unindexed } = await client.messages.append(id, { role: "user", content: "Hi" });
  const count: number | undefined = unindexed;
  // @ts-expect-error - without a hash
  client.sources.answers();
  // @ts-expect-error - of one's own answers, no user is told
  for await (const { user_id } of client.sources.answers(await sourceHashOf("k"))) user_id;
  const verdict = { key: "doc:rules", state: "withdrawn" } as const;
  const { etag } = await client.tenantSources.put(verdict, { onlyNew: true });
  await client.tenantSources.put(verdict, { ifMatch: etag });
  // @ts-expect-error - no such state
  await client.tenantSources.put({ key: "doc:rules", state: "dangling" });
  const finished: string | null = (await client.tenantSources.redact("hash")).finished_at;
  console.log(count, finished);
}

export async function values(id: string): Promise<void> {
  interface State {
    step: number;
  }
  const state = await client.sessionValues(id).get<State>("agent/state");
  await client.sessionValues(id).patch("agent/state", { step: state.content.step + 1 });
  await client.values.put("photo", new Blob(["…"]), { contentType: "image/png", onlyNew: true });
  const results: Schemas["Result"][] = await client.tenantValues.batch([{ get: "prompt" }]);
  for await (const value of client.values.list({ prefix: "notes/" }))
    console.log(value.json, results);
}

export async function errors(): Promise<string | null | undefined> {
  try {
    await client.messages.append("sess", { role: "user", content: "Hi" }, { after: "msg" });
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.code === "NOT_THE_LAST_MESSAGE") return error.problem.last_message_id;
    // @ts-expect-error - no such code
    if (error.code === "NO_SUCH_CODE") return null;
  }
  return null;
}

type MyMessage = UIMessage<{ tokens?: number }>;

const chats = new ChatStore<MyMessage>(client, { session: () => ({ expires_in_days: 30 }) });

export async function answer(chatId: string, message: MyMessage) {
  const originalMessages = [...(await chats.load(chatId)), message];
  await chats.save(chatId, originalMessages);
  const { stream } = streamText({ model: "any", prompt: "Hi" });
  return toUIMessageStream<ToolSet, MyMessage>({
    stream,
    originalMessages,
    onEnd: chats.onEnd(chatId),
  });
}

const adapter = createThreadListAdapter(client, { generateTitle: async () => "Title" });

export function useRuntime(model: ChatModelAdapter) {
  return useRemoteThreadListRuntime({ runtimeHook: () => useLocalRuntime(model), adapter });
}
