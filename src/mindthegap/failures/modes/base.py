"""What a failure mode is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from mindthegap.failures.scene import Scene

Gap = Literal["tracking", "classification", "segmentation"]


@dataclass(frozen=True)
class Finding:
    """A failure of one video, before it is priced. Indices are those of the `Scene`; -1 means none.

    Attributes:
        subtype: One of its mode's subtypes.
        start: First frame of the failure itself.
        end: Last frame of it, included.
        scope: First and last frame whose loss it may explain, or None when it costs no IoU of an object.
        missing: The part of the scope in which the object is without its query; only there may it explain loss that no
            relabelling regains. None: the whole scope.
        index: The object.
        other: Another object involved.
        family: The query family.
        other_family: Another family involved.
        value: A number whose meaning the mode's sentence gives.
    """

    subtype: str
    start: int
    end: int
    scope: tuple[int, int] | None
    index: int = -1
    other: int = -1
    family: int = -1
    other_family: int = -1
    value: float | None = None
    missing: tuple[int, int] | None = None

    def scope_in(self, gap: Gap) -> tuple[int, int] | None:
        """First and last frame (none if the last is smaller) whose part of a gap it may explain."""
        return self.missing if gap == "segmentation" and self.missing is not None else self.scope


@dataclass(frozen=True)
class Mode:
    """A failure mode.

    Attributes:
        name: Its name in tables.
        sentence: When it holds, for a reader.
        subtypes: Subtype names, each with its own meaning.
        gaps: The gaps whose loss its events may explain; none for modes that cost rank, not IoU.
        find: Finds all its events in a scene.
    """

    name: str
    sentence: str
    subtypes: dict[str, str]
    gaps: frozenset[Gap]
    find: Callable[[Scene], Iterable[Finding]]
