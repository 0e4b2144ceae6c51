"""The textbook chapter's three autoencoders: its architectures, with our schedule or with its own.

The book's schedule is Adam at 1e-3, batch 200, for 20, 20 and 100 epochs. Ours is Muon in small batches, at a higher rate that
rises and falls once, and needs a fraction of the epochs (docs/experiments.md has what was tried).

Source: Menshawy (2018), Deep Learning By Example, Packt, chapter 13.
"""

from dataclasses import dataclass, replace

from isthmus.recipes.recipe import Recipe


@dataclass(frozen=True)
class ChapterModel:
    """One of the chapter's models and what the book says of it."""

    title: str
    recipe: Recipe
    """The architecture with our schedule."""
    book_epochs: int
    """Epochs that the book trains for."""
    book_loss: float
    """Mean of the training losses that the book prints, in nats per pixel."""
    parameters: int
    """Parameters of the architecture."""
    code_numbers: int
    """Numbers in the code of one 28 x 28 digit."""

    def as_in_the_book(self) -> Recipe:
        """Return the recipe with the book's schedule."""
        return replace(
            self.recipe, epochs=self.book_epochs, batch_size=200, optimizer="adam", learning_rate=1e-3, schedule="constant"
        )


CHAPTER = {
    "dense": ChapterModel(
        title="Dense",
        recipe=Recipe(model="dense", code=32, hidden=(), epochs=12, batch_size=200, optimizer="muon", learning_rate=5e-2),
        book_epochs=20,
        book_loss=0.0926,
        parameters=50_992,
        code_numbers=32,
    ),
    "convolutional": ChapterModel(
        title="Convolutional",
        recipe=Recipe(model="conv", code=8, hidden=(16, 8), epochs=5, optimizer="muon", learning_rate=2.5e-2),
        book_epochs=20,
        book_loss=0.1010,
        parameters=4_385,
        code_numbers=128,
    ),
    "denoising": ChapterModel(
        title="Denoising",
        recipe=Recipe(
            model="conv", code=16, hidden=(32, 32), task="denoise", noise=0.5, epochs=6, optimizer="muon", learning_rate=2e-2
        ),
        book_epochs=100,
        book_loss=0.0998,
        parameters=30_689,
        code_numbers=256,
    ),
}


@dataclass(frozen=True)
class BeyondModel:
    """A model beyond the chapter."""

    title: str
    recipe: Recipe
    seen: str
    """What it is given, for the figure."""


BEYOND = {
    "photographic": BeyondModel(
        "Denoising with detail around the code",
        Recipe(model="photographic", task="denoise", noise=0.5, loss="bce", epochs=4),
        "noisy",
    ),
    "enlarging": BeyondModel(
        "Enlarging, from 14 x 14 to 28 x 28 pixels",
        Recipe(model="photographic", task="upscale", factor=2, loss="bce", epochs=2),
        "stretched",
    ),
    "completing": BeyondModel(
        "Completing",
        Recipe(model="photographic", task="inpaint", loss="bce", epochs=2),
        "torn",
    ),
}
