"""The tasks by name.

A task is a corruption to undo: from a batch of clean images it makes the network's input, and the clean image is the target.
Where no clean image is degraded (pairs, noisy images alone), the task says so by its target. The training loop knows nothing else.
"""

from dataclasses import dataclass, field

from isthmus.corruptions import Corruption, Downscale, Erase, GaussianNoise, Grayscale, Hints, Jpeg, Mask, Nothing, Warp
from isthmus.plugins import Registry
from isthmus.recipes.targets import CleanTarget, NeighborTarget, PairTarget


@dataclass(frozen=True)
class Task:
    """One row of the table."""

    corruption: Corruption
    """What the model undoes, unless a recipe names another corruption."""
    learns: str
    """What the network learns to predict."""
    clean_input: bool = False
    """Whether the trained model gets images as they are: the corruption is for training only."""
    loss: str | None = None
    """The loss, unless a recipe says otherwise; None for the network's default."""
    target: CleanTarget = field(default_factory=CleanTarget)
    """How inputs and targets come from the dataset."""

    @property
    def restores(self) -> bool:
        """Whether inputs are degraded and their clean images are known, so that the gain can be measured."""
        degrades = self.corruption != Nothing() or not self.target.from_clean
        return degrades and not self.clean_input and self.target.inputs_in_range


TASKS: Registry[Task] = Registry(
    "task",
    "isthmus.tasks",
    {
        "reconstruct": Task(Nothing(), "a short code of the image"),
        "denoise": Task(GaussianNoise(0.5), "the image without its noise"),
        "colorize": Task(Hints() | Grayscale(), "plausible colors", loss="ab"),
        "upscale": Task(Downscale(2), "the detail that a small image has lost"),
        "repair": Task(Jpeg((10, 80)), "the image before it was compressed"),
        "inpaint": Task(Mask(), "what was in the missing parts"),
        "pairs": Task(Nothing(), "what turns your degraded images into your clean ones", target=PairTarget()),
        "noisy": Task(Nothing(), "the image without its noise, from noisy images alone", clean_input=True, target=NeighborTarget()),
        "describe": Task(Warp() | Erase(), "what an image shows, wherever and however it stands", clean_input=True),
    },
)


def register_task(name: str, task: Task) -> None:
    """Add a task.

    Raises:
        UsageError: If the name is taken.
    """
    TASKS.add(name, task)
