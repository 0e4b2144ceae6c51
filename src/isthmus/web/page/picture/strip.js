/** The strip of thumbnails: each picture with its state; one is shown, any can be removed. */

import { canvasOf } from "./viewer.js";

const HEIGHT = 56; // pixels

export class Strip {
  /**
   * @param {HTMLElement} list where the thumbnails are.
   * @param {{show: (item) => void, remove: (item) => void, stale: (item) => boolean, preview: (file) => Promise<Blob>}} does
   *   what happens to a picture; `preview` makes what the browser can show of what it cannot.
   */
  constructor(list, does) {
    Object.assign(this, { list, does, parts: new Map(), making: Promise.resolve() });
    list.addEventListener("keydown", (event) => {
      const item = [...this.parts].find(([, { entry }]) => entry.contains(event.target))?.[0];
      if (item && event.key === "Delete") does.remove(item);
    });
  }

  /** Show some pictures, one of them as the one that is looked at. */
  update(items, shown) {
    for (const [item, { entry }] of this.parts) if (!items.includes(item)) { entry.remove(); this.parts.delete(item); }
    for (const item of items) {
      if (!this.parts.has(item)) this.add(item);
      const { entry, button, note } = this.parts.get(item), state = this.stateOf(item);
      if (note.textContent !== state) note.textContent = state;
      entry.className = item.state === "done" && this.does.stale(item) ? "stale" : item.state;
      if ((item === shown) === button.hasAttribute("aria-current")) continue;
      button.toggleAttribute("aria-current", item === shown);
      if (item === shown) { button.setAttribute("aria-current", "true"); entry.scrollIntoView({ block: "nearest", inline: "nearest" }); }
    }
  }

  stateOf(item) {
    if (item.state === "done") return this.does.stale(item) ? "old settings" : "done";
    if (item.state === "working") return item.share > 0 ? `${Math.round(100 * item.share)} %` : "working";
    return item.state;
  }

  add(item) {
    const entry = document.createElement("li"), button = document.createElement("button"), remove = document.createElement("button");
    const thumb = canvasOf(HEIGHT, HEIGHT), name = document.createElement("span"), note = document.createElement("small");
    button.type = remove.type = "button";
    name.textContent = item.path; // never as HTML
    thumb.setAttribute("aria-hidden", "true");
    button.append(thumb, name, note);
    button.title = item.path;
    button.addEventListener("click", () => this.does.show(item));
    remove.className = "remove";
    remove.textContent = "×";
    remove.setAttribute("aria-label", `Remove ${item.path}`);
    remove.addEventListener("click", () => this.does.remove(item));
    entry.append(button, remove);
    this.list.append(entry);
    this.parts.set(item, { entry, button, note, thumb });
    const small = { resizeHeight: 2 * HEIGHT, resizeQuality: "low" };
    const bitmapOf = () => createImageBitmap(item.file, small)
      .catch(async () => this.parts.has(item) && createImageBitmap(await this.does.preview(item.file), small));
    this.making = this.making.then(bitmapOf) // one after the other
      .then((bitmap) => bitmap && this.paint(item, bitmap), () => {}); // what nobody can read fails when it is restored
  }

  /** Draw a picture's thumbnail. */
  paint(item, picture) {
    const thumb = this.parts.get(item)?.thumb;
    if (!thumb) return;
    const share = Math.max(HEIGHT / picture.width, HEIGHT / picture.height), sheet = thumb.getContext("2d");
    const [width, height] = [picture.width * share, picture.height * share];
    sheet.drawImage(picture, (HEIGHT - width) / 2, (HEIGHT - height) / 2, width, height);
  }
}
