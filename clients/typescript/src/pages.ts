import { retryAfter, sleep } from "./retries.js";
import { bodyOf, type Answer } from "./transport.js";

/** Goes through all pages of a list, and reads each page only when it is needed. */
export async function* eachOf<Page, Entry>(
  read: (cursor: string | undefined) => Promise<Page>,
  entries: (page: Page) => Entry[],
  next: (page: Page) => string | null,
  cursor?: string,
): AsyncGenerator<Entry, void, undefined> {
  let from: string | null | undefined = cursor;
  do {
    const page = await read(from ?? undefined);
    yield* entries(page);
    from = next(page);
  } while (from);
}

/** Repeats a request while its answer is 202. Calls `note` with the body of each answer. */
export async function untilDone<T>(
  request: () => Promise<Answer<T>>,
  signal: AbortSignal | undefined,
  note: (body: T) => void = () => {},
): Promise<Answer<T>> {
  for (;;) {
    const answer = await request();
    note(bodyOf(answer));
    if (answer.response.status !== 202) return answer;
    await sleep(retryAfter(answer.response.headers), signal);
  }
}
