"""The commands that evaluate and inspect: `evaluate`, `probe`, `novelty`, `report`, `info`, `doctor`, `completion`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from isthmus.cli.app import (
    MAX_BAD,
    PARTLY_DONE,
    ClusterName,
    Data,
    DataDir,
    Device,
    Gpus,
    Json,
    MaxBad,
    ModelName,
    Overwrite,
    Seed,
    Split,
    commands,
    load_model,
    open_source,
    show,
)
from isthmus.cli.messages import CountBar, as_flags, say
from isthmus.errors import UsageError, require

Plot = Annotated[Path | None, Parameter(help="A .png for the chart.")]


def evaluate(
    model: ModelName,
    data: Data,
    /,
    *,
    clean: Annotated[str | None, Parameter(help="Clean images, if DATA holds your own degraded ones.")] = None,
    split: Split = None,
    bound_samples: Annotated[int, Parameter(help="Importance samples per image of a VAE's likelihood bound; 0: none.")] = 0,
    rates: Annotated[bool, Parameter(help="Also compare as compressors with PCA, JPEG and WebP.", show_default=False)] = False,
    plot: Annotated[Path | None, Parameter(help="A .png for the chart of loss against bytes, as with --rates.")] = None,
    data_dir: DataDir = None,
    max_bad: MaxBad = MAX_BAD,
    seed: Seed = 1,
    device: Device = "auto",
    overwrite: Overwrite = False,
    json: Json = False,
) -> int:
    """Measure a model and the usual baselines on the same images.

    Example: `isthmus evaluate digits.safetensors mnist`

    DATA are clean images: isthmus degrades them as the model's task says.
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
        say(f"Skipped: {reason}")
    show(card, format_scorecard(card), json)
    return PARTLY_DONE if card["skipped"] else 0


def probe(
    model: ModelName,
    data: Data,
    /,
    *,
    classifiers: Annotated[list[str] | None, Parameter(help="logistic and neighbors (the default), forest.")] = None,
    plot: Plot = None,
    data_dir: DataDir = None,
    max_bad: MaxBad = MAX_BAD,
    seed: Seed = 1,
    device: Device = "auto",
    overwrite: Overwrite = False,
    json: Json = False,
) -> int:
    """Probe the latent codes: accuracy of simple classifiers, against pixels and PCA.

    Example: `isthmus probe digits.safetensors mnist`

    DATA needs labels: an .npz, IDX files, a dataset's name, or a folder with a subfolder per class.
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
        say(f"Skipped: {reason}")
    show(result, format_probe(result), json)
    return PARTLY_DONE if result["skipped"] else 0


def novelty(
    model: ModelName,
    data: Data,
    /,
    *,
    score: Annotated[
        str | None, Parameter(help="surprise (of the code), error (of the output) or either (surprise, or a huge error).")
    ] = None,
    split: Annotated[str, Parameter(help="train, test or all.")] = "all",
    plot: Annotated[Path | None, Parameter(help="A .png for the strangest images, and the model's output.")] = None,
    out: Annotated[Path | None, Parameter(help="With --cluster: where scores.parquet goes, a folder or a URL.")] = None,
    data_dir: DataDir = None,
    max_bad: MaxBad = MAX_BAD,
    device: Device = "auto",
    overwrite: Overwrite = False,
    resume: Annotated[bool, Parameter(help="With --cluster: continue an unfinished run.", show_default=False)] = False,
    cluster: ClusterName = None,
    gpus_per_worker: Gpus = 0.0,
    json: Json = False,
) -> int:
    """Find anomalies: score how out-of-distribution each image is, strangest first.

    Example: `isthmus novelty digits.safetensors scans/ --plot strangest.png`
    """
    from isthmus.evaluation.novelty import novelty as run
    from isthmus.storage.atomic import check_output, write_whole

    if (cluster is None) != (out is None) or (cluster and plot):
        raise UsageError("--cluster needs --out and draws no --plot; without --cluster, leave out --out.")
    if cluster and out:
        from isthmus.cluster.session import Cluster

        where = Cluster(address=cluster, gpus_per_worker=gpus_per_worker)
        require("cluster", "ray", "pyarrow")
        from isthmus.cluster.images import score_pictures

        source, trained = open_source(data, data_dir, max_bad), load_model(model, "cpu")
        with CountBar(out.name) as on_progress:
            scored = score_pictures(
                trained,
                source,
                out,
                where,
                score=score,
                device=where.device(device),
                overwrite=overwrite,
                resume=resume,
                on_progress=on_progress,
            )
        return _show_novelty(scored.result, json)
    if plot:
        check_output(plot, overwrite=overwrite)
    trained = load_model(model, device)
    found = run(trained, data, score=score, split=split, data_dir=data_dir, max_bad=max_bad)
    if plot:
        from isthmus.report import figures

        worst = found.strangest[:10]
        images = found.dataset.images[worst]
        captions = [f"{found.scores[i]:.4g}" for i in worst]
        write_whole(plot, figures.grid({"strangest": images, "output": trained.engine.restore_inputs(images)}, [captions, []]))
    return _show_novelty(found.to_json(), json)


def _show_novelty(result: dict[str, Any], json: bool) -> int:
    from isthmus.report.tables import format_novelty

    for reason in result["skipped"]:
        say(f"Skipped: {reason}")
    show(result, format_novelty(result), json)
    return PARTLY_DONE if result["skipped"] else 0


def report(
    model: ModelName,
    data: Data,
    /,
    *,
    out: Annotated[Path, Parameter(help="Folder for report.html and its figures.")],
    data_dir: DataDir = None,
    max_bad: MaxBad = MAX_BAD,
    device: Device = "auto",
    overwrite: Overwrite = False,
    json: Json = False,
) -> int:
    """Write an HTML report: scores, failures, training curve, latent space, probe.

    Example: `isthmus report digits.safetensors mnist --out page/`, then open `page/report.html`.
    """
    from isthmus.errors import printable
    from isthmus.report.model_report import write_model_report

    page = write_model_report(load_model(model, device), data, out, data_dir=data_dir, max_bad=max_bad, overwrite=overwrite)
    show({"report": printable(str(page))}, printable(str(page)), json)
    return 0


def info(
    name: Annotated[str, Parameter(name="MODEL|DATA", help="A model file, the name of a model that ships, or data of any kind.")],
    /,
    *,
    data_dir: DataDir = None,
    json: Json = False,
) -> int:
    """Describe a model file, or data.

    Example: `isthmus info digits.safetensors`
    """
    from isthmus import pretrained
    from isthmus.report.tables import format_data, format_model

    if name.endswith(".safetensors") or name in pretrained.names():
        about = load_model(Path(name), "cpu").describe()
        show(about, format_model(about), json)
    else:
        about = open_source(name, data_dir, max_bad=1).read("all").describe()
        show(about, format_data(about), json)
        return PARTLY_DONE if about["skipped"] else 0
    return 0


def doctor(*, device: Device = "auto", json: Json = False) -> int:
    """Report the device, its speed, missing extras, and likely bottlenecks.

    Example: `isthmus doctor --json`
    """
    from isthmus.doctor import EXTRAS, diagnose

    found = diagnose(device).to_json()
    rows = [(name.replace("_", " "), str(value)) for name, value in found["machine"].items()]
    rows += [
        (f"[{name}]", ("installed" if there else "not installed") + f", for {EXTRAS[name][0]}")
        for name, there in found["extras"].items()
    ]
    rows += [(f"in {kind}", f"{seconds:.2f} s to denoise a megapixel") for kind, seconds in found["seconds_per_megapixel"].items()]
    remarks = [as_flags(remark) for remark in found["remarks"]] or ["No problems found."]
    show(found, "\n".join([*(f"{name:<18}{value}" for name, value in rows), "", *remarks]), json)
    return 0


def completion(shell: Annotated[Literal["bash", "zsh", "fish"], Parameter(help="bash, zsh or fish.")], /) -> int:
    """Print a script that completes commands and options when you press Tab.

    Example: `isthmus completion bash > ~/.local/share/bash-completion/completions/isthmus`

    For zsh, save it as _isthmus in a folder of $fpath; for fish, as ~/.config/fish/completions/isthmus.fish.
    """
    print(commands().generate_completion(prog_name="isthmus", shell=shell))
    return 0
