// What a page asked of the API, as commands for a terminal.
import { getKey } from "./api.js";

const quote = (text) => `'${String(text).replaceAll("'", "'\\''")}'`;

/** One call as a curl command; a key is named, never shown. */
export function asCurl({ method, path, body, headers = {}, form }) {
  const parts = ["curl -s --fail-with-body"];
  if (method !== "GET") parts.push(`-X ${method}`);
  if (getKey()) parts.push('-H "Authorization: Bearer $KEY"');
  for (const [name, value] of Object.entries(headers)) {
    if (name !== "Idempotency-Key") parts.push(`-H ${quote(`${name}: ${value}`)}`);
  }
  if (form) parts.push("-F file=@FILE");
  else if (body !== undefined) parts.push("-H 'Content-Type: application/json'", `-d ${quote(JSON.stringify(body))}`);
  parts.push(quote(location.origin + path));
  return parts.join(" \\\n  ");
}
