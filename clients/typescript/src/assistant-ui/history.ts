/** The messages of a thread, with their branches. */

import type {
  ExportedMessageRepositoryItem,
  FeedbackAdapter,
  GenericThreadHistoryAdapter,
  MessageFormatAdapter,
  MessageFormatItem,
  MessageStorageEntry,
  ThreadHistoryAdapter,
  ThreadMessage,
} from "@assistant-ui/react";

import type { Client } from "../client.js";
import { decodeMessage, describe, encodeMessage, THREAD_MESSAGE } from "./content.js";
import { Entries, type EntryToWrite } from "./entries.js";

/** The list item of a thread. `remoteId` is the session_id, once there is a session. */
export interface Thread {
  getState(): { remoteId?: string | undefined };
  initialize(): Promise<{ remoteId: string }>;
}

export interface HistoryOptions {
  /**
   * Answers a question that has no answer yet when the thread is loaded, for example after a reload
   * in the middle of a run.
   */
  resume?: ThreadHistoryAdapter["resume"];
  /** The account that the messages belong to. If it changes, the runtime loads again. */
  scopeId?: string;
  /** Keep copies of messages whose source is the runtime's own backend. */
  copies?: boolean;
}

/** @param thread the current thread. `pinned` threads stay the same when the user switches. */
export function createHistoryAdapter(
  client: Client,
  thread: () => Thread,
  options: HistoryOptions = {},
): ThreadHistoryAdapter & { feedback: FeedbackAdapter } {
  const threads = new Map<string, Entries>();

  function entriesOf(sessionId: string): Entries {
    const known = threads.get(sessionId) ?? new Entries(client, sessionId);
    threads.set(sessionId, known);
    return known;
  }

  /** null if the thread has no session yet. */
  function existing(of = thread()): Entries | null {
    const { remoteId } = of.getState();
    return remoteId ? entriesOf(remoteId) : null;
  }

  async function write(message: EntryToWrite, mayExist: boolean, of = thread()): Promise<void> {
    const isNew = !of.getState().remoteId;
    const { remoteId } = await of.initialize();
    await entriesOf(remoteId).write(message, { mayExist: mayExist && !isNew });
  }

  const history = {
    scopeId: options.scopeId,

    async load() {
      const stored = (await existing()?.read(THREAD_MESSAGE)) ?? [];
      const messages = stored.map((entry) => ({
        parentId: entry.native.parent_id,
        message: decodeMessage(entry),
        ...(entry.native.run_config !== undefined && {
          runConfig: entry.native.run_config as NonNullable<Item["runConfig"]>,
        }),
      }));
      const unanswered = messages.at(-1)?.message.role === "user";
      return { messages, unstable_resume: Boolean(options.resume && unanswered) };
    },

    append: (item: Item) => write(entryOf(item), false),
    update: (item: Item) => write(entryOf(item), true),
    delete: async (items: Item[]) => existing()?.remove(items.map(({ message }) => message.id)),

    withFormat<M, S extends Record<string, unknown>>(format: MessageFormatAdapter<M, S>) {
      let pinned: Thread | undefined;
      const current = () => pinned ?? thread();
      const encoded = (item: MessageFormatItem<M>) => formattedEntryOf(format, item);
      return {
        pin: () => void (pinned = thread()),
        load: async () => {
          const stored = (await existing(current())?.read(format.format)) ?? [];
          return {
            messages: stored.map(({ native }) => format.decode(native as MessageStorageEntry<S>)),
          };
        },
        append: (item) => write(encoded(item), false, current()),
        update: (item) => write(encoded(item), true, current()),
        delete: async (items) => {
          await existing(current())?.remove(items.map(({ message }) => format.getId(message)));
        },
      } satisfies GenericThreadHistoryAdapter<M>;
    },

    feedback: {
      async submit({ message, type, comment }) {
        const { remoteId } = thread().getState();
        const messageId = remoteId && (await entriesOf(remoteId).messageId(message.id));
        if (!messageId) return;
        const feedback = { rating: type, ...(comment !== undefined && { comment }) };
        await client.messages.putFeedback(remoteId, messageId, feedback);
      },
    } satisfies FeedbackAdapter,

    ...(options.resume && { resume: options.resume }),

    ...(options.copies && {
      async unstable_copy(branch: readonly ThreadMessage[], messageIds: readonly string[]) {
        const { remoteId } = await thread().initialize();
        const entries = entriesOf(remoteId);
        const stored = await entries.read(THREAD_MESSAGE);
        const wanted = new Set(messageIds);
        const held = new Set(stored.map(({ native }) => native.id));
        const last = branch.findLastIndex(({ id }) => wanted.has(id));
        for (const [at, message] of branch.slice(0, last + 1).entries()) {
          if (held.has(message.id) && !wanted.has(message.id)) continue;
          const item = { message, parentId: branch[at - 1]?.id ?? null };
          await entries.write(entryOf(item), { mayExist: true });
        }
      },
    }),
  };
  return history satisfies ThreadHistoryAdapter;
}

type Item = ExportedMessageRepositoryItem;

function entryOf({ message, parentId, runConfig }: Item): EntryToWrite {
  const content = encodeMessage(message);
  const native = { id: message.id, parent_id: parentId, format: THREAD_MESSAGE, content };
  return {
    ...describe(content),
    native: runConfig ? { ...native, run_config: runConfig } : native,
  };
}

function formattedEntryOf<M, S extends Record<string, unknown>>(
  format: MessageFormatAdapter<M, S>,
  item: MessageFormatItem<M>,
): EntryToWrite {
  const content = format.encode(item);
  const id = format.getId(item.message);
  const native = { id, parent_id: item.parentId, format: format.format, content };
  return { ...describe(content), native };
}
