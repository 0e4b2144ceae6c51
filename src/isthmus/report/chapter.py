"""`reproduce`: the textbook chapter's three models, their figures, and their numbers compared with the book's."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.datasets import Dataset, open_data
from isthmus.errors import UsageError, printable
from isthmus.evaluation.probe import compare_codes
from isthmus.evaluation.scorecard import SEED, Scorecard, evaluate
from isthmus.imaging.arrays import Array, to_unit
from isthmus.inference.device import has_fast_bfloat16
from isthmus.model import Model
from isthmus.recipes.chapter import BEYOND, CHAPTER, ChapterModel
from isthmus.recipes.recipe import Recipe
from isthmus.report import figures
from isthmus.report.advice import look_at, try_next
from isthmus.report.diagram import architecture
from isthmus.report.page import Drawing, Figure, Section, write_report
from isthmus.report.tables import chapter_table, probe_table, score_table
from isthmus.storage.atomic import check_output, write_whole
from isthmus.training.train import train
from isthmus.training.validation import losses

QUICK_DATA = "mnist-5k"
QUICK_BUDGET = "60s"
SHARES = {"dense": 0.08, "convolutional": 0.25, "denoising": 0.5}
"""Of a budget, what each training gets; the rest goes towards measuring the models."""

PROBED, QUICK_PROBED = slice(10_000), slice(None, None, 3)
"""Digits that the probes' classifiers are fitted on, and tested on."""

SHOWN = 10
"""Digits in a figure, as in the book."""


def reproduce(
    out: str | Path,
    *,
    quick: bool = False,
    budget: str | None = None,
    as_in_the_book: bool = False,
    beyond: bool = False,
    data_dir: str | Path | None = None,
    device: str = "auto",
    seed: int = 0,
    overwrite: bool = False,
    resume: bool = False,
    progress: bool | None = None,
) -> dict[str, Any]:
    """Train the chapter's three models and write everything about them into a folder.

    Args:
        out: The folder: `report.html`, its figures as PNGs, `results.json`, and three model files.
        quick: Train on the 5,000 digits that ship, in a minute.
        budget: Time for the three, such as 60s (the default with `quick`) or 10m, instead of epochs: five sixths of it for
            training, which they share. How far they get depends on the machine. Loading, measuring and drawing take the rest,
            or longer on a slow machine.
        as_in_the_book: Use the book's schedule (140 epochs in all).
        beyond: Also train a better denoiser, an upscaler and an inpainter of digits.
        data_dir: A folder with `mnist/*.gz`.
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".
        seed: Random seed.
        overwrite: Replace what the folder holds.
        resume: Continue an unfinished run in the folder.
        progress: Whether to show progress on stderr; by default, on a terminal and in a notebook.

    Returns:
        Every number of the report.
    """
    if quick and as_in_the_book:
        raise UsageError("Pass either `quick` or `as_in_the_book`, not both: the book's schedule needs its 60,000 images.")
    if budget and as_in_the_book:
        raise UsageError("Pass either `budget` or `as_in_the_book`, not both: the book's schedule has its own length.")
    budget = budget or (QUICK_BUDGET if quick else None)
    seconds = Recipe(budget=budget).budget_seconds
    began = time.perf_counter()
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    if not resume:
        check_output(folder, overwrite=overwrite)
    data = QUICK_DATA if quick else "mnist"
    source = open_data(data, Path(data_dir) if data_dir is not None else None)
    test = source.read("test")
    models: dict[str, Model] = {}
    rows: dict[str, dict[str, Any]] = {}

    def learn(name: str, title: str, recipe: Recipe) -> tuple[Model, Scorecard]:
        model = train(
            data,
            replace(recipe, seed=seed),
            out=folder / f"{name}.safetensors",
            overwrite=overwrite,
            resume=resume,
            device=device,
            data_dir=data_dir,
            progress=progress,
        )
        return model, evaluate(model, data, split="test", data_dir=data_dir)

    for name, chapter in CHAPTER.items():
        recipe = chapter.as_in_the_book() if as_in_the_book else chapter.recipe
        if seconds:
            recipe = replace(recipe, epochs=None, budget=f"{seconds * SHARES[name]:g}s")
        models[name], card = learn(name, chapter.title, recipe)
        rows[name] = _row(chapter, models[name], card)
    further = {name: learn(name, more.title, more.recipe) for name, more in BEYOND.items()} if beyond else {}
    train_set = source.read("train")
    probed = QUICK_PROBED if quick else PROBED
    probes = {name: compare_codes(model, train_set.take(probed), test.take(PROBED)).to_json() for name, model in models.items()}
    results = {
        "data": {"name": data, "train_images": models["dense"].info.data["shape"][0], "test_images": len(test)},
        "schedule": "the book's" if as_in_the_book else "quick" if quick else "ours",
        "budget": budget,
        "seed": seed,
        "bfloat16": has_fast_bfloat16(models["dense"].device),
        "models": rows,
        "probes": probes,
        "beyond": {name: card.to_json() for name, (_, card) in further.items()},
        "seconds": round(time.perf_counter() - began, 1),
    }
    sections = [*_sections(results, models, train_set, test), *_beyond(further, test)]
    page = write_report(folder, "The chapter's three autoencoders, on this machine", sections)
    write_whole(folder / "results.json", json.dumps(results, indent=2).encode())
    return {**results, "report": printable(str(page))}


def _row(chapter: ChapterModel, model: Model, card: Scorecard) -> dict[str, Any]:
    ours, pca = card.scores[0], card.scores[1]
    history = model.info.history
    return {
        "title": chapter.title,
        "parameters": model.num_parameters,
        "code_numbers": ours.numbers,
        "epochs": len(history),
        "book_epochs": chapter.book_epochs,
        "book_loss": chapter.book_loss,
        "train_loss": history[-1]["train_loss"],
        "test_loss": card.loss,
        "pca_loss": pca.bce,
        "pca_numbers": pca.numbers,
        "test_psnr_db": ours.psnr_db,
        "pca_psnr_db": pca.psnr_db,
        "seconds": model.info.train_seconds,
        "scorecard": card.to_json(),
        "history": history,
    }


def _sections(results: dict[str, Any], models: dict[str, Model], train_set: Dataset, test: Dataset) -> list[Section]:
    rows, budget = results["models"], results["budget"]
    shared = f" The three trainings shared five sixths of a budget of {budget}." if budget else ""
    data = results["data"]
    schedule = {
        "ours": "Trained with isthmus's schedule: smaller batches, and a learning rate that rises and falls once.",
        "quick": "Trained quickly, on few images. The book's numbers are from all of MNIST, so the comparison is not fair.",
        "the book's": "Trained with the book's own schedule: Adam at 0.001, batches of 200.",
    }[results["schedule"]]
    introduction = Section(
        "",
        [
            f"Trained on {data['train_images']:,} digits ({data['name']}), measured on {data['test_images']:,} others, "
            f"in {results['seconds']:.0f} seconds in all. {schedule}{shared}",
            "The loss is the mean binary cross-entropy per pixel, in nats; it can be 0 only if all pixels are black or white. "
            "The baseline is PCA with as many components as the code has numbers. "
            "The book gives training losses only.",
        ],
        tables=[chapter_table(results)],
    )
    learning = Section(
        "How they learned",
        [
            f"{r['title']}: {r['epochs']} epochs in {r['seconds']:.1f} seconds (the book: {r['book_epochs']})."
            for r in rows.values()
        ],
        figures=[
            Figure(
                "curves",
                figures.curves(
                    {r["title"]: r["history"] for r in rows.values()},
                    {r["title"]: r["book_loss"] for r in rows.values()},
                    loss="loss (nats per pixel)",
                ),
                "Loss against epochs; the dotted line is the mean of the losses that the book prints.",
            )
        ],
    )
    alternatives = Section(
        "Compared with baselines",
        [
            "All methods get the same images with the same noise. SSIM and the filters are measured on the first thousand.",
            *dict.fromkeys(note for row in rows.values() for note in row["scorecard"]["notes"]),
        ],
        tables=[score_table(row["scorecard"], row["title"]) for row in rows.values()],
    )
    codes = [
        Section(
            f"Probe of the latent codes: {rows[name]['title'].lower()}",
            [
                "Simple classifiers that see only the code, compared with pixels and with PCA of the same size. "
                + result["data"]
                + "."
            ]
            if name == "dense"
            else [],
            tables=[probe_table(result)],
            figures=[
                Figure(f"probe-{name}", figures.bars(result["rows"]), "Share of test digits that a simple classifier gets wrong.")
            ],
        )
        for name, result in results["probes"].items()
    ]
    failures = Section("Where they fail", figures=[_worst(models["denoising"], test)])
    drawings = [Drawing(f"architecture-{name}", architecture(models[name]), row["title"]) for name, row in rows.items()]
    sections = [
        Section("Architecture", drawings=drawings),
        _pictures(models, train_set, test),
        learning,
        alternatives,
        *codes,
        failures,
    ]
    reading = Section("What to look at", points=look_at([section.heading for section in sections]))
    advice = [f"{row['title']}: {text}" for row in rows.values() for text in try_next(row["history"], row["scorecard"]["scores"])]
    further = [
        "`isthmus reproduce --out chapter/`: the same on all 70,000 digits.",
        "`isthmus serve convolutional.safetensors`: its codes on a map; draw, walk, generate.",
        "The chapter as a notebook, with four experiments and exercises: `docs/notebooks/chapter.ipynb`.",
    ]
    return [introduction, reading, *sections, Section("What to try next", points=[*advice, *further])]


def _pictures(models: dict[str, Model], train_set: Dataset, test: Dataset) -> Section:
    """Return the chapter's figures."""
    clean = to_unit(test.images[_one_of_each(test)])
    noisy = models["denoising"].degradation.corrupt(clean, SEED)
    rebuilt = {name: models[name].engine.restore_inputs(clean) for name in ("dense", "convolutional")}
    label = "" if train_set.labels is None else f"label {train_set.labels[0]}"
    return Section(
        "Inputs and outputs",
        figures=[
            Figure("training-digit", figures.one(train_set.images[0], label), "A digit of the training set."),
            Figure(
                "reconstructions",
                figures.grid({"test digits": clean, **rebuilt}),
                "Top to bottom: ten test digits, the dense model's output from 32 numbers, the convolutional model's from 128.",
            ),
            Figure(
                "noisy-digit",
                figures.grid({"": np.stack([clean[0], noisy[0]])}, [["clean", "noisy"]], scale=1.8),
                "A digit without and with normal noise of standard deviation 0.5, clipped.",
            ),
            Figure(
                "denoised",
                figures.grid({"noisy": noisy, "denoised": models["denoising"].engine.restore_inputs(noisy), "clean": clean}),
                "Top to bottom: ten noisy test digits, the output, the ground truth.",
            ),
        ],
    )


def _beyond(further: dict[str, tuple[Model, Scorecard]], test: Dataset) -> list[Section]:
    """Return a section for each model beyond the chapter."""
    clean = to_unit(test.images[_one_of_each(test)])
    sections = []
    for name, (model, card) in further.items():
        more = BEYOND[name]
        seen = model.degradation.corrupt(clean, SEED)
        rows = {more.seen: seen[:, :1], "restored": model.engine.restore_inputs(seen), "truth": clean}
        sections.append(
            Section(
                f"Beyond the chapter: {more.title[0].lower()}{more.title[1:]}",
                [f"Test cross-entropy {card.loss:.4f} nats per pixel, after {model.info.train_seconds:.0f} seconds."],
                tables=[score_table(card.to_json(), more.title)],
                figures=[Figure(name, figures.grid(rows), f"Ten test digits: {more.seen}, output, ground truth.")],
            )
        )
    return sections


def _one_of_each(test: Dataset) -> Array:
    """Return the indices of the first ten test images; where images are sorted by label, of the first of each label."""
    labels = test.labels
    if labels is None or len(np.unique(labels[:SHOWN])) > 1:
        return np.arange(min(SHOWN, len(test)))
    return np.unique(labels, return_index=True)[1][:SHOWN]


def _worst(model: Model, test: Dataset) -> Figure:
    clean = to_unit(test.images[:1000])
    seen = model.degradation.corrupt(clean, SEED)
    worst = np.argsort(-losses(model, seen, clean))[:SHOWN]
    return Figure(
        "worst",
        figures.error_map(clean[worst], model.engine.restore_inputs(seen[worst])),
        "The denoiser's ten worst of the first thousand test images: ground truth, output, and the difference "
        "(red: too bright, blue: too dark).",
    )
