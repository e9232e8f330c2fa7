/** The list of threads. A thread is a session; its `remoteId` is the session_id. */

import type { RemoteThreadListAdapter, ThreadMessage } from "@assistant-ui/react";
import { createAssistantStream } from "assistant-stream";

import type { Client } from "../client.js";
import { isProblem } from "../errors.js";
import { sessionIdOf } from "../ids.js";
import type { SessionRow } from "../types.js";

type Metadata = Awaited<ReturnType<RemoteThreadListAdapter["fetch"]>>;

export interface ThreadListOptions {
  /** The `domain_id` of the sessions. Others are not listed. The default is `chat`. */
  domainId?: string;
  /** Makes a title, at once or in pieces. The default is the beginning of the first question. */
  generateTitle?: (
    messages: readonly ThreadMessage[],
  ) => string | Promise<string> | AsyncIterable<string>;
}

const MAX_TITLE = 512;
const SHORT_TITLE = 60;

export function createThreads(
  client: Client,
  { domainId = "chat", generateTitle = beginning }: ThreadListOptions = {},
): RemoteThreadListAdapter & Required<Pick<RemoteThreadListAdapter, "unarchive" | "updateCustom">> {
  const { sessions } = client;

  return {
    async list({ after } = {}) {
      let cursor: string | undefined = after;
      for (;;) {
        const page = await sessions.page({ domain_id: domainId, cursor });
        const next = page.pagination.next_cursor ?? undefined;
        // A page may be empty although others follow.
        if (page.sessions.length || !next) {
          const threads = await Promise.all(page.sessions.map((row) => listed(client, row)));
          return { threads, nextCursor: next };
        }
        cursor = next;
      }
    },

    /** The same thread again finds its session. */
    async initialize(threadId, options) {
      const session = { key: threadId, domain_id: domainId, title: "" };
      const metadata = options?.custom;
      const { session_id } = await sessions.create({ ...session, ...(metadata && { metadata }) });
      return { remoteId: session_id, externalId: threadId };
    },

    /** Finds a thread by its `remoteId`, or by the id that it was initialized with. */
    async fetch(threadId) {
      const sessionId = SESSION_ID.test(threadId) ? threadId : await sessionIdOf(threadId);
      return metadataOf(await sessions.get(sessionId, { messages: 0 }));
    },

    async rename(remoteId, title) {
      await sessions.update(remoteId, { title });
    },

    async updateCustom(remoteId, custom = {}) {
      await sessions.replace(remoteId, { metadata: custom });
    },

    async archive(remoteId) {
      await sessions.update(remoteId, { archived: true });
    },

    async unarchive(remoteId) {
      await sessions.update(remoteId, { archived: false });
    },

    async delete(remoteId) {
      await sessions.delete(remoteId).catch((error: unknown) => {
        if (!isProblem(error, "SESSION_NOT_FOUND")) throw error;
      });
    },

    /** The stream ends when the title is stored. */
    async generateTitle(remoteId, messages) {
      const made = await generateTitle(messages);
      return createAssistantStream(async (controller) => {
        let title = "";
        for await (const piece of typeof made === "string" ? [made] : made) {
          title += piece;
          controller.appendText(piece);
        }
        title = [...title.trim()].slice(0, MAX_TITLE).join("");
        if (title) await sessions.update(remoteId, { title });
      });
    },
  };
}

const SESSION_ID = /^sess_[0-7][0-9A-HJKMNP-TV-Z]{25}$/;

/** The list leaves out long metadata. */
async function listed(client: Client, row: SessionRow): Promise<Metadata> {
  if (!row.metadata_omitted) return metadataOf(row);
  const { metadata } = await client.sessions.get(row.session_id, { messages: 0 });
  return metadataOf({ ...row, metadata });
}

function metadataOf(row: SessionRow): Metadata {
  return {
    remoteId: row.session_id,
    externalId: row.key ?? undefined,
    status: row.archived ? "archived" : "regular",
    title: row.title || undefined,
    lastMessageAt: row.message_count ? new Date(row.last_activity) : undefined,
    custom: row.metadata ?? undefined,
  };
}

function beginning(messages: readonly ThreadMessage[]): string {
  const question = messages.find(({ role }) => role === "user");
  const texts = (question?.content ?? []).map((part) => (part.type === "text" ? part.text : ""));
  const words = texts.join(" ").trim().split(/\s+/);
  let title = "";
  for (const word of words) {
    if (title && title.length + word.length >= SHORT_TITLE) return `${title} …`;
    title = title ? `${title} ${word}` : word;
  }
  return title;
}
