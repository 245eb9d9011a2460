// The reader: a document's text, in windows of bytes around the place that was asked for, with the quote or the words
// of the passage marked. On wide screens it stands beside the page, on narrow ones over it.
import { request } from "./api.js";
import { append_ranges, make, Utf8Text } from "./text.js";
import { number, say, t } from "./strings.js";

const BEFORE = 16 << 10;  // bytes
const AFTER = 48 << 10;
const MORE = 64 << 10;

const by_id = (id) => document.getElementById(id);
const narrow = matchMedia("(max-width: 1099px)");

let shown = null;    // {collection, id, path, begin, end, total, marks}
let pending = null;  // AbortController of the request under way
let opener = null;   // gets the focus back

const is_code = (path) => /\.(py|c|cc|cpp|h|hpp|js|ts|rs|go|java|sh|json|yaml|yml|toml|csv|log|sql|css)$/i.test(path);

// {collection, document, title, path, place, marks: [{begin, end, kind: "quote"|"passage"|"word"}], quote}: marks are bytes,
// sorted and apart; the quote, if any, is what must stand at them.
export async function open_document(target) {
  if (!is_open()) opener = document.activeElement;
  show_frame(target);
  const first = target.marks.length > 0 ? target.marks[0].begin : 0;
  const last = target.marks.length > 0 ? target.marks[target.marks.length - 1].end : 0;
  shown = { ...target, begin: 0, end: 0, total: 0 };
  by_id("reader-text").replaceChildren(make("p", { class: "small opening" }, t("opening")));
  const piece = await fetch_piece(Math.max(0, first - BEFORE), last + AFTER);
  if (!piece) return;
  Object.assign(shown, { begin: piece.begin, end: piece.end, total: piece.text_bytes });
  if (target.quote && !stands_there(piece, target)) {
    shown.marks = [];
    show_problem(t("changed"));
  }
  by_id("reader-text").replaceChildren(render(piece));
  after_change();
  const mark = by_id("reader-text").querySelector("mark, .passage");
  if (mark) mark.scrollIntoView({ block: "start" });
  else by_id("reader-scroll").scrollTop = 0;
}

export function is_open() {
  return !by_id("reader").hidden;
}

export function close_reader() {
  if (!is_open()) return;
  pending?.abort();
  by_id("reader").hidden = true;
  document.body.classList.remove("reading");
  by_id("app").inert = false;
  if (opener?.isConnected) opener.focus();
  opener = null;
  shown = null;
}

export function retitle() {
  if (shown) after_change();
}

export function start_reader() {
  by_id("reader-close").addEventListener("click", close_reader);
  by_id("reader-earlier").addEventListener("click", earlier);
  by_id("reader-later").addEventListener("click", later);
  narrow.addEventListener("change", () => { by_id("app").inert = is_open() && narrow.matches; });
}

function show_frame({ title, path, place }) {
  by_id("reader").hidden = false;
  document.body.classList.add("reading");
  by_id("reader-title").textContent = title || path;
  by_id("reader-place").textContent = [path, place].filter(Boolean).join(" · ");
  by_id("reader-problem").hidden = true;
  by_id("reader-earlier").hidden = true;
  by_id("reader-later").hidden = true;
  by_id("reader-title").focus({ preventScroll: true });
  by_id("app").inert = narrow.matches;
}

async function fetch_piece(begin, end) {
  pending?.abort();
  pending = new AbortController();
  const { collection, document: id } = shown;
  const path = `/lectern/collections/${encodeURIComponent(collection)}/documents/${encodeURIComponent(id)}?begin=${begin}&end=${end}`;
  try {
    return await request("GET", path, { signal: pending.signal });
  } catch (error) {
    if (error.name === "AbortError") return null;
    by_id("reader-text").querySelector(".opening")?.remove();
    show_problem(say(error));
    return null;
  }
}

function stands_there(piece, { quote, marks }) {
  const utf8 = new Utf8Text(piece.text, piece.begin);
  return piece.text.slice(utf8.index(marks[0].begin), utf8.index(marks[0].end)) === quote;
}

function show_problem(text) {
  by_id("reader-problem").textContent = text;
  by_id("reader-problem").hidden = false;
}

async function earlier() {
  const piece = await fetch_piece(Math.max(0, shown.begin - MORE), shown.begin);
  if (!piece) return;
  const scroll = by_id("reader-scroll");
  const below = scroll.scrollHeight - scroll.scrollTop;
  shown.begin = piece.begin;
  by_id("reader-text").prepend(render(piece));
  after_change();
  scroll.scrollTop = scroll.scrollHeight - below;
}

async function later() {
  const piece = await fetch_piece(shown.end, shown.end + MORE);
  if (!piece) return;
  shown.end = piece.end;
  by_id("reader-text").append(render(piece));
  after_change();
}

function after_change() {
  const { begin, end, total, path, place } = shown;
  by_id("reader-earlier").hidden = begin === 0;
  by_id("reader-later").hidden = end >= total;
  const part = total === 0 || (begin === 0 && end >= total) ? "" : t("reader_range", number(Math.max(1, Math.floor((100 * (end - begin)) / total))));
  by_id("reader-place").textContent = [path, place, part].filter(Boolean).join(" · ");
  by_id("reader-text").classList.toggle("code", is_code(path));
}

function kind_of_line(line) {
  if (/^#{1,6}\s/.test(line)) return "heading";
  if (/^\s*\|/.test(line)) return "table";
  return "";
}

// The piece's text unchanged, its lines dressed by what they look like, and the marks in it.
function render(piece) {
  const utf8 = new Utf8Text(piece.text, piece.begin);
  const inside = shown.marks.filter((mark) => mark.begin < piece.end && mark.end > piece.begin);
  const ranges = inside.map((mark) => [utf8.index(mark.begin), utf8.index(mark.end)]);
  const wrap = (text, n) => make(inside[n].kind === "passage" ? "span" : "mark", { class: inside[n].kind }, text);
  const root = make("span", { class: "piece" });
  const code = is_code(shown.path);
  for (let at = 0; at < piece.text.length;) {
    const newline = piece.text.indexOf("\n", at);
    const end = newline < 0 ? piece.text.length : newline + 1;
    const kind = code ? "" : kind_of_line(piece.text.slice(at, Math.min(end, at + 80)));
    const near = ranges_between(ranges, at, end);
    const line = kind ? root.appendChild(make("span", { class: kind })) : root;
    append_ranges(line, piece.text, [at, end], near.ranges, (text, n) => wrap(text, n + near.first), kind === "heading" ? dim_hashes : undefined);
    at = end;
  }
  return root;
}

function dim_hashes(text) {
  const hashes = /^#+/.exec(text);
  if (!hashes) return text;
  const fragment = document.createDocumentFragment();
  fragment.append(make("span", { class: "hashes" }, hashes[0]), text.slice(hashes[0].length));
  return fragment;
}

function ranges_between(ranges, from, to) {
  let first = ranges.findIndex((range) => range[1] > from);
  if (first < 0) first = ranges.length;
  let last = first;
  while (last < ranges.length && ranges[last][0] < to) ++last;
  return { first, ranges: ranges.slice(first, last) };
}

// The marks of a search hit: its words, and what lies between them within the passage.
export function marks_of_hit(hit) {
  const marks = [];
  let at = hit.begin;
  const words = hit.highlights.map(([begin, end]) => [hit.begin + begin, hit.begin + end]).sort((a, b) => a[0] - b[0]);
  for (const [begin, end] of words) {
    if (begin < at) continue;
    if (at < begin) marks.push({ begin: at, end: begin, kind: "passage" });
    marks.push({ begin, end, kind: "word" });
    at = end;
  }
  if (at < hit.end) marks.push({ begin: at, end: hit.end, kind: "passage" });
  return marks;
}
