"""The commands that judge: `evaluate`, `probe`, `novelty`, `report`, `info`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from isthmus.cli.app import DONE_IN_PART, MAX_BAD, Data, app, load_model, open_source, show
from isthmus.cli.progress import say


@app.command
def evaluate(
    model: Path,
    data: Data,
    /,
    *,
    clean: str = "",
    split: str | None = None,
    bound_samples: int = 0,
    rates: bool = False,
    plot: Path | None = None,
    data_dir: Path | None = None,
    max_bad: float = MAX_BAD,
    seed: int = 1,
    device: str = "auto",
    overwrite: bool = False,
    json: bool = False,
) -> int:
    """Measure a model beside what one would use instead.

    Example: `isthmus evaluate digits.safetensors mnist`

    Args:
        model: The model file.
        data: Clean images: a folder, .npz, .npy, an IDX file or folder, or a name; with --clean, your own damaged ones.
        clean: The clean images that belong to them, with the same names or in the same order.
        split: train, test or all; without it, what the model has not seen.
        bound_samples: Also bound a VAE's negative log-likelihood, with so many importance samples for each image (5000).
        rates: Also compress the images: bytes and loss of the model, and of PCA, JPEG and WebP at as many bytes.
        plot: A .png for the chart of loss against bytes, as measured with --rates.
        data_dir: Folder that holds named data sets.
        max_bad: Share of unreadable pictures above which nothing is done; fewer are skipped and named.
        seed: Start of the noise's chance.
        device: auto, cpu, cuda or mps.
        overwrite: Replace the chart.
        json: Print every number as one JSON object.
    """
    from isthmus.evaluation.scorecard import evaluate as run
    from isthmus.report.tables import format_scorecard
    from isthmus.storage.atomic import check_output, write_whole

    if plot:
        check_output(plot, overwrite=overwrite)
    card = run(
        load_model(model, device),
        data,
        clean=clean,
        split=split,
        data_dir=data_dir,
        max_bad=max_bad,
        seed=seed,
        bound_samples=bound_samples,
        rates=rates or plot is not None,
    ).to_json()
    if plot:
        from isthmus.report import figures

        write_whole(plot, figures.rate_distortion(card["rates"]))
    for reason in card["skipped"]:
        say(f"Skipped {reason}")
    show(card, format_scorecard(card), json)
    return DONE_IN_PART if card["skipped"] else 0


@app.command
def probe(
    model: Path,
    data: Data,
    /,
    *,
    classifiers: list[str] | None = None,
    plot: Path | None = None,
    data_dir: Path | None = None,
    max_bad: float = MAX_BAD,
    seed: int = 1,
    device: str = "auto",
    overwrite: bool = False,
    json: bool = False,
) -> int:
    """Tell what codes are good for: simple classifiers on the codes, beside pixels and PCA of the same size.

    Example: `isthmus probe digits.safetensors mnist`

    Args:
        model: The model file.
        data: Clean images with labels: an .npz, IDX files, or a name.
        classifiers: logistic and neighbours (both without it), forest.
        plot: A .png for the chart.
        data_dir: Folder that holds named data sets.
        max_bad: Share of unreadable pictures above which nothing is done; fewer are skipped and named.
        seed: Start of the noise's chance, for a model that cleans.
        device: auto, cpu, cuda or mps.
        overwrite: Replace the chart.
        json: Print every number as one JSON object.
    """
    from isthmus.evaluation.probe import CLASSIFIERS
    from isthmus.evaluation.probe import probe as run
    from isthmus.report.tables import format_probe
    from isthmus.storage.atomic import check_output

    if plot:
        check_output(plot, overwrite=overwrite)
    chosen = classifiers or CLASSIFIERS[:2]
    result = run(load_model(model, device), data, classifiers=chosen, data_dir=data_dir, max_bad=max_bad, seed=seed).to_json()
    if plot:
        from isthmus.report import figures
        from isthmus.storage.atomic import write_whole

        write_whole(plot, figures.bars(result["rows"]))
    for reason in result["skipped"]:
        say(f"Skipped {reason}")
    show(result, format_probe(result), json)
    return DONE_IN_PART if result["skipped"] else 0


@app.command
def novelty(
    model: Path,
    data: Data,
    /,
    *,
    score: str = "",
    split: str = "all",
    plot: Path | None = None,
    data_dir: Path | None = None,
    max_bad: float = MAX_BAD,
    device: str = "auto",
    overwrite: bool = False,
    json: bool = False,
) -> int:
    """Tell how unlike the training's images each image is, strangest first.

    Example: `isthmus novelty digits.safetensors scans/ --plot strangest.png`

    Args:
        model: The model file.
        data: Images: a picture, a folder, .npz, .npy, an IDX file or folder, or a name.
        score: surprise (of the code), error (of what is given back) or either (surprise, or a huge error; the default).
        split: train, test or all.
        plot: A .png for the strangest images, and what the model makes of them.
        data_dir: Folder that holds named data sets.
        max_bad: Share of unreadable pictures above which nothing is done; fewer are skipped and named.
        device: auto, cpu, cuda or mps.
        overwrite: Replace the picture.
        json: Print every score, in the order of the data, as one JSON object.
    """
    from isthmus.evaluation.novelty import novelty as run
    from isthmus.report.tables import format_novelty
    from isthmus.storage.atomic import check_output, write_whole

    if plot:
        check_output(plot, overwrite=overwrite)
    trained = load_model(model, device)
    found = run(trained, data, score=score, split=split, data_dir=data_dir, max_bad=max_bad)
    if plot:
        from isthmus.report import figures

        worst = found.strangest[:10]
        images = found.dataset.images[worst]
        captions = [f"{found.scores[i]:.4g}" for i in worst]
        write_whole(plot, figures.grid({"strangest": images, "given back": trained.restore_seen(images)}, [captions, []]))
    result = found.to_json()
    for reason in result["skipped"]:
        say(f"Skipped {reason}")
    show(result, format_novelty(result), json)
    return DONE_IN_PART if result["skipped"] else 0


@app.command
def report(
    model: Path,
    data: Data,
    /,
    *,
    out: Path,
    data_dir: Path | None = None,
    max_bad: float = MAX_BAD,
    device: str = "auto",
    overwrite: bool = False,
    json: bool = False,
) -> int:
    """Write a page about a model: what it gives, where it fails, how it learnt, where its codes lie, what they are good for.

    Example: `isthmus report digits.safetensors mnist --out page/`, then open `page/report.html`.

    Args:
        model: The model file.
        data: Clean images: a folder, .npz, .npy, an IDX file or folder, or a name.
        out: Folder for report.html and its figures.
        data_dir: Folder that holds named data sets.
        max_bad: Share of unreadable pictures above which nothing is done; fewer are skipped and named.
        device: auto, cpu, cuda or mps.
        overwrite: Replace what the folder holds.
        json: Print the page's path as one JSON object.
    """
    from isthmus.errors import printable
    from isthmus.report.model_report import portray

    page = portray(load_model(model, device), data, out, data_dir=data_dir, max_bad=max_bad, overwrite=overwrite)
    show({"report": printable(str(page))}, printable(str(page)), json)
    return 0


@app.command
def info(name: Annotated[str, Parameter(name="MODEL|DATA")], /, *, data_dir: Path | None = None, json: bool = False) -> int:
    """Say what a model file or data is.

    Example: `isthmus info digits.safetensors`

    Args:
        name: A model file (.safetensors), the name of a model that ships, or data of any kind.
        data_dir: Folder that holds named data sets.
        json: Print it as one JSON object.
    """
    from isthmus import pretrained
    from isthmus.report.tables import format_data, format_model

    if name.endswith(".safetensors") or name in pretrained.names():
        about = load_model(Path(name), "cpu").describe()
        show(about, format_model(about), json)
    else:
        about = open_source(name, data_dir, max_bad=1).read("all").describe()
        show(about, format_data(about), json)
        return DONE_IN_PART if about["skipped"] else 0
    return 0


@app.command
def doctor(*, device: str = "auto", json: bool = False) -> int:
    """Say what this machine is to isthmus: where it computes, how fast, and what is slow and why.

    Example: `isthmus doctor --json`

    Args:
        device: auto, cpu, cuda or mps.
        json: Print it as one JSON object.
    """
    from isthmus.doctor import EXTRAS, examine

    found = examine(device).to_json()
    rows = [(name.replace("_", " "), str(value)) for name, value in found["machine"].items()]
    rows += [
        (f"[{name}]", ("there" if there else "not installed") + f", for {EXTRAS[name][0]}")
        for name, there in found["extras"].items()
    ]
    rows += [
        (f"in {kind}", f"{seconds:.2f} s for a megapixel, cleaned") for kind, seconds in found["seconds_per_megapixel"].items()
    ]
    remarks = found["remarks"] or ["Nothing is in the way."]
    show(found, "\n".join([*(f"{name:<18}{value}" for name, value in rows), "", *remarks]), json)
    return 0


@app.command
def completion(shell: Literal["bash", "zsh", "fish"], /) -> int:
    """Print what lets a shell complete the commands, options and choices when Tab is pressed.

    Example: `isthmus completion bash > ~/.local/share/bash-completion/completions/isthmus`

    For zsh, a file called _isthmus in a folder of $fpath; for fish, ~/.config/fish/completions/isthmus.fish.

    Args:
        shell: bash, zsh or fish.
    """
    print(app.generate_completion(prog_name="isthmus", shell=shell))
    return 0
