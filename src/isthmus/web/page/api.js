/** The server's functions. Every failure is an Error whose message is the server's own sentence. */

let limits = null; // what the server takes, once it was asked

const WAITS = 20; // times to ask again of a server that has too much work

export async function ask(path, options = {}) {
  for (let wait = 0; ; wait++) {
    let answer;
    options.signal?.throwIfAborted();
    try {
      answer = await fetch(`/api/${path}`, options);
    } catch (error) {
      throw error.name === "AbortError" ? error : new Error("The server does not answer: is isthmus serve still running?");
    }
    if (answer.ok) return answer;
    if (answer.status === 503 && wait < WAITS) {
      await new Promise((resolve) => setTimeout(resolve, 1000 * Number(answer.headers.get("Retry-After") ?? 2)));
      continue;
    }
    const told = await answer.json().catch(() => ({}));
    throw Object.assign(new Error(told.detail ?? `The server answers ${answer.status}.`), { status: answer.status });
  }
}

export const getJson = async (path) => (await ask(path)).json();

export const getBlob = async (path, signal) => (await ask(path, { signal })).blob();

export const postJson = (path, content = {}) =>
  ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(content) });

/** Send a form: fields, whose values may be files; a list is sent as many fields of one name. */
export async function postForm(path, fields, signal) {
  const form = new FormData(), size = Object.values(fields).flat().reduce((sum, one) => sum + (one?.size ?? 0), 0);
  limits ??= getJson("health");
  const { largest_request: largest } = await limits;
  if (size + 1e5 > largest) { // the server would refuse it in the midst, and its sentence be lost
    throw new Error(`${(size / 1e6).toFixed(0)} MB are more than the ${(largest / 1e6).toFixed(0)} MB that the server takes at once: start it with a larger --max-upload.`);
  }
  for (const [name, value] of Object.entries(fields)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one instanceof Blob) form.append(name, one, one.name ?? "picture.png");
      else if (one !== undefined && one !== null) form.append(name, String(one));
    }
  }
  return ask(path, { method: "POST", body: form, signal });
}

/** A part of a path that may hold any characters. */
export const part = encodeURIComponent;
