import { Messages } from "./messages.js";
import { eachOf } from "./pages.js";
import { Sessions } from "./sessions.js";
import { Sources, TenantSources } from "./sources.js";
import { encodeId, Transport, type ClientOptions, type RequestOptions } from "./transport.js";
import { Values } from "./values.js";

/** One line of an export, by its `type`: `user`, `session`, `message` or `value`. */
export type ExportedLine = { type: string } & Record<string, unknown>;

export class Client {
  readonly sessions: Sessions;
  readonly messages: Messages;
  /** The user's own values. */
  readonly values: Values;
  /** Needs the scopes `tenant-values:read` and `tenant-values:write`. */
  readonly tenantValues: Values;
  readonly sources: Sources;
  /** Needs the scopes `sources:audit` and `sources:govern`. */
  readonly tenantSources: TenantSources;
  readonly #transport: Transport;

  constructor(options: ClientOptions) {
    this.#transport = new Transport(options);
    this.sessions = new Sessions(this.#transport);
    this.messages = new Messages(this.#transport);
    this.values = new Values(this.#transport, "");
    this.tenantValues = new Values(this.#transport, "/tenant");
    this.sources = new Sources(this.#transport);
    this.tenantSources = new TenantSources(this.#transport);
  }

  sessionValues(sessionId: string): Values {
    return new Values(this.#transport, `/sessions/${encodeId(sessionId)}`);
  }

  /** All that is kept of you, line by line. Reads the next page when it is needed. */
  export(options?: RequestOptions): AsyncGenerator<ExportedLine> {
    const read = async (cursor: string | undefined) => {
      const { data } = await this.#transport.api.GET("/api/v1/export", {
        ...this.#transport.init(options),
        params: { query: { cursor } },
        parseAs: "text",
      });
      const lines = (data ?? "").split("\n").filter(Boolean);
      return lines.map(lineOf);
    };
    // The last line of a page tells where the next one begins.
    return eachOf(
      read,
      (lines) => lines.slice(0, -1),
      (lines) => (lines.at(-1)?.["next_cursor"] ?? null) as string | null,
    );
  }
}

/** A line whose JSON has line breaks comes as base64. */
function lineOf(text: string): ExportedLine {
  const line = JSON.parse(text) as ExportedLine;
  if (Object.keys(line).join() !== "type,base64") return line;
  const bytes = Uint8Array.from(atob(line["base64"] as string), (letter) => letter.charCodeAt(0));
  return JSON.parse(new TextDecoder().decode(bytes)) as ExportedLine;
}

export function createClient(options: ClientOptions): Client {
  return new Client(options);
}
