/** assistant-ui's messages as JSON, and back. */

import type { MessageStorageEntry, ThreadMessage } from "@assistant-ui/react";

import type { EntryToWrite, StoredEntry } from "./entries.js";

type Stored = Pick<EntryToWrite, "role" | "content" | "status">;

/** `format` of the entries that hold a ThreadMessage. */
export const THREAD_MESSAGE = "assistant-ui/thread-message";

/** Role, text and status for readers that do not know assistant-ui. */
export function describe(message: unknown): Stored {
  const { role, status } = message as { role?: string; status?: unknown };
  return { role: role ?? "assistant", content: textOf(message), status: statusOf(status) };
}

function statusOf(status: unknown): Stored["status"] {
  switch ((status as { type?: string } | undefined)?.type) {
    case "running":
    case "requires-action":
      return "in_progress";
    case "incomplete":
      return "interrupted";
    default:
      return "complete";
  }
}

/** The text parts of a ThreadMessage, or of what a format adapter has made of its message. */
function textOf(message: unknown): string {
  const { content, parts } = message as { content?: unknown; parts?: unknown };
  const said = content ?? parts;
  if (!Array.isArray(said)) return typeof said === "string" ? said : "";
  const texts = said.filter((part) => part?.type === "text").map((part) => String(part.text));
  return texts.join("\n");
}

/** JSON has no files. The contents of an attachment are beside its file. */
export function encodeMessage(message: ThreadMessage): MessageStorageEntry<unknown>["content"] {
  const plain = (_: string, value: unknown) => (value instanceof Blob ? undefined : value);
  return JSON.parse(JSON.stringify(message, plain));
}

/** A message that was stored while it was written shows as cut off. */
export function decodeMessage({ native, feedback }: StoredEntry): ThreadMessage {
  const message = withDates(native.content as ThreadMessage);
  if (message.role !== "assistant") return message;
  const type = RATINGS.find((rating) => rating === feedback?.at(-1)?.rating);
  return {
    ...message,
    status: message.status.type === "running" ? CUT_OFF : message.status,
    metadata: { ...message.metadata, ...(type && { submittedFeedback: { type } }) },
  };
}

const RATINGS = ["positive", "negative"] as const;
const CUT_OFF = { type: "incomplete", reason: "cancelled" } as const;

/** Tool calls may have messages of their own. */
function withDates<M extends ThreadMessage>(message: M): M {
  const content = message.content.map((part) =>
    part.type === "tool-call" && part.messages
      ? { ...part, messages: part.messages.map(withDates) }
      : part,
  );
  return { ...message, content, createdAt: new Date(message.createdAt) };
}
