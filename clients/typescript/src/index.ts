export { createClient, type Client, type ExportedLine } from "./client.js";
export { ApiError } from "./errors.js";
export { sessionIdOf, sourceHashOf } from "./ids.js";
export type { AppendOptions, MessageQuery, Messages, Tail } from "./messages.js";
export type { components, operations, paths } from "./schema.js";
export type {
  GroundingQuery,
  OpenedSession,
  ReadSession,
  SessionFilters,
  Sessions,
} from "./sessions.js";
export type { AnswerQuery, PutVerdict, Sources, TenantSources, Verdict } from "./sources.js";
export type { ClientOptions, RequestOptions, WriteOptions } from "./transport.js";
export type { Message, NewMessage, Schemas, Session, SessionRow } from "./types.js";
export type { Bytes, PutOptions, ReadValue, ValueQuery, Values } from "./values.js";
