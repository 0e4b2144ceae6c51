/** What computes: the model in onnxruntime-web, tile by tile, with margins so wide that no seam can be seen. */

import * as ort from "./ort.wasm.bundle.min.mjs";

const TILE = 256; // pixels of the picture on a side, without its margin

let about, session;

onmessage = async ({ data }) => {
  try {
    if (data.about) {
      about = data.about;
      ort.env.wasm.wasmPaths = new URL("./", self.location.href).href;
      ort.env.wasm.numThreads = self.crossOriginIsolated ? navigator.hardwareConcurrency : 1;
      session = ort.InferenceSession.create("model.onnx");
      await session;
      postMessage({ what: "ready" });
    } else {
      await restore(data);
    }
  } catch (error) {
    postMessage({ what: "failed", message: error.message });
  }
};

async function restore({ pixels, width, height }) {
  const began = performance.now(), runs = await session, { scale } = about;
  const out = new Uint8ClampedArray(4 * width * height * scale ** 2);
  const rows = Math.ceil(height / TILE), columns = Math.ceil(width / TILE);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      postMessage({ what: "share", share: (row * columns + column) / (rows * columns) });
      const y = window(row * TILE, height), x = window(column * TILE, width);
      const image = new ort.Tensor("float32", cut(pixels, width, y, x), [1, about.sees, y.end - y.start, x.end - x.start]);
      const { restored } = await runs.run({ image });
      paste(restored, out, width * scale, y, x);
    }
  }
  for (let i = 0; i < width * height * scale ** 2; i++) {
    const from = (Math.floor(i / (width * scale) / scale) * width + Math.floor((i % (width * scale)) / scale)) * 4;
    out[4 * i + 3] = pixels[from + 3];
  }
  postMessage({ what: "result", pixels: out, width: width * scale, height: height * scale, seconds: (performance.now() - began) / 1000 }, [out.buffer]);
}

/** Where a tile begins and ends, with its margin: it begins where a place of the code does. */
function window(from, length) {
  const to = Math.min(length, from + TILE);
  const start = Math.max(0, Math.floor((from - about.margin) / about.stride) * about.stride);
  return { from, to, start, end: Math.min(length, to + about.margin) };
}

/** A part of the picture as floats in [0, 1], channels first. */
function cut(pixels, width, y, x) {
  const high = y.end - y.start, wide = x.end - x.start;
  const values = new Float32Array(about.sees * high * wide);
  for (let i = 0; i < high; i++) {
    for (let j = 0; j < wide; j++) {
      const from = ((y.start + i) * width + x.start + j) * 4, to = i * wide + j;
      const [red, green, blue] = [pixels[from] / 255, pixels[from + 1] / 255, pixels[from + 2] / 255];
      if (about.sees === 1) values[to] = 0.299 * red + 0.587 * green + 0.114 * blue;
      else for (const [channel, value] of [red, green, blue].entries()) values[channel * high * wide + to] = value;
    }
  }
  return values;
}

/** Put what is no margin where it belongs. */
function paste(restored, out, width, y, x) {
  const [, channels, high, wide] = restored.dims, { scale } = about;
  for (let i = y.from * scale; i < y.to * scale; i++) {
    for (let j = x.from * scale; j < x.to * scale; j++) {
      const from = (i - y.start * scale) * wide + (j - x.start * scale);
      for (let c = 0; c < 3; c++) {
        out[(i * width + j) * 4 + c] = Math.round(255 * restored.data[Math.min(c, channels - 1) * high * wide + from]);
      }
    }
  }
}
