/** The room where pictures are restored: a strip of pictures, and one of them before and after. */

import { ask, getJson, part, postForm } from "./api.js";
import { Settings } from "./settings.js";
import { save, zipped } from "./picture/files.js";
import { listen } from "./picture/gestures.js";
import { Brush } from "./picture/paint.js";
import { Strip } from "./picture/strip.js";
import { Viewer, pixelsOf, sameSize } from "./picture/viewer.js";
import { closeness, difference, duration, measures, pictures, reported } from "./picture/words.js";

const LOOK_MS = 400; // how often is asked how far a picture is
const SAMPLES = ["noisy-phone.jpg", "small.jpg", "gray.jpg"];

export function openRestore() {
  const $ = (id) => document.getElementById(id);
  const viewer = new Viewer($("view"));
  const brush = new Brush(viewer, drawn);
  let items = [], shown = null, running = false, settings = null;
  const strip = new Strip($("strip"), { show, remove, preview, stale: (item) => item.made !== wanted(item) });
  settings = new Settings(refresh);
  listen(viewer, brush);

  const say = (text, warn = false) => {
    $("restore-status").textContent = text;
    $("restore-status").classList.toggle("warn", warn);
  };

  /** What the result of a picture would be made with now. */
  function wanted(item) {
    return JSON.stringify([settings.options, item.drawings[settings.draws]?.version ?? 0, item.maskFile?.name]);
  }

  function take({ pictures: added, others }) {
    if (others.length) say(`${others[0]}${others.length > 1 ? ` and ${others.length - 1} more` : ""}: not a picture that isthmus reads.`, true);
    if (!added.length) return;
    added = added.map(({ file, path }) => ({ file, path, state: "waiting", share: 0, drawings: {} }));
    items.push(...added);
    if (!others.length) say(pictures(items.length));
    if (!shown) show(added[0]);
    refresh();
  }

  function refresh() {
    if (!settings) return; // it is being made
    const todo = items.filter(isTodo).length, stale = shown?.result && shown.made !== wanted(shown);
    strip.update(items, shown);
    $("start").hidden = items.length > 0;
    $("work").hidden = !items.length;
    $("run").textContent = todo > 1 ? `Restore ${pictures(todo)}` : "Restore";
    $("run").disabled = running || !todo || !settings.name;
    $("cancel").hidden = $("progress").hidden = !running;
    $("cancel-one").hidden = !running || shown?.state !== "working";
    $("stale").hidden = !stale;
    for (const id of ["download-one", "view-change"]) $(id).disabled = !shown?.result;
    $("download-all").disabled = !items.some((item) => item.result);
    viewer.strength = settings.blends ? settings.strength : 1;
    if (brush.kind !== (shown ? settings.draws : "") || brush.drawings !== shown?.drawings) brush.use(shown ? settings.draws : "", shown?.drawings);
    if (brush.kind === "mask" && !shown?.result && !brush.chosen) brush.active = true;
    for (const id of ["brush-mask", "brush-hints"]) $(id).setAttribute("aria-pressed", brush.active);
    setMode();
    viewer.draw();
  }

  const isTodo = (item) => item.state === "waiting" || item.state === "failed" || (item.state === "done" && item.made !== wanted(item));

  function setMode() {
    const change = $("view-change").getAttribute("aria-pressed") === "true" && shown?.result;
    viewer.mode = brush.active && brush.kind === "mask" ? "paint" : change ? "change" : "compare";
    for (const tag of document.querySelectorAll(".tag.left, .tag.right")) tag.hidden = viewer.mode !== "compare" || !viewer.after;
  }

  async function run(some) {
    running = true;
    const began = performance.now(), todo = [...some];
    let done = 0, failed = 0, stopped = false;
    $("cancel").onclick = () => { stopped = true; for (const item of todo) item.stop?.abort(); };
    const tell = (item) => {
      const share = (done + item.share) / todo.length, seconds = (performance.now() - began) / 1000;
      $("progress").value = share;
      const left = share > 0.02 ? `, about ${duration((seconds * (1 - share)) / share)} left` : "";
      say(todo.length > 1 ? `${done + 1} of ${todo.length}${left}` : `Restoring${left}`);
    };
    for (const item of todo) {
      if (stopped) break;
      if (!items.includes(item)) { done++; continue; }
      Object.assign(item, { state: "working", share: 0 });
      tell(item);
      refresh();
      try {
        await restoreOne(item, () => { tell(item); strip.update(items, shown); });
        if (!shown || shown === item) await show(item);
      } catch (error) {
        const left = error.name === "AbortError";
        Object.assign(item, left ? { state: item.result ? "done" : "waiting" } : { state: "failed", note: error.message, result: null });
        if (!left) failed++;
        if (!left && item === shown) show(item);
      }
      done++;
      refresh();
    }
    running = false;
    const good = todo.filter((item) => item.state === "done").length;
    say(stopped ? "Cancelled." : failed ? `${good} restored, ${failed} failed` : `${good} restored`, failed > 0);
    refresh();
  }

  async function restoreOne(item, onShare) {
    const made = wanted(item), job = crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`.replace(".", "-");
    const writing = settings.writing, { draws } = settings, began = performance.now();
    item.stop = new AbortController();
    const drawn = draws ? await brush.file(draws, item.drawings) : null;
    const beside = draws === "mask" && item.maskFile ? item.maskFile : drawn;
    if (draws === "mask" && !beside) throw new Error("Paint over what is missing first, or choose a mask.");
    const looking = setInterval(async () => {
      const told = await getJson(`jobs/${job}`).catch(() => null);
      if (told?.state === "working" && told.share > item.share) { item.share = told.share; onShare(); }
    }, LOOK_MS);
    try {
      const answer = await postForm("restore", { image: named(item), ...settings.options, ...writing, job, [draws || "mask"]: beside }, item.stop.signal);
      Object.assign(item, { result: await fileOf(answer, item), made, job, writing, state: "done", seconds: (performance.now() - began) / 1000 });
      item.report = JSON.parse(answer.headers.get("X-Isthmus-Report") ?? "{}");
    } finally {
      clearInterval(looking);
    }
  }

  const named = (item) => (item.file.name ? item.file : new File([item.file], item.path));

  async function fileOf(answer, item) {
    const blob = await answer.blob();
    const given = /filename\*=UTF-8''([^;]+)/.exec(answer.headers.get("Content-Disposition") ?? "")?.[1];
    return new File([blob], given ? decodeURIComponent(given) : item.file.name, { type: blob.type });
  }

  /** A result's file as the settings want it; another strength, format or quality needs no computing. */
  async function written(item) {
    const { format, quality } = settings.writing;
    const strength = settings.blends && item.sizesAgree !== false ? settings.strength : 1;
    if (strength === 1 && format === item.writing.format && quality === item.writing.quality) return item.result;
    const query = new URLSearchParams({ strength, format, quality });
    const again = await ask(`jobs/${item.job}/picture?${query}`).catch((error) => (error.status === 404 ? null : Promise.reject(error)));
    if (again) return fileOf(again, item);
    const answer = await postForm("restore", { image: named(item), ...JSON.parse(item.made)[0], strength, format, quality });
    return fileOf(answer, item);
  }

  async function show(item) {
    shown = item;
    brush.chosen = false;
    if (!item?.result) brush.active = false;
    refresh();
    if (!item) { viewer.set(null, null); return describe(null); }
    try {
      item.before ??= pixelsOf(item.file, preview);
      const before = await item.before;
      const after = item.result ? await pixelsOf(item.result, preview) : null;
      for (const other of items) if (other !== item) other.before = null; // one at a time is kept in memory
      if (shown !== item) return;
      item.sizesAgree = sameSize(before, after);
      viewer.set(before, after);
      strip.paint(item, after ?? before);
      describe(item, before, after);
      refresh();
    } catch (error) {
      Object.assign(item, { state: "failed", note: error.message, before: null });
      if (shown === item) { viewer.set(null, null); describe(item); refresh(); }
    }
  }

  function describe(item, before, after) {
    const entries = {};
    if (item?.state === "failed") Object.assign(entries, { Picture: item.path, "It did not work": item.note });
    if (after) Object.assign(entries, reported(item.report));
    if (before) entries.Before = measures(before, item.file);
    if (after) {
      entries.After = `${measures(after, item.result)}, in ${duration(item.seconds)}`;
      const changed = difference(before, after);
      if (changed) entries.Changed = changed;
    }
    if (before && item.truth) entries["Beside the clean copy"] = closeness(before, after, item.truth);
    $("numbers").replaceChildren(...Object.entries(entries).flatMap(([name, value]) => {
      const term = document.createElement("dt"), text = document.createElement("dd");
      [term.textContent, text.textContent] = [name, value];
      text.classList.toggle("warn", name === "It did not work");
      return [term, text];
    }));
  }

  function remove(item) {
    item.stop?.abort();
    const place = items.indexOf(item);
    items = items.filter((one) => one !== item);
    if (shown === item) show(items[Math.min(place, items.length - 1)] ?? null);
    refresh();
  }

  function step(by) {
    if (!items.length) return;
    show(items[(items.indexOf(shown) + by + items.length) % items.length]);
  }

  /** Something was drawn: colors are computed at once, as the rest should follow. */
  function drawn() {
    refresh();
    if (settings.draws !== "hints" || !shown) return;
    clearTimeout(drawn.timer);
    drawn.timer = setTimeout(() => { if (!running) run([shown]); else drawn(); }, 300);
  }

  async function sample(name) {
    try {
      const blob = await (await fetch(`samples/${name}`)).blob();
      take({ pictures: [{ file: new File([blob], name, { type: blob.type }), path: name }], others: [] });
    } catch (error) {
      say(error.message, true);
    }
  }

  for (const name of SAMPLES) $(`sample-${name.split(".")[0]}`).addEventListener("click", () => sample(name));
  $("run").addEventListener("click", () => run(items.filter(isTodo)));
  $("cancel-one").addEventListener("click", () => shown?.stop?.abort());
  $("clear").addEventListener("click", () => { for (const item of [...items]) item.stop?.abort(); items = []; show(null); say(""); });
  $("previous").addEventListener("click", () => step(-1));
  $("next").addEventListener("click", () => step(1));
  $("download-one").addEventListener("click", async () => {
    try { const file = await written(shown); save(file, file.name); } catch (error) { say(error.message, true); }
  });
  $("download-all").addEventListener("click", async () => {
    const ready = items.filter((item) => item.result), files = [];
    try {
      for (const item of ready) {
        const file = await written(item);
        files.push({ path: item.path.replace(/[^/]*$/, file.name), blob: file });
        say(`Packing ${files.length} of ${ready.length}`);
      }
      if (files.length === 1) save(files[0].blob, files[0].path.split("/").pop());
      else save(await zipped(files), "restored.zip");
      say(`${pictures(files.length)} downloaded`);
    } catch (error) {
      say(error.message, true);
    }
  });
  $("truth").addEventListener("change", async () => {
    const [file] = $("truth").files, item = shown;
    if (!file || !item) return;
    try { item.truth = await pixelsOf(file, preview); } catch (error) { return say(error.message, true); }
    show(item);
  });
  $("mask").addEventListener("change", () => { if (shown) { [shown.maskFile] = $("mask").files; refresh(); } });
  for (const kind of ["mask", "hints"]) {
    $(`brush-${kind}`).addEventListener("click", () => { brush.chosen = true; brush.active = !brush.active; refresh(); });
    $(`undo-${kind}`).addEventListener("click", () => brush.undo());
    $(`clear-${kind}`).addEventListener("click", () => brush.clear());
  }
  $("brush-size").addEventListener("input", () => { brush.size = Number($("brush-size").value); });
  $("erase").addEventListener("change", () => { brush.erases = $("erase").checked; });
  $("color").addEventListener("input", () => { brush.color = $("color").value; });
  $("view-change").addEventListener("click", () => {
    $("view-change").setAttribute("aria-pressed", $("view-change").getAttribute("aria-pressed") !== "true");
    setMode();
    viewer.draw();
  });
  const original = $("view-original"), hold = (held) => { viewer.held = held; viewer.draw(); };
  for (const name of ["pointerdown", "keydown"]) original.addEventListener(name, (event) => { if (!event.key || [" ", "Enter"].includes(event.key)) hold(true); });
  for (const name of ["pointerup", "pointerleave", "keyup", "blur"]) original.addEventListener(name, () => hold(false));
  const zooms = { out: () => viewer.zoom(1 / 1.5), in: () => viewer.zoom(1.5), one: () => viewer.zoomTo(1), fit: () => { viewer.fit(); viewer.draw(); } };
  for (const button of document.querySelectorAll("[data-zoom]")) button.addEventListener("click", zooms[button.dataset.zoom]);
  addEventListener("keydown", (event) => {
    if ($("restore").hidden || event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input:not([type=radio], [type=checkbox], [type=range]), select")) return;
    const by = { n: 1, PageDown: 1, p: -1, PageUp: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    step(by);
  });
  refresh();
  return { take, offer: (models) => { settings.offer(models); refresh(); }, choose: (name) => settings.choose(name) };
}

const preview = async (image) => (await postForm("preview", { image })).blob();
