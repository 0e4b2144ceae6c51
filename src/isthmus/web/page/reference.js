/** What the server says of its functions, for people, who can try each of them here. */

const description = await (await fetch("/api/openapi.json")).json();
const box = document.getElementById("functions");

const make = (tag, properties = {}, ...content) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...content);
  return made;
};

/** What a schema says a value is. */
function kind(schema) {
  if (!schema) return "";
  if (schema.$ref) return kind(description.components.schemas[schema.$ref.split("/").pop()]);
  if (schema.anyOf) return schema.anyOf.map(kind).filter((one) => one !== "null").join(" or ");
  if (schema.type === "array") return `list of ${kind(schema.items) || "anything"}`;
  if (schema.contentMediaType || schema.format === "binary") return "file";
  return schema.type ?? "";
}

/** All that a call takes: {name, where: "path", "query", "form" or "JSON", what, needed, about, usual}. */
function inputs(call) {
  const found = (call.parameters ?? []).map((one) => ({
    name: one.name, where: one.in, what: kind(one.schema), needed: one.required, about: one.description, usual: one.schema?.default,
  }));
  const [type, body] = Object.entries(call.requestBody?.content ?? {})[0] ?? [];
  if (!body) return found;
  const schema = description.components.schemas[body.schema.$ref.split("/").pop()];
  const where = type === "application/json" ? "JSON" : "form";
  for (const [name, one] of Object.entries(schema.properties)) {
    const needed = (schema.required ?? []).includes(name);
    found.push({ name, where, what: kind(one), needed, about: one.description, usual: one.default });
  }
  return found;
}

/** Ask the server what a form says, and show what it answers. */
async function attempt(method, path, taken, form, answer) {
  const values = taken.map((one) => [one, form.elements[one.name]]).filter(([, field]) => (field.type === "file" ? field.files.length : field.value !== ""));
  const query = new URLSearchParams(), options = { method: method.toUpperCase() }, body = {}, sent = new FormData();
  let place = path;
  for (const [{ name, where, what }, field] of values) {
    if (where === "path") place = place.replace(`{${name}}`, encodeURIComponent(field.value));
    else if (where === "query") query.set(name, field.value);
    else if (where === "JSON") body[name] = what === "string" ? field.value : JSON.parse(field.value);
    else for (const value of field.files ?? [field.value]) sent.append(name, value);
  }
  const how = taken.find(({ where }) => where === "JSON" || where === "form")?.where;
  if (how === "JSON") Object.assign(options, { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  if (how === "form") options.body = sent;
  const came = await fetch(`${place}${query.size ? `?${query}` : ""}`, options);
  const type = came.headers.get("Content-Type") ?? "", line = make("p", { textContent: `${came.status} ${type}` });
  if (type.startsWith("image/")) {
    const address = URL.createObjectURL(await came.blob());
    answer.replaceChildren(line, make("img", { src: address, alt: "The picture that came back" }), make("a", { href: address, download: "", textContent: "Save it" }));
  } else {
    const text = await came.text();
    answer.replaceChildren(line, make("pre", { tabIndex: 0, textContent: text.length > 4000 ? `${text.slice(0, 4000)} …` : text }));
  }
}

function trial(method, path, taken) {
  const form = make("form", { className: "controls" }), answer = make("output");
  for (const { name, what, usual, needed } of taken) {
    const field = make("input", { name, type: what.includes("file") ? "file" : "text", required: Boolean(needed), multiple: what.startsWith("list of file") });
    if (field.type === "text" && usual !== undefined && usual !== null && usual !== "") field.placeholder = JSON.stringify(usual);
    form.append(make("label", {}, name, field));
  }
  form.append(make("button", { className: "main", textContent: "Try it" }));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    answer.textContent = "…";
    try {
      await attempt(method, path, taken, form, answer);
    } catch (error) {
      answer.textContent = `It cannot be sent: ${error.message}`;
    }
  });
  return make("details", {}, make("summary", { textContent: "Try it" }), form, answer);
}

for (const [path, calls] of Object.entries(description.paths)) {
  for (const [method, call] of Object.entries(calls)) {
    const taken = inputs(call), section = make("section");
    section.append(make("h2", { textContent: `${method.toUpperCase()} ${path}` }), make("p", { textContent: call.description ?? "" }));
    if (taken.length) {
      const table = make("table"), head = table.insertRow();
      for (const name of ["name", "in", "what", "default", "meaning"]) head.append(make("th", { textContent: name }));
      for (const { name, where, what, needed, about, usual } of taken) {
        const row = table.insertRow(), note = needed ? "needed" : usual === undefined || usual === null ? "" : JSON.stringify(usual);
        for (const value of [name, where, what, note, about ?? ""]) row.insertCell().textContent = value;
      }
      section.append(table);
    }
    section.append(trial(method, path, taken));
    box.append(section);
  }
}
