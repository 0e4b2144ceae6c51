"""A page about any model: what it gives, where it fails, how it learnt, where its codes lie, what they are good for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from isthmus import figures
from isthmus.datasets import MAX_BAD, Dataset, Source, open_data, read_patches, train_and_test
from isthmus.errors import DataError
from isthmus.evaluating import SEED, evaluate
from isthmus.files import check_output
from isthmus.generating import Plane, traversals, walk
from isthmus.images import Array, to_unit
from isthmus.novelty import novelty
from isthmus.probing import compare_codes
from isthmus.report import Figure, Map, Section, write_report
from isthmus.restoring import Model
from isthmus.tables import model_table, probe_table, score_table

SHOWN = 10
"""Images in a row."""

SQUARE, SQUARES = 192, 50
"""Side of the squares that are shown of photographs, and how many are looked at."""

MAPPED = 3000
"""Codes on a map, at most."""

MAP_SIDES = (8, 32)
"""Decoded places on a side of the map, for large images and for small ones."""

MAP_PIXELS = 1536
"""Pixels that a side of the map has, about, where these do not decide."""


def portray(
    model: Model,
    data: str | Path | Array,
    out: str | Path,
    *,
    data_dir: str | Path | None = None,
    max_bad: float = MAX_BAD,
    overwrite: bool = False,
) -> Path:
    """Write `report.html` about a model, and its figures as PNGs, into a folder.

    Args:
        model: Any model.
        data: Clean images, as `isthmus.datasets.open_data` takes them; its test set, or every tenth image, is shown.
        out: The folder.
        data_dir: A folder that may hold the named data sets.
        max_bad: Share of a folder's pictures that may be unreadable.
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
    source = open_data(data, Path(data_dir) if data_dir is not None else None, max_bad=max_bad)
    train, test = _images(model, source)
    card = evaluate(model, data, data_dir=data_dir, max_bad=max_bad).to_json()
    about = model.describe()
    sections = [
        Section("", [f"{card['data']}."], [model_table(about)]),
        _pictures(model, test),
        Section("Beside what one would use instead", list(card["notes"]), [score_table(card)]),
        Section("Where it fails", figures=[_worst(model, test)]),
    ]
    if about["history"]:
        curve = Figure("curves", figures.curves({model.recipe.model: about["history"]}), "Loss against seconds of training.")
        sections.append(Section("How it learnt", figures=[curve]))
    if not model.architecture.carries_detail:  # else a code alone is no image, and there are many for each
        sections += [*_codes(model, test), *_probe(model, train, test), *_inventions(model, test)]
    sections += _strangest(model, test)
    return write_report(folder, f"A {model.recipe.model} autoencoder, and what it learnt", sections)


def _images(model: Model, source: Source) -> tuple[Dataset, Dataset]:
    """Return images that a model has learnt from, and others: of pictures larger than its squares, larger squares."""
    patch = model.recipe.patch
    if patch and any(max(shape) > patch for shape in source.sizes()):
        learnt, kept = read_patches(source, SQUARE)
        return learnt.some(SHOWN, SEED), kept.some(SQUARES, SEED)
    return train_and_test(source, model.recipe.size or (None if model.architecture.any_size else model.image_shape[1:]))


def _pictures(model: Model, test: Dataset) -> Section:
    step = math.ceil(len(test) / SHOWN) if model.recipe.patch else 1  # squares of one picture follow each other
    example = model.example(test.images[::step][:SHOWN], SEED)
    seen, clean = example.seen, example.clean
    restored = model.restore_seen(seen)
    rows = (
        {"given": seen, "given back": restored}
        if np.array_equal(seen, clean)
        else {"seen": model.as_it_is(seen), "restored": restored, "clean": clean}
    )
    psnr = [f"{-10 * math.log10(max(error, 1e-10)):.1f} dB" for error in np.square(restored - clean).mean((1, 2, 3))]
    captions = [psnr if name in ("given back", "restored") else [] for name in rows]
    return Section(
        "What it sees and gives", figures=[Figure("pictures", figures.grid(rows, captions), "Images it has not learnt from.")]
    )


def _worst(model: Model, test: Dataset) -> Figure:
    example = model.example(test.images[:1000], SEED)
    seen, clean = example.seen, example.clean
    worst = np.argsort(-model.losses(seen, clean))[:SHOWN]
    picture = figures.error_map(clean[worst], model.restore_seen(seen[worst]))
    return Figure(
        "worst", picture, "The worst of the first thousand: clean, restored, the difference (red: too bright, blue: too dark)."
    )


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
            "Codes along their two widest directions, and what the model makes of the place where you stand.",
            figures.ground(positions, labels, extent),
            figures.sheet(decoded),
            side,
        )
    ]
    flat = codes.reshape(len(codes), -1)
    if len(flat) >= 50:
        method, neighbours = _neighbour_map(flat)
        caption = f"The same codes by {method}: neighbours stay neighbours, distances between groups mean little."
        shown.append(Figure("neighbours", figures.scatter(neighbours, labels), caption))
    return [Section("Where the codes lie", figures=shown)]


def _neighbour_map(codes: Array) -> tuple[str, Array]:
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
    chart = Figure("probe", figures.bars(result["rows"]), "Errors of simple classifiers, fitted on at most 10,000 images.")
    return [Section("What the codes are good for", [result["data"]], [probe_table(result)], [chart])]


def _inventions(model: Model, test: Dataset) -> Sequence[Section]:
    shown = []
    try:
        new = model.generate(5 * SHOWN, SEED, test.image_shape[1:]).reshape(5, SHOWN, *test.image_shape)
        shown.append(
            Figure("samples", figures.grid(dict(zip(("new", "", " ", "  ", "   "), new, strict=True))), "Invented images.")
        )
        rows = traversals(model, test.images[0], 5, SHOWN).reshape(-1, SHOWN, *test.image_shape)
        named = {f"{place}.": row for place, row in enumerate(rows, 1)}
        shown.append(Figure("traversals", figures.grid(named), "One image, as each of the widest numbers of its code changes."))
    except DataError:
        pass  # the code is too large for a density, or the images have another size than the training's
    walks = {f"{i + 1}.": walk(model, test.images[i], test.images[-i - 1], SHOWN) for i in range(min(3, len(test) // 2))}
    if walks:
        shown.append(Figure("walks", figures.grid(walks), "From one image to another, in equal steps of the code."))
    return [Section("New images, and ways between images", figures=shown)] if shown else []


def _strangest(model: Model, test: Dataset) -> Sequence[Section]:
    at_work = model.at_work(to_unit(test.images), SEED)
    if model.reference is None or at_work.shape != test.images.shape:
        return []  # nothing has been learnt, or what is given and what is given back cannot be compared
    found = novelty(model, at_work)
    worst = found.strangest[:SHOWN]
    captions = [f"p {found.p_values[i]:.3f}" for i in worst]
    picture = figures.grid(
        {"strangest": found.dataset.images[worst], "given back": model.restore_seen(found.dataset.images[worst])}, [captions, []]
    )
    text = f"By {found.score}; p is the share of {found.held_out:,} held-out images that are as strange or stranger."
    return [Section("The strangest", [text], figures=[Figure("strangest", picture, f"Of {test.title}, {len(test):,} images.")])]
