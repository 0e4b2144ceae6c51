"""Many images: a folder, an array, .npz, .npy, IDX files, or a name."""

from isthmus.datasets.arrays import Arrays
from isthmus.datasets.base import SPLITS, Dataset, Rewritten, Skipped, Source, each_of, hold_out, train_and_test
from isthmus.datasets.folder import MAX_BAD, Folder
from isthmus.datasets.open import open_data, open_pairs, to_learn_from
from isthmus.datasets.pairs import Pairs
from isthmus.datasets.patches import Patches, were_learnt_from

__all__ = [
    "MAX_BAD",
    "SPLITS",
    "Arrays",
    "Dataset",
    "Folder",
    "Pairs",
    "Patches",
    "Rewritten",
    "Skipped",
    "Source",
    "each_of",
    "hold_out",
    "open_data",
    "open_pairs",
    "to_learn_from",
    "train_and_test",
    "were_learnt_from",
]
