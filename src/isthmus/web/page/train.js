/** The room where a model learns from the visitor's own pictures. */

import { ask, getJson, part, postForm, postJson } from "./api.js";
import { duration, pictures } from "./picture/words.js";

const LOOK_SECONDS = 1;

/** What a task needs besides its name: photographs begin with what ships, which knows photographs already. */
const FIELDS = {
  denoise: { model: "photographic", init_from: "denoise-color", corruption: "gaussian-noise((0, 0.2157), clip=False)" },
  noisy: { model: "photographic", init_from: "denoise-color" },
  upscale: { model: "photographic", init_from: "upscale-x2", factor: 2 },
  repair: { model: "photographic", init_from: "repair" },
  colorize: { model: "global", loss: "ab-mixed" },
  inpaint: { model: "photographic", init_from: "denoise-color" },
  reconstruct: { model: "conv", size: [32, 32] },
};

/**
 * @param {() => void} ready called when the models have become others.
 * @param {(name: string, restores: boolean) => void} tryOut called to try a model.
 */
export function openTrain(ready, tryOut) {
  const $ = (id) => document.getElementById(id);
  const chosen = new Map(); // by what tells two files apart: a folder that is chosen twice is taken once
  const cards = new Map();
  let looking = 0;

  const say = (text, warn = false) => {
    $("train-status").textContent = text;
    $("train-status").classList.toggle("warn", warn);
  };

  function take({ pictures: found, others = [] }) {
    for (const one of found) chosen.set([one.path, one.file.size, one.file.lastModified].join(" "), one);
    if (others.length) say(`${others[0]}${others.length > 1 ? ` and ${others.length - 1} more` : ""}: not a picture that isthmus reads.`, true);
    $("train-chosen").textContent = chosen.size ? pictures(chosen.size) : "No pictures yet";
    $("train-start").disabled = !chosen.size;
    $("train-clear").hidden = !chosen.size;
  }

  function forget() {
    chosen.clear();
    take({ pictures: [] });
  }

  async function begin() {
    const name = $("train-name").value, task = $("train-task").value;
    $("train-start").disabled = true;
    try {
      await postJson("trainings", { name, task, budget: $("train-budget").value, fields: FIELDS[task] });
      for (const [index, { file, path }] of [...chosen.values()].entries()) {
        say(`Preparing: picture ${index + 1} of ${chosen.size}`);
        await postForm(`trainings/${part(name)}/pictures`, { image: new File([file], path.replaceAll("/", "_"), { type: file.type }) });
      }
      await postJson(`trainings/${part(name)}/start`);
      say("");
      forget();
      look();
    } catch (error) {
      say(error.message, true);
      $("train-start").disabled = !chosen.size;
    }
  }

  async function look() {
    clearTimeout(looking);
    let trainings;
    try {
      trainings = await getJson("trainings");
    } catch (error) {
      return say(error.message, true);
    }
    for (const [name, { box }] of cards) if (!trainings.some((one) => one.name === name)) { box.remove(); cards.delete(name); }
    for (const training of trainings) {
      const { name } = training, before = cards.get(name)?.state;
      if (!cards.has(name)) cards.set(name, card(name));
      update(cards.get(name), training);
      if (training.state === "done" && before && before !== "done") ready();
    }
    if (trainings.some(({ state }) => state === "running")) looking = setTimeout(look, 1000 * LOOK_SECONDS);
  }

  async function act(work) {
    try {
      await work();
      say("");
    } catch (error) {
      say(error.message, true);
    }
    look();
  }

  function card(name) {
    const box = document.createElement("article"), path = `trainings/${part(name)}`;
    box.className = "training";
    box.append($("training-card").content.cloneNode(true));
    const find = (what) => box.querySelector(`[data-part=${what}]`);
    find("name").textContent = name;
    const told = { box, find, state: "", examples: 0 };
    find("stop").addEventListener("click", () => act(() => postJson(`${path}/stop`)));
    find("resume").addEventListener("click", () => act(() => postJson(`${path}/start`)));
    find("delete").addEventListener("click", () => act(async () => {
      if (!confirm(`Delete the training ${name}, its model and its copies of your pictures? Your own files stay.`)) return;
      await ask(path, { method: "DELETE" });
      ready();
    }));
    find("try").addEventListener("click", () => tryOut(name, told.task !== "reconstruct"));
    find("download").href = `/api/${path}/model`;
    $("trainings").prepend(box);
    return told;
  }

  function update(card, training) {
    const { find } = card, { state, phase } = training;
    Object.assign(card, { state, task: training.task });
    find("progress").value = training.share;
    find("progress").hidden = state === "done";
    const where = state === "running" ? phase : state, budget = { s: 1, m: 60, h: 3600 }[training.budget.at(-1)] * parseFloat(training.budget);
    const left = phase === "training" ? `, ${duration(Math.max(1, budget - training.seconds))} left` : "";
    find("status").textContent = `${where[0].toUpperCase()}${where.slice(1)}${left}. ${pictures(training.pictures)}, ${duration(training.seconds)} of ${training.budget} trained.`;
    find("gain").textContent = gain(training);
    find("message").textContent = training.message;
    draw(find("curve").ownerSVGElement, [training.curve, training.held_out]);
    for (const [name, states] of [["stop", ["running"]], ["resume", ["stopped"]], ["delete", ["new", "stopped", "done", "failed"]],
      ["try", ["done"]], ["download", ["done"]]]) find(name).hidden = !states.includes(state);
    find("file").textContent = training.file ? `kept as ${training.file}` : "";
    if (training.examples !== card.examples) {
      card.examples = training.examples;
      find("figure").hidden = !training.examples;
      find("examples").src = `/api/trainings/${part(training.name)}/examples?${training.examples}`;
    }
  }

  /** How good pictures have become that it does not learn from: the more dB, the nearer to the truth. */
  function gain({ before_db: before, after_db: after }) {
    if (after === undefined) return "";
    if (before === undefined) return `Held-out pictures come back with ${after.toFixed(1)} dB (PSNR).`;
    const change = after - before, word = change >= 0 ? "better" : "worse than before: train for longer, or on more pictures";
    return `Held-out pictures: ${before.toFixed(1)} dB before, ${after.toFixed(1)} dB now (PSNR): ${Math.abs(change).toFixed(1)} dB ${word}.`;
  }

  /** Draw curves of [seconds, loss], the losses on a logarithmic scale that they share. */
  function draw(svg, curves) {
    const points = curves.flat().filter(([, loss]) => loss > 0);
    if (points.length < 2) return;
    const logs = points.map(([, loss]) => Math.log(loss)), last = Math.max(...points.map(([seconds]) => seconds)) || 1;
    const low = Math.min(...logs), high = Math.max(...logs) + 1e-9;
    const place = ([seconds, loss]) => `${((600 * seconds) / last).toFixed(1)} ${(8 + (144 * (high - Math.log(loss))) / (high - low)).toFixed(1)}`;
    [...svg.querySelectorAll("path")].forEach((path, index) => {
      const shown = curves[index].filter(([, loss]) => loss > 0);
      path.setAttribute("d", shown.length > 1 ? `M ${shown.map(place).join(" L ")}` : "");
    });
  }

  $("train-form").addEventListener("submit", (event) => { event.preventDefault(); begin(); });
  $("train-clear").addEventListener("click", forget);
  look();
  return { take };
}
