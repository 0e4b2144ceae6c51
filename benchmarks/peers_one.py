"""One package at the job of benchmarks/peers.py: 784 - 32 - 784 on MNIST, as its own documentation says it is done.

benchmarks/peers.py starts this script once for each, in a Python that has it, and compares. Alone:

    python benchmarks/peers_one.py --data-dir DIR --method pythae --out arrays.npz

It prints one JSON object (seconds of learning, versions) and writes the codes of all digits and the restored test digits, which
benchmarks/peers.py measures. Reading the data, importing and measuring are not counted.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.metadata
import json
import platform
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

BATCH_SIZE = 200
LEARNING_RATE = 1e-3
EPOCHS = 20
CODE = 32
PIXELS = 784
SEED = 0


@dataclass(frozen=True, kw_only=True)
class Learned:
    """What has been learned."""

    seconds: float
    loss: str
    parameters: int
    epochs: int | None
    encode: Callable[[np.ndarray], np.ndarray]
    """From digits `(n, 784)` in [0, 1] to codes `(n, 32)`."""
    decode: Callable[[np.ndarray], np.ndarray]
    """And back."""


def read_images(path: Path) -> np.ndarray:
    """Return the images of a gzipped IDX file, `(n, 784)` float32 in [0, 1]."""
    with gzip.open(path) as file:
        content = file.read()
    return np.frombuffer(content, np.uint8, offset=16).reshape(-1, PIXELS).astype(np.float32) / 255


def learn_pca(images: np.ndarray, epochs: int | None) -> Learned:
    from sklearn.decomposition import PCA

    pca = PCA(CODE, random_state=SEED)
    began = time.perf_counter()
    pca.fit(images)
    return Learned(
        seconds=time.perf_counter() - began,
        loss="mse",
        parameters=pca.components_.size + pca.mean_.size,
        epochs=None,
        encode=pca.transform,
        decode=pca.inverse_transform,
    )


def learn_mlp(images: np.ndarray, epochs: int | None) -> Learned:
    """Learn with the squared error, the only one that it knows."""
    from sklearn.neural_network import MLPRegressor

    epochs = epochs or EPOCHS
    network = MLPRegressor(
        hidden_layer_sizes=(CODE,),
        batch_size=BATCH_SIZE,
        learning_rate_init=LEARNING_RATE,
        max_iter=epochs,
        n_iter_no_change=epochs + 1,  # all of them
        alpha=0,  # no weight decay: nobody else has any
        random_state=SEED,
    )
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it would like more epochs
        network.fit(images, images)
    seconds = time.perf_counter() - began
    (inward, outward), (inward_bias, outward_bias) = network.coefs_, network.intercepts_
    return Learned(
        seconds=seconds,
        loss="mse",
        parameters=sum(array.size for array in (inward, inward_bias, outward, outward_bias)),
        epochs=epochs,
        encode=lambda x: np.maximum(x @ inward + inward_bias, 0),
        decode=lambda code: code @ outward + outward_bias,
    )


def learn_pyautoencoder(images: np.ndarray, epochs: int | None) -> Learned:
    """Learn with the loop that its documentation shows: it brings none of its own."""
    import torch
    from pyautoencoder.vanilla import AE
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    epochs = epochs or EPOCHS
    torch.manual_seed(SEED)
    model = AE(nn.Sequential(nn.Linear(PIXELS, CODE), nn.ReLU()), nn.Linear(CODE, PIXELS))
    optimizer = torch.optim.Adam(model.num_parameters, lr=LEARNING_RATE)
    batches = DataLoader(TensorDataset(torch.from_numpy(images)), batch_size=BATCH_SIZE, shuffle=True)
    began = time.perf_counter()
    for _ in range(epochs):
        for (clean,) in batches:
            optimizer.zero_grad()
            loss = model.compute_loss(clean, model(clean), likelihood="bernoulli")
            loss.objective.backward()
            optimizer.step()
    return Learned(
        seconds=time.perf_counter() - began,
        loss="bce",
        parameters=sum(parameter.numel() for parameter in model.num_parameters),
        epochs=epochs,
        encode=lambda x: model.encode(torch.from_numpy(x)).z.numpy(),
        decode=lambda code: model.decode(torch.from_numpy(code)).x_hat.sigmoid().numpy(),
    )


def learn_pythae(images: np.ndarray, epochs: int | None) -> Learned:
    """Learn with its training pipeline; its autoencoder knows the squared error only."""
    import torch
    from pythae.models import AE, AEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.pipelines import TrainingPipeline
    from pythae.trainers import BaseTrainerConfig
    from torch import nn

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(PIXELS, CODE)

        def forward(self, x: torch.Tensor) -> ModelOutput:
            return ModelOutput(embedding=self.layer(x).relu())

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(CODE, PIXELS)

        def forward(self, z: torch.Tensor) -> ModelOutput:
            return ModelOutput(reconstruction=self.layer(z).sigmoid())

    epochs = epochs or EPOCHS
    torch.manual_seed(SEED)
    model = AE(AEConfig(input_dim=(PIXELS,), latent_dim=CODE), Encoder(), Decoder())
    with tempfile.TemporaryDirectory() as folder:
        settings = BaseTrainerConfig(
            output_dir=folder,
            num_epochs=epochs,
            per_device_train_batch_size=BATCH_SIZE,
            learning_rate=LEARNING_RATE,
            no_cuda=True,
            seed=SEED,
        )
        pipeline = TrainingPipeline(model=model, training_config=settings)
        began = time.perf_counter()
        pipeline(train_data=images)
        seconds = time.perf_counter() - began
    model.eval()

    def encode(x: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            codes: np.ndarray = model.encoder(torch.from_numpy(x)).embedding.numpy()
        return codes

    def decode(code: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            images: np.ndarray = model.decoder(torch.from_numpy(code)).reconstruction.numpy()
        return images

    parameters = sum(parameter.numel() for parameter in model.num_parameters)
    return Learned(seconds=seconds, loss="mse", parameters=parameters, epochs=epochs, encode=encode, decode=decode)


def learn_isthmus(images: np.ndarray, epochs: int | None, *, recipe: str, as_the_peers: bool = False, loss: str = "bce") -> Learned:
    """Learn by a named recipe, or with the peers' epochs, batches, rate and loss instead of its own."""
    import sklearn.mixture  # noqa: F401  # loaded while learning otherwise

    from isthmus.datasets import Dataset
    from isthmus.recipes import find_recipe
    from isthmus.recipes.chapter import CHAPTER
    from isthmus.training.trainer import Trainer

    chosen = replace(CHAPTER["dense"].as_in_the_book(), epochs=EPOCHS, loss=loss) if as_the_peers else find_recipe(recipe)
    chosen = replace(chosen, epochs=epochs or chosen.epochs)
    dataset = Dataset(images=np.rint(255 * images).astype(np.uint8).reshape(-1, 1, 28, 28), title="mnist")
    began = time.perf_counter()
    model = Trainer(chosen, dataset, dataset, device="cpu").fit()
    return Learned(
        seconds=time.perf_counter() - began,
        loss=chosen.loss,
        parameters=model.num_parameters,
        epochs=chosen.epochs,
        encode=lambda x: model.encode(x.reshape(-1, 1, 28, 28)),
        decode=lambda code: model.decode(code).reshape(-1, PIXELS),
    )


METHODS: dict[str, tuple[str, Callable[[np.ndarray, int | None], Learned]]] = {
    "scikit-learn PCA": ("scikit-learn", learn_pca),
    "scikit-learn MLPRegressor": ("scikit-learn", learn_mlp),
    "pyautoencoder": ("pyautoencoder", learn_pyautoencoder),
    "pythae": ("pythae", learn_pythae),
    "isthmus, as they do": ("isthmus", partial(learn_isthmus, recipe="chapter-dense", as_the_peers=True)),
    "isthmus, as they do, mse": ("isthmus", partial(learn_isthmus, recipe="chapter-dense", as_the_peers=True, loss="mse")),
    "isthmus chapter-dense": ("isthmus", partial(learn_isthmus, recipe="chapter-dense")),
    "isthmus dense-best": ("isthmus", partial(learn_isthmus, recipe="dense-best")),
}
"""By name, the package, and how it learns."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="folder with mnist/*.gz")
    parser.add_argument("--method", choices=METHODS, required=True)
    parser.add_argument("--out", type=Path, required=True, help="an .npz for codes and restored digits")
    parser.add_argument("--epochs", type=int, help="without it 20, or what a recipe of isthmus says")
    parser.add_argument("--images", type=int, help="learn from and measure on so many only, to try the script")
    options = parser.parse_args()

    train, test = (
        read_images(options.data_dir / f"mnist/{split}-images-idx3-ubyte.gz")[: options.images] for split in ("train", "t10k")
    )
    package, learn = METHODS[options.method]
    learned = learn(train, options.epochs)
    codes = {"train_codes": learned.encode(train), "test_codes": learned.encode(test)}
    np.savez(options.out, restored=learned.decode(codes["test_codes"]), **codes)
    about = {name: getattr(learned, name) for name in ("seconds", "loss", "epochs", "parameters")}
    print(json.dumps({**about, "version": importlib.metadata.version(package), "python": platform.python_version()}))


if __name__ == "__main__":
    main()
