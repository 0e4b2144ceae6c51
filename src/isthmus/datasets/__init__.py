"""Many images: a folder, shards, an array, .npz, .npy, IDX files, or a name."""

from isthmus.datasets.arrays import Arrays
from isthmus.datasets.base import SPLITS, Dataset, Rewritten, Skipped, Source, each_of, hold_out, train_and_test
from isthmus.datasets.folder import MAX_BAD, Folder
from isthmus.datasets.open import Data, open_data, open_pairs, training_data
from isthmus.datasets.pairs import Pairs
from isthmus.datasets.patches import Images, Patches, Pictures, Room, were_trained_on
from isthmus.datasets.shards import Shards

__all__ = [
    "MAX_BAD",
    "SPLITS",
    "Arrays",
    "Data",
    "Dataset",
    "Folder",
    "Images",
    "Pairs",
    "Patches",
    "Pictures",
    "Rewritten",
    "Room",
    "Shards",
    "Skipped",
    "Source",
    "each_of",
    "hold_out",
    "open_data",
    "open_pairs",
    "train_and_test",
    "training_data",
    "were_trained_on",
]
