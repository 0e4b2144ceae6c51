/** The page: which room is shown, and what all rooms share. */

import { getJson } from "./api.js";
import { openExplore } from "./explore.js";
import { chosen, takeDrops, takePastes } from "./picture/files.js";
import { openRestore } from "./restore.js";
import { openTrain } from "./train.js";

const rooms = { restore: openRestore(), explore: openExplore(), train: openTrain(refresh, tryOut) };

const current = () => (rooms[location.hash.slice(1)] ? location.hash.slice(1) : "restore");

function show() {
  const room = current();
  for (const name of Object.keys(rooms)) document.getElementById(name).hidden = name !== room;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${room}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  requestAnimationFrame(() => scrollTo(0, 0)); // after the browser has gone to the room's own place
  if (room === "explore") rooms.explore.enter();
}

async function refresh() {
  try {
    const models = await getJson("models");
    rooms.restore.offer(models);
    rooms.explore.offer(models);
  } catch (error) {
    document.getElementById("restore-status").textContent = error.message;
  }
}

/** Go where a new model can be tried. */
async function tryOut(name, restores) {
  await refresh();
  const room = restores ? "restore" : "explore";
  location.hash = `#${room}`;
  rooms[room].choose(name);
}

takeDrops((found) => rooms[current()].take(found));
takePastes((found) => rooms[current()].take(found));
for (const [id, room] of [["files", "restore"], ["folder", "restore"], ["more-files", "restore"], ["explore-files", "explore"],
  ["explore-folder", "explore"], ["train-files", "train"], ["train-folder", "train"]]) {
  const input = document.getElementById(id);
  input.addEventListener("change", () => rooms[room].take(chosen(input)));
}
addEventListener("hashchange", show);
show();
refresh();
