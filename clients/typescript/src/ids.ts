const DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"; // Crockford's base32

/**
 * The id of the session with this key, worked out without a request: the first 128 bits of the
 * key's SHA-256 as a ULID.
 */
export async function sessionIdOf(key: string): Promise<string> {
  const number = (await firstBytes(key)).reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  let digits = "";
  for (let shift = 125n; shift >= 0n; shift -= 5n)
    digits += DIGITS[Number((number >> shift) & 31n)];
  return `sess_${digits}`;
}

/** Characters of a source's key. A longer one has another key, made from its hash. */
const LONGEST = 1024;

/** What a source with this key is called in addresses: the first 128 bits of the key's SHA-256. */
export async function sourceHashOf(key: string): Promise<string> {
  return [...key].length > LONGEST ? hexOf(`sha256:${await hexOf(key)}`) : hexOf(key);
}

async function hexOf(text: string): Promise<string> {
  const digits = Array.from(await firstBytes(text), (byte) => byte.toString(16).padStart(2, "0"));
  return digits.join("");
}

/** Halves of surrogate pairs count as U+FFFD, as the service shows them. */
async function firstBytes(text: string): Promise<Uint8Array> {
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return new Uint8Array(hash, 0, 16);
}
