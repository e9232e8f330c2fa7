import type { NewMessage } from "./types.js";

const MOST_MESSAGES = 50;
const MOST_BYTES = 3_000_000;

/** Messages in the portions that one request takes. */
export function batches(messages: NewMessage[]): NewMessage[][] {
  const found: NewMessage[][] = [];
  let size = 0;
  for (const message of messages) {
    const bytes = new TextEncoder().encode(JSON.stringify(message)).length;
    const last = found.at(-1);
    if (last && last.length < MOST_MESSAGES && size + bytes <= MOST_BYTES) {
      last.push(message);
      size += bytes;
    } else {
      found.push([message]);
      size = bytes;
    }
  }
  return found;
}

/** The value as it comes back from the store: without members that are undefined, for example. */
export function jsonOf(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

/** Whether two JSON values are equal. The order of members does not count. */
export function isSame(one: unknown, other: unknown): boolean {
  if (Object.is(one, other)) return true;
  if (typeof one !== "object" || typeof other !== "object" || !one || !other) return false;
  if (Array.isArray(one) !== Array.isArray(other)) return false;
  const members = Object.entries(one);
  return (
    members.length === Object.keys(other).length &&
    members.every(
      ([name, value]) =>
        Object.hasOwn(other, name) && isSame(value, (other as Record<string, unknown>)[name]),
    )
  );
}
