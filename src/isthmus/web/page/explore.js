/** The room where a model's codes are walked among: a map, ways between pictures, inventions, the worst, a probe. */

import { getBlob, getJson, part, postForm, postJson } from "./api.js";

const COLORS = ["#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf"];
const NEAR = 8; // pixels of the screen within which a dot is pointed at
const MARGIN = 24;
const MOST = 1000; // pictures that can be brought at once

export function openExplore() {
  const $ = (id) => document.getElementById(id);
  const canvas = $("map");
  let model = "", map = null, place = null, nearest = 0, pinned = null, ends = null, decoding = false, again = false;

  const say = (text, warn = false) => {
    $("explore-status").textContent = text;
    $("explore-status").classList.toggle("warn", warn);
  };

  /** Do something that takes the server a moment; say what goes wrong. */
  async function attempt(what, work) {
    say(what);
    try {
      await work();
      say("");
    } catch (error) {
      say(error.message, true);
    }
  }

  function offer(models) {
    const usable = models.filter((one) => one.codes_are_images);
    usable.sort((one, other) => other.own - one.own);
    const before = $("explore-model").value;
    $("explore-model").replaceChildren(...usable.map((one) => new Option(`${one.name}: ${one.code_shape.join(" × ")} numbers`, one.name)));
    if (usable.some((one) => one.name === before)) $("explore-model").value = before;
    if ($("explore-model").value && $("explore-model").value !== model && !$("explore").hidden) open();
  }

  /** Open the room: codes are laid out when somebody comes to see them. */
  function enter() { if ($("explore-model").value && $("explore-model").value !== model) open(); }

  function choose(name) {
    $("explore-model").value = name;
    enter();
  }

  async function open() {
    model = $("explore-model").value;
    map = null;
    await attempt("Laying out the codes …", async () => lay(await getJson(`models/${part(model)}/map`)));
    draw();
  }

  async function take({ pictures, others }) {
    if (!pictures.length) return say(others.length ? `${others[0]}: not a picture that isthmus reads.` : "There was no picture among them.", true);
    const step = Math.max(1, pictures.length / MOST); // evenly from all of them
    const files = Array.from({ length: Math.min(MOST, pictures.length) }, (_, index) => pictures[Math.floor(index * step)]);
    const folders = files.map(({ path }) => path.split("/").slice(0, -1).pop() ?? "");
    const labels = new Set(folders).size > 1 ? JSON.stringify(folders) : "";
    await attempt(`Reading ${files.length} pictures …`, async () => {
      const answer = await postForm(`models/${part(model)}/images`, { images: files.map(({ file }) => file), labels });
      lay(await answer.json());
    });
    draw();
  }

  function lay(found) {
    map = found;
    map.kinds = map.labels && [...new Set(map.labels)].sort();
    $("probe").disabled = !map.labels;
    stopWalk();
    pin(null);
    go(map.points[0]);
  }

  const side = () => canvas.width - 2 * MARGIN;
  const span = (axis) => map.high[axis] - map.low[axis] || 1;
  const toScreen = ([x, y]) => [MARGIN + ((x - map.low[0]) / span(0)) * side(), MARGIN + (1 - (y - map.low[1]) / span(1)) * side()];
  const toMap = (x, y) => [map.low[0] + ((x - MARGIN) / side()) * span(0), map.low[1] + (1 - (y - MARGIN) / side()) * span(1)];

  function draw() {
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (!map) return;
    map.points.forEach((point, index) => {
      context.fillStyle = COLORS[map.labels ? map.kinds.indexOf(map.labels[index]) % COLORS.length : 0];
      const [x, y] = toScreen(point);
      context.globalAlpha = 0.7;
      context.beginPath();
      context.arc(x, y, 3, 0, 7);
      context.fill();
    });
    context.globalAlpha = 1;
    if (map.kinds && map.kinds.length <= COLORS.length) {
      context.font = "12px system-ui";
      map.kinds.forEach((kind, index) => { context.fillStyle = COLORS[index]; context.fillText(kind, 6 + 0, 14 + 14 * index); });
    }
    const style = getComputedStyle(canvas);
    context.strokeStyle = style.color;
    context.lineWidth = 2;
    if (ends?.length === 2) {
      context.beginPath();
      for (const end of ends) context.lineTo(...toScreen(map.points[end]));
      context.stroke();
    }
    if (pinned !== null) ring(context, toScreen(map.points[pinned]), 9);
    for (const end of ends ?? []) ring(context, toScreen(map.points[end]), 12);
    if (place) {
      const [x, y] = toScreen(place);
      ring(context, [x, y], 6);
      context.beginPath();
      for (const [a, b] of [[-12, -6], [6, 12]]) {
        context.moveTo(x + a, y); context.lineTo(x + b, y);
        context.moveTo(x, y + a); context.lineTo(x, y + b);
      }
      context.stroke();
    }
  }

  function ring(context, [x, y], radius) {
    context.beginPath();
    context.arc(x, y, radius, 0, 7);
    context.stroke();
  }

  /** Stand somewhere on the map: show what the model makes of the place, and the picture next to it. */
  function go(point) {
    if (!map) return;
    place = point;
    const [x, y] = toScreen(point);
    let best = Infinity;
    map.points.forEach((other, index) => {
      const [u, v] = toScreen(other);
      const distance = (u - x) ** 2 + (v - y) ** 2;
      if (distance < best) [best, nearest] = [distance, index];
    });
    $("near-name").textContent = (best <= NEAR ** 2 ? "this picture: " : "nearest: ") + nameOf(nearest);
    $("near").src = `/api/models/${part(model)}/images/${nearest}`;
    draw();
    decode();
  }

  const nameOf = (index) => (map.names?.[index] ?? `number ${index}`) + (map.labels ? `, class ${map.labels[index]}` : "");

  /** Keep one picture in sight: what the model gives for it, and where the two differ. */
  function pin(index) {
    pinned = index;
    $("unpin").disabled = index === null;
    for (const [id, end, what] of [["near-given", "?restored=true", "given back"], ["near-errors", "/errors", "where it differs"]]) {
      $(id).hidden = index === null;
      $(`${id}-name`).textContent = index === null ? "" : what;
      if (index !== null) $(id).src = `/api/models/${part(model)}/images/${index}${end}`;
    }
    if (index !== null) go(map.points[index]);
    draw();
  }

  function stopWalk() {
    ends = null;
    $("walk").setAttribute("aria-pressed", "false");
  }

  /** A click, or Enter: an end of a walk, or a pin. */
  function pick() {
    if (!ends) return pin(pinned === nearest ? null : nearest);
    ends.push(nearest);
    draw();
    if (ends.length === 1) return say("Now click where the walk should end.");
    const [start, end] = ends;
    attempt("Walking …", async () => {
      const blob = await getBlob(`models/${part(model)}/walk?start=${start}&end=${end}&steps=12`);
      result(`From ${nameOf(start)} to ${nameOf(end)}`, image(blob, "Twelve images on the straight way between two codes"));
    });
    ends = [];
  }

  /** Decode where one stands; while the server is at it, only the last place is remembered. */
  async function decode() {
    if (decoding) { again = true; return; }
    decoding = true;
    do {
      again = false;
      try {
        const blob = await getBlob(`models/${part(model)}/at?x=${place[0]}&y=${place[1]}`);
        URL.revokeObjectURL($("here").src);
        $("here").src = URL.createObjectURL(blob);
      } catch (error) {
        say(error.message, true);
      }
    } while (again);
    decoding = false;
  }

  function result(title, ...content) {
    const head = document.createElement("h3");
    head.textContent = title;
    $("explore-result").replaceChildren(head, ...content);
  }

  function image(blob, text) {
    const shown = new Image();
    shown.src = URL.createObjectURL(blob);
    shown.alt = text;
    return shown;
  }

  function table(head, rows) {
    const built = document.createElement("table");
    for (const [index, cells] of [head, ...rows].entries()) {
      const row = built.insertRow();
      for (const cell of cells) {
        const box = document.createElement(index ? "td" : "th");
        box.append(cell);
        row.append(box);
      }
    }
    return built;
  }

  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return toMap(((event.clientX - box.left) / box.width) * canvas.width, ((event.clientY - box.top) / box.height) * canvas.height);
  };
  canvas.addEventListener("pointerdown", (event) => { if (map) { go(at(event)); pick(); } });
  canvas.addEventListener("pointermove", (event) => { if (map && pinned === null) go(at(event)); });
  canvas.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    if (!map || !place) return;
    if (moves[event.key]) go(place.map((value, axis) => value + (moves[event.key][axis] * span(axis)) / 40));
    else if (event.key === "Enter") pick();
    else if (event.key === "Escape") pin(null);
    else return;
    event.preventDefault();
  });
  $("explore-model").addEventListener("change", open);
  $("unpin").addEventListener("click", () => pin(null));
  $("walk").addEventListener("click", () => {
    if (ends) { stopWalk(); say(""); return draw(); }
    pin(null);
    ends = [];
    $("walk").setAttribute("aria-pressed", "true");
    say("Click where the walk should begin.");
  });
  $("traverse").addEventListener("click", () => attempt("Varying …", async () => {
    const blob = await getBlob(`models/${part(model)}/traversals?index=${nearest}`);
    result("One number of the code at a time, the widest first", image(blob, "A row of images for each number"));
  }));
  $("invent").addEventListener("click", () => attempt("Inventing …", async () => {
    const answer = await postJson("generate", { model, count: 64, seed: Math.floor(Math.random() * 2 ** 31) });
    result("Invented", image(await answer.blob(), "64 images that nobody has made"));
  }));
  $("worst").addEventListener("click", () => attempt("Looking …", async () => {
    const rows = await Promise.all(map.worst.map(async ({ index, error }) => [
      image(await getBlob(`models/${part(model)}/images/${index}`), "the picture"),
      image(await getBlob(`models/${part(model)}/images/${index}?restored=true`), "what the model gives for it"),
      image(await getBlob(`models/${part(model)}/images/${index}/errors`), "where they differ"),
      nameOf(index),
      `${(-10 * Math.log10(error)).toFixed(1)} dB`,
    ]));
    result("The strangest: what the model gives back worst", table(["picture", "given back", "where it differs", "", "PSNR"], rows));
  }));
  $("probe").addEventListener("click", () => attempt("Fitting classifiers …", async () => {
    const found = await getJson(`models/${part(model)}/probe`);
    const kinds = Object.keys(found.rows[0].accuracy);
    const rows = found.rows.map((row) => [row.trained_on, String(row.numbers), ...kinds.map((kind) => `${(100 * row.accuracy[kind]).toFixed(1)} %`)]);
    result("How well simple classifiers do with it", table(["learned from", "numbers", ...kinds], rows));
  }));
  return { offer, take, enter, choose };
}
