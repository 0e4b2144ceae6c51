/** The room where pictures are restored: a queue, and a view of one picture before and after. */

import { postForm } from "./api.js";
import { chosen, dropped, save, zipped } from "./files.js";
import { Comparison, pixelsOf, psnr } from "./comparison.js";

const DOES = {
  denoise: "Take noise out", noisy: "Take noise out", repair: "Repair JPEG", colorize: "Color", inpaint: "Complete",
  pairs: "Do what it has learned from pairs", reconstruct: "Encode and decode", describe: "Encode and decode",
};

const FIRST = ["denoise", "noisy", "repair", "upscale"]; // what most pictures need, before what invents

function rank(model) {
  return FIRST.includes(model.task) ? FIRST.indexOf(model.task) : FIRST.length;
}

export function openRestore() {
  const $ = (id) => document.getElementById(id);
  const comparison = new Comparison($("view"), $("divider"));
  let items = [], shown = null, models = [], stop = null;

  const say = (text, warn = false) => {
    $("restore-status").textContent = text;
    $("restore-status").classList.toggle("warn", warn);
  };

  function offer(list) {
    list = [...list].sort((one, other) => rank(one) - rank(other));
    models = list;
    const before = $("model").value;
    $("model").replaceChildren(...list.map((model) => {
      const does = model.scale > 1 ? `Enlarge × ${model.scale}` : DOES[model.task] ?? model.task;
      return new Option(`${does} (${model.name})`, model.name);
    }));
    if (list.some((model) => model.name === before)) $("model").value = before;
    choose();
  }

  const model = () => models.find((one) => one.name === $("model").value);

  function choose() {
    $("mask-field").hidden = !model()?.takes_mask;
    for (const item of items) if (item.state !== "failed") item.state = "waiting";
    list();
  }

  function add(files) {
    if (!files.length) return say("There was no picture among them.", true);
    items.push(...files.map(({ file, path }) => ({ file, path, state: "waiting", note: size(file.size) })));
    say(`${items.length} ${items.length === 1 ? "picture" : "pictures"}`);
    list();
  }

  function list() {
    const busy = stop !== null;
    $("run").disabled = busy || !items.length || !models.length;
    $("clear").disabled = busy || !items.length;
    $("cancel").hidden = !busy;
    $("download-all").disabled = busy || !items.some((item) => item.result);
    $("queue").replaceChildren(...items.map((item) => {
      const entry = document.createElement("li"), button = document.createElement("button"), note = document.createElement("small");
      button.type = "button";
      button.textContent = item.path; // never as HTML
      note.textContent = { waiting: item.note, working: "working …", done: `done in ${item.seconds} s`, failed: item.note }[item.state];
      button.append(note);
      entry.classList.toggle("failed", item.state === "failed");
      if (item === shown) button.setAttribute("aria-current", "true");
      button.addEventListener("click", () => show(item));
      entry.append(button);
      return entry;
    }));
  }

  async function run() {
    const signal = (stop = new AbortController()).signal;
    const todo = items.filter((item) => item.state !== "done" || item.made !== settings());
    $("progress").hidden = false;
    let done = 0, failed = 0;
    for (const item of todo) {
      item.state = "working";
      $("progress").value = done / todo.length;
      say(`${done + 1} of ${todo.length}`);
      list();
      try {
        await restoreOne(item, signal);
        if (!shown || shown === item || done === 0) await show(item);
      } catch (error) {
        if (error.name === "AbortError") { item.state = "waiting"; break; }
        Object.assign(item, { state: "failed", note: error.message, result: null });
        failed++;
      }
      done++;
    }
    stop = null;
    $("progress").hidden = true;
    say(signal.aborted ? "Stopped." : failed ? `${done - failed} restored, ${failed} failed` : `${done} restored`, failed > 0);
    list();
  }

  const settings = () => [$("model").value, $("strength").value, $("self_ensemble").checked, $("mask").files[0]?.name].join(" ");

  async function restoreOne(item, signal) {
    const answer = await postForm("restore", {
      image: item.file, model: $("model").value, strength: $("strength").value / 100, self_ensemble: $("self_ensemble").checked,
      mask: model().takes_mask ? $("mask").files[0] : null,
    }, signal);
    const blob = await answer.blob();
    item.result = new File([blob], item.file.name, { type: blob.type });
    item.seconds = Number(answer.headers.get("X-Isthmus-Seconds")).toFixed(1);
    item.made = settings();
    item.state = "done";
  }

  async function show(item) {
    shown = item;
    list();
    $("viewer").hidden = false;
    try {
      const before = await pixelsOf(item.file, preview);
      const after = item.result ? await pixelsOf(item.result, preview) : before;
      if (shown !== item) return;
      comparison.set(before, after);
      numbers(item, before, after);
    } catch (error) {
      $("viewer").hidden = true;
      say(error.message, true);
    }
  }

  function numbers(item, before, after) {
    const entries = { before: `${before.width} × ${before.height}, ${size(item.file.size)}` };
    if (item.result) {
      entries.after = `${after.width} × ${after.height}, ${size(item.result.size)}`;
      entries.time = `${item.seconds} s`;
      const kept = psnr(before, after);
      if (kept !== null) entries["after, to before"] = decibels(kept);
    }
    if (item.truth) {
      entries["before, to the clean copy"] = decibels(psnr(before, item.truth));
      if (item.result) entries["after, to the clean copy"] = decibels(psnr(after, item.truth));
    }
    $("numbers").replaceChildren(...Object.entries(entries).map(([name, value]) => {
      const box = document.createElement("div"), term = document.createElement("dt"), text = document.createElement("dd");
      term.textContent = name;
      text.textContent = value;
      box.append(term, text);
      return box;
    }));
    const link = $("download-one");
    URL.revokeObjectURL(link.href);
    link.hidden = !item.result;
    if (item.result) Object.assign(link, { href: URL.createObjectURL(item.result), download: item.result.name });
  }

  $("model").addEventListener("change", choose);
  $("strength").addEventListener("input", () => { $("strength-value").textContent = `${$("strength").value} %`; });
  $("restore-form").addEventListener("submit", (event) => event.preventDefault());
  for (const id of ["files", "folder"]) $(id).addEventListener("change", () => add(chosen($(id))));
  $("run").addEventListener("click", run);
  $("cancel").addEventListener("click", () => stop?.abort());
  $("clear").addEventListener("click", () => { items = []; shown = null; $("viewer").hidden = true; say(""); list(); });
  $("download-all").addEventListener("click", async () => {
    const ready = items.filter((item) => item.result);
    if (ready.length === 1) return save(ready[0].result, ready[0].result.name);
    save(await zipped(ready.map(({ path, result }) => ({ path, blob: result }))), "restored.zip");
  });
  $("truth").addEventListener("change", async () => {
    const [found] = chosen($("truth"));
    if (!found || !shown) return;
    try { shown.truth = await pixelsOf(found.file, preview); } catch (error) { return say(error.message, true); }
    show(shown);
  });
  const drop = $("drop");
  for (const name of ["dragenter", "dragover"]) {
    drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
  }
  for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("over"));
  drop.addEventListener("drop", async (event) => { event.preventDefault(); add(await dropped(event.dataTransfer)); });
  for (const button of document.querySelectorAll("[data-mode]")) {
    button.addEventListener("click", () => {
      for (const other of document.querySelectorAll("[data-mode]")) other.setAttribute("aria-pressed", other === button);
      comparison.mode = button.dataset.mode;
      for (const tag of document.querySelectorAll(".tag")) tag.hidden = button.dataset.mode !== "compare";
      comparison.draw();
    });
  }
  for (const button of document.querySelectorAll("[data-zoom]")) button.addEventListener("click", () => comparison.zoom(button.dataset.zoom));
  list();
  return { offer };
}

const preview = async (image) => (await postForm("preview", { image })).blob();

const size = (bytes) => (bytes < 1e6 ? `${(bytes / 1e3).toFixed(0)} kB` : `${(bytes / 1e6).toFixed(1)} MB`);

const decibels = (value) => (value === null ? "of another size" : value === Infinity ? "equal" : `${value.toFixed(2)} dB`);
