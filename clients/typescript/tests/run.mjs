/** Starts the service, and runs the tests given as arguments, or all, against it. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const ROOT = fileURLToPath(new URL("../../..", import.meta.url));

const probe = createServer().listen(0, "127.0.0.1");
await once(probe, "listening");
const pagePort = probe.address().port;
probe.close();

// In Chromium, only this origin may call the service.
const env = {
  ...process.env,
  CORS_ORIGINS: `http://127.0.0.1:${pagePort}`,
  PAGE_PORT: `${pagePort}`,
};
const server = spawn(`${ROOT}.venv/bin/python`, [`${HERE}server.py`], {
  env,
  stdio: ["pipe", "pipe", "inherit"],
});
const [line] = await Promise.race([
  once(createInterface(server.stdout), "line"),
  once(server, "exit").then(() => [null]),
]);
if (line === null) process.exit(1); // the server has printed why
const { url, secret } = JSON.parse(line);

const named = process.argv.slice(2);
const files = named.length ? named : readdirSync(HERE).filter((name) => name.endsWith(".test.mjs"));
const tests = spawn(
  process.execPath,
  ["--test", "--test-reporter=spec", "--test-timeout=300000", ...files.map((name) => HERE + name)],
  { env: { ...env, API_URL: url, JWT_SECRET: secret }, stdio: "inherit" },
);
const [code] = await once(tests, "exit");
server.stdin.end();
await once(server, "exit");
process.exit(code ?? 1);
