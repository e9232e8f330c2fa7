import { retryAfter, sleep } from "./retries.js";

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

/** Repeats a request while its answer is 202, and calls `note` with each answer's body. */
export async function untilDone<T>(
  request: () => Promise<{ data?: T; response: Response }>,
  signal: AbortSignal | undefined,
  note: (body: T) => void,
): Promise<void> {
  for (;;) {
    const { data, response } = await request();
    note(data as T);
    if (response.status !== 202) return;
    await sleep(retryAfter(response.headers), signal);
  }
}
