/** The page: which room is shown, and what all rooms share. */

import { getJson } from "./api.js";
import { openExplore } from "./explore.js";
import { openRestore } from "./restore.js";
import { openTrain } from "./train.js";

const rooms = ["restore", "explore", "train"];

function show() {
  const wanted = location.hash.slice(1);
  const room = rooms.includes(wanted) ? wanted : "restore";
  for (const name of rooms) document.getElementById(name).hidden = name !== room;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${room}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  scrollTo(0, 0);
}

const restore = openRestore();
const explore = openExplore();

async function refresh() {
  try {
    const models = await getJson("models");
    restore.offer(models);
    explore.offer(models);
  } catch (error) {
    document.getElementById("restore-status").textContent = error.message;
  }
}

openTrain(refresh);
addEventListener("hashchange", show);
show();
refresh();
