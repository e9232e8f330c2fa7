import { isProblem } from "./errors.js";
import { eachOf, untilDone } from "./pages.js";
import type { operations } from "./schema.js";
import {
  bodyOf,
  encodeName,
  etagIn,
  type RequestOptions,
  type Transport,
  type WriteOptions,
} from "./transport.js";
import type { Schemas } from "./types.js";

export type ValueQuery = NonNullable<operations["list_user_values"]["parameters"]["query"]>;

export type Bytes = Uint8Array<ArrayBuffer> | ArrayBuffer | Blob | ReadableStream<Uint8Array>;

export interface PutOptions extends WriteOptions {
  /** The default is `application/json`, that of the Blob, or `application/octet-stream`. */
  contentType?: string;
  /** Write only if there is no value of this name. */
  onlyNew?: boolean;
}

/** `content` is the parsed JSON, or a Uint8Array. */
export type ReadValue<T> = Pick<Schemas["Value"], "name" | "content_type" | "etag"> & {
  content: T;
};

const OCTETS = "application/octet-stream";

/** API Gateway decodes bytes only for a client whose Accept begins so. */
const ACCEPT = `${OCTETS}, */*`;

/** The values of a session, of the user or of the tenant. */
export class Values {
  /** @param place what is between `/api/v1` and `/values` */
  constructor(
    private readonly transport: Transport,
    private readonly place: string,
  ) {}

  /** With `ifNoneMatch`, null means that the value has not changed. */
  async get<T = unknown>(
    name: string,
    options: RequestOptions & { ifNoneMatch: string },
  ): Promise<ReadValue<T> | null>;
  async get<T = unknown>(name: string, options?: RequestOptions): Promise<ReadValue<T>>;
  async get<T = unknown>(
    name: string,
    { ifNoneMatch, ...options }: RequestOptions & { ifNoneMatch?: string } = {},
  ): Promise<ReadValue<T> | null> {
    const known = ifNoneMatch === undefined ? undefined : `"${ifNoneMatch}"`;
    const { response, data } = await this.transport.api.GET(this.path("/{name}"), {
      ...this.transport.init(options, { Accept: ACCEPT, "If-None-Match": known }),
      params: { path: { name } },
      parseAs: "arrayBuffer",
    });
    if (response.status === 304) return null;
    const raw = new Uint8Array((data as ArrayBuffer | undefined) ?? new ArrayBuffer(0));
    const told = described(name, response);
    const content: unknown = isJson(told.content_type) ? JSON.parse(DECODER.decode(raw)) : raw;
    return { ...told, content: content as T };
  }

  /** As `get`, but null if there is no such value. */
  find<T = unknown>(name: string, options?: RequestOptions): Promise<ReadValue<T> | null> {
    return this.get<T>(name, options).catch((error: unknown) => {
      if (isProblem(error, "VALUE_NOT_FOUND")) return null;
      throw error;
    });
  }

  /** Type, etag and size of a value, without its content. */
  async head(
    name: string,
    options?: RequestOptions,
  ): Promise<Pick<Schemas["Value"], "name" | "content_type" | "etag" | "size">> {
    // The OpenAPI document has HEAD only in the text of GET.
    const { response } = await this.transport.api.request("head" as "get", this.path("/{name}"), {
      ...this.transport.init(options, { Accept: ACCEPT }),
      params: { path: { name } },
    });
    return { ...described(name, response), size: Number(response.headers.get("Content-Length")) };
  }

  /**
   * Writes a value: bytes, text with a `contentType` that is not JSON, or else anything that
   * becomes JSON. A stream is sent only once, without retries.
   */
  async put(name: string, content: unknown, options: PutOptions = {}): Promise<Schemas["Value"]> {
    const type = options.contentType ?? ((content instanceof Blob && content.type) || undefined);
    const isBytes = isBytesLike(content);
    const contentType = type ?? (isBytes ? OCTETS : "application/json");
    const asText = typeof content === "string" && !isJson(contentType);
    const body = isBytes ? content : asText ? content : JSON.stringify(content);
    if (body === undefined) throw new TypeError("There is no JSON for this content.");
    const { headers } = this.transport.write(options, {
      "If-None-Match": options.onlyNew ? "*" : undefined,
      ...(isJson(contentType)
        ? { "Content-Type": contentType }
        : { "Content-Type": OCTETS, "Value-Type": contentType }),
    });
    const path = `${this.path("")}/${encodeName(name)}`;
    const answer = await this.transport.upload(path, body, options, headers);
    return (await answer.json()) as Schemas["Value"];
  }

  /** Merges into a JSON value (RFC 7396). */
  async patch(
    name: string,
    patch: unknown,
    options?: Omit<WriteOptions, "idempotencyKey">,
  ): Promise<Schemas["Value"]> {
    return bodyOf(
      await this.transport.api.PATCH(this.path("/{name}"), {
        ...this.transport.change(options),
        params: { path: { name } },
        body: patch as Schemas["PatchValue"],
      }),
    );
  }

  async delete(name: string, options?: Omit<WriteOptions, "idempotencyKey">): Promise<void> {
    await this.transport.api.DELETE(this.path("/{name}"), {
      ...this.transport.change(options),
      params: { path: { name } },
    });
  }

  /** Values by the beginning of their names. Reads the next page when it is needed. */
  list(query: ValueQuery = {}, options?: RequestOptions): AsyncGenerator<Schemas["ListedValue"]> {
    return eachOf(
      (cursor) => this.page({ ...query, cursor }, options),
      (page) => page.values,
      (page) => page.next_cursor,
      query.cursor,
    );
  }

  async page(query: ValueQuery = {}, options?: RequestOptions): Promise<Schemas["ValueList"]> {
    return bodyOf(
      await this.transport.api.GET(this.path(""), {
        ...this.transport.init(options),
        params: { query },
      }),
    );
  }

  /** Deletes all values whose names begin so, or all with `""`. Repeats until all are removed. */
  async deleteAll(prefix: string, options: RequestOptions = {}): Promise<Schemas["DeletedValues"]> {
    const sum = { deleted_values: 0 };
    const request = () =>
      this.transport.api.DELETE(this.path(""), {
        ...this.transport.init(options),
        params: { query: prefix === "" ? { all: "true" } : { prefix } },
      });
    await untilDone(request, options.signal, (body) => {
      sum.deleted_values += body.deleted_values;
    });
    return sum;
  }

  /** Carries out operations in order; with `atomic`, all or none. Returns a result for each. */
  async batch(
    operations: Schemas["Operation"][],
    { atomic, ...options }: WriteOptions & { atomic?: boolean } = {},
  ): Promise<Schemas["Result"][]> {
    const answer = await this.transport.api.POST(this.path("/batch"), {
      ...this.transport.write(options),
      body: { operations, atomic },
    });
    return bodyOf(answer).results;
  }

  /** Typed as the user's path, because all three have the same parameters and schemas. */
  private path<Rest extends "" | "/{name}" | "/batch">(rest: Rest) {
    return `/api/v1${this.place}/values${rest}` as `/api/v1/values${Rest}`;
  }
}

const DECODER = new TextDecoder();

function described(name: string, answer: Response) {
  const content_type = answer.headers.get("Value-Type") ?? answer.headers.get("Content-Type") ?? "";
  return { name, content_type, etag: etagIn(answer, "ETag") };
}

function isJson(contentType: string): boolean {
  return /^application\/json\s*(;|$)|^[^;]*\+json\s*(;|$)/i.test(contentType.trim());
}

function isBytesLike(content: unknown): content is Bytes {
  return (
    content instanceof Uint8Array ||
    content instanceof ArrayBuffer ||
    content instanceof Blob ||
    content instanceof ReadableStream
  );
}
