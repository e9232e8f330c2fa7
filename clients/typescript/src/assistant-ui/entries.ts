/** The messages of one thread, by assistant-ui's ids. */

import type { MessageStorageEntry } from "@assistant-ui/react";

import type { Client } from "../client.js";
import { isProblem } from "../errors.js";
import type { Message } from "../types.js";

export const FORMAT = "assistant-ui.message";

/** What `native` holds. `id` and `parent_id` are assistant-ui's. */
export interface Entry extends MessageStorageEntry<unknown> {
  run_config?: unknown;
}

export interface EntryToWrite extends Pick<Message, "role" | "content" | "status"> {
  native: Entry;
}

export interface StoredEntry extends EntryToWrite, Pick<Message, "message_id" | "feedback"> {}

export class Entries {
  /** By id. Complete once they have been read; before that, it has what was written here. */
  readonly #known = new Map<string, StoredEntry>();
  #readAll: Promise<void> | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly client: Client,
    private readonly sessionId: string,
  ) {}

  /** All entries of a format, in the order in which they were written. */
  async read(format: string): Promise<StoredEntry[]> {
    await this.#last;
    this.#readAll = this.#read();
    await this.#readAll;
    return [...this.#known.values()].filter(({ native }) => native.format === format);
  }

  /** Writes a new message, or over the one with its id. */
  write(message: EntryToWrite, { mayExist }: { mayExist: boolean }): Promise<void> {
    return this.#inTurn(async () => {
      const { id } = message.native;
      const stored = this.#known.get(id) ?? (mayExist ? await this.#search(id) : undefined);
      if (stored && (await this.#edit(stored, message))) return;
      const sent = { ...message, format: FORMAT };
      const { message_id } = await this.client.messages.append(this.sessionId, sent, {
        minimal: true,
      });
      this.#known.set(id, { ...message, message_id });
    });
  }

  /** Removes messages. What follows one gets its parent. */
  remove(ids: string[]): Promise<void> {
    return this.#inTurn(async () => {
      await (this.#readAll ??= this.#read()); // to find the children
      for (const id of ids) {
        const stored = this.#known.get(id);
        if (!stored) continue;
        for (const child of this.#known.values()) {
          if (child.native.parent_id !== id) continue;
          const native = { ...child.native, parent_id: stored.native.parent_id };
          await this.#edit(child, { ...child, native });
        }
        await this.client.messages.delete(this.sessionId, stored.message_id).catch(ignoreMissing);
        this.#known.delete(id);
      }
    });
  }

  /** The store's id of a message. */
  async messageId(id: string): Promise<string | undefined> {
    await this.#last;
    return (this.#known.get(id) ?? (await this.#search(id)))?.message_id;
  }

  /** One after the other, so that the log has the order in which the runtime writes. */
  #inTurn(job: () => Promise<void>): Promise<void> {
    const done = this.#last.then(job);
    this.#last = done.catch(() => {});
    return done;
  }

  async #read(): Promise<void> {
    this.#known.clear();
    for await (const message of this.client.messages.list(this.sessionId, { limit: 1000 })) {
      this.#note(message);
    }
  }

  /** Looks from the end, where most changes are, and stops when it is found. */
  async #search(id: string): Promise<StoredEntry | undefined> {
    if (this.#readAll) return undefined;
    const query = { order: "desc", limit: 20 } as const;
    for await (const message of this.client.messages.list(this.sessionId, query)) {
      if (this.#note(message) === id) break;
    }
    return this.#known.get(id);
  }

  #note(message: Message): string | undefined {
    if (message.format !== FORMAT) return undefined;
    const entry = message as Message & StoredEntry;
    this.#known.set(entry.native.id, entry);
    return entry.native.id;
  }

  /** False if there is no such message any more. */
  async #edit(stored: StoredEntry, { content, status, native }: EntryToWrite): Promise<boolean> {
    const changes = { content, status, native };
    const edited = await this.client.messages
      .edit(this.sessionId, stored.message_id, { ...changes, format: FORMAT })
      .catch(ignoreMissing);
    if (edited) this.#known.set(native.id, { ...stored, ...changes });
    return Boolean(edited);
  }
}

function ignoreMissing(error: unknown): void {
  if (!isProblem(error, "MESSAGE_NOT_FOUND")) throw error;
}
