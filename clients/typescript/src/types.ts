import type { components } from "./schema.js";

/** The schemas of docs/openapi.json. */
export type Schemas = components["schemas"];

export type Message = Schemas["Message"];
export type NewMessage = Schemas["NewMessage"];
export type SessionRow = Schemas["SessionRow"];
export type Session = Schemas["Session"] & { etag: string };
