/** assistant-ui in Chromium: what the user did is there again after a reload. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createServer } from "node:http";
import { delimiter, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";
import puppeteer from "puppeteer-core";
import { createClient } from "session-store-client";

import { example } from "./readme.mjs";
import { all, API_URL, startProxy, tokenOf } from "./support.mjs";

const ORIGIN = `http://127.0.0.1:${process.env.PAGE_PORT}`;

const PAGE = fileURLToPath(new URL("page", import.meta.url));

/** The README's page, with what an application adds. */
const README_PAGE = `
  ${example("app.tsx").replace("https://sessions.example.com", API_URL)}
  import { createRoot } from "react-dom/client";
  createRoot(document.getElementById("app")!).render(<App />);`;

const README_FILES = {
  "./model": `export const model = { run: async () => ({ content: [{ type: "text", text: "Hello!" }] }) };`,
  "./token": `export const getToken = async () => new URLSearchParams(location.search).get("token");`,
};

/** esbuild finds the README's own files in `README_FILES`. */
const readmeFiles = {
  name: "readme-files",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^\.\/(model|token)$/ }, ({ path }) => ({ path, namespace: "readme" }));
    onLoad({ filter: /.*/, namespace: "readme" }, ({ path }) => ({ contents: README_FILES[path] }));
  },
};

const CHROMIUM = ["chromium", "chromium-browser", "google-chrome"]
  .flatMap((name) => process.env.PATH.split(delimiter).map((folder) => join(folder, name)))
  .find(existsSync);

// In CI, the tests fail without it.
const skip = !CHROMIUM && process.env.CI !== "true" && "there is no Chromium on the PATH";

let browser, server;

before(async () => {
  if (skip) return;
  const entries = {
    "/page.js": { entryPoints: [join(PAGE, "page.tsx")] },
    "/readme.js": {
      stdin: { contents: README_PAGE, loader: "tsx", resolveDir: PAGE },
      plugins: [readmeFiles],
    },
  };
  const scripts = {};
  for (const [path, entry] of Object.entries(entries)) {
    const bundled = await build({
      ...entry,
      bundle: true,
      write: false,
      format: "esm",
      jsx: "automatic",
      logLevel: "warning",
      define: {
        "process.env.NODE_ENV": '"production"',
        "process.env.NEXT_PUBLIC_ASSISTANT_BASE_URL": '""',
      },
    });
    scripts[path] = bundled.outputFiles[0].text;
  }
  server = createServer(({ url }, response) => {
    const script = scripts[url];
    response.setHeader("Content-Type", script ? "text/javascript" : "text/html; charset=utf-8");
    const name = url.startsWith("/readme") ? "/readme.js" : "/page.js";
    response.end(script ?? `<div id="app"></div><script type="module" src="${name}"></script>`);
  });
  server.listen(Number(process.env.PAGE_PORT), "127.0.0.1");
  await once(server, "listening");
  browser = await puppeteer.launch({
    executablePath: CHROMIUM ?? "chromium",
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--no-proxy-server"],
  });
});

after(async () => {
  await browser?.close();
  server?.closeAllConnections();
  server?.close();
});

/** A page of a user who has nothing yet, and steps on it. */
async function openPage({ api = API_URL, mode = "" } = {}) {
  const token = tokenOf(randomUUID());
  const page = await browser.newPage();
  page.setDefaultTimeout(10_000);
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (line) => line.type() === "error" && complaints.push(line.text()));
  const query = new URLSearchParams({ api, token, mode });
  await page.goto(`${ORIGIN}/?${query}`);
  await page.waitForSelector("#composer textarea");
  const texts = (selector) =>
    page.$$eval(selector, (found) => found.map((each) => each.innerText.trim()));
  return {
    page,
    complaints,
    client: createClient({ baseUrl: API_URL, token }),
    messages: () => texts(".text"),
    threads: () => texts("#threads button:first-child"),
    archived: () => texts("#archived button:first-child"),
    async press(label, within = "body") {
      const button = await page.waitForSelector(
        `${within} ::-p-xpath(.//button[normalize-space()="${label}"])`,
      );
      await button.evaluate((element) => element.click());
    },
    async ask(text) {
      await page.type("#composer textarea", text);
      await page.keyboard.press("Enter");
    },
    /** Waits until a step gives this. */
    async sees(step, expected) {
      const deadline = Date.now() + 10_000;
      let found = await step();
      while (JSON.stringify(found) !== JSON.stringify(expected) && Date.now() < deadline) {
        await new Promise((resolve) => setTimeout(resolve, 50));
        found = await step();
      }
      assert.deepEqual(found, expected, complaints.join("\n"));
    },
    /** Waits until the service has this many messages in all. */
    async stored(count) {
      const counted = async () =>
        (await all(this.client.sessions.list())).reduce((sum, row) => sum + row.message_count, 0);
      await this.sees(counted, count);
    },
    async reload() {
      await page.reload();
      await page.waitForSelector("#composer textarea");
    },
    async open(title) {
      await this.press(title, "nav");
    },
  };
}

test("threads and messages are there after a reload", { skip }, async () => {
  const ui = await openPage();
  await ui.ask("Any potholes near Main St?");
  await ui.sees(ui.messages, [
    "Any potholes near Main St?",
    "You said: Any potholes near Main St?",
  ]);
  await ui.sees(ui.threads, ["Any potholes near Main St?"]);
  await ui.ask("And on Elm St?");
  await ui.stored(4);
  await ui.press("New thread");
  await ui.ask("Another matter");
  await ui.sees(ui.threads, ["Another matter", "Any potholes near Main St?"]);
  await ui.stored(6);

  await ui.reload();
  await ui.sees(ui.threads, ["Another matter", "Any potholes near Main St?"]);
  await ui.open("Any potholes near Main St?");
  await ui.sees(ui.messages, [
    "Any potholes near Main St?",
    "You said: Any potholes near Main St?",
    "And on Elm St?",
    "You said: And on Elm St?",
  ]);
  if (process.env.SCREENSHOT) await ui.page.screenshot({ path: process.env.SCREENSHOT });
  assert.deepEqual(ui.complaints, []);

  const [newest] = await all(ui.client.sessions.list());
  assert.equal(newest.domain_id, "page");
  assert.equal(newest.last_message.text, "You said: Another matter"); // readable without assistant-ui
});

test("threads are renamed, painted, archived, unarchived and deleted", { skip }, async () => {
  const ui = await openPage();
  for (const text of ["First", "Second"]) {
    await ui.press("New thread");
    await ui.ask(text);
    await ui.sees(ui.messages, [text, `You said: ${text}`]);
  }
  await ui.sees(ui.threads, ["Second", "First"]);
  await ui.press("Rename", "#threads li:nth-child(2)");
  await ui.press("Paint", "#threads li:nth-child(2)");
  await ui.press("Archive", "#threads li:nth-child(1)");
  await ui.sees(ui.archived, ["Second"]);
  const rows = async () =>
    (await all(ui.client.sessions.list())).map(({ title, archived, metadata }) => [
      title,
      archived,
      metadata.colour,
    ]);
  await ui.sees(rows, [
    ["Second", true, undefined],
    ["A name of my own", false, "blue"],
  ]);

  await ui.reload();
  await ui.sees(ui.threads, ["A name of my own"]);
  await ui.sees(ui.archived, ["Second"]);
  await ui.sees(
    () => ui.page.$$eval("em", (found) => found.map((each) => each.innerText)),
    ["blue"],
  );
  await ui.press("Unarchive", "#archived li");
  await ui.sees(ui.threads, ["Second", "A name of my own"]);
  await ui.press("Delete", "#threads li:nth-child(2)");
  await ui.sees(rows, [["Second", false, undefined]]);
  await ui.reload();
  await ui.sees(ui.threads, ["Second"]);
  await ui.sees(ui.archived, []);
});

test(
  "the branches of an edited message and of an answer are there after a reload",
  { skip },
  async () => {
    const ui = await openPage();
    await ui.ask("One");
    await ui.sees(ui.messages, ["One", "You said: One"]);
    await ui.press("Edit");
    const editor = await ui.page.waitForSelector("#editor textarea");
    await editor.focus();
    await ui.page.keyboard.press("End");
    await ui.page.keyboard.type(" more");
    await ui.press("Save", "#editor");
    await ui.sees(ui.messages, ["One more", "You said: One more"]);
    await ui.press("Again");
    await ui.stored(5);

    await ui.reload();
    await ui.sees(ui.threads, ["One"]);
    await ui.open("One");
    await ui.sees(ui.messages, ["One more", "You said: One more"]);
    const branches = () =>
      ui.page.$$eval(".branches", (found) =>
        found.map((each) => each.innerText.match(/\d\/\d/)[0]),
      );
    await ui.sees(branches, ["2/2", "2/2"]);
    await ui.press("Previous", ".user");
    await ui.sees(ui.messages, ["One", "You said: One"]);
    await ui.press("Next", ".user");
    await ui.sees(ui.messages, ["One more", "You said: One more"]);
  },
);

test("an answer that was stopped is kept, and marked", { skip }, async () => {
  const ui = await openPage();
  await ui.ask("Go slowly");
  await ui.sees(ui.messages, ["Go slowly", "You said: Go slowly ●"]);
  await ui.press("Stop");
  await ui.stored(2);
  const [{ session_id }] = await all(ui.client.sessions.list());
  const messages = await all(ui.client.messages.list(session_id));
  assert.deepEqual(
    messages.map(({ role, status }) => [role, status]),
    [
      ["user", "complete"],
      ["assistant", "interrupted"],
    ],
  );
  await ui.reload();
  await ui.sees(ui.threads, ["Go slowly"]);
  await ui.open("Go slowly");
  await ui.sees(ui.messages, ["Go slowly", "You said: Go slowly"]);
  await ui.page.waitForSelector('.assistant[data-status="incomplete"]');
});

test("a question that a reload left without an answer is answered", { skip }, async () => {
  const ui = await openPage({ mode: "resume" });
  await ui.ask("Go slowly");
  await ui.stored(1);
  await ui.reload();
  await ui.sees(ui.threads, ["Go slowly"]);
  await ui.open("Go slowly");
  await ui.sees(ui.messages, ["Go slowly", "Resumed answer"]);
  await ui.stored(2);
});

test("a message is removed, and one is rated", { skip }, async () => {
  const ui = await openPage();
  await ui.ask("One");
  await ui.stored(2);
  await ui.ask("Two");
  await ui.stored(4);
  await ui.press("Good", ".assistant:last-of-type");
  await ui.press("Remove", ".user");
  await ui.sees(ui.messages, ["You said: One", "Two", "You said: Two"]);
  await ui.stored(3);
  await ui.reload();
  await ui.sees(ui.threads, ["One"]);
  await ui.open("One");
  await ui.sees(ui.messages, ["You said: One", "Two", "You said: Two"]);
  const ratings = () =>
    ui.page.$$eval("[data-rating]", (found) => found.map((each) => each.dataset.rating));
  await ui.sees(ratings, ["positive"]);
});

test("lost answers make no second thread and no second message", { skip }, async () => {
  const proxy = await startProxy();
  const ui = await openPage({ api: proxy.url });
  await ui.sees(ui.threads, []);
  const preflights = proxy.requests.length;
  assert.ok(preflights > 0);
  // Every write is lost once, whatever else is sent.
  const lost = new Set();
  proxy.choose = ({ method, headers }) => {
    const key = headers["idempotency-key"];
    if (method !== "POST" || lost.has(key)) return "pass";
    lost.add(key);
    return "lose";
  };
  await ui.ask("Hello");
  await ui.sees(ui.messages, ["Hello", "You said: Hello"]);
  await ui.stored(2);
  assert.equal(lost.size, 3);
  assert.equal((await all(ui.client.sessions.list())).length, 1);
  await ui.reload();
  await ui.sees(ui.threads, ["Hello"]);
  proxy.close();
});

test("the AI SDK's messages are there after a reload, in its own format", { skip }, async () => {
  const ui = await openPage({ mode: "ai-sdk" });
  await ui.ask("One");
  await ui.sees(ui.messages, ["One", "You said: One"]);
  await ui.stored(2);
  await ui.ask("Two");
  await ui.sees(ui.messages, ["One", "You said: One", "Two", "You said: Two"]);
  await ui.stored(4);
  await ui.press("Remove", ".user");
  await ui.stored(3);

  await ui.reload();
  await ui.sees(ui.threads, ["One"]);
  await ui.open("One");
  await ui.sees(ui.messages, ["You said: One", "Two", "You said: Two"]);
  await ui.ask("Three");
  await ui.stored(5);
  const [{ session_id, last_message }] = await all(ui.client.sessions.list());
  assert.equal(last_message.text, "You said: Three");
  const [first, second, third] = (await all(ui.client.messages.list(session_id))).map(
    ({ native }) => native,
  );
  assert.equal(first.format, "ai-sdk/v6");
  assert.equal(first.parent_id, null); // its parent was removed
  assert.equal(second.parent_id, first.id);
  assert.equal(third.parent_id, second.id);
});

test("the README's page keeps its thread", { skip }, async () => {
  const token = tokenOf(randomUUID());
  const page = await browser.newPage();
  await page.goto(`${ORIGIN}/readme?token=${token}`);
  await (await page.waitForSelector("textarea")).type("A question");
  await page.keyboard.press("Enter");
  const says = (text) =>
    page.waitForFunction((it) => document.body.innerText.includes(it), {}, text);
  await says("Hello!");
  const client = createClient({ baseUrl: API_URL, token });
  while ((await client.sessions.page()).sessions[0]?.message_count !== 2) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  await page.reload();
  await page.waitForFunction(() =>
    [...document.querySelectorAll("button")].some((each) => each.innerText === "A question"),
  );
  await page.evaluate(() =>
    [...document.querySelectorAll("button")]
      .find((each) => each.innerText === "A question")
      .click(),
  );
  await says("Hello!");
});
