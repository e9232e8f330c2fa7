import type { components } from "./schema.js";

type Problem = components["schemas"]["Problem"];

/**
 * The service refused a request (RFC 9457).
 *
 * `code` is one of the codes in the OpenAPI document, or `HTTP_<status>` if the answer came from a
 * proxy. `problem` is the whole body, with members such as `last_message_id` that only some codes
 * have.
 */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly code: Problem["code"] | `HTTP_${number}`;
  readonly title: string;
  readonly detail: string;
  readonly errors: Problem["errors"];
  readonly requestId: string | undefined;

  constructor(
    readonly status: number,
    readonly problem: Partial<Problem>,
  ) {
    const code = problem.code ?? (`HTTP_${status}` as const);
    const faults = (problem.errors ?? []).map(({ field, message }) => `\n  ${field}: ${message}`);
    super(`${status} ${code}: ${problem.detail ?? problem.title ?? ""}${faults.join("")}`);
    this.code = code;
    this.title = problem.title ?? code;
    this.detail = problem.detail ?? "";
    this.errors = problem.errors ?? [];
    this.requestId = problem.request_id;
  }
}

/** Whether it is a problem with one of these codes. */
export function isProblem(error: unknown, ...codes: ApiError["code"][]): error is ApiError {
  return error instanceof ApiError && codes.includes(error.code);
}

/** Throws the problem in an answer that is an error. */
export async function checked(answer: Response): Promise<Response> {
  if (answer.ok || answer.status === 304) return answer;
  const text = await answer.text();
  let problem: unknown;
  try {
    problem = JSON.parse(text);
  } catch {
    problem = undefined; // from a proxy, or to HEAD
  }
  throw new ApiError(answer.status, typeof problem === "object" && problem ? problem : {});
}
