"""How much invented digits are like real ones: Frechet distances in the features of a small classifier of digits.

    python benchmarks/samples.py --data-dir DIR MODEL.safetensors [MODEL ...]

The classifier is scikit-learn's, 784 - 256 - 64 - 10, trained here on MNIST's training digits; the features are its 64 hidden
numbers. The distance is between 10,000 images and the 10,000 test digits, black and white in both if the model makes such ones.
It is not the Frechet Inception distance, and compares with none: only the rows of one run compare. The first rows say what is
possible: training digits, and what one would use instead, PCA with a normal distribution over its 50 numbers.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path

import numpy as np
from scipy.linalg import sqrtm
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

import isthmus
from isthmus.datasets import Dataset, open_data
from isthmus.imaging.arrays import Array, to_unit

COUNT = 10_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--data-dir", type=Path, help="folder with mnist/*.gz")
    options = parser.parse_args()
    source = open_data("mnist", options.data_dir)
    train, test = source.read("train"), source.read("test")
    classifier = learn(train)
    real = table(test.images)
    print(json.dumps({"classifier_test_accuracy": round(float((classifier.predict(real) == test.labels).mean()), 4)}))
    rows = {"training digits": table(train.images[:COUNT]), "PCA 50, normal": principal_components(table(train.images))}
    rows |= {path.stem: table(isthmus.load(path).generate(COUNT, seed=1)) for path in options.models}
    for name, images in rows.items():
        print(
            json.dumps(
                {"images": name, "frechet_distance": round(distance(features(classifier, images), features(classifier, real)), 2)}
            )
        )


def table(images: Array) -> Array:
    return to_unit(images).reshape(len(images), -1)


def learn(train: Dataset) -> MLPClassifier:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return MLPClassifier((256, 64), max_iter=8, random_state=0).fit(table(train.images), train.labels)


def features(classifier: MLPClassifier, images: Array) -> Array:
    for weights, bias in list(zip(classifier.coefs_, classifier.intercepts_, strict=True))[:-1]:
        images = np.maximum(images @ weights + bias, 0)
    return images


def principal_components(images: Array) -> Array:
    pca = PCA(50, random_state=0).fit(images)
    numbers = np.random.default_rng(1).normal(size=(COUNT, 50)) * np.sqrt(pca.explained_variance_)
    return np.clip(pca.inverse_transform(numbers), 0, 1)


def distance(first: Array, second: Array) -> float:
    """Return the squared Frechet distance of two normal distributions with the features' means and covariances."""
    covariances = np.cov(first.T), np.cov(second.T)
    mixed = np.real(sqrtm(covariances[0] @ covariances[1]))
    return float(np.square(first.mean(0) - second.mean(0)).sum() + np.trace(covariances[0] + covariances[1] - 2 * mixed))


if __name__ == "__main__":
    main()
