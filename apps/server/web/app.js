// The page: wires its parts together, and holds what belongs to the whole of it: mode, theme, language, keys, drawer.
import { take_key } from "./api.js";
import { ask_in, ask_question, is_asking, retranslate_ask, start_ask, stop } from "./ask.js";
import { refresh, retranslate_library, start_library } from "./library.js";
import { close_reader, is_open, retitle, start_reader } from "./reader.js";
import { retranslate_search, search_again, search_in, start_search } from "./search.js";
import { recall, remember } from "./store.js";
import { say, switch_language, t, translate } from "./strings.js";

const by_id = (id) => document.getElementById(id);
const MODES = ["search", "ask"];
const dark = matchMedia("(prefers-color-scheme: dark)");
const small = matchMedia("(max-width: 799px)");

let problem = null;

function set_mode(mode, focus = true) {
  for (const one of MODES) {
    const on = one === mode;
    by_id(`tab-${one}`).setAttribute("aria-selected", String(on));
    by_id(`tab-${one}`).tabIndex = on ? 0 : -1;
    by_id(`panel-${one}`).hidden = !on;
  }
  if (focus) field().focus();
}

function field() {
  return by_id(by_id("panel-ask").hidden ? "query" : "question");
}

function set_theme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
}

function show_problem(error) {
  problem = error;
  by_id("problem").hidden = !error;
  by_id("problem").textContent = error ? say(error) : "";
}

function set_drawer(open) {
  by_id("side").classList.toggle("open", open);
  by_id("menu").setAttribute("aria-expanded", String(open));
  by_id("side").inert = small.matches && !open;
}

function on_key(event) {
  if (event.defaultPrevented) return;
  const typing = event.target.matches("input, textarea, select");
  if (event.key === "Escape" && !event.isComposing) {
    if (is_open()) close_reader();
    else if (by_id("side").classList.contains("open")) {
      set_drawer(false);
      by_id("menu").focus();
    } else if (is_asking()) stop();
    else return;
    event.preventDefault();
  } else if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    if (is_open() && by_id("app").inert) close_reader();
    field().focus();
    field().select();
  }
}

function start_bar() {
  for (const mode of MODES) {
    by_id(`tab-${mode}`).addEventListener("click", () => set_mode(mode));
    by_id(`tab-${mode}`).addEventListener("keydown", (event) => {
      if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
      const other = MODES[1 - MODES.indexOf(mode)];
      set_mode(other, false);
      by_id(`tab-${other}`).focus();
    });
  }
  by_id("theme").addEventListener("click", () => {
    const now = document.documentElement.dataset.theme || (dark.matches ? "dark" : "light");
    const next = now === "dark" ? "light" : "dark";
    remember("theme", next);
    set_theme(next);
  });
  by_id("language").addEventListener("click", () => {
    switch_language();
    translate_all();
  });
  by_id("menu").addEventListener("click", () => set_drawer(!by_id("side").classList.contains("open")));
  by_id("side").addEventListener("click", (event) => {
    if (event.target.closest(".row") && small.matches) set_drawer(false);
  });
  by_id("main").addEventListener("click", () => set_drawer(false));
  small.addEventListener("change", () => set_drawer(false));
  document.addEventListener("keydown", on_key);
}

function translate_all() {
  translate();
  by_id("language").textContent = t("other_language_short");
  by_id("language").lang = t("other_language_short") === "EN" ? "en" : "zh-CN";
  retranslate_library();
  retranslate_search();
  retranslate_ask();
  retitle();
  show_problem(problem);
}

take_key();
set_theme(recall("theme"));
start_bar();
start_reader();
start_search((question) => {
  set_mode("ask");
  ask_question(question);
});
start_ask();
set_drawer(false);
translate_all();
start_library({
  chosen: (id) => {
    close_reader();
    search_in(id);
    ask_in(id);
  },
  changed: search_again,
  problem: show_problem,
});
addEventListener("hashchange", () => {
  if (take_key()) refresh();
});
if (!small.matches) field().focus();
