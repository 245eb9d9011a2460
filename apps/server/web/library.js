// The list of collections, the documents of the one chosen, and its indexing.
import { events, request } from "./api.js";
import { make } from "./text.js";
import { count, number, say, t } from "./strings.js";
import { open_document } from "./reader.js";
import { recall, remember } from "./store.js";

const MAX_LISTED = 500;
const MAX_WARNINGS = 20;
const RETRY_MS = 3000;

const by_id = (id) => document.getElementById(id);

let collections = [];
let documents = [];
let current = null;
let retry = 0;
let on_choice = () => {};
let on_change = () => {};
let on_problem = () => {};
const watched = new Map();  // collection id -> the job that is followed, as last heard of

export function start_library(hooks) {
  on_choice = hooks.chosen;
  on_change = hooks.changed;
  on_problem = hooks.problem;
  by_id("reindex").addEventListener("click", reindex);
  by_id("stop-index").addEventListener("click", () => {
    const job = watched.get(current);
    if (job) request("DELETE", `/lectern/jobs/${encodeURIComponent(job.id)}`).catch(on_problem);
  });
  return refresh();
}

export function retranslate_library() {
  draw_collections();
  draw_documents();
  draw_job(watched.get(current));
}

export async function refresh() {
  clearTimeout(retry);
  try {
    collections = (await request("GET", "/lectern/collections")).collections;
    on_problem(null);
  } catch (error) {
    if (error.status === 0 || error.status === 503) retry = setTimeout(refresh, RETRY_MS);  // it may come back
    return on_problem(error);
  }
  for (const one of collections) if (one.job && watched.get(one.id)?.state !== "running") follow(one.id, { id: one.job, state: "running", done: 0, total: 0 });
  if (!collections.some((one) => one.id === current)) {
    const kept = recall("collection");
    const first = collections.find((one) => one.id === kept) ?? collections[0];
    if (first) return choose(first.id);
  }
  draw_collections();
  return load_documents();
}

function choose(id) {
  current = id;
  remember("collection", id);
  draw_collections();
  draw_job(watched.get(id));
  documents = [];
  on_choice(id);
  return load_documents();
}

async function load_documents() {
  if (current === null) return draw_documents();
  const id = current;
  try {
    const reply = await request("GET", `/lectern/collections/${encodeURIComponent(id)}/documents`);
    if (id !== current) return;
    documents = reply.documents;
  } catch (error) {
    if (id !== current) return;
    on_problem(error);
  }
  draw_documents();
}

function draw_collections() {
  const rows = collections.map((one) => make("li", {},
    make("button", { type: "button", class: "row", "aria-current": one.id === current ? "true" : null, title: one.folders.join("\n"), onclick: () => choose(one.id) },
      make("span", { class: "name" }, one.name),
      make("span", { class: "small" }, count("document", one.documents)))));
  by_id("collections").replaceChildren(...rows);
  by_id("reindex").hidden = collections.length === 0;
  if (rows.length === 0) by_id("collections").append(make("li", { class: "small" }, t("no_collections")));
}

function draw_documents() {
  const rows = documents.slice(0, MAX_LISTED).map((one) => make("li", {},
    make("button", { type: "button", class: "row", title: one.path, onclick: () => open(one) },
      make("span", { class: "name" }, one.title || one.path),
      make("span", { class: "small path" }, one.path))));
  by_id("documents").replaceChildren(...rows);
  if (rows.length === 0) by_id("documents").append(make("li", { class: "small" }, t("no_documents")));
  if (documents.length > MAX_LISTED)
    by_id("documents").append(make("li", { class: "small" }, t("more_documents", number(documents.length - MAX_LISTED))));
}

function open(one) {
  open_document({ collection: current, document: one.id, title: one.title, path: one.path, place: "", marks: [] });
}

async function reindex() {
  const id = current;
  if (id === null) return;
  try {
    const { job } = await request("POST", `/lectern/collections/${encodeURIComponent(id)}/index`, { body: {} });
    on_problem(null);
    await follow(id, job);
  } catch (error) {
    on_problem(error);
  }
}

// Shows a job until it ends, then what it changed.
async function follow(id, job) {
  const hear = (heard) => {
    watched.set(id, heard);
    if (id === current) draw_job(heard);
  };
  hear(job);
  try {
    for await (const { data } of events("GET", `/lectern/jobs/${encodeURIComponent(job.id)}/events`)) if (data.state) hear(data);
    if (watched.get(id).state === "running") hear(await request("GET", `/lectern/jobs/${encodeURIComponent(job.id)}`));
  } catch (error) {
    hear({ ...watched.get(id), state: "failed", message: say(error) });
  }
  await refresh();
  if (id === current) on_change();
}

function draw_job(job) {
  const running = job?.state === "running";
  by_id("reindex").disabled = running;
  by_id("stop-index").hidden = !running;
  const bar = by_id("index-bar");
  bar.hidden = !running;
  if (running && job.total > 0) {
    bar.max = job.total;
    bar.value = job.done;
  } else {
    bar.removeAttribute("value");
  }
  by_id("index-status").textContent = job ? status_of(job) : "";
  const warnings = job?.report?.warnings ?? [];
  by_id("index-warnings").replaceChildren(
    ...warnings.slice(0, MAX_WARNINGS).map((one) => make("li", {}, make("b", {}, one.path), ` ${one.reason}`)));
  if (warnings.length > MAX_WARNINGS) by_id("index-warnings").append(make("li", {}, t("more_warnings", warnings.length - MAX_WARNINGS)));
}

function status_of(job) {
  if (job.state === "cancelled") return t("index_cancelled");
  if (job.state === "failed") return t("index_failed", job.message);
  if (job.state === "running") {
    if (!job.total) return t("index_starting");
    const [done, total] = job.unit === "bytes" ? [megabytes(job.done), megabytes(job.total)] : [number(job.done), number(job.total)];
    return t("index_running", done, total);
  }
  const { added = 0, changed = 0, removed = 0 } = job.report ?? {};
  return added + changed + removed === 0 ? t("index_unchanged") : t("index_done", added, changed, removed);
}

function megabytes(bytes) {
  return `${number(Math.round(bytes / 1e5) / 10)} MB`;
}
