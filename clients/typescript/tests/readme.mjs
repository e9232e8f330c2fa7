import { readFileSync } from "node:fs";

/** The code of an example in the README, by the name in the comment before it. */
export function example(name) {
  const text = readFileSync(new URL("../README.md", import.meta.url), "utf8");
  const [, code] = text.match(
    new RegExp(`<!-- example: ${name} -->\\n\`\`\`\\w+\\n([^]*?)\\n\`\`\`\\n`),
  );
  return code;
}
