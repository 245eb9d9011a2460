// What the browser remembers for the page. A browser may forbid it; then nothing is remembered, and nothing breaks.

function guarded(act) {
  try {
    return act() ?? null;
  } catch {
    return null;
  }
}

export const recall = (name) => guarded(() => localStorage.getItem(`lectern.${name}`));
export const remember = (name, value) => guarded(() => localStorage.setItem(`lectern.${name}`, value));

let key = guarded(() => sessionStorage.getItem("lectern.key"));

export const api_key = () => key;
export function keep_api_key(value) {
  key = value;
  guarded(() => sessionStorage.setItem("lectern.key", value));
}
