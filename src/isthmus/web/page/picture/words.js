/** Numbers in a photographer's words. */

import { dataOf, sameSize } from "./viewer.js";

export const size = (bytes) => (bytes < 1e6 ? `${Math.max(1, bytes / 1e3).toFixed(0)} kB` : `${(bytes / 1e6).toFixed(1)} MB`);

export const pictures = (count) => `${count.toLocaleString("en")} ${count === 1 ? "picture" : "pictures"}`;

export function measures({ width, height }, file) {
  const million = (width * height) / 1e6;
  const kind = (file.name.match(/\.([^.]+)$/)?.[1] ?? "").toUpperCase().replace("JPG", "JPEG");
  return `${width.toLocaleString("en")} × ${height.toLocaleString("en")} pixels (${million.toFixed(million < 10 ? 1 : 0)} megapixels), ${kind} of ${size(file.size)}`;
}

/** How long, roughly: "5 s", "3 min", "2 h". */
export function duration(seconds) {
  if (seconds < 60) return `${Math.ceil(seconds)} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

/** How much two pictures of one size differ, in words; "" where their sizes differ. */
export function difference(one, other) {
  if (!sameSize(one, other)) return "";
  const a = dataOf(one), b = dataOf(other);
  let sum = 0;
  for (let i = 0; i < a.length; i += 4) for (let c = i; c < i + 3; c++) sum += Math.abs(a[c] - b[c]);
  const mean = sum / (0.75 * a.length);
  const word = mean === 0 ? "not at all" : mean < 0.5 ? "too little to see" : mean < 2 ? "a little" : mean < 6 ? "clearly" : "strongly";
  return mean ? `${word}: by ${mean.toFixed(1)} of 255 levels on average` : word;
}

/** Peak signal-to-noise ratio of two pictures of 8 bits in dB; null where their sizes differ. */
export function psnr(one, other) {
  if (!sameSize(one, other)) return null;
  const a = dataOf(one), b = dataOf(other);
  let sum = 0;
  for (let i = 0; i < a.length; i += 4) for (let c = i; c < i + 3; c++) sum += (a[c] - b[c]) ** 2;
  return 10 * Math.log10(255 ** 2 / (sum / (0.75 * a.length)));
}

/** Whether a result is nearer to a clean copy than the picture before, in words. */
export function closeness(before, after, truth) {
  const [was, is] = [psnr(before, truth), after && psnr(after, truth)];
  const told = (value) => (value === Infinity ? "the same" : `${value.toFixed(1)} dB`);
  if (is === null && was === null) return "it has another size";
  if (is === null || is === undefined) return `${told(was)} (PSNR) before`;
  if (was === null) return `${told(is)} (PSNR)`;
  const gain = is - was;
  const word = Number.isFinite(gain) ? `${Math.abs(gain).toFixed(1)} dB ${gain < 0 ? "farther from it" : "closer to it"}: ` : "";
  return `${word}${told(was)} before, ${told(is)} now (PSNR)`;
}

const DONE = { denoise: "noise removed", repair: "JPEG artifacts removed" };
const WANTED = { upscale: "Enlarge: it is small", colorize: "Colorize: it has no color" };

/** What the server reports of a picture, in the page's own words: what was found, done, may be wanted, and is to be known. */
export function reported({ found, done, suggests, remarks }) {
  const told = {};
  if (found) told.Found = found.join("; ");
  if (done) told.Done = done.map((one) => DONE[one]).join(", ") || "nothing: it needs no improving";
  if (suggests?.length) told["You may want"] = suggests.map((one) => WANTED[one]).join("; ");
  if (remarks?.length) told["Good to know"] = remarks.join(" ");
  return told;
}
