import { eachOf } from "./pages.js";
import type { operations } from "./schema.js";
import {
  bodyOf,
  withEtag,
  withSessionEtag,
  type RequestOptions,
  type Transport,
  type WriteOptions,
} from "./transport.js";
import type { Message, NewMessage, Schemas } from "./types.js";

export type MessageQuery = NonNullable<operations["list_messages"]["parameters"]["query"]>;

/** Where a tail begins: at a message, after one, or at the beginning. */
export type Tail = { from: string } | { after: string } | { all: true };

export interface AppendOptions extends WriteOptions {
  /**
   * Append only if this message is the last one; for a session without messages, its session_id.
   * Otherwise the error is 412 `NOT_THE_LAST_MESSAGE`.
   */
  after?: string;
  /** Answer with ids and timestamps only. */
  minimal?: boolean;
}

type Changed = { session_etag: string };

export class Messages {
  constructor(private readonly transport: Transport) {}

  async append(
    sessionId: string,
    message: NewMessage,
    options: AppendOptions = {},
  ): Promise<Schemas["AppendAnswer"] & Changed> {
    return withSessionEtag(
      await this.transport.api.POST("/api/v1/sessions/{session_id}/messages", {
        ...this.transport.write(options, { Prefer: preference(options) }),
        params: { path: { session_id: sessionId }, query: { after: options.after } },
        body: message,
      }),
    );
  }

  /**
   * Appends up to 50 messages, all or none. With `session`, the session is created if there is
   * none. With `values`, values are written in the same step.
   */
  async appendMany(
    sessionId: string,
    messages: NewMessage[],
    { session, values, ...options }: AppendOptions & Omit<Schemas["MessageBatch"], "messages"> = {},
  ): Promise<Schemas["AppendedMessages"] & Changed> {
    return withSessionEtag(
      await this.transport.api.POST("/api/v1/sessions/{session_id}/messages/batch", {
        ...this.transport.write(options, { Prefer: preference(options) }),
        params: { path: { session_id: sessionId }, query: { after: options.after } },
        body: { messages, session, values },
      }),
    );
  }

  /** Messages, oldest first unless `order` is `desc`. Reads the next page when it is needed. */
  list(
    sessionId: string,
    query: MessageQuery = {},
    options?: RequestOptions,
  ): AsyncGenerator<Message> {
    return eachOf(
      (cursor) => this.page(sessionId, { ...query, cursor }, options),
      (page) => page.messages,
      (page) => page.next_cursor,
      query.cursor,
    );
  }

  async page(
    sessionId: string,
    query: MessageQuery = {},
    options?: RequestOptions,
  ): Promise<Schemas["MessagePage"]> {
    return bodyOf(
      await this.transport.api.GET("/api/v1/sessions/{session_id}/messages", {
        ...this.transport.init(options),
        params: { path: { session_id: sessionId }, query },
      }),
    );
  }

  async get(
    sessionId: string,
    messageId: string,
    { include, ...options }: RequestOptions & { include?: "grounding" } = {},
  ): Promise<Message & { etag: string }> {
    return withEtag(
      await this.transport.api.GET(ONE, {
        ...this.transport.init(options),
        params: { path: { session_id: sessionId, message_id: messageId }, query: { include } },
      }),
    );
  }

  /** What the message rests on: its citations and sources, in one form for all providers. */
  async grounding(
    sessionId: string,
    messageId: string,
    { offsets, ...options }: RequestOptions & { offsets?: "codepoints" | "utf16" } = {},
  ): Promise<Schemas["MessageGrounding"]> {
    return bodyOf(
      await this.transport.api.GET(`${ONE}/grounding`, {
        ...this.transport.init(options),
        params: { path: { session_id: sessionId, message_id: messageId }, query: { offsets } },
      }),
    );
  }

  /** Replaces what a message says, or only its `status`. `ifMatch` is the message's etag. */
  async edit(
    sessionId: string,
    messageId: string,
    changes: Schemas["Edit"],
    options?: Omit<WriteOptions, "idempotencyKey">,
  ): Promise<Schemas["EditedMessage"] & Changed & { etag: string }> {
    const answer = await this.transport.api.PUT(ONE, {
      ...this.transport.change(options),
      params: { path: { session_id: sessionId, message_id: messageId } },
      body: changes,
    });
    return { ...withEtag(answer), ...withSessionEtag(answer) };
  }

  async delete(
    sessionId: string,
    messageId: string,
    options?: Omit<WriteOptions, "idempotencyKey">,
  ): Promise<Schemas["Removed"] & Changed> {
    return withSessionEtag(
      await this.transport.api.DELETE(ONE, {
        ...this.transport.change(options),
        params: { path: { session_id: sessionId, message_id: messageId } },
      }),
    );
  }

  /** Deletes a message and all after it, all after one, or all. */
  async deleteFrom(
    sessionId: string,
    tail: Tail,
    options?: Omit<WriteOptions, "idempotencyKey">,
  ): Promise<Schemas["Removed"] & Changed> {
    const query = "all" in tail ? { all: "true" } : tail;
    return withSessionEtag(
      await this.transport.api.DELETE("/api/v1/sessions/{session_id}/messages", {
        ...this.transport.change(options),
        params: { path: { session_id: sessionId }, query },
      }),
    );
  }

  /** Removes the last messages, and returns them. */
  async pop(
    sessionId: string,
    count = 1,
    options?: WriteOptions,
  ): Promise<Schemas["Popped"] & Changed> {
    return withSessionEtag(
      await this.transport.api.POST("/api/v1/sessions/{session_id}/messages/pop", {
        ...this.transport.write(options),
        params: { path: { session_id: sessionId } },
        body: { count },
      }),
    );
  }

  /** Puts new messages in the place of a tail, in one step. */
  async replace(
    sessionId: string,
    replacement: Tail & { messages: NewMessage[] },
    options: Omit<AppendOptions, "after"> = {},
  ): Promise<Schemas["Replaced"] & Changed> {
    return withSessionEtag(
      await this.transport.api.POST("/api/v1/sessions/{session_id}/messages/replace", {
        ...this.transport.write(options, { Prefer: preference(options) }),
        params: { path: { session_id: sessionId } },
        body: replacement,
      }),
    );
  }

  async putFeedback(
    sessionId: string,
    messageId: string,
    feedback: Schemas["Feedback"],
    options?: RequestOptions,
  ): Promise<Schemas["GivenFeedback"]> {
    return bodyOf(
      await this.transport.api.PUT(FEEDBACK, {
        ...this.transport.init(options),
        params: { path: { session_id: sessionId, message_id: messageId } },
        body: feedback,
      }),
    );
  }

  async deleteFeedback(
    sessionId: string,
    messageId: string,
    options?: RequestOptions,
  ): Promise<Schemas["DeletedFeedback"]> {
    return bodyOf(
      await this.transport.api.DELETE(FEEDBACK, {
        ...this.transport.init(options),
        params: { path: { session_id: sessionId, message_id: messageId } },
      }),
    );
  }
}

const ONE = "/api/v1/sessions/{session_id}/messages/{message_id}";
const FEEDBACK = "/api/v1/sessions/{session_id}/messages/{message_id}/feedback";

function preference({ minimal }: { minimal?: boolean }): string | undefined {
  return minimal ? "return=minimal" : undefined;
}
