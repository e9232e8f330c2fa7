const DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"; // Crockford's base32

/**
 * The id of the session with this key, worked out without a request: the first 128 bits of the
 * key's SHA-256 as a ULID.
 */
export async function sessionIdOf(key: string): Promise<string> {
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(key));
  const bytes = new Uint8Array(hash, 0, 16);
  const number = bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  let digits = "";
  for (let shift = 125n; shift >= 0n; shift -= 5n)
    digits += DIGITS[Number((number >> shift) & 31n)];
  return `sess_${digits}`;
}
