import test from "node:test";
import assert from "node:assert/strict";
import { createClient, sessionIdOf } from "session-store-client";
import { newClient, all } from "./support.mjs";
test("smoke", async () => {
  const c = newClient();
  const s = await c.sessions.create({ key: "k é", domain_id: "d", title: "" });
  console.log(s, await sessionIdOf("k é"));
  const a = await c.messages.append(s.session_id, { role: "user", content: "hi" }, { after: s.session_id });
  console.log(a);
  console.log(await c.messages.appendMany(await sessionIdOf("new"), [{ role: "user", content: "x" }], { after: await sessionIdOf("new"), session: { key: "new", domain_id: "d" } }));
  console.log(await c.messages.appendMany(await sessionIdOf("new"), [{ role: "user", content: "x" }], { after: await sessionIdOf("new"), session: { key: "new", domain_id: "d" } }).catch(e => [e.message, e.problem]));
  console.log(await c.messages.edit(s.session_id, a.message_id, { status: "interrupted" }));
  console.log(await c.sessions.page({ domain_id: "d" }));
  console.log(await c.values.put("a/b c.txt", "hi", { contentType: "text/plain" }), await c.values.get("a/b c.txt"), await c.values.head("a/b c.txt"));
  console.log(await all(c.export()));
});
