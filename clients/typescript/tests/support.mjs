/** Users with real tokens, and a proxy that fails on purpose. */
import { createHmac, randomUUID } from "node:crypto";
import { createServer, request } from "node:http";

import { createClient } from "session-store-client";

export const API_URL = process.env.API_URL;

const encoded = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

export function tokenOf(user, claims = {}) {
  const exp = Math.floor(Date.now() / 1000) + 3600;
  const told = [
    { alg: "HS256", typ: "JWT" },
    { tenant_id: "acme", sub: user, exp, ...claims },
  ];
  const text = told.map(encoded).join(".");
  return `${text}.${createHmac("sha256", process.env.JWT_SECRET).update(text).digest("base64url")}`;
}

/** A client of a user who has nothing yet. */
export function newClient({ claims, ...options } = {}) {
  return createClient({ baseUrl: API_URL, token: tokenOf(randomUUID(), claims), ...options });
}

/**
 * Passes requests on to the service. Each request uses up one of `faults`:
 *
 * - "pass", or none left: passes the answer on
 * - "lose": the service answers, but the connection is closed instead
 * - "cut": only half of the answer's body arrives
 * - "hang": neither the service nor the client hears anything
 * - {status, headers}: the proxy answers itself
 *
 * `choose`, if it is set, picks a fault by the request instead. `requests` has what was sent.
 */
export async function startProxy() {
  const proxy = { faults: [], requests: [] };
  const server = createServer(async (incoming, outgoing) => {
    const { method, url, headers } = incoming;
    proxy.requests.push({ method, url, headers });
    const chunks = await incoming.toArray();
    const fault = proxy.choose?.(incoming) ?? proxy.faults.shift() ?? "pass";
    if (fault === "hang") return;
    if (typeof fault === "object") return outgoing.writeHead(fault.status, fault.headers).end("{}");
    const [status, answer, body] = await forward(method, url, headers, Buffer.concat(chunks));
    if (fault === "lose") return incoming.socket.destroy();
    outgoing.writeHead(status, answer);
    if (fault === "pass") return outgoing.end(body);
    outgoing.write(body.subarray(0, body.length / 2), () => incoming.socket.destroy());
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  // A test that fails before `close` must not keep its process alive.
  server.unref().on("connection", (socket) => socket.unref());
  return Object.assign(proxy, {
    url: `http://127.0.0.1:${server.address().port}`,
    close() {
      server.closeAllConnections();
      server.close();
    },
  });
}

function forward(method, path, headers, body) {
  return new Promise((resolve, reject) => {
    const sent = request(new URL(path, API_URL), { method, headers }, async (answer) => {
      resolve([answer.statusCode, answer.headers, Buffer.concat(await answer.toArray())]);
    });
    sent.on("error", reject).end(body);
  });
}

/** All of an async iterator. */
export async function all(entries) {
  const found = [];
  for await (const entry of entries) found.push(entry);
  return found;
}
