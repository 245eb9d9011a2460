// What the page says, in English and Chinese. {0}, {1} are filled in.
import { recall, remember } from "./store.js";

const STRINGS = {
  en: {
    other_language: "中文界面", other_language_short: "中文",
    skip: "Skip to the content", library: "Collections and documents", modes: "Search or ask", theme: "Dark or light",
    search: "Search", ask: "Ask", stop: "Stop", close: "Close", new_chat: "New",
    collections: "Collections", documents: "Documents", look_again: "Look for changes", index_progress: "Indexing",
    n_document: "{0} documents", one_document: "1 document", no_collections: "No folder is served yet: lectern serve FOLDER",
    no_documents: "No documents yet.", more_documents: "and {0} more; search finds them",
    index_running: "Indexing: {0} of {1}", index_starting: "Indexing …", index_unchanged: "Nothing has changed.",
    index_done: "Up to date: {0} new, {1} changed, {2} removed.", index_cancelled: "Stopped; what was read is kept.",
    index_failed: "Indexing failed: {0}", more_warnings: "and {0} more",
    search_label: "Words to find", search_placeholder: "Search as you type", hits: "Passages found",
    n_hit: "{0} passages", one_hit: "1 passage", no_hits: "Nothing found for “{0}”.", ask_this: "Ask this as a question",
    hello_search: "Find the passage.",
    hello_search_more: "Begin to type. Every word of your documents is searched, in any language, and nothing leaves this machine.",
    hello_ask: "Ask your documents.",
    hello_ask_more: "The answer names its sources. Choose a number such as [1] to read the very words in their document.",
    ask_label: "Your question", ask_placeholder: "Ask a question", follow_placeholder: "Ask a follow-up",
    key_focus: "type", key_move: "choose", key_open: "open", key_close: "close",
    page: "p. {0}", pages: "pp. {0}–{1}", line: "line {0}", lines: "lines {0}–{1}",
    earlier: "Earlier text", later: "Later text", reader_range: "{0} % of the document is shown", opening: "Opening …", changed: "The document has changed: the quote no longer stands in it.",
    you_asked: "You asked", answer: "Answer", working: "Reading …", n_step: "{0} steps, {1} s", one_step: "1 step, {1} s",
    not_found: "This is not in these documents.",
    not_found_more: "None of the passages that were read answers it. Other words may help, or another collection.",
    cut_limit: "The answer reached its limit of tokens and was cut.", cut_loop: "The answer began to repeat itself and was ended: it may be incomplete.",
    unsupported: "not supported", unsupported_more: "No passage supports the underlined sentences: check them before you rely on them.",
    sources: "Sources", cite: "Source {0}: {1}", level: "level {0}", stopped: "Stopped.", n_call: "{0} model calls", one_call: "1 model call",
    unreachable: "The server does not answer. Is it still running?",
    wants_key: "This server wants a key: open the address that ends in #key=…",
    busy: "The server is busy. Please try again in a moment.",
    cut: "The answer broke off: the server closed the connection.",
    step_route: "How to read", step_search: "Search", step_keywords: "Keywords", step_context: "Passages chosen",
    step_closest_sentence: "Closest sentence", step_two_replies: "The better of two", step_read: "Read", step_answer: "Answer", step_citations: "Quotes verified",
    step_sufficiency: "Is that enough?", step_history: "The conversation", step_hop: "Next fact", step_self_ask: "Simpler questions",
    step_sentences: "Sentences checked", step_reduce: "Put together", step_list: "List", step_fallback: "Another way",
    step_refused: "Not answered", step_split: "Parts of the question", step_rewrite: "The question in full",
  },
  zh: {
    other_language: "English interface", other_language_short: "EN",
    skip: "跳到正文", library: "文库与文档", modes: "搜索或提问", theme: "深色或浅色",
    search: "搜索", ask: "提问", stop: "停止", close: "关闭", new_chat: "新对话",
    collections: "文库", documents: "文档", look_again: "检查更新", index_progress: "建立索引",
    n_document: "{0} 篇文档", one_document: "1 篇文档", no_collections: "还没有文件夹：lectern serve 文件夹",
    no_documents: "还没有文档。", more_documents: "另有 {0} 篇，可搜索",
    index_running: "正在建立索引：{0} / {1}", index_starting: "正在建立索引……", index_unchanged: "没有变化。",
    index_done: "已更新：新增 {0}，修改 {1}，删除 {2}。", index_cancelled: "已停止；已读的内容会保留。",
    index_failed: "索引失败：{0}", more_warnings: "另有 {0} 条",
    search_label: "搜索词", search_placeholder: "边输入边搜索", hits: "找到的段落",
    n_hit: "{0} 个段落", one_hit: "1 个段落", no_hits: "没有找到“{0}”。", ask_this: "以此提问",
    hello_search: "找到那一段。",
    hello_search_more: "直接输入即可。文档中的每个词都能搜索，不限语言，一切都留在本机。",
    hello_ask: "向你的文档提问。",
    hello_ask_more: "回答会注明出处。点击 [1] 这样的编号，即可在原文中看到所引的原句。",
    ask_label: "你的问题", ask_placeholder: "输入问题", follow_placeholder: "继续追问",
    key_focus: "输入", key_move: "选择", key_open: "打开", key_close: "关闭",
    page: "第 {0} 页", pages: "第 {0}–{1} 页", line: "第 {0} 行", lines: "第 {0}–{1} 行",
    earlier: "上文", later: "下文", reader_range: "已显示全文的 {0} %", opening: "正在打开……", changed: "文档已有改动，所引的原句不在其中了。",
    you_asked: "你的提问", answer: "回答", working: "正在阅读……", n_step: "{0} 步，{1} 秒", one_step: "1 步，{1} 秒",
    not_found: "这些文档里没有答案。",
    not_found_more: "读过的段落都没有回答这个问题。可以换个说法，或换一个文库。",
    cut_limit: "回答达到长度上限，已被截断。", cut_loop: "回答开始重复，已被中止，可能不完整。",
    unsupported: "无依据", unsupported_more: "带下划线的句子没有段落支持，采信前请先核对。",
    sources: "出处", cite: "出处 {0}：{1}", level: "级别 {0}", stopped: "已停止。", n_call: "模型调用 {0} 次", one_call: "模型调用 1 次",
    unreachable: "服务器没有应答，它还在运行吗？",
    wants_key: "此服务器需要密钥：请打开以 #key=… 结尾的地址",
    busy: "服务器繁忙，请稍后再试。",
    cut: "回答中断：服务器关闭了连接。",
    step_route: "阅读方式", step_search: "搜索", step_keywords: "关键词", step_context: "选定段落",
    step_closest_sentence: "最接近的句子", step_two_replies: "两个回答选一", step_read: "阅读", step_answer: "回答", step_citations: "核对引文",
    step_sufficiency: "是否足够", step_history: "对话", step_hop: "下一事实", step_self_ask: "拆成小问题",
    step_sentences: "核对句子", step_reduce: "汇总", step_list: "列表", step_fallback: "换一种方式",
    step_refused: "未作答", step_split: "问题的各部分", step_rewrite: "完整的问题",
  },
};

let language = recall("language") || ((navigator.language || "en").toLowerCase().startsWith("zh") ? "zh" : "en");
if (!STRINGS[language]) language = "en";

export function t(name, ...values) {
  const text = STRINGS[language][name] ?? STRINGS.en[name] ?? name;
  return text.replace(/\{(\d)\}/g, (_, n) => String(values[Number(n)] ?? ""));
}

export function count(name, n, ...more) {
  return n === 1 ? t(`one_${name}`, n, ...more) : t(`n_${name}`, n, ...more);
}

export function number(n) {
  return n.toLocaleString(language);
}

export function step_name(kind) {
  return STRINGS.en[`step_${kind}`] ? t(`step_${kind}`) : kind.replaceAll("_", " ");
}

// Puts the texts into all that carries data-text, data-label or data-placeholder.
export function translate(root = document) {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const node of root.querySelectorAll("[data-text]")) node.textContent = t(node.dataset.text);
  for (const node of root.querySelectorAll("[data-label]")) {
    node.setAttribute("aria-label", t(node.dataset.label));
    if (node.tagName === "BUTTON") node.title = t(node.dataset.label);
  }
  for (const node of root.querySelectorAll("[data-placeholder]")) node.placeholder = t(node.dataset.placeholder);
}

export function switch_language() {
  language = language === "zh" ? "en" : "zh";
  remember("language", language);
  translate();
}

// An error in one line.
export function say(error) {
  if (error.status === 401) return t("wants_key");
  if (error.status === 429 || error.status === 503) return t("busy");
  if (error.status === 0 && !error.message) return t("unreachable");
  return error.message || String(error);
}
