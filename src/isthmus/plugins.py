"""Registries that others can extend: by a decorator, or by an entry point of an installed package.

A package declares, in its pyproject.toml, `[project.entry-points."isthmus.corruptions"] dim = "my_package:Dim"`; the groups are
`isthmus.corruptions`, `isthmus.networks` and `isthmus.tasks`. A command line and a model file then know the name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

from isthmus.errors import UsageError

Entry = TypeVar("Entry")


class Registry(Mapping[str, Entry], Generic[Entry]):
    """Entries by name: ours, then those of installed packages, which load when first asked for.

    Args:
        kind: What an entry is, for messages.
        group: The entry points' group.
        entries: Ours.
    """

    def __init__(self, kind: str, group: str, entries: Mapping[str, Entry]):
        self.kind, self.group = kind, group
        self._entries: dict[str, Entry] = dict(entries)
        self._points: dict[str, EntryPoint] | None = None

    def add(self, name: str, entry: Entry) -> None:
        """Add an entry.

        Raises:
            UsageError: If the name is taken.
        """
        if name in self:
            raise UsageError(f"There is a {self.kind} '{name}' already. Choose another name.")
        self._entries[name] = entry

    def remove(self, name: str) -> None:
        """Remove an entry that was added."""
        del self._entries[name]

    def __getitem__(self, name: str) -> Entry:
        if name not in self._entries:
            self._entries[name] = self._installed()[name].load()
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*self._entries, *self._installed())))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __contains__(self, name: object) -> bool:
        return name in self._entries or name in self._installed()

    def _installed(self) -> dict[str, EntryPoint]:
        if self._points is None:
            self._points = {point.name: point for point in entry_points(group=self.group)}
        return self._points
