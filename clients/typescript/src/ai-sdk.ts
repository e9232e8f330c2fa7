/** Conversations of the Vercel AI SDK. A chat is a session whose `key` is the chat's id. */

import type { UIMessage } from "ai";

import type { Client } from "./client.js";
import { isProblem } from "./errors.js";
import { sessionIdOf } from "./ids.js";
import { batches, isSame, jsonOf } from "./json.js";
import type { RequestOptions } from "./transport.js";
import type { Message, NewMessage, Schemas, SessionRow } from "./types.js";

export const FORMAT = "vercel.uimessage";

type Status = Message["status"];

export interface ChatStoreOptions {
  /** The `domain_id` of the sessions. The default is `chat`. */
  domainId?: string;
  /** Title, metadata and retention of a chat that is created with these messages. */
  session?: (messages: UIMessage[]) => Omit<Schemas["NewSession"], "key" | "domain_id">;
}

export interface SaveOptions extends RequestOptions {
  /**
   * Of the last message, if it is an assistant's: `interrupted` after an abort, `in_progress` while
   * it is written. The default is `complete` for one that is new or has changed.
   */
  status?: Status;
  /** Remove nothing, even if the chat has messages that are not in the list. */
  keepOthers?: boolean;
}

/** What this module needs of the event of `onEnd` and `onFinish`. */
export interface EndEvent<M extends UIMessage> {
  messages: M[];
  isAborted: boolean;
  isCancelled?: boolean;
  outcome?: { status: string };
}

const TRIES = 5;

export class ChatStore<M extends UIMessage = UIMessage> {
  readonly #client: Client;
  readonly #options: ChatStoreOptions;

  constructor(client: Client, options: ChatStoreOptions = {}) {
    this.#client = client;
    this.#options = options;
  }

  /** All messages of a chat, oldest first. None if there is no such chat. */
  async load(chatId: string, options: RequestOptions = {}): Promise<M[]> {
    const sessionId = await sessionIdOf(chatId);
    const opened = await orNull(this.#client.sessions.get(sessionId, options));
    if (!opened) return [];
    const messages = opened.messages;
    if (opened.next_cursor) {
      const query = { cursor: opened.next_cursor, limit: 1000 };
      for await (const more of this.#client.messages.list(sessionId, query, options)) {
        messages.push(more);
      }
    }
    return messages.filter(isChatMessage).map((message) => message.native as M);
  }

  /** The status of a chat's last message. null if there is none. */
  async status(chatId: string, options: RequestOptions = {}): Promise<Status | null> {
    const sessionId = await sessionIdOf(chatId);
    const opened = await orNull(this.#client.sessions.get(sessionId, { ...options, messages: 1 }));
    return opened?.messages[0]?.status ?? null;
  }

  /** Chats with this `domainId`, latest activity first. The chat's id is `key`. */
  list(options?: RequestOptions): AsyncGenerator<SessionRow> {
    return this.#client.sessions.list({ domain_id: this.#domain() }, options);
  }

  async delete(chatId: string, options: RequestOptions = {}): Promise<void> {
    await orNull(this.#client.sessions.delete(await sessionIdOf(chatId), options));
  }

  /**
   * Makes the chat end as the list does. Appends what is new, edits the last common message if it
   * has changed, and removes what came after it, as when an answer is generated again. Earlier
   * messages are neither read nor written. The chat is created if there is none.
   *
   * If others write to the chat at the same time, the comparison is made again.
   */
  async save(chatId: string, messages: M[], options: SaveOptions = {}): Promise<void> {
    if (messages.some(({ id }) => !id)) {
      throw new TypeError("A message has no id. Give originalMessages or generateMessageId.");
    }
    for (let tries = 1; ; tries++) {
      try {
        return await this.#save(chatId, messages, options);
      } catch (error) {
        if (tries === TRIES || !isProblem(error, ...CHANGED_MEANWHILE)) throw error;
      }
    }
  }

  /**
   * For `onEnd` (or `onFinish`) of `toUIMessageStream` and `createUIMessageStream`. Saves the
   * answer, as `interrupted` if it was aborted, cancelled or has failed. Removes nothing, because
   * the user may have gone on meanwhile.
   */
  onEnd(chatId: string, options: RequestOptions = {}) {
    return ({ messages, isAborted, isCancelled, outcome }: EndEvent<M>): Promise<void> => {
      const broken = isAborted || isCancelled || outcome?.status === "failed";
      const status = broken ? "interrupted" : "complete";
      return this.save(chatId, messages, { ...options, status, keepOthers: true });
    };
  }

  async #save(chatId: string, messages: M[], { status, keepOthers, ...options }: SaveOptions) {
    const sessionId = await sessionIdOf(chatId);
    const { messages: log } = this.#client;
    const stored = await this.#tail(sessionId, messages, options);
    const common = stored?.common;

    if (common) {
      const isLast = common.index === messages.length - 1;
      const message = messages[common.index]!;
      const changes = changesOf(common.stored, message, isLast ? status : undefined);
      if (changes) await log.edit(sessionId, common.stored.message_id, changes, options);
    }

    const fresh = messages.slice(common ? common.index + 1 : 0);
    const writes = batches(
      fresh.map((message, at) => written(message, at === fresh.length - 1 ? status : undefined)),
    );
    let last = stored?.last;
    if (stored?.hasOthers && !keepOthers) {
      const tail = common ? { after: common.stored.message_id } : { all: true as const };
      const first = writes.shift();
      if (!first) return void (await log.deleteFrom(sessionId, tail, options));
      const replacement = { ...tail, messages: first };
      const replaced = await log.replace(sessionId, replacement, { ...options, minimal: true });
      last = replaced.messages.at(-1)?.message_id;
    } else if (!stored) {
      last = await this.#create(chatId, sessionId, messages, writes, options);
    }
    for (const batch of writes) {
      // `after` fails if others have appended since the comparison.
      const condition = { ...options, after: last ?? sessionId, minimal: true };
      const appended = await log.appendMany(sessionId, batch, condition);
      last = appended.messages.at(-1)?.message_id;
    }
  }

  /**
   * Creates the chat with the first batch in one request, and takes that batch from `writes`.
   * Returns the id of the last message.
   */
  async #create(
    chatId: string,
    sessionId: string,
    messages: M[],
    writes: NewMessage[][],
    options: RequestOptions,
  ): Promise<string | undefined> {
    const session = {
      ...this.#options.session?.(messages),
      key: chatId,
      domain_id: this.#domain(),
    };
    const first = writes.shift();
    if (!first) return void (await this.#client.sessions.create(session, options));
    // `after` fails if others have created the chat meanwhile.
    const condition = { ...options, session, after: sessionId, minimal: true };
    const appended = await this.#client.messages.appendMany(sessionId, first, condition);
    return appended.messages.at(-1)?.message_id;
  }

  /**
   * Reads back to the last stored message that is in the list. `hasOthers` tells whether messages
   * that are not in the list follow it. null if there is no such session.
   */
  async #tail(sessionId: string, messages: M[], options: RequestOptions) {
    const at = new Map(messages.map(({ id }, index) => [id, index]));
    const opened = await orNull(this.#client.sessions.get(sessionId, { ...options, messages: 2 }));
    if (!opened) return null;
    const last = opened.messages.at(-1)?.message_id;
    let hasOthers = false;
    for await (const stored of this.#backwards(sessionId, opened, options)) {
      if (!isChatMessage(stored)) continue;
      const index = at.get((stored.native as M).id);
      if (index !== undefined) return { last, hasOthers, common: { stored, index } };
      hasOthers = true;
    }
    return { last, hasOthers, common: undefined };
  }

  async *#backwards(
    sessionId: string,
    opened: Schemas["SessionWithMessages"],
    options: RequestOptions,
  ): AsyncGenerator<Message> {
    yield* opened.messages.toReversed();
    const cursor = opened.earlier_cursor;
    if (cursor) {
      yield* this.#client.messages.list(sessionId, { order: "desc", cursor, limit: 50 }, options);
    }
  }

  #domain(): string {
    return this.#options.domainId ?? "chat";
  }
}

const CHANGED_MEANWHILE = [
  "NOT_THE_LAST_MESSAGE",
  "MESSAGE_NOT_FOUND",
  "SESSION_NOT_FOUND",
] as const;

function isChatMessage(message: Message): boolean {
  return message.format === FORMAT;
}

function written(message: UIMessage, status: Status | undefined): NewMessage {
  const settled = message.role === "assistant" ? status : undefined;
  return { format: FORMAT, native: message, status: settled ?? "complete" };
}

/** What to edit, or undefined if nothing has changed. */
function changesOf(
  stored: Message,
  message: UIMessage,
  status: Status | undefined,
): Schemas["Edit"] | undefined {
  if (!isSame(stored.native, jsonOf(message))) return written(message, status);
  const settled = message.role === "assistant" ? status : undefined;
  return settled && settled !== stored.status ? { status: settled } : undefined;
}

function orNull<T>(promise: Promise<T>): Promise<T | null> {
  return promise.catch((error: unknown) => {
    if (isProblem(error, "SESSION_NOT_FOUND")) return null;
    throw error;
  });
}
