"""The report about any model: scores, failures, training curve, latent space, probe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from isthmus.datasets import MAX_BAD, Data, Dataset, open_data, train_and_test
from isthmus.errors import DataError
from isthmus.evaluation.metrics import psnr_db
from isthmus.evaluation.novelty import novelty
from isthmus.evaluation.probe import compare_codes
from isthmus.evaluation.scorecard import SEED, measure
from isthmus.evaluation.test_data import (
    InMemoryImages,
    StreamedImages,
    choose,
    example_of,
    in_channels_of,
    middles,
    restore_sample,
    size_for,
    takes_clean,
)
from isthmus.imaging.arrays import Array, to_unit
from isthmus.latents.explore import Plane, traversals, walk
from isthmus.model import Model
from isthmus.report import figures
from isthmus.report.advice import look_at, try_next
from isthmus.report.diagram import architecture
from isthmus.report.page import Drawing, Figure, Map, Section, write_report
from isthmus.report.tables import model_table, probe_table, score_table
from isthmus.storage.atomic import check_output
from isthmus.training.validation import losses

SHOWN = 10
"""Images in a row."""

CUT, CUT_SIDE = 100, 256
"""Of so many pictures of several sizes the middles are looked at, so many pixels high and wide, at most."""

MAPPED = 3000
"""Codes on a map, at most."""

MAP_SIDES = (8, 32)
"""Decoded places on a side of the map, for large images and for small ones."""

MAP_PIXELS = 1536
"""Pixels that a side of the map has, about, where these do not decide."""


def write_model_report(
    model: Model,
    data: Data,
    out: str | Path,
    *,
    data_dir: str | Path | None = None,
    max_bad: float = MAX_BAD,
    overwrite: bool = False,
) -> Path:
    """Write `report.html` about a model, and its figures as PNGs, into a folder.

    Args:
        model: Any model.
        data: Clean images, as `open_data` takes them; its test set, or every tenth image, is shown.
        out: The folder.
        data_dir: Folder with named datasets.
        max_bad: Largest share of a folder's images that may be unreadable.
        overwrite: Replace what the folder holds.

    Returns:
        The page's path.

    Raises:
        UsageError: If the folder is not empty.
        DataError: If the data cannot be read or does not fit the model.
    """
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    check_output(folder, overwrite=overwrite)
    source = open_data(data, data_dir, max_bad=max_bad)
    subjects = choose(model, source)
    card = measure(model, subjects).to_json()
    about = model.describe()
    if isinstance(subjects, StreamedImages):
        learned, shown = None, middles(model, subjects, CUT, CUT_SIDE)
    else:
        parts = train_and_test(source, size_for(model))
        learned, shown = (replace(part, images=in_channels_of(model, part.images)) for part in parts)
    sections = [
        Section("", [f"{card['data']}."], tables=[model_table(about)]),
        _architecture(model),
        _pictures(model, shown, subjects),
        Section("Compared with baselines", list(card["notes"]), tables=[score_table(card)]),
        Section("Where it fails", figures=[_worst(model, shown)]),
    ]
    if about["history"]:
        drawn = figures.curves({model.recipe.network: about["history"]}, loss=f"loss ({model.recipe.loss})")
        sections.append(Section("Training curve", figures=[Figure("curves", drawn, "Loss against epochs.")]))
    if learned:
        sections += _code_sections(model, learned, shown)
    sections.insert(1, Section("What to look at", points=look_at([section.heading for section in sections])))
    sections.append(Section("What to try next", points=[*try_next(about["history"], card["scores"]), *_commands(model)]))
    return write_report(folder, f"Report on a {model.recipe.network} autoencoder", sections)


def _architecture(model: Model) -> Section:
    caption = "The layers from the input to the output: each box is what stands between them, and the code is marked."
    return Section("Architecture", drawings=[Drawing("architecture", architecture(model), caption)])


def _commands(model: Model) -> list[str]:
    """Return what else the command line does with such a model."""
    own = ["`isthmus restore MODEL FOLDER --out OUT`: restore pictures with it."]
    if takes_clean(model) and model.decodes_codes:
        own = [
            "`isthmus generate MODEL --out new.png`: images like these.",
            "`isthmus encode MODEL DATA --out codes.npz`: their codes.",
        ]
    return [*own, "`isthmus serve MODEL`: open it in the browser.", "`isthmus tune DATA --budget 10m`: find better sizes."]


def _look(test: Dataset) -> tuple[int, float]:
    """Return (how many images stand in a row, how wide they are in inches): large ones are fewer."""
    width = float(np.clip(max(test.image_shape[1:]) / figures.DPI, 0.9, 2.4))
    return (SHOWN if width < 1.2 else SHOWN // 2), width


def _pictures(model: Model, test: Dataset, subjects: InMemoryImages | StreamedImages) -> Section:
    count, width = _look(test)
    example = example_of(model, test.images[:count], SEED)
    restored = restore_sample(model, example)
    rows = {"given": example.degraded_as_image, "given back": restored}
    if not np.array_equal(example.degraded_as_image, example.clean):
        rows = {"seen": example.degraded_as_image, "restored": restored, "clean": example.clean}
    captions = [[f"{value:.1f} dB" for value in psnr_db(images, example.clean)] for images in rows.values()]
    captions = [[] if name in ("given", "clean") else texts for name, texts in zip(rows, captions, strict=True)]
    caption = "Held-out images."
    if isinstance(subjects, StreamedImages):
        unseen = "Held-out pictures" if subjects.split == "test" else "Pictures"
        caption = f"{unseen}: center crops of {' x '.join(map(str, test.image_shape[1:]))} pixels."
    return Section("Inputs and outputs", figures=[Figure("pictures", figures.grid(rows, captions, scale=width), caption)])


def _worst(model: Model, test: Dataset) -> Figure:
    count, width = _look(test)
    first = example_of(model, test.images[:1000], SEED)
    worst = first.take(np.argsort(-losses(model, first.model_input, first.clean))[:count])
    colors = model.loss.needs_seen
    picture = figures.error_map(worst.clean, restore_sample(model, worst), colors=colors, scale=width)
    meant = "how far their colors are apart" if colors else "the difference (red: too bright, blue: too dark)"
    return Figure("worst", picture, f"The worst of the first {len(first):,}: ground truth, output, {meant}.")


def _code_sections(model: Model, train: Dataset, test: Dataset) -> list[Section]:
    """Return what there is to say of codes: where they are all that an image comes from, and where clean images have some."""
    sections = list(_probe(model, train, test))
    clean = takes_clean(model)
    if clean and model.decodes_codes:
        sections = [*_codes(model, test), *sections, *_inventions(model, test)]
    return [*sections, *_strangest(model, test)] if clean else sections


def _codes(model: Model, test: Dataset) -> list[Section]:
    images = test.images[:MAPPED]
    codes = model.encode(images)
    labels = None if test.labels is None else test.labels[:MAPPED]
    try:
        plane = Plane.of(codes)
    except DataError:
        return []  # one number, or one image: there is no map
    positions = plane.positions(codes)
    low, high = positions.min(0), positions.max(0)
    extent = (low[0], high[0], low[1], high[1])
    side = int(np.clip(MAP_PIXELS // max(test.image_shape[1:]), *MAP_SIDES))
    decoded = plane.decoded(model, low, high, side, test.image_shape[1:])
    shown: list[Figure] = [
        Map(
            "map",
            figures.code_map(positions, labels, decoded, extent),
            "The plane of the two widest directions through the codes, and the decoded image of the place under the pointer.",
            figures.ground(positions, labels, extent),
            figures.sheet(decoded),
            side,
        )
    ]
    flat = codes.reshape(len(codes), -1)
    if len(flat) >= 50:
        method, neighbors = _neighbor_map(flat)
        caption = f"The same codes by {method}: neighbors stay neighbors; distances between groups mean little."
        shown.append(Figure("neighbors", figures.scatter(neighbors, labels), caption))
    return [Section("Latent space", figures=shown)]


def _neighbor_map(codes: Array) -> tuple[str, Array]:
    """Return (method, positions `(n, 2)`): UMAP where it is installed, else t-SNE."""
    try:
        from umap import UMAP
    except ImportError:
        from sklearn.manifold import TSNE

        return "t-SNE", np.asarray(TSNE(random_state=0, init="pca", perplexity=min(30, len(codes) // 4)).fit_transform(codes))
    return "UMAP", np.asarray(UMAP(random_state=0, n_jobs=1).fit_transform(codes))


def _probe(model: Model, train: Dataset, test: Dataset) -> Sequence[Section]:
    few = slice(10_000)
    try:
        result = compare_codes(model, train.take(few), test.take(few)).to_json()
    except DataError:
        return []  # there are no labels, or none that name classes
    chart = Figure("probe", figures.bars(result["rows"]), "Errors of simple classifiers, fitted to at most 10,000 images.")
    return [Section("Probe of the latent codes", [result["data"]], tables=[probe_table(result)], figures=[chart])]


def _inventions(model: Model, test: Dataset) -> Sequence[Section]:
    shown = []
    try:
        new = model.generate(5 * SHOWN, SEED, test.image_shape[1:]).reshape(5, SHOWN, *test.image_shape)
        shown.append(
            Figure("samples", figures.grid(dict(zip(("new", "", " ", "  ", "   "), new, strict=True))), "Invented images.")
        )
        rows = traversals(model, test.images[0], 5, SHOWN).reshape(-1, SHOWN, *test.image_shape)
        named = {f"{place}.": row for place, row in enumerate(rows, 1)}
        shown.append(Figure("traversals", figures.grid(named), "One image, with one number of its code varied per row."))
    except DataError:
        pass  # the code is too large for a density, or the images have another size than the training's
    walks = {f"{i + 1}.": walk(model, test.images[i], test.images[-i - 1], SHOWN) for i in range(min(3, len(test) // 2))}
    if walks:
        shown.append(Figure("walks", figures.grid(walks), "From one image to another, in equal steps through the latent space."))
    return [Section("Generated images and walks", figures=shown)] if shown else []


def _strangest(model: Model, test: Dataset) -> Sequence[Section]:
    if model.statistics is None:
        return []  # nothing has been learned
    try:
        found = novelty(model, model.degradation.at_inference(to_unit(test.images), SEED))
    except DataError:
        return []  # there is nothing to compare such images with
    worst = found.strangest[:SHOWN]
    captions = [f"p {found.p_values[i]:.3f}" for i in worst]
    picture = figures.grid(
        {"strangest": found.dataset.images[worst], "given back": model.engine.restore_inputs(found.dataset.images[worst])},
        [captions, []],
    )
    which = "training images, as none were held out," if found.nothing_held_out else "held-out images"
    text = f"By {found.score}; p is the share of {found.held_out:,} {which} that are at least as strange."
    return [Section("Anomalies", [text], figures=[Figure("strangest", picture, f"Of {test.title}, {len(test):,} images.")])]
