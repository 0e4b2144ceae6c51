"""Files through workers: Ray Data hands out names, each worker loads its models once, rows come back for the manifest."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any, Protocol

import pyarrow as pa

from isthmus.cluster.manifest import FAILED, FIELDS, STOPPED, WRITTEN, Manifest
from isthmus.cluster.session import Cluster
from isthmus.datasets import Rewritten, Skipped
from isthmus.datasets.base import OnProgress
from isthmus.datasets.folder import Folder
from isthmus.datasets.rewriting import of_one_file
from isthmus.errors import DataError, Interrupted, IsthmusError, one_line, printable
from isthmus.storage.atomic import resumable

MOST_TOGETHER, BYTES_TOGETHER, TASKS_PER_WORKER = 512, 16 << 20, 16
"""Files that a worker gets at once: at most, and about so many bytes, and so few that each worker gets as many tasks as this."""

LOOKED_AT = 15
"""Files whose sizes tell how large the others are."""

ROUND, ROUND_PER_WORKER = 100_000, 2_000
"""Files of one Ray dataset, at least and for each worker: what Ray keeps of its tasks then does not grow with the files."""

RETRIES = 2
"""How often a task is given to another worker when its own is killed; then its files are tried once more, one by one, alone."""

CREDENTIALS = ("AWS_", "AZURE_", "FSSPEC_", "GOOGLE_")
"""How variables of the environment begin that workers get from the driver: they tell how to reach object stores."""

Work = Callable[[Sequence[str]], Iterator[Sequence[dict[str, Any]]]]
"""Does what is to be done with files of some names, neighbors together; yields, for as many as were together, the rows' further
fields, and maybe a "reason". What it raises is about the first file that it has not yielded, or one of those together with it."""


class Job(Protocol):
    """What is done with each file. It travels to the workers."""

    @property
    def extra(self) -> dict[str, Any]:
        """The fields that it adds to the manifest, by name: Arrow's types."""

    def start(self) -> Work:
        """Load what is needed; called once for each worker."""


class _Worker:
    """What runs in each of Ray's processes."""

    def __init__(self, job: Job, gpus: float, environment: dict[str, str]):
        os.environ.update(environment)
        torch = sys.modules.get("torch")  # loaded with the job, if it needs it
        if torch and not gpus:
            torch.set_num_threads(1)  # one core for each worker
        self.work = job.start()
        self.schema = pa.schema([*FIELDS, *job.extra.items(), ("name", pa.binary())])
        self.name = f"{socket.gethostname()}:{os.getpid()}"

    def __call__(self, names: Any) -> Any:
        return pa.Table.from_pylist(self._rows([os.fsdecode(name) for name in names["name"].to_pylist()]), self.schema)

    def _rows(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """Return the files' rows; where one of some together fails, each one that is left is done by itself."""
        rows: list[dict[str, Any]] = []
        began = time.perf_counter()
        try:
            with resumable():
                for together in self.work(names):
                    seconds = (time.perf_counter() - began) / max(1, len(together))
                    rows += [
                        self._row(name, seconds, {"outcome": WRITTEN, "reason": ""} | found)
                        for name, found in zip(names[len(rows) :], together, strict=False)
                    ]
                    began = time.perf_counter()
        except Exception as error:  # one odd file does not end a million others
            if len(names) > 1:
                return rows + [row for name in names[len(rows) :] for row in self._rows([name])]
            rows = [self._row(names[0], time.perf_counter() - began, _failure(names[0], error))]
        return rows

    def _row(self, name: str, seconds: float, found: dict[str, Any]) -> dict[str, Any]:
        return {"path": text(name), "name": os.fsencode(name), "seconds": seconds, "worker": self.name} | found


def _failure(name: str, error: Exception) -> dict[str, Any]:
    if isinstance(error, IsthmusError):
        return {"outcome": FAILED if of_one_file(error) else STOPPED, "reason": str(error)}
    return {"outcome": FAILED, "reason": f"{printable(name)}: {type(error).__name__}: {one_line(error)}"}


def run(
    job: Job,
    folder: Folder,
    manifest: Manifest,
    cluster: Cluster,
    *,
    resume: bool,
    on_progress: OnProgress | None = None,
    on_rows: Callable[[Any], None] | None = None,
) -> Rewritten:
    """Do a job for each picture of a folder that the manifest does not name.

    Args:
        job: What.
        folder: The pictures.
        manifest: Where what was done is written.
        cluster: Where to compute.
        resume: Keep what the manifest has.
        on_progress: Called with how many are done, and of how many.
        on_rows: Called with the rows of a few files, as a table of Arrow.

    Returns:
        What was done; the files that are not read are among those skipped.

    Raises:
        DataError: If more fail than the folder's `max_bad` allows.
        Interrupted: After SIGINT or SIGTERM; the manifest is whole.
        IsthmusError: If nothing can be written any more, as on a full disk.
    """
    done = manifest.begin(resume=resume)
    left = [name for name in map(str, folder.files) if text(name) not in done]
    there, count = len(folder.files) - len(left), 0
    unread, skipped = folder.unread(), list[Skipped]()
    try:
        with cluster.connected() as workers:
            for rows in _rows(job, left, _typical_size(folder, left), workers, cluster):
                for reason in rows.filter(pa.compute.equal(rows["outcome"], STOPPED))["reason"].to_pylist():
                    raise IsthmusError(reason)
                manifest.add(rows)
                if on_rows:
                    on_rows(rows)
                failed = rows.filter(pa.compute.equal(rows["outcome"], FAILED))
                skipped += [Skipped(row["path"], row["reason"]) for row in failed.to_pylist()]
                count += len(rows) - len(failed)
                folder.check_share(skipped)
                if on_progress:
                    on_progress(there + count + len(skipped), len(folder.files))
    except KeyboardInterrupt as error:
        status = error.exit_status if isinstance(error, Interrupted) else 130
        raise Interrupted("Stopped; all files that were written are whole. Pass `resume=True` to continue.", status) from None
    finally:
        manifest.flush()
    return Rewritten(count, (*unread, *skipped), there)


def _typical_size(folder: Folder, names: Sequence[str]) -> int:
    """Return the bytes of a file of median size, from a few of them."""
    sizes = []
    for name in names[:: len(names) // LOOKED_AT + 1]:
        with contextlib.suppress(DataError):  # the workers say it
            sizes.append(folder.store.size(name))
    return sorted(sizes)[len(sizes) // 2] if sizes else 0


def _rows(job: Job, names: Sequence[str], size: int, workers: int, cluster: Cluster) -> Iterator[Any]:
    """Yield the rows of all names, each name once, a few at a time, in the order in which they get done.

    Args:
        job: What is done.
        names: Of the files.
        size: Bytes of a typical one.
        workers: For how many there is room.
        cluster: Where they are.
    """
    length = max(ROUND, ROUND_PER_WORKER * workers)
    most = max(1, min(MOST_TOGETHER, BYTES_TOGETHER // max(1, size)))
    for start in range(0, len(names), length):
        some = names[start : start + length]
        together = max(1, min(most, len(some) // (TASKS_PER_WORKER * workers)))
        missing = set(some)
        for again in (False, True):
            if missing:
                left = [name for name in some if name in missing]
                for rows in _passed(job, left, 1 if again else together, workers, cluster, alone=again):
                    missing.difference_update(map(os.fsdecode, rows["name"].to_pylist()))
                    yield rows.drop_columns(["name"])
        if missing:
            reason = "killed the workers that read it, again and again. It may take more memory than there is."
            lost = [_lost(name, f"{printable(name)} {reason}") for name in some if name in missing]
            yield pa.Table.from_pylist(lost, pa.schema([*FIELDS, *job.extra.items()]))


def _lost(name: str, reason: str) -> dict[str, Any]:
    return {"path": text(name), "outcome": FAILED, "reason": reason, "seconds": 0.0, "worker": ""}


def _passed(job: Job, names: Sequence[str], together: int, workers: int, cluster: Cluster, *, alone: bool) -> Iterator[Any]:
    """Yield the rows of names, but for those whose workers were killed; where no other task waits for a worker, it is to blame."""
    import ray.data
    from ray.util.annotations import RayDeprecationWarning

    credentials = {name: value for name, value in os.environ.items() if name.startswith(CREDENTIALS)}
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    context.max_errored_blocks = -1
    blocks = [
        pa.table({"name": pa.array(map(os.fsencode, names[start : start + together]), pa.binary())})
        for start in range(0, len(names), together)
    ]
    pool = {"size": min(workers, len(blocks))} if cluster.processes else {"min_size": 1, "max_size": len(blocks)}
    pool |= {"max_tasks_in_flight_per_actor": 1} if alone else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RayDeprecationWarning)  # until Ray 2.64, nothing else limits how often a task is tried
        results = ray.data.from_arrow(blocks).map_batches(
            _Worker,
            fn_constructor_args=(job, cluster.gpus_per_worker, credentials),
            batch_size=None,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(**pool),
            num_cpus=1,
            num_gpus=cluster.gpus_per_worker or None,
            max_restarts=-1,
            max_task_retries=RETRIES,
        )
    yield from results.iter_batches(batch_format="pyarrow", batch_size=None, prefetch_batches=0)


def text(name: str) -> str:
    r"""Return a file's name as Parquet can hold it, with slashes, and bytes that are no UTF-8 as \xff.

    >>> text("a\udcff.png")
    'a\\xff.png'
    """
    return PurePosixPath(name).as_posix().encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
