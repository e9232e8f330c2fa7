import { sourceHashOf } from "./ids.js";
import { eachOf, untilDone } from "./pages.js";
import type { operations } from "./schema.js";
import {
  bodyOf,
  withEtag,
  type RequestOptions,
  type Transport,
  type WriteOptions,
} from "./transport.js";
import type { Schemas } from "./types.js";

export type AnswerQuery = NonNullable<operations["list_source_answers"]["parameters"]["query"]>;

export type Verdict = Schemas["Verdict"] & { etag: string };

export interface PutVerdict extends Omit<WriteOptions, "idempotencyKey"> {
  /** Write only if nobody has said anything of the source yet. */
  onlyNew?: boolean;
}

/**
 * From sources to your own answers. A source is named by its `hash`, which stands beside its `key`
 * in the grounding of a message; `sourceHashOf` works it out from the key.
 */
export class Sources {
  constructor(private readonly transport: Transport) {}

  /** Your answers that cite the source, latest first. Reads the next page when it is needed. */
  answers(
    hash: string,
    query: AnswerQuery = {},
    options?: RequestOptions,
  ): AsyncGenerator<Schemas["SourceAnswer"]> {
    return eachOf(
      (cursor) => this.answersPage(hash, { ...query, cursor }, options),
      (page) => page.answers,
      (page) => page.next_cursor,
      query.cursor,
    );
  }

  /** One page. It may be short or empty although `next_cursor` leads to more. */
  async answersPage(
    hash: string,
    query: AnswerQuery = {},
    options?: RequestOptions,
  ): Promise<Schemas["SourceAnswers"]> {
    return bodyOf(
      await this.transport.api.GET("/api/v1/sources/{hash}/answers", {
        ...this.transport.init(options),
        params: { path: { hash }, query },
      }),
    );
  }
}

/** From sources to the answers of all users of the tenant, and what became of the sources. */
export class TenantSources {
  constructor(private readonly transport: Transport) {}

  /**
   * The tenant's answers that cite the source, those of each user latest first. Reads the next page
   * when it is needed. Needs the scope `sources:audit`.
   */
  answers(
    hash: string,
    query: AnswerQuery = {},
    options?: RequestOptions,
  ): AsyncGenerator<Schemas["TenantSourceAnswer"]> {
    return eachOf(
      (cursor) => this.answersPage(hash, { ...query, cursor }, options),
      (page) => page.answers,
      (page) => page.next_cursor,
      query.cursor,
    );
  }

  /** One page. It may be short or empty although `next_cursor` leads to more. */
  async answersPage(
    hash: string,
    query: AnswerQuery = {},
    options?: RequestOptions,
  ): Promise<Schemas["TenantSourceAnswers"]> {
    return bodyOf(
      await this.transport.api.GET("/api/v1/tenant/sources/{hash}/answers", {
        ...this.transport.init(options),
        params: { path: { hash }, query },
      }),
    );
  }

  /**
   * What became of the source; 404 `VERDICT_NOT_FOUND` if nobody has said anything of it. Needs the
   * scope `sources:govern`, or `sources:audit`, with which there is no `reason`.
   */
  async get(hash: string, options?: RequestOptions): Promise<Verdict> {
    return withEtag(
      await this.transport.api.GET(ONE, {
        ...this.transport.init(options),
        params: { path: { hash } },
      }),
    );
  }

  /**
   * Says what became of the source with this `key`, in place of what was said before. Needs the
   * scope `sources:govern`.
   */
  async put(verdict: Schemas["NewVerdict"], options: PutVerdict = {}): Promise<Verdict> {
    const headers = { "If-None-Match": options.onlyNew ? "*" : undefined };
    return withEtag(
      await this.transport.api.PUT(ONE, {
        ...this.transport.change(options, headers),
        params: { path: { hash: await sourceHashOf(verdict.key) } },
        body: verdict,
      }),
    );
  }

  /**
   * Removes what the source says from all messages of the tenant that cite it or were given it.
   * This cannot be undone. Repeats the request until all is removed. Needs the scope
   * `sources:govern`.
   */
  async redact(
    hash: string,
    options: Omit<WriteOptions, "ifMatch"> = {},
  ): Promise<Schemas["Redaction"]> {
    const init = this.transport.write(options); // one key for all repetitions
    const request = () =>
      this.transport.api.POST("/api/v1/tenant/sources/{hash}/redaction", {
        ...init,
        params: { path: { hash } },
      });
    return bodyOf(await untilDone(request, options.signal));
  }
}

const ONE = "/api/v1/tenant/sources/{hash}";
