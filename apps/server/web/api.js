// Talks to the server: JSON requests, and streams of server-sent events read from the reply of a fetch (an EventSource
// can neither POST nor show a key). All failures are an ApiError whose message can be shown as it is.

import { api_key, keep_api_key } from "./store.js";

export class ApiError extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

// The key comes in the address's fragment, which is never sent, and does not stay there. Says whether there was one.
export function take_key() {
  const found = new URLSearchParams(location.hash.slice(1)).get("key");
  if (!found) return false;
  keep_api_key(found);
  history.replaceState(null, "", location.pathname + location.search);
  return true;
}

function headers(body) {
  const all = {};
  if (body !== undefined) all["Content-Type"] = "application/json";
  if (api_key()) all.Authorization = `Bearer ${api_key()}`;
  return all;
}

async function reply_of(method, path, body, signal) {
  let reply;
  try {
    reply = await fetch(path, { method, signal, headers: headers(body), body: body === undefined ? undefined : JSON.stringify(body) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("", 0);  // the server does not answer
  }
  if (reply.ok) return reply;
  let message = "";
  try {
    message = (await reply.json()).error.message;
  } catch {
    // not the server's own reply: the status has to do
  }
  throw new ApiError(message || `${reply.status} ${reply.statusText}`.trim(), reply.status);
}

export async function request(method, path, { body, signal } = {}) {
  const reply = await reply_of(method, path, body, signal);
  try {
    return await reply.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("", 0);
  }
}

// Yields {event, data}. Ends when the server ends the stream; abort the signal to leave early.
export async function* events(method, path, { body, signal } = {}) {
  const reply = await reply_of(method, path, body, signal);
  const reader = reply.body.getReader();
  const decoder = new TextDecoder();
  let held = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      held += done ? decoder.decode() : decoder.decode(value, { stream: true });
      const records = held.split(/\r?\n\r?\n/);
      held = done ? "" : records.pop();
      for (const record of records) {
        const event = parse_event(record);
        if (event) yield event;
      }
      if (done) return;
    }
  } catch (error) {
    if (error.name === "AbortError" || error instanceof ApiError) throw error;
    throw new ApiError("", 0);
  } finally {
    reader.cancel().catch(() => {});
  }
}

function parse_event(record) {
  let event = "message";
  const data = [];
  for (const line of record.split(/\r?\n/)) {
    if (line.startsWith("event:")) event = line.slice(6).trim();
    if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
  }
  if (data.length === 0 || data[0] === "[DONE]") return null;
  return { event, data: JSON.parse(data.join("\n")) };
}
