"""What all commands share: the app, its groups, options with their texts, and how results are printed."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Group, Parameter, config

from isthmus import __version__
from isthmus.cli.messages import say
from isthmus.errors import DataError, UsageError, printable

if TYPE_CHECKING:
    from cyclopts import ArgumentCollection

    from isthmus.datasets import Rewritten, Source
    from isthmus.model import Model

PARTLY_DONE = 5
"""Exit status when some inputs failed."""

MAX_BAD = 0.5
"""As `isthmus.datasets.MAX_BAD`, which takes NumPy to load; a test compares them."""

ABOUT = """Train autoencoders on your own images, and use them: denoise, colorize, upscale, repair, inpaint, compress, compare
and generate. Models that ship restore photos right away.

isthmus denoise photos/ --out clean/

isthmus train photos/ --task denoise --budget 10m --out my.safetensors

isthmus restore my.safetensors photos/ --out clean/
"""

RESTORE = Group("Restore pictures", sort_key=1)
TRAIN = Group("Train a model", sort_key=2)
INSPECT = Group("Evaluate and inspect", sort_key=3)
LATENTS = Group("Latent codes", sort_key=4)
DEPLOY = Group("Serve and deploy", sort_key=5)

COMMANDS = (
    (RESTORE, "restore", "improve", "Detect what each photo needs, and do it: denoise, repair, or nothing."),
    (RESTORE, "restore", "denoise", "Remove noise from photos, of unknown strength."),
    (RESTORE, "restore", "upscale", "Upscale photos (super-resolution); added detail is plausible, not recovered."),
    (RESTORE, "restore", "repair", "Remove JPEG artifacts from photos: blocks, ringing, smeared colors."),
    (RESTORE, "restore", "colorize", "Add plausible colors to gray photos; a photo in color gets new ones."),
    (RESTORE, "restore", "inpaint", "Fill in missing parts of photos; the rest stays unchanged."),
    (RESTORE, "restore", "restore", "Restore pictures with any model: undo what it was trained to undo."),
    (TRAIN, "train", "train", "Train a model on your images."),
    (TRAIN, "train", "tune", "Search for good hyperparameters: the smallest error for each code size."),
    (TRAIN, "train", "reproduce", "Train the textbook chapter's three autoencoders, and write a report."),
    (INSPECT, "evaluate", "evaluate", "Measure a model and the usual baselines on the same images."),
    (INSPECT, "evaluate", "report", "Write an HTML report: scores, failures, training curve, latent space, probe."),
    (INSPECT, "evaluate", "novelty", "Find anomalies: score how out-of-distribution each image is, strangest first."),
    (INSPECT, "evaluate", "probe", "Probe the latent codes: accuracy of simple classifiers, against pixels and PCA."),
    (INSPECT, "evaluate", "info", "Describe a model file, or data."),
    (LATENTS, "latents", "encode", "Write the latent codes (embeddings) of images."),
    (LATENTS, "latents", "decode", "Write the images of latent codes."),
    (LATENTS, "latents", "generate", "Generate images like the training set, or explore the latent space."),
    (DEPLOY, "serve", "serve", "Open a local web page: restore pictures, explore the latent space, train."),
    (DEPLOY, "export", "export", "Export a model to ONNX, or to a web page that needs no server."),
    (DEPLOY, "export", "push", "Upload a model to Hugging Face Hub, with a model card."),
    (DEPLOY, "export", "pull", "Download a model from Hugging Face Hub."),
    (DEPLOY, "evaluate", "doctor", "Report the device, its speed, missing extras, and likely bottlenecks."),
    (DEPLOY, "evaluate", "completion", "Print a script that completes commands and options when you press Tab."),
)
"""All commands: the group, the module and the function of each, and the first sentence of its help."""


Data = Annotated[str, Parameter(name="DATA", help="A picture, a folder, .npz, .npy, an IDX file or folder, or a dataset's name.")]
"""DATA means the same everywhere."""

ModelName = Annotated[Path, Parameter(name="MODEL", help="A model file, or the name of a model that ships.")]

DataDir = Annotated[Path | None, Parameter(help="Folder with named datasets, as in mnist/*.gz.")]

MaxBad = Annotated[float, Parameter(help="Abort if more than this fraction of the images cannot be read; otherwise skip them.")]

Device = Annotated[str, Parameter(help="auto, cpu, cuda, cuda:1 or mps.")]

Overwrite = Annotated[bool, Parameter(help="Replace existing output.", show_default=False)]

Json = Annotated[bool, Parameter(help="Print the result as one JSON object.", show_default=False)]

Quiet = Annotated[bool, Parameter(help="Show no progress and no warnings.", show_default=False)]

Seed = Annotated[int, Parameter(help="Random seed.")]

ClusterName = Annotated[
    str | None, Parameter(help="Use Ray: auto, HOST:PORT of a cluster, or local[N] for N processes; IN and OUT may be s3:// URLs.")
]

Gpus = Annotated[float, Parameter(help="With --cluster: GPUs of each worker; 0.5 lets two share one.")]

Split = Annotated[str | None, Parameter(help="train, test or all; by default, images that the model was not trained on.")]


def commands(asked: str | None = None) -> App:
    """Return the command line.

    A command's module is imported when it is called: a table of contents needs none of them.

    Args:
        asked: The command whose own help may be shown; of the others, the first sentence is. By default, all help is whole.
    """
    app = App(
        name="isthmus",
        version=__version__,
        help=ABOUT,
        help_format="markdown",
        suppress_keyboard_interrupt=False,  # main() tells the signals apart
        default_parameter=Parameter(negative="", consume_multiple=True),
        config=fill_from_recipe,
    )
    for place, (group, module, name, sentence) in enumerate(COMMANDS):
        whole = asked is None or name == asked
        app.command(f"isthmus.cli.{module}:{name}", name=name, group=group, sort_key=place, **({} if whole else {"help": sentence}))
    return app


def fill_from_recipe(app: App, names: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Let the recipe that --recipe names give what the command line leaves out."""
    tokens = {argument.name: argument.tokens for argument in arguments if argument.tokens}
    if "--recipe" not in tokens:
        return
    given = {name.removeprefix("--").replace("-", "_") for name in tokens}
    from isthmus.recipes import base_fields

    fields = base_fields(tokens["--recipe"][0].value, given)
    config.Dict(fields, source="--recipe", use_commands_as_keys=False)(app, names, arguments)


def load_model(path: Path, device: str) -> Model:
    """Read a model file."""
    from isthmus.model import load

    return load(path, device=device)


def open_source(data: str, data_dir: Path | None, max_bad: float) -> Source:
    """Return the source of images that DATA is."""
    from isthmus.datasets import open_data

    return open_data(data, data_dir, max_bad=max_bad)


def parse_bytes(text: str, option: str = "--memory") -> int:
    """Return the bytes that a text such as 1.5GB or 800MB stands for.

    >>> parse_bytes("1.5GB")
    1500000000
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]?)B?", text.strip().upper())
    if not match:
        raise UsageError(f"{option} must be a size such as 1.5GB or 800MB, not {printable(text)}.")
    return int(float(match[1]) * {"": 1, "K": 1e3, "M": 1e6, "G": 1e9}[match[2]])


def show(result: dict[str, Any], text: str, as_json: bool, *, flush: bool = False) -> None:
    """Print a result on stdout, as JSON or as text; flushed, it is read while the command continues."""
    with contextlib.suppress(OSError):  # the work is done, also where stdout is full, or its reader has left
        print(json.dumps(result) if as_json else text, flush=flush)


def show_rewritten(
    rewritten: Rewritten,
    out: Path | str,
    seconds: float,
    as_json: bool,
    quiet: bool = False,
    *,
    facts: Mapping[str, Any] | None = None,
    remark: str = "",
) -> int:
    """Print how images were written; return the exit status.

    Args:
        rewritten: How many were, and which failed.
        out: Where to.
        seconds: How long it took.
        as_json: Print one JSON object.
        quiet: Do not list failures on stderr.
        facts: What else the JSON says.
        remark: What else the text says.
    """
    name = printable(str(out))
    for skipped in rewritten.skipped:
        if not quiet:
            say(f"Skipped: {skipped.reason}")
    if not rewritten.count + rewritten.there:
        raise DataError(f"No picture could be read, so nothing was written to {name}.")
    skipped_names = [printable(skipped.name) for skipped in rewritten.skipped]
    result = {
        "images": rewritten.count,
        "out": name,
        "seconds": round(seconds, 3),
        "images_per_second": round(rewritten.count / seconds, 1),
        "there": rewritten.there,
        "skipped": skipped_names,
        **(facts or {}),
    }
    slow = 0 < rewritten.count < seconds
    speed = f"{seconds / rewritten.count:.1f} s each" if slow else f"{rewritten.count / seconds:,.0f} per second"
    text = f"{rewritten.count:,} image{'s' * (rewritten.count != 1)} in {seconds:.2f} s ({speed}): {name}"
    if rewritten.there:
        text += f"\n{rewritten.there:,} existed already and were left unchanged"
    if remark:
        text += f"\n{remark}"
    if rewritten.skipped:
        text += f"\n{len(skipped_names):,} skipped: {', '.join(skipped_names[:10])}{' ...' if len(skipped_names) > 10 else ''}"
    show(result, text, as_json)
    return PARTLY_DONE if rewritten.skipped else 0
