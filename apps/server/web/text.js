// Text from the server into the page, always as text nodes. The server counts in bytes of UTF-8, JavaScript in UTF-16
// units: Utf8Text translates.

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });  // a BOM counts as bytes like any other

export class Utf8Text {
  constructor(text, first_byte = 0) {
    this.text = text;
    this.bytes = encoder.encode(text);
    this.first = first_byte;  // the byte of the document at which the text begins
  }

  // Index in the string of a byte of the document; what lies outside is moved to the nearer end.
  index(byte) {
    const at = Math.min(Math.max(byte - this.first, 0), this.bytes.length);
    return decoder.decode(this.bytes.subarray(0, at)).length;
  }

  // [begin, end] in bytes, in order or not, to sorted ranges of string indices that do not overlap.
  ranges(byte_ranges) {
    const sorted = byte_ranges
      .map(([begin, end]) => [this.index(begin), this.index(end)])
      .filter(([begin, end]) => begin < end)
      .sort((a, b) => a[0] - b[0]);
    const apart = [];
    for (const [begin, end] of sorted) {
      const last = apart[apart.length - 1];
      if (last && begin <= last[1]) last[1] = Math.max(last[1], end);
      else apart.push([begin, end]);
    }
    return apart;
  }
}

// make("p", {class: "x", onclick: f}, "text", node, ...)
export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

// Appends text[from, to) to the node; what lies in ranges goes through wrap(text, n), the rest through plain(text).
export function append_ranges(node, text, [from, to], ranges, wrap, plain = (piece) => piece) {
  let at = from;
  ranges.forEach(([begin, end], n) => {
    const first = Math.max(begin, at);
    const last = Math.min(end, to);
    if (first >= last) return;
    if (at < first) node.append(plain(text.slice(at, first)));
    node.append(wrap(text.slice(first, last), n));
    at = last;
  });
  if (at < to) node.append(plain(text.slice(at, to)));
}

// Where a passage stands: "p. 3", "lines 4–9".
export function place_of({ page, line_first, line_last }, t) {
  if (page !== null && page !== undefined) {
    const [first, last] = Array.isArray(page) ? page : [page, page];
    return first === last ? t("page", first) : t("pages", first, last);
  }
  if (!line_first) return "";
  return line_first === line_last ? t("line", line_first) : t("lines", line_first, line_last);
}

export function heading_of(heading) {
  return Array.isArray(heading) ? heading.join(" › ") : (heading || "").replaceAll(" > ", " › ");
}
