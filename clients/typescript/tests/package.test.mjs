/** What is published: types, and the package in a folder where nothing else is installed. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { API_URL, tokenOf } from "./support.mjs";
import { example } from "./readme.mjs";

const HOME = fileURLToPath(new URL("..", import.meta.url));
const INSTALL = [
  "install",
  "--prefer-offline",
  "--no-audit",
  "--no-fund",
  "--ignore-scripts",
  "--loglevel=error",
];

let folder;

function run(command, args, { cwd = HOME, env = {} } = {}) {
  try {
    return execFileSync(command, args, { cwd, env: { ...process.env, ...env }, encoding: "utf8" });
  } catch (error) {
    assert.fail(`${command} ${args.join(" ")}\n${error.stdout}\n${error.stderr}`);
  }
}

before(() => {
  folder = mkdtempSync(join(tmpdir(), "session-store-client-"));
  const [{ filename }] = JSON.parse(run("npm", ["pack", "--json", "--pack-destination", folder]));
  writeFileSync(join(folder, "package.json"), '{ "private": true, "type": "module" }');
  run("npm", [...INSTALL, `./${filename}`], { cwd: folder });
});

after(() => rmSync(folder, { recursive: true, force: true }));

test("src/schema.d.ts is current; if it is not, run: npm run schema", () => {
  const made = join(folder, "schema.d.ts");
  run("npx", ["openapi-typescript", "../../docs/openapi.json", "--output", made]);
  assert.equal(readFileSync(join(HOME, "src/schema.d.ts"), "utf8"), readFileSync(made, "utf8"));
});

test("real usage compiles with --strict, and what is wrong does not", () => {
  run("npx", ["tsc", "--project", "tsconfig.json"]);
});

test("the package brings only openapi-fetch, and its types need nothing else", () => {
  const installed = readdirSync(join(folder, "node_modules")).filter(
    (name) => !name.startsWith("."),
  );
  assert.deepEqual(installed, [
    "openapi-fetch",
    "openapi-typescript-helpers",
    "session-store-client",
  ]);
  const usage = `import { createClient } from "session-store-client";
    export const page = createClient({ baseUrl: "", token: "" }).sessions.page();`;
  writeFileSync(join(folder, "usage.ts"), usage);
  const options = [
    "--noEmit",
    "--strict",
    "--skipDefaultLibCheck",
    "--target",
    "es2022",
    "--module",
    "nodenext",
  ];
  run(join(HOME, "node_modules/.bin/tsc"), [...options, "usage.ts"], { cwd: folder });
});

test("the README's first example runs, and finds its session again", () => {
  const env = { API_URL, TOKEN: tokenOf(randomUUID()) };
  writeFileSync(join(folder, "first.mjs"), example("first.mjs"));
  const turn = "user: Any potholes near me?\nassistant: Five, near Main St.\n";
  assert.equal(run("node", ["first.mjs"], { cwd: folder, env }), turn);
  assert.equal(run("node", ["first.mjs"], { cwd: folder, env }), turn + turn);
});

test("the README's example of grounding runs", () => {
  const scope = "sessions:read sessions:write sources:audit sources:govern";
  const user = randomUUID();
  const env = { API_URL, TOKEN: tokenOf(user, { scope, tenant_id: randomUUID() }) };
  writeFileSync(join(folder, "grounding.mjs"), example("grounding.mjs"));
  const printed = run("node", ["grounding.mjs"], { cwd: folder, env });
  const [citation, answer, ...rest] = printed.split("\n");
  assert.equal(citation, "doc:house-rules ungoverned Quiet: 22 to 6.");
  assert.match(answer, new RegExp(`^${user} sess_\\w+ msg_\\w+$`));
  assert.deepEqual(rest, ["1 redacted", "It is quiet from 22 to 6. withdrawn", ""]);
});

test("the README's example of the AI SDK runs with the SDK alone", () => {
  const { devDependencies } = JSON.parse(readFileSync(join(HOME, "package.json"), "utf8"));
  run("npm", [...INSTALL, `ai@${devDependencies.ai}`, `zod@${devDependencies.zod}`], {
    cwd: folder,
  });
  writeFileSync(join(folder, "chat.mjs"), example("chat.mjs"));
  writeFileSync(join(folder, "model.mjs"), MODEL);
  const env = { API_URL, TOKEN: tokenOf(randomUUID()) };
  assert.equal(run("node", ["chat.mjs"], { cwd: folder, env }), "Hello!\n2 messages are stored\n");
  assert.equal(run("node", ["chat.mjs"], { cwd: folder, env }), "Hello!\n4 messages are stored\n");
});

const MODEL = `
import { simulateReadableStream } from "ai";
import { MockLanguageModelV4 } from "ai/test";
const usage = { inputTokens: { total: 1 }, outputTokens: { total: 1 } };
const chunks = [
  { type: "text-start", id: "t" },
  { type: "text-delta", id: "t", delta: "Hello!" },
  { type: "text-end", id: "t" },
  { type: "finish", finishReason: { unified: "stop", raw: "stop" }, usage },
];
export const model = new MockLanguageModelV4({
  doStream: async () => ({ stream: simulateReadableStream({ chunks }) }),
});`;
