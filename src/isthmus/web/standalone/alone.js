/** A page that restores a picture on the visitor's own machine, without any server. */

import { chosen, save, takeDrops, takePastes } from "./files.js";
import { listen } from "./gestures.js";
import { Viewer, pixelsOf } from "./viewer.js";

const DOES = { denoise: "Take noise out", noisy: "Take noise out", repair: "Repair JPEG", colorize: "Color", pairs: "Restore" };

const $ = (id) => document.getElementById(id);
const viewer = new Viewer($("view"));
listen(viewer);
const about = await (await fetch("model.json")).json();
const does = about.scale > 1 ? `Enlarge × ${about.scale}` : DOES[about.task] ?? "Restore";
document.title = $("title").textContent = `${does}: ${about.name}`;

let worker = null, busy = false, name = "", restored = null;
begin();

/** Start what computes; a picture that it is at is forgotten. */
function begin() {
  worker?.terminate();
  worker = new Worker("worker.js", { type: "module" });
  worker.postMessage({ about });
  worker.onmessage = ({ data }) => ({ ready, share, result, failed: fail }[data.what](data));
  worker.onerror = (event) => fail({ message: event.message || "this browser cannot run the model" });
}

function ready() { if (!busy) $("status").textContent = "Ready."; }

function share({ share: done }) { $("progress").value = done; }

function fail({ message }) { end(`It did not work: ${message}`); }

function end(text) {
  busy = false;
  for (const id of ["progress", "cancel"]) $(id).hidden = true;
  $("status").textContent = text;
}

async function restore({ pictures }) {
  if (busy || !pictures.length) return;
  busy = true;
  let before;
  try {
    before = await pixelsOf(pictures[0].file);
  } catch {
    return end("This browser does not show that picture: bring a PNG, JPEG or WebP.");
  }
  name = pictures[0].file.name.replace(/\.[^.]*$/, "");
  for (const id of ["progress", "cancel"]) $(id).hidden = false;
  $("status").textContent = `${before.width} × ${before.height} pixels …`;
  $("viewer").hidden = false;
  for (const tag of document.querySelectorAll(".tag")) tag.hidden = true;
  viewer.set(before, null);
  const { data } = before.getContext("2d").getImageData(0, 0, before.width, before.height);
  worker.postMessage({ pixels: data, width: before.width, height: before.height }, [data.buffer]);
}

function result({ pixels, width, height, seconds }) {
  restored = document.createElement("canvas");
  Object.assign(restored, { width, height });
  restored.getContext("2d", { willReadFrequently: true }).putImageData(new ImageData(pixels, width, height), 0, 0);
  for (const tag of document.querySelectorAll(".tag")) tag.hidden = false;
  $("download").disabled = false;
  viewer.set(viewer.before, restored);
  end(`Done in ${seconds.toFixed(1)} s.`);
}

$("files").addEventListener("change", () => restore(chosen($("files"))));
$("cancel").addEventListener("click", () => { begin(); end("Stopped."); });
$("download").addEventListener("click", () => restored.toBlob((blob) => save(blob, `${name}-restored.png`)));
takeDrops(restore);
takePastes(restore);
