/** What the server says of its functions, for people. */

const description = await (await fetch("/api/openapi.json")).json();
const box = document.getElementById("functions");

/** What a schema says a value is. */
function kind(schema) {
  if (!schema) return "";
  if (schema.$ref) return kind(description.components.schemas[schema.$ref.split("/").pop()]);
  if (schema.anyOf) return schema.anyOf.map(kind).filter((one) => one !== "null").join(" or ");
  if (schema.type === "array") return `list of ${kind(schema.items) || "anything"}`;
  if (schema.contentMediaType || schema.format === "binary") return "file";
  return schema.type ?? "";
}

function inputs(call) {
  const rows = (call.parameters ?? []).map((one) => [one.name, one.in, kind(one.schema), one.required, one.description, one.schema?.default]);
  const [type, body] = Object.entries(call.requestBody?.content ?? {})[0] ?? [];
  if (body) {
    const schema = description.components.schemas[body.schema.$ref.split("/").pop()];
    const where = type === "application/json" ? "JSON" : "form";
    for (const [name, one] of Object.entries(schema.properties)) {
      rows.push([name, where, kind(one), (schema.required ?? []).includes(name), one.description, one.default]);
    }
  }
  return rows;
}

for (const [path, calls] of Object.entries(description.paths)) {
  for (const [method, call] of Object.entries(calls)) {
    const section = document.createElement("section"), title = document.createElement("h2"), text = document.createElement("p");
    title.textContent = `${method.toUpperCase()} ${path}`;
    text.textContent = call.description ?? "";
    section.append(title, text);
    const rows = inputs(call);
    if (rows.length) {
      const table = document.createElement("table");
      const head = table.insertRow();
      for (const name of ["name", "in", "what", "default", "meaning"]) head.append(Object.assign(document.createElement("th"), { textContent: name }));
      for (const [name, where, what, required, about, usual] of rows) {
        const row = table.insertRow();
        const note = required ? "needed" : usual === undefined || usual === null ? "" : JSON.stringify(usual);
        for (const value of [name, where, what, note, about ?? ""]) row.insertCell().textContent = value;
      }
      section.append(table);
    }
    box.append(section);
  }
}
