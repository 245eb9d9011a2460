// Questions and answers: a thread of turns. A turn streams its steps and its answer; at the end the answer is drawn
// again with its citations and with what no passage supports.
import { events } from "./api.js";
import { append_ranges, heading_of, make, place_of, Utf8Text } from "./text.js";
import { count, number, say, step_name, t } from "./strings.js";
import { open_document } from "./reader.js";

const TURNS_SENT = 8;  // of the conversation, with a follow-up

const by_id = (id) => document.getElementById(id);

let collection = null;
let turns = [];      // {question, answer, ...}: what is on the page
let running = null;  // AbortController of the turn that streams
let n_answers = 0;

export function ask_in(id) {
  if (collection === id) return;
  collection = id;
  clear_thread();
}

export function start_ask() {
  const question = by_id("question");
  question.addEventListener("input", fit_height);
  question.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    submit();
  });
  by_id("ask-form").addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  by_id("stop").addEventListener("click", stop);
  by_id("new-chat").addEventListener("click", () => {
    clear_thread();
    question.focus();
  });
}

export function ask_question(text) {
  by_id("question").value = text;
  fit_height();
  by_id("question").focus();
  submit();
}

export function stop() {
  running?.abort();
}

export function is_asking() {
  return running !== null;
}

export function retranslate_ask() {
  for (const turn of turns) if (turn.ended) draw_end(turn);
  update_form();
}

function fit_height() {
  const box = by_id("question");
  box.rows = 1;
  while (box.scrollHeight > box.clientHeight + 2 && box.rows < 8) ++box.rows;
}

function clear_thread() {
  stop();
  turns = [];
  by_id("thread").replaceChildren();
  update_form();
}

function update_form() {
  by_id("ask-hello").hidden = turns.length > 0;
  by_id("new-chat").hidden = turns.length === 0 || running !== null;
  by_id("send").hidden = running !== null;
  by_id("stop").hidden = running === null;
  by_id("question").placeholder = t(turns.length > 0 ? "follow_placeholder" : "ask_placeholder");
}

function history_of() {
  const said = [];
  for (const turn of turns.slice(-TURNS_SENT)) {
    if (!turn.answer) continue;
    said.push({ role: "user", content: turn.question });
    said.push({ role: "assistant", content: turn.answer.text || t("not_found") });
  }
  return said;
}

function submit() {
  const text = by_id("question").value.trim();
  if (text === "" || running !== null || collection === null) return;
  by_id("question").value = "";
  fit_height();
  ask(text);
}

async function ask(question) {
  const history = history_of();
  const turn = new_turn(question);
  turns.push(turn);
  by_id("thread").append(turn.node);
  const control = new AbortController();
  running = control;
  update_form();
  turn.node.scrollIntoView({ block: "start" });
  try {
    const body = { collection, question, history, stream: true };
    for await (const { event, data } of events("POST", "/lectern/ask", { body, signal: control.signal })) on_event(turn, event, data);
    if (!turn.answer && !turn.error) turn.error = { message: t("cut") };
  } catch (error) {
    if (error.name === "AbortError") turn.stopped = true;
    else turn.error = error;
  }
  if (running === control) running = null;
  turn.ended = true;
  draw_end(turn);
  update_form();
}

function new_turn(question) {
  const id = `answer-${++n_answers}`;
  const turn = { question, text: "", steps: [], answer: null, error: null, stopped: false, ended: false };
  turn.summary = make("summary", {}, t("working"));
  turn.list = make("ol", { class: "plain steps" });
  turn.details = make("details", { class: "work working" }, turn.summary, turn.list);
  turn.bar = make("progress", { "aria-label": t("working"), hidden: true });
  turn.body = make("div", { class: "answer", id, "aria-live": "polite", "aria-busy": "true", "aria-label": t("answer"), role: "region" });
  turn.foot = make("div", { class: "foot" });
  turn.node = make("article", { class: "turn" },
    make("h2", { class: "asked" }, question), turn.details, turn.bar, turn.body, turn.foot);
  return turn;
}

function on_event(turn, event, data) {
  if (event === "step") {
    turn.steps.push(data);
    turn.list.append(step_node(data));
    turn.summary.textContent = `${step_name(data.kind)} …`;
    turn.bar.hidden = true;
  } else if (event === "progress") {
    turn.bar.hidden = data.total === 0;
    turn.bar.max = data.total || 1;
    turn.bar.value = data.done;
  } else if (event === "text") {
    turn.text += data.text;
    turn.bar.hidden = true;
    schedule_draw(turn);
  } else if (event === "answer") {
    turn.answer = data;
  } else if (event === "error") {
    turn.error = data.error;
  }
}

function step_node(step) {
  const seconds = step.seconds >= 0.05 ? ` ${number(Math.round(step.seconds * 10) / 10)} s` : "";
  return make("li", {}, make("b", {}, step_name(step.kind)), " ", step.detail, make("span", { class: "seconds" }, seconds));
}

// At most once a frame: pieces may be single tokens.
function schedule_draw(turn) {
  if (turn.drawing) return;
  turn.drawing = true;
  requestAnimationFrame(() => {
    turn.drawing = false;
    if (turn.ended) return;
    const follow = innerHeight + scrollY > document.documentElement.scrollHeight - 80;
    turn.body.replaceChildren(turn.text);
    if (follow) scrollTo(0, document.documentElement.scrollHeight);
  });
}

function draw_end(turn) {
  const { answer } = turn;
  turn.bar.hidden = true;
  turn.details.classList.remove("working");
  turn.details.hidden = turn.steps.length === 0;
  const seconds = answer ? answer.seconds : turn.steps.reduce((sum, step) => sum + step.seconds, 0);
  turn.summary.textContent = count("step", turn.steps.length, number(Math.round(seconds * 10) / 10));
  turn.list.replaceChildren(...turn.steps.map(step_node));
  turn.foot.replaceChildren();
  if (answer && answer.found) {
    turn.body.replaceChildren(...answer_nodes(answer));
    turn.foot.append(...foot_nodes(answer));
  } else if (answer) {
    turn.body.replaceChildren(make("p", { class: "not-found" }, t("not_found")), make("p", { class: "small" }, t("not_found_more")));
  } else {
    turn.body.replaceChildren(turn.text);
  }
  if (turn.stopped) turn.foot.append(make("p", { class: "small", role: "status" }, t("stopped")));
  if (turn.error) turn.foot.append(make("p", { class: "problem", role: "alert" }, say(turn.error)));
  turn.body.setAttribute("aria-label", t("answer"));
  turn.body.setAttribute("aria-busy", "false");
}

function answer_nodes(answer) {
  const root = make("div", {});
  const utf8 = new Utf8Text(answer.text);
  const plain = (text) => with_citations(text, answer);
  const doubtful = (text) => make("span", { class: "unsupported" }, with_citations(text, answer),
    make("span", { class: "doubt" }, ` ${t("unsupported")}`));
  append_ranges(root, answer.text, [0, answer.text.length], utf8.ranges(answer.unsupported), doubtful, plain);
  return [...root.childNodes];
}

// The text with its [n] as buttons, those that a citation stands behind.
function with_citations(text, answer) {
  const fragment = document.createDocumentFragment();
  let at = 0;
  for (const found of text.matchAll(/\[(\d+)\]/g)) {
    const citation = answer.citations.find((one) => one.number === Number(found[1]));
    if (!citation) continue;
    fragment.append(text.slice(at, found.index), citation_button(citation));
    at = found.index + found[0].length;
  }
  fragment.append(text.slice(at));
  return fragment;
}

function citation_button(citation) {
  const name = t("cite", citation.number, citation.title || citation.path);
  return make("button", { type: "button", class: "cite", "aria-label": name, title: citation.quote, onclick: () => open_citation(citation) },
    String(citation.number));
}

function open_citation(citation) {
  open_document({
    collection, document: citation.document, title: citation.title, path: citation.path, place: place_of(citation, t),
    marks: [{ begin: citation.quote_begin, end: citation.quote_end, kind: "quote" }], quote: citation.quote,
  });
}

function foot_nodes(answer) {
  const nodes = [];
  const cut = { limit: "cut_limit", loop: "cut_loop" }[answer.cut];
  if (cut) nodes.push(make("p", { class: "small doubt-note" }, t(cut)));
  if (answer.unsupported.length > 0) nodes.push(make("p", { class: "small doubt-note" }, t("unsupported_more")));
  if (answer.citations.length > 0) {
    nodes.push(make("h3", {}, t("sources")), make("ol", { class: "plain sources" }, ...answer.citations.map(source_node)));
  }
  const facts = [answer.model, t("level", answer.level), count("call", answer.calls)];
  nodes.push(make("p", { class: "small facts" }, facts.join(" · ")));
  return nodes;
}

function source_node(citation) {
  const where = [citation.path, place_of(citation, t), heading_of(citation.heading)].filter(Boolean).join(" · ");
  return make("li", {},
    make("button", { type: "button", class: "source", onclick: () => open_citation(citation) },
      make("span", { class: "source-number" }, String(citation.number)),
      make("span", { class: "source-text" },
        make("q", {}, citation.quote), make("span", { class: "where small" }, where))));
}
