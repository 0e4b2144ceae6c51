/** What a visitor wants done: one of the tasks, how strongly, in which format; remembered by the browser. */

const KEY = "isthmus-restore";

const TASKS = {
  improve: ["Improve", "finds by itself what a picture needs"],
  denoise: ["Denoise", "noise of cameras, film and files"],
  repair: ["Repair JPEG", "blocks and smeared colors"],
  enlarge: ["Enlarge", "twice to four times"],
  colorize: ["Colorize", "gray pictures; set colors where you know them"],
};

const OWN = {
  denoise: "Denoise", noisy: "Denoise", repair: "Repair", upscale: "Enlarge", colorize: "Colorize", inpaint: "Complete",
  pairs: "Restore", reconstruct: "Encode and decode", describe: "Encode and decode",
};

const remembered = () => { try { return JSON.parse(localStorage.getItem(KEY)) ?? {}; } catch { return {}; } };

export class Settings {
  /** @param {() => void} changed called when anything is chosen. */
  constructor(changed) {
    Object.assign(this, { changed, models: [], form: document.getElementById("settings") });
    this.fields = this.form.elements;
    const kept = remembered();
    for (const name of ["factor", "strength", "self_ensemble", "format", "quality"]) {
      const field = this.fields[name];
      if (kept[name] === undefined) continue;
      if (field.type === "checkbox") field.checked = kept[name];
      else field.value = kept[name];
    }
    this.wanted = kept.task;
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("input", () => this.update());
    this.update();
  }

  /** Offer what some models can do. */
  offer(models) {
    this.models = models.filter((one) => one.own || one.name !== "digits");
    const has = (name) => this.models.some((one) => one.name === name && !one.own);
    const known = Object.keys(TASKS).filter((task) => has(task) || (task === "enlarge" && has("upscale-x2")));
    const own = this.models.filter((one) => one.own).map((one) => [one.name, one.name, OWN[one.task] ?? one.task]);
    const list = document.getElementById("tasks");
    list.replaceChildren(...[...known.map((task) => [task, ...TASKS[task]]), ...own].map((entry) => choice(...entry)));
    if (!this.models.some((one) => one.takes_mask)) {
      const note = choice("", "Complete", "needs a model of yours that has learned it");
      note.querySelector("input").disabled = true;
      list.append(note);
    }
    this.choose(this.wanted);
  }

  /** Choose a task, or the first one where there is none of the name. */
  choose(task) {
    const inputs = [...this.form.querySelectorAll("[name=task]:not(:disabled)")];
    const chosen = inputs.find((input) => input.value === task) ?? inputs[0];
    if (chosen) chosen.checked = true;
    this.update();
  }

  update() {
    const { fields } = this;
    if (this.task) {
      this.wanted = this.task;
      const kept = { task: this.task, factor: fields.factor.value, strength: fields.strength.value };
      const rest = { self_ensemble: fields.self_ensemble.checked, format: fields.format.value, quality: fields.quality.value };
      try { localStorage.setItem(KEY, JSON.stringify({ ...kept, ...rest })); } catch { /* the browser keeps nothing */ }
    }
    document.getElementById("factor-field").hidden = this.task !== "enlarge";
    document.getElementById("ensemble-field").hidden = this.task === "improve" || this.model?.any_size === false;
    document.getElementById("quality-field").hidden = !["jpg", "webp", "avif", "jxl", "heic"].includes(fields.format.value);
    document.getElementById("strength-value").textContent = `${fields.strength.value} %`;
    document.getElementById("quality-value").textContent = fields.quality.value;
    for (const kind of ["mask", "hints"]) document.getElementById(`${kind}-tools`).hidden = this.draws !== kind;
    this.changed();
  }

  get task() { return this.form.querySelector("[name=task]:checked")?.value ?? ""; }

  /** The name of the model. */
  get name() { return this.task === "enlarge" ? `upscale-x${this.fields.factor.value}` : this.task; }

  get model() { return this.models.find((one) => one.name === this.name); }

  /** What is drawn on pictures: "mask", "hints" or "". */
  get draws() { return this.model?.takes_mask ? "mask" : this.model?.takes_hints ? "hints" : ""; }

  get strength() { return this.fields.strength.value / 100; }

  /** Whether another strength needs no computing: the result is as large as the picture. */
  get blends() { return !(this.model?.scale > 1); }

  /** What a result is made with. */
  get options() {
    return { model: this.name, self_ensemble: this.fields.self_ensemble.checked, strength: this.blends ? 1 : this.strength };
  }

  /** How a result is written. */
  get writing() {
    const hasQuality = !document.getElementById("quality-field").hidden;
    return { format: this.fields.format.value, quality: hasQuality ? Number(this.fields.quality.value) : 0 };
  }
}

function choice(value, title, about) {
  const label = document.createElement("label"), input = document.createElement("input"), text = document.createElement("span");
  const note = document.createElement("small");
  Object.assign(input, { type: "radio", name: "task", value });
  text.textContent = title; // a model's name is never HTML
  note.textContent = about;
  text.append(note);
  label.append(input, text);
  return label;
}
