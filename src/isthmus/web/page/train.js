/** The room where a model learns from the visitor's own pictures. */

import { getJson, part, postForm, postJson } from "./api.js";
import { chosen } from "./files.js";

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

/** @param {() => void} ready called when a model has become ready. */
export function openTrain(ready) {
  const $ = (id) => document.getElementById(id);
  let files = [];
  const cards = new Map();

  const say = (text, warn = false) => {
    $("train-status").textContent = text;
    $("train-status").classList.toggle("warn", warn);
  };

  function add(found) {
    files.push(...found);
    $("train-chosen").textContent = files.length ? `${files.length} pictures` : "No pictures yet";
    $("train-start").disabled = !files.length;
  }

  async function begin() {
    const name = $("train-name").value, task = $("train-task").value;
    $("train-start").disabled = true;
    try {
      await postJson("trainings", { name, task, budget: $("train-budget").value, fields: FIELDS[task] });
      for (const [index, { file, path }] of files.entries()) {
        say(`Bringing the pictures: ${index + 1} of ${files.length}`);
        await postForm(`trainings/${part(name)}/pictures`, { image: new File([file], path.replaceAll("/", "_"), { type: file.type }) });
      }
      await postJson(`trainings/${part(name)}/start`);
      say("");
      files = [];
      add([]);
      look();
    } catch (error) {
      say(error.message, true);
      $("train-start").disabled = !files.length;
    }
  }

  async function look() {
    let trainings;
    try {
      trainings = await getJson("trainings");
    } catch (error) {
      return say(error.message, true);
    }
    for (const { name } of trainings) {
      const training = await getJson(`trainings/${part(name)}`);
      const before = cards.get(name)?.state;
      if (!cards.has(name)) cards.set(name, card(name));
      update(cards.get(name), training);
      if (training.state === "done" && before !== "done") ready();
    }
    if (trainings.some(({ state }) => state === "running")) setTimeout(look, 1000 * LOOK_SECONDS);
  }

  function card(name) {
    const box = document.createElement("article");
    box.className = "training";
    box.innerHTML = `<h3></h3><div class="bar"><progress max="1" aria-label="Share of the time"></progress><span role="status"></span></div>
      <p class="warn"></p>
      <svg viewBox="0 0 600 160" preserveAspectRatio="none" role="img" aria-label="Loss against time"><path class="curve"/><path class="curve held"/></svg>
      <p class="quiet">Loss against time, logarithmic; orange: on pictures that are not learned from.</p>
      <figure hidden><img alt="Held-out pictures: what the model sees, what it gives by now, what it should give">
        <figcaption>What the model sees, gives by now, and should give</figcaption></figure>
      <div class="bar"><button type="button">Stop</button><a class="button" hidden>Download the model</a><span class="quiet"></span></div>`;
    box.querySelector("h3").textContent = name;
    const button = box.querySelector("button");
    button.addEventListener("click", async () => {
      button.disabled = true;
      try {
        await postJson(`trainings/${part(name)}/${button.textContent === "Stop" ? "stop" : "start"}`);
        setTimeout(look, 300);
      } catch (error) {
        say(error.message, true);
      }
    });
    $("trainings").prepend(box);
    return { box, button, state: "", examples: 0 };
  }

  function update(card, training) {
    const { box, button } = card;
    const find = (what) => box.querySelector(what);
    card.state = training.state;
    find("progress").value = training.share;
    const loss = training.curve.at(-1)?.[1];
    find("[role=status]").textContent =
      `${training.state}: ${training.task}, ${training.pictures} pictures, ${Math.round(training.seconds)} s of ${training.budget}` +
      (loss === undefined ? "" : `, loss ${loss.toPrecision(3)}`);
    find(".warn").textContent = training.message;
    draw(find("svg"), [training.curve, training.held_out]);
    button.textContent = training.state === "running" ? "Stop" : "Go on";
    button.hidden = !["running", "stopped"].includes(training.state);
    button.disabled = false;
    const link = find("a");
    link.hidden = !training.file;
    link.href = `/api/trainings/${part(training.name)}/model`;
    find(".bar:last-child .quiet").textContent = training.file ? `kept as ${training.file}` : "";
    if (training.examples !== card.examples) {
      card.examples = training.examples;
      find("figure").hidden = !training.examples;
      find("img").src = `/api/trainings/${part(training.name)}/examples?${Date.now()}`;
    }
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

  for (const id of ["train-files", "train-folder"]) $(id).addEventListener("change", () => add(chosen($(id))));
  $("train-form").addEventListener("submit", (event) => { event.preventDefault(); begin(); });
  look();
}
