/** Which requests are sent again, and after how long. The Python client does the same. */

const BASE = 250;
const LONGEST = 8_000;

/** Milliseconds of a `Retry-After` that are honoured. If it asks for more, the error is thrown. */
const LONGEST_ASKED = 60_000;

const REPEATABLE = [429, 502, 503, 504];

/** The service's own word counts first. Without one, the answer is from a proxy or gateway. */
export function isRepeatable(answer: Response): boolean {
  const told = answer.headers.get("Should-Retry");
  if (answer.status === 412) return false;
  return !answer.ok && (told ? told === "true" : REPEATABLE.includes(answer.status));
}

/**
 * Milliseconds before retry 0, 1, 2, …; undefined if the service asks for more than is honoured.
 *
 * Full jitter, see https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/. It
 * comes after what `Retry-After` asks for, so that clients do not return all at once.
 */
export function pause(retry: number, headers?: Headers): number | undefined {
  const jitter = Math.random() * Math.min(LONGEST, BASE * 2 ** retry);
  const asked = retryAfter(headers);
  return asked > LONGEST_ASKED ? undefined : asked + jitter;
}

/** Milliseconds. */
export function retryAfter(headers?: Headers): number {
  const asked = headers?.get("Retry-After") ?? "";
  return /^\d+$/.test(asked) ? Number(asked) * 1000 : 0;
}

export function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", stop, { once: true });
  });
}
