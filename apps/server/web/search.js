// Search as you type: a combobox whose list is the passages found. Only the reply to the newest query is shown.
import { request } from "./api.js";
import { append_ranges, heading_of, make, place_of, Utf8Text } from "./text.js";
import { count, say, t } from "./strings.js";
import { marks_of_hit, open_document } from "./reader.js";

const DELAY_MS = 120;
const LIMIT = 20;
const LEAD = 90;  // characters shown before the first word found

const by_id = (id) => document.getElementById(id);

let collection = null;
let hits = [];
let chosen = -1;
let said = () => "";   // the status line, again in another language
let timer = 0;
let pending = null;
let newest = "";       // the query whose reply is awaited or shown
let latest = Promise.resolve();  // settles when it is shown

export function search_in(id) {
  if (collection === id) return;
  collection = id;
  newest = "";
  search_now();
}

export function start_search(ask) {
  const input = by_id("query");
  input.addEventListener("input", (event) => {
    clearTimeout(timer);
    if (!event.isComposing) timer = setTimeout(search_now, DELAY_MS);
  });
  input.addEventListener("compositionend", () => {
    clearTimeout(timer);
    timer = setTimeout(search_now, DELAY_MS);
  });
  input.addEventListener("keydown", on_key);
  by_id("search-form").addEventListener("submit", (event) => event.preventDefault());
  by_id("ask-this").addEventListener("click", () => ask(input.value.trim()));
}

export function retranslate_search() {
  by_id("search-status").textContent = said();
  if (hits.length > 0) show_hits();
}

export function search_again() {
  newest = "";
  search_now();
}

function on_key(event) {
  if (event.isComposing) return;
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    if (hits.length === 0) return;
    event.preventDefault();
    const step = event.key === "ArrowDown" ? 1 : -1;
    choose(chosen < 0 && step < 0 ? hits.length - 1 : (chosen + step + hits.length) % hits.length);
  } else if (event.key === "Enter") {
    event.preventDefault();
    search_now();  // Enter may come before the pause after which a query is sent, or before its reply
    const wanted = newest;
    latest.then(() => wanted === newest && hits.length > 0 && open_hit(Math.max(chosen, 0)));
  } else if (event.key === "Escape" && event.target.value !== "" && !document.body.classList.contains("reading")) {
    event.preventDefault();
    event.target.value = "";
    search_now();
  }
}

function search_now() {
  clearTimeout(timer);
  const query = by_id("query").value.trim();
  if (query === newest) return;
  newest = query;
  latest = search_for(query);
}

async function search_for(query) {
  pending?.abort();
  if (query === "" || collection === null) return show([], "", () => "");
  pending = new AbortController();
  try {
    const reply = await request("POST", "/lectern/search", { body: { collection, query, limit: LIMIT }, signal: pending.signal });
    if (query !== newest) return;
    const n = reply.hits.length;
    show(reply.hits, query, () => (n === 0 ? t("no_hits", query) : count("hit", n)));
  } catch (error) {
    if (error.name === "AbortError" || query !== newest) return;
    show([], query, () => say(error));
  }
}

function show(found, query, status) {
  hits = found;
  said = status;
  chosen = -1;
  by_id("search-status").textContent = said();
  by_id("search-hello").hidden = query !== "";
  by_id("ask-this").hidden = query === "";
  by_id("query").setAttribute("aria-expanded", String(hits.length > 0));
  show_hits();
}

function show_hits() {
  by_id("hits").replaceChildren(...hits.map(hit_node));
  choose(chosen, false);
}

function choose(n, scroll = true) {
  by_id("hits").children[chosen]?.setAttribute("aria-selected", "false");
  chosen = n;
  const node = by_id("hits").children[n];
  if (!node) return by_id("query").removeAttribute("aria-activedescendant");
  node.setAttribute("aria-selected", "true");
  by_id("query").setAttribute("aria-activedescendant", node.id);
  if (scroll) node.scrollIntoView({ block: "nearest" });
}

function open_hit(n) {
  choose(n);
  const hit = hits[n];
  open_document({ collection, document: hit.document, title: hit.title, path: hit.path, place: place_of(hit, t), marks: marks_of_hit(hit) });
}

function hit_node(hit, n) {
  const where = [heading_of(hit.heading), place_of(hit, t)].filter(Boolean).join(" · ");
  return make("div", { class: "hit", role: "option", id: `hit-${n}`, "aria-selected": "false", onclick: () => open_hit(n) },
    make("p", { class: "hit-title" }, hit.title || hit.path, make("span", { class: "path" }, hit.path)),
    snippet(hit),
    where ? make("p", { class: "where small" }, where) : null);
}

// The passage from a little before the first word found; the style sheet cuts its end.
function snippet(hit) {
  const utf8 = new Utf8Text(hit.text);
  const words = utf8.ranges(hit.highlights);
  const first = words.length > 0 ? words[0][0] : hit.text.length;
  const heading = /^#{1,6}\s[^\n]*\n+/.exec(hit.text)?.[0].length ?? 0;  // is named below
  let from = words.length > 0 ? Math.max(0, first - LEAD) : 0;
  if (from <= heading && heading <= first && heading < hit.text.length) {
    from = heading;
  } else if (from > 0) {
    const space = hit.text.slice(from, first).search(/\s|[，。；：]/);
    if (space >= 0) from += space + 1;
    else if (/[\uDC00-\uDFFF]/.test(hit.text[from])) ++from;  // not in the middle of a character
  }
  const node = make("p", { class: "snippet" }, from > heading ? "… " : "");
  append_ranges(node, hit.text, [from, hit.text.length], words, (text) => make("mark", {}, text));
  return node;
}
