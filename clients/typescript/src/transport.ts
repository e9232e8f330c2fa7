/** Sends requests: tokens, retries, timeouts, and the ETags of the answers. */

import createFetch, { type Client } from "openapi-fetch";

import { checked } from "./errors.js";
import { isRepeatable, pause, sleep } from "./retries.js";
import type { paths } from "./schema.js";

export interface ClientOptions {
  /** The service's address, with or without `/api/v1`. */
  baseUrl: string;
  /** A bearer token, or a function that gives the present one. */
  token: string | (() => string | Promise<string>);
  /** How many times a request is sent again. The default is 2. */
  retries?: number;
  /** Milliseconds that one try may take. The default is 60,000. */
  timeout?: number;
  /** Sent with every request, for example `Act-For-User`. */
  headers?: Record<string, string>;
  fetch?: typeof globalThis.fetch;
}

export interface RequestOptions extends Pick<ClientOptions, "retries" | "timeout" | "headers"> {
  signal?: AbortSignal;
}

export interface WriteOptions extends RequestOptions {
  /** An etag, or `*`. If it is not the present one, the request fails with 412. */
  ifMatch?: string;
  /** Made for each call if it is left out. The same key again writes nothing new. */
  idempotencyKey?: string;
}

export type HeaderMap = Record<string, string | undefined>;

export class Transport {
  readonly #options: ClientOptions;
  readonly #origin: string;
  readonly api: Client<paths>;

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#origin = options.baseUrl.replace(/(\/api\/v1)?\/*$/, "");
    this.api = createFetch<paths>({ baseUrl: this.#origin, pathSerializer });
  }

  /** What openapi-fetch takes beside parameters and body. */
  init(options: RequestOptions = {}, headers: HeaderMap = {}) {
    return {
      headers: { ...this.#options.headers, ...options.headers, ...headers },
      fetch: (request: Request) => this.#fetch(request, options),
    };
  }

  /** For a write that may be sent twice. Nothing is written twice. */
  write(options: WriteOptions = {}, headers: HeaderMap = {}) {
    return this.change(options, {
      "Idempotency-Key": options.idempotencyKey ?? crypto.randomUUID(),
      ...headers,
    });
  }

  /** For a write that takes no `Idempotency-Key`. */
  change(options: Omit<WriteOptions, "idempotencyKey"> = {}, headers: HeaderMap = {}) {
    return this.init(options, { "If-Match": quoted(options.ifMatch), ...headers });
  }

  async #fetch(request: Request, options: RequestOptions): Promise<Response> {
    const body = request.body ? await request.arrayBuffer() : undefined;
    return this.#send(request, body, options, options.retries ?? this.#options.retries ?? 2);
  }

  /** Sends a body of bytes, which openapi-fetch has no types for. A stream is sent only once. */
  async upload(path: string, body: BodyInit, options: RequestOptions, headers: HeaderMap) {
    const isStream = body instanceof ReadableStream;
    const sent = Object.entries({ ...this.#options.headers, ...options.headers, ...headers });
    const request = new Request(this.#origin + path, {
      method: "PUT",
      headers: sent.filter((header): header is [string, string] => header[1] !== undefined),
    });
    const retries = isStream ? 0 : (options.retries ?? this.#options.retries ?? 2);
    return this.#send(request, body, options, retries);
  }

  async #send(
    request: Request,
    body: BodyInit | undefined,
    options: RequestOptions,
    retries: number,
  ) {
    for (let retry = 0; ; retry++) {
      const answer = await this.#try(request, body, options).catch((error: unknown) => {
        if (options.signal?.aborted || retry >= retries) throw error;
      });
      const wait =
        retry < retries && (!answer || isRepeatable(answer))
          ? pause(retry, answer?.headers)
          : undefined;
      if (answer && wait === undefined) return checked(answer);
      await sleep(wait ?? 0, options.signal);
    }
  }

  /** One try. Reads the whole body, so that an answer that breaks off is an error here. */
  async #try(request: Request, body: BodyInit | undefined, options: RequestOptions) {
    const { token, fetch = globalThis.fetch } = this.#options;
    const headers = new Headers(request.headers);
    headers.set("Authorization", `Bearer ${typeof token === "string" ? token : await token()}`);
    const timeout = AbortSignal.timeout(options.timeout ?? this.#options.timeout ?? 60_000);
    const answer = await fetch(request.url, {
      method: request.method,
      headers,
      body: body ?? null,
      signal: options.signal ? AbortSignal.any([options.signal, timeout]) : timeout,
      ...(body instanceof ReadableStream && { duplex: "half" }),
    });
    const raw = await answer.arrayBuffer();
    return new Response(raw.byteLength ? raw : null, answer);
  }
}

function pathSerializer(path: string, parameters: Record<string, unknown>): string {
  return path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const text = String(parameters[name]);
    return name === "name" ? encodeName(text) : encodeId(text);
  });
}

/**
 * Throws:
 *   TypeError: it has a slash, or is empty, `.` or `..`, which would lead to another resource.
 */
export function encodeId(id: string): string {
  if (/^\.{0,2}$|\//.test(id)) throw new TypeError(`Not an id or a name: ${JSON.stringify(id)}`);
  return encodeURIComponent(id);
}

/** The name of a value, whose slashes are those of the path. */
export function encodeName(name: string): string {
  return name.split("/").map(encodeId).join("/");
}

/** Etags are without quotes in this client, and with them in headers. */
export function quoted(etag: string | undefined): string | undefined {
  return etag === undefined || etag === "*" ? etag : `"${etag}"`;
}

export interface Answer<T> {
  data?: T;
  response: Response;
}

/** The answer's body. Errors have been thrown before. */
export function bodyOf<T>(answer: Answer<T>): T {
  return answer.data as T;
}

/** The answer's body, with the etag of what it shows. */
export function withEtag<T extends object>(answer: Answer<T>): T & { etag: string } {
  return { ...bodyOf(answer), etag: etagIn(answer.response, "ETag") };
}

/** The answer's body, with the etag that the session has now. */
export function withSessionEtag<T extends object>(answer: Answer<T>): T & { session_etag: string } {
  return { ...bodyOf(answer), session_etag: etagIn(answer.response, "Session-ETag") };
}

export function etagIn(answer: Response, header: "ETag" | "Session-ETag"): string {
  return (answer.headers.get(header) ?? "").replace(/^"|"$/g, "");
}
