"""The textbook chapter's recipes in Keras 3 on TensorFlow, as a good engineer would write them: seconds and test loss per epoch.

benchmarks/chapter.py starts this script in a Python of its own (benchmarks/requirements-keras.txt) and compares. Alone:

    python benchmarks/chapter_keras.py --data-dir DIR --model dense --epochs 20

It prints one JSON object per line: what was built, then one per epoch. In Keras's favour, what happens once is not counted
(reading the data, tracing and compiling, which a few discarded steps bring about), nor is measuring the test loss.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
from keras import layers

BATCH_SIZE = 200
LEARNING_RATE = 1e-3
NOISE_STD = 0.5
TEST_NOISE_SEED = 1
TRAIN_SEED = 0
WARM_UP_STEPS = 2
PARAMETERS = {"dense": 50_992, "convolutional": 4_385, "denoising": 30_689}
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}
JIT = {"auto": "auto", "on": True, "off": False}


def read_images(path: Path) -> np.ndarray:
    """Return the images of a gzipped IDX file, `(n, H, W, 1)` uint8."""
    with gzip.open(path) as file:
        content = file.read()
    shape = np.frombuffer(content, ">i4", count=3, offset=4)
    return np.frombuffer(content, np.uint8, offset=16).reshape(*shape, 1)


def build_dense() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Flatten(),
            layers.Dense(32, "relu"),
            layers.Dense(784),  # logits
            layers.Reshape((28, 28, 1)),
        ]
    )


def build_convolutional(encoder: tuple[int, int, int], decoder: tuple[int, int, int]) -> keras.Model:
    """Build the network with these filters; 28, 14, 7, 4 pixels a side, and back."""
    model = keras.Sequential([keras.Input((28, 28, 1))])
    for filters in encoder:
        model.add(layers.Conv2D(filters, 3, padding="same", activation="relu"))
        model.add(layers.MaxPooling2D(2, padding="same"))
    for filters, side in zip(decoder, (7, 14, 28), strict=True):
        model.add(layers.UpSampling2D(2))  # nearest
        if side == 7:
            model.add(layers.Cropping2D(((0, 1), (0, 1))))  # 4 to 7 as the book's resize_nearest_neighbor does it
        model.add(layers.Conv2D(filters, 3, padding="same", activation="relu"))
    model.add(layers.Conv2D(1, 3, padding="same"))  # logits
    return model


MODELS: dict[str, Callable[[], keras.Model]] = {
    "dense": build_dense,
    "convolutional": lambda: build_convolutional((16, 8, 8), (8, 8, 16)),
    "denoising": lambda: build_convolutional((32, 32, 16), (16, 32, 32)),
}


def training_batches(images: np.ndarray, *, noisy: bool) -> tf.data.Dataset:
    """Return (seen, clean) batches, shuffled and with noise drawn anew in every epoch."""
    kept = tf.constant(images)  # in memory once, as uint8
    steps = len(images) // BATCH_SIZE

    def shuffled(_: tf.Tensor) -> tf.data.Dataset:
        order = tf.random.shuffle(tf.range(len(images)))[: steps * BATCH_SIZE]
        return tf.data.Dataset.from_tensor_slices(tf.reshape(order, (steps, BATCH_SIZE)))

    def pair(chosen: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        clean = tf.cast(tf.gather(kept, chosen), tf.float32) / 255
        if not noisy:
            return clean, clean
        noise = tf.random.normal(tf.shape(clean), stddev=NOISE_STD)
        return tf.clip_by_value(clean + noise, 0, 1), clean

    batches = tf.data.Dataset.range(1).flat_map(shuffled)
    batches = batches.map(pair, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
    return batches.apply(tf.data.experimental.assert_cardinality(steps))


def test_pair(images: np.ndarray, *, noisy: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return (seen, clean) for the test set, always with the same noise."""
    clean = images.astype(np.float32) / 255
    noise = np.random.default_rng(TEST_NOISE_SEED).normal(0, NOISE_STD, clean.shape).astype(np.float32) if noisy else 0
    return np.clip(clean + noise, 0, 1), clean


class Stopwatch(keras.callbacks.Callback):
    """Times an epoch, from before its first batch until after its last step."""

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.seconds = time.perf_counter() - self.began


def warm_up(model: keras.Model, batches: tf.data.Dataset) -> None:
    """Trace and compile the step, and leave the weights and Adam's memory as they were."""
    model.optimizer.build(model.trainable_variables)
    variables = [*model.weights, *model.optimizer.variables]
    before = [variable.numpy() for variable in variables]
    model.fit(batches.take(WARM_UP_STEPS), shuffle=False, verbose=0)
    for variable, value in zip(variables, before, strict=True):
        variable.assign(value)


def report(**values: Any) -> None:
    print(json.dumps(values), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="folder with mnist/*.gz")
    parser.add_argument("--model", choices=MODELS, required=True)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--precision", choices=POLICIES, default="float32", help="bfloat16 is Keras's mixed_bfloat16")
    parser.add_argument("--jit", choices=JIT, default="auto", help="jit_compile of model.compile; on a CPU, auto is off")
    parser.add_argument("--images", type=int, help="learn from so many only, to try the script")
    parser.add_argument("--wait", action="store_true", help="wait for a line on stdin before every epoch")
    options = parser.parse_args()

    keras.utils.set_random_seed(TRAIN_SEED)
    keras.mixed_precision.set_global_policy(POLICIES[options.precision])
    noisy = options.model == "denoising"
    train_images, test_images = (
        read_images(options.data_dir / f"mnist/{split}-images-idx3-ubyte.gz")[: options.images] for split in ("train", "t10k")
    )
    test_seen, test_clean = test_pair(test_images, noisy=noisy)
    model = MODELS[options.model]()
    assert model.count_params() == PARAMETERS[options.model], model.count_params()
    model.compile(
        optimizer=keras.optimizers.Adam(LEARNING_RATE),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
        jit_compile=JIT[options.jit],
    )
    batches = training_batches(train_images, noisy=noisy)
    steps = len(train_images) // BATCH_SIZE
    warm_up(model, batches)
    versions = {"python": sys.version.split()[0], "keras": keras.version(), "tensorflow": tf.version.VERSION}
    jit = bool(model.jit_compile)
    report(event="built", parameters=model.count_params(), steps=steps, jit=jit, precision=options.precision, versions=versions)

    stopwatch = Stopwatch()
    for epoch in range(1, options.epochs + 1):
        if options.wait and not sys.stdin.readline():
            break
        history = model.fit(batches, shuffle=False, verbose=0, callbacks=[stopwatch]).history  # the batches come shuffled
        test_loss = model.evaluate(test_seen, test_clean, batch_size=BATCH_SIZE, verbose=0)
        report(
            event="epoch",
            epoch=epoch,
            seconds=stopwatch.seconds,
            step_ms=1000 * stopwatch.seconds / steps,
            train_loss=history["loss"][-1],
            test_loss=float(test_loss),
        )


if __name__ == "__main__":
    main()
