"""What a model can learn to undo, by name: the project on one screen.

A task is a corruption: from a batch of clean images it makes what the model sees, and the clean image is what is wanted.
Nothing else distinguishes the tasks, and the training loop knows nothing else.
"""

from dataclasses import dataclass

from isthmus.corruptions import Corruption, Downscale, Erase, GaussianNoise, Given, Grayscale, Jpeg, Mask, Neighbours, Nothing, Warp


@dataclass(frozen=True)
class Task:
    """One row of the table."""

    corruption: Corruption
    """What is done to the clean image, unless a recipe says otherwise."""
    learns: str
    """What the model learns by undoing it."""
    clean_at_work: bool = False
    """Whether the trained model is given images as they are: the corruption was there only to learn from."""
    loss: str = ""
    """What is made small, unless a recipe says otherwise; without it, the architecture's usual loss."""


TASKS: dict[str, Task] = {
    "reconstruct": Task(Nothing(), "a short code of the image"),
    "denoise": Task(GaussianNoise(0.5), "the image without its noise"),
    "colorize": Task(Grayscale(), "plausible colours", loss="ab"),
    "upscale": Task(Downscale(2), "the detail that a small picture has lost"),
    "repair": Task(Jpeg((10, 80)), "the image before it was compressed"),
    "inpaint": Task(Mask(), "what was where nothing is seen"),
    "pairs": Task(Given(), "whatever turns your damaged images into the clean ones that you give beside them"),
    "noisy": Task(Neighbours(), "the image without its noise, from noisy images alone", clean_at_work=True),
    "describe": Task(Warp() | Erase(), "what an image shows, wherever and however it stands", clean_at_work=True),
}
