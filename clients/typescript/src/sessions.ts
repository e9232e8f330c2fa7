import { eachOf, untilDone } from "./pages.js";
import type { operations } from "./schema.js";
import {
  bodyOf,
  withEtag,
  type Answer,
  type RequestOptions,
  type Transport,
  type WriteOptions,
} from "./transport.js";
import type { Schemas, Session, SessionRow } from "./types.js";

export interface SessionFilters extends Omit<
  NonNullable<operations["list_sessions"]["parameters"]["query"]>,
  "page"
> {
  /** Only sessions whose metadata has these members. */
  metadata?: Record<string, string | number | boolean | null>;
}

/** `view`, `include` and `offsets` are those of `messages.list`. */
export interface ReadSession extends RequestOptions {
  messages?: number;
  values?: string;
  view?: "neutral";
  include?: "grounding";
  offsets?: "codepoints" | "utf16";
}

export type GroundingQuery = NonNullable<
  operations["get_session_grounding"]["parameters"]["query"]
>;

export type OpenedSession = Schemas["SessionWithMessages"] & { etag: string };

export class Sessions {
  constructor(private readonly transport: Transport) {}

  /**
   * Creates a session, or finds the one with this `key`. With `onlyNew`, finding one is an error:
   * 409 `SESSION_EXISTS`.
   */
  async create(
    session: Schemas["NewSession"],
    options: WriteOptions & { onlyNew?: boolean } = {},
  ): Promise<Session & { created: boolean }> {
    const headers = { "If-None-Match": options.onlyNew ? "*" : undefined };
    const answer = await this.transport.api.POST("/api/v1/sessions", {
      ...this.transport.write(options, headers),
      body: session,
    });
    return { ...withEtag(answer), created: answer.response.status === 201 };
  }

  /**
   * A session with its messages, oldest first: all, or as many of the last as `messages` says. If
   * there are more than fit into one answer, `next_cursor` or `earlier_cursor` continues in
   * `messages.page`. `values` is the beginning of the names of values to read, too.
   *
   * With `ifNoneMatch`, null means that the session has not changed.
   */
  async get(
    sessionId: string,
    options: ReadSession & { ifNoneMatch: string },
  ): Promise<OpenedSession | null>;
  async get(sessionId: string, options?: ReadSession): Promise<OpenedSession>;
  async get(
    sessionId: string,
    options: ReadSession & { ifNoneMatch?: string } = {},
  ): Promise<OpenedSession | null> {
    const { messages, values, view, include, offsets, ifNoneMatch, ...sent } = options;
    const query = { messages, values, view, include, offsets };
    const known = ifNoneMatch === undefined ? undefined : `"${ifNoneMatch}"`;
    const answer = await this.transport.api.GET("/api/v1/sessions/{session_id}", {
      ...this.transport.init(sent, { "If-None-Match": known }),
      params: { path: { session_id: sessionId }, query },
    });
    return answer.response.status === 304 ? null : withEtag(answer);
  }

  /** Your sessions, latest activity first. Reads the next page when it is needed. */
  list(filters: SessionFilters = {}, options?: RequestOptions): AsyncGenerator<SessionRow> {
    return eachOf(
      (cursor) => this.page({ ...filters, cursor }, options),
      (page) => page.sessions,
      (page) => page.pagination.next_cursor,
      filters.cursor,
    );
  }

  /** One page of the list. With a filter it may be empty although `next_cursor` leads to more. */
  async page(
    { metadata = {}, ...filters }: SessionFilters = {},
    options?: RequestOptions,
  ): Promise<Schemas["SessionList"]> {
    const pairs = Object.entries(metadata).map(([name, value]) => [`metadata.${name}`, `${value}`]);
    return bodyOf(
      await this.transport.api.GET("/api/v1/sessions", {
        ...this.transport.init(options),
        params: { query: { ...filters, ...Object.fromEntries(pairs) } },
      }),
    );
  }

  /** Changes what is given. `metadata` is merged into the present one; null removes a member. */
  async update(
    sessionId: string,
    changes: Schemas["SessionPatch"],
    options?: Omit<WriteOptions, "idempotencyKey">,
  ): Promise<Session> {
    return withEtag(
      await this.transport.api.PATCH("/api/v1/sessions/{session_id}", {
        ...this.transport.change(options),
        params: { path: { session_id: sessionId } },
        body: changes,
      }),
    );
  }

  /** As `update`, but `metadata` takes the place of the present one. */
  async replace(
    sessionId: string,
    changes: Schemas["SessionChanges"],
    options?: Omit<WriteOptions, "idempotencyKey">,
  ): Promise<Session> {
    return withEtag(
      await this.transport.api.PUT("/api/v1/sessions/{session_id}", {
        ...this.transport.change(options),
        params: { path: { session_id: sessionId } },
        body: changes,
      }),
    );
  }

  /** Deletes a session and everything in it. Repeats the request until all is removed. */
  async delete(
    sessionId: string,
    options: Omit<WriteOptions, "idempotencyKey"> = {},
  ): Promise<Schemas["Deletion"]> {
    const sum = { session_id: sessionId, deleted_messages: 0 };
    // Only the first request has If-Match: it changes the session.
    let { ifMatch } = options;
    const request = () => {
      const answer = this.transport.api.DELETE("/api/v1/sessions/{session_id}", {
        ...this.transport.change({ ...options, ifMatch }),
        params: { path: { session_id: sessionId } },
      });
      ifMatch = undefined;
      return answer;
    };
    await untilDone(request, options.signal, (body) => {
      sum.deleted_messages += body.deleted_messages;
    });
    return sum;
  }

  /** Erases everything you have, values included. Repeats the request until all is removed. */
  async deleteAll(options: RequestOptions = {}): Promise<Schemas["Erasure"]> {
    const sum = { deleted_sessions: 0, deleted_messages: 0 };
    const request = () =>
      this.transport.api.DELETE("/api/v1/sessions", {
        ...this.transport.init(options),
        params: { query: { confirm: "all" } },
      });
    await untilDone(request, options.signal, (body) => {
      sum.deleted_sessions += body.deleted_sessions;
      sum.deleted_messages += body.deleted_messages;
    });
    return sum;
  }

  /** Copies a session up to the message `until` into a new one. Repeats until it is whole. */
  async fork(
    sessionId: string,
    fork: Schemas["Fork"] = {},
    options: WriteOptions = {},
  ): Promise<Session> {
    const init = this.transport.write(options); // one key for all repetitions
    const request = () =>
      this.transport.api.POST("/api/v1/sessions/{session_id}/fork", {
        ...init,
        params: { path: { session_id: sessionId } },
        body: fork,
      });
    const done = await untilDone<Schemas["Session"] | Schemas["UnfinishedFork"]>(
      request,
      options.signal,
    );
    return withEtag(done as Answer<Schemas["Session"]>);
  }

  /** Creates a session with dated messages. Needs the scope `sessions:import`. */
  async import(body: Schemas["Import"], options?: WriteOptions): Promise<Session> {
    return withEtag(
      await this.transport.api.POST("/api/v1/import", { ...this.transport.write(options), body }),
    );
  }

  /** Tool calls without a result, and results without a call, in the last `messages`. */
  async check(
    sessionId: string,
    { messages, ...options }: RequestOptions & { messages?: number } = {},
  ): Promise<Schemas["HistoryCheck"]> {
    return bodyOf(
      await this.transport.api.GET("/api/v1/sessions/{session_id}/check", {
        ...this.transport.init(options),
        params: { path: { session_id: sessionId }, query: { messages } },
      }),
    );
  }

  /**
   * What the messages of one page rest on: the last `messages`, or as many as `get` reads. The
   * figures are those of these messages.
   */
  async grounding(
    sessionId: string,
    query: GroundingQuery = {},
    options?: RequestOptions,
  ): Promise<Schemas["SessionGrounding"]> {
    return bodyOf(
      await this.transport.api.GET("/api/v1/sessions/{session_id}/grounding", {
        ...this.transport.init(options),
        params: { path: { session_id: sessionId }, query },
      }),
    );
  }

  /** What all messages rest on, page by page. Reads the next page when it is needed. */
  groundingPages(
    sessionId: string,
    query: Omit<GroundingQuery, "messages"> = {},
    options?: RequestOptions,
  ): AsyncGenerator<Schemas["SessionGrounding"]> {
    return eachOf(
      (cursor) => this.grounding(sessionId, { ...query, cursor }, options),
      (page) => [page],
      (page) => page.next_cursor,
      query.cursor,
    );
  }
}
