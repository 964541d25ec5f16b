"""Checks every frame file without decoding it, and links the frames into a dataset folder."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path, PurePosixPath

from mindthegap.data.pictures import Fault, picture_fault
from mindthegap.errors import InputError
from mindthegap.files import disk_errors
from mindthegap.formats import Video
from mindthegap.progress import track


def check_frames(
    folder: str | Path,
    videos: Sequence[Video],
    annotations: str | Path,
    *,
    only: Collection[int],
    workers: int = 1,
    progress: bool = True,
) -> int:
    """Looks at the header and the end of every frame file of ``videos``.

    Args:
        folder: Folder that ``file_names`` are relative to.
        videos: All videos of the annotations.
        annotations: The JSON, for messages.
        only: Ids of the videos to check.
        workers: Eight times as many threads read headers.
        progress: Whether to show it on standard error.

    Returns:
        Number of frames.

    Raises:
        InputError: The folder or a frame is missing, a frame is no whole RGB picture, or not of its video's size. The
            sentence tells the first and how many more there are.
    """
    root = Path(folder)
    if not root.is_dir():
        problem = "is not a folder" if root.exists() else "there is no such folder"
        raise InputError(root, "", problem, "name the folder that the file_names are relative to")
    used = [position for position, video in enumerate(videos) if video.id in only]
    jobs = [(position, frame) for position in used for frame in range(videos[position].length)]
    with ThreadPoolExecutor(8 * max(1, workers)) as pool:
        results = pool.map(partial(_check_one, root, videos), jobs, chunksize=64)
        faults = [fault for fault in track(results, "checking frames", len(jobs), enabled=progress) if fault]
    if faults:
        (place, first), same = faults[0], sum(fault.kind == faults[0][1].kind for _, fault in faults)
        others = f" (and {same - 1} more files)" if same > 1 else ""
        raise InputError(annotations, place, first.problem + others, first.remedy)
    return len(jobs)


def _check_one(root: Path, videos: Sequence[Video], job: tuple[int, int]) -> tuple[str, Fault] | None:
    """Place and fault of one file, if it has any."""
    video = videos[job[0]]
    name = video.file_names[job[1]]
    fault = path_fault(name)
    if fault is None:
        fault = picture_fault(root / name, video.width, video.height)
        fault = fault and fault._replace(problem=f"{root / name} {fault.problem}")
    return (f"videos[{job[0]}].file_names[{job[1]}]", fault) if fault else None


def path_fault(name: str) -> Fault | None:
    """Refuses names that lead elsewhere than into the folder with the frames."""
    parts = PurePosixPath(name)
    if not name or "\0" in name or parts.is_absolute() or ".." in parts.parts:
        return Fault("path", f"{name!r} leads out of the folder with frames", "write paths below that folder")
    return None


def require_own_frames(videos: Sequence[Video], annotations: str | Path) -> None:
    """Refuses a frame file that two videos claim: a video entered twice would count twice.

    Raises:
        InputError: Names both videos.
    """
    owners: dict[str, int] = {}
    for position, video in enumerate(videos):
        for frame, name in enumerate(video.file_names):
            first = owners.setdefault(str(PurePosixPath(name)), position)
            if first != position:
                place = f"videos[{position}].file_names[{frame}]"
                problem = f"{name!r} is already a frame of videos[{first}]"
                raise InputError(annotations, place, problem, "leave out the video that is there twice")


def link_frames(target: Path, roots: Sequence[tuple[str | Path, Sequence[Video]]], *, inside: Path) -> None:
    """Makes ``target`` lead to the frames without copying any; it will be moved into the folder ``inside``.

    One root becomes one symbolic link. Of several, every first path component of their videos' file names becomes a
    link in a real folder. Links to what lies in ``inside`` are relative, so that the folder can be moved as a whole.

    Raises:
        InputError: Two roots hold the same first component.
    """
    with disk_errors(target):
        folders = {Path(root).resolve() for root, _ in roots}
        if len(folders) == 1:
            target.symlink_to(_address(folders.pop(), inside, inside), target_is_directory=True)
            return
        target.mkdir()
        owners: dict[str, Path] = {}
        for root, videos in roots:
            for top in sorted({PurePosixPath(name).parts[0] for video in videos for name in video.file_names}):
                source = Path(root).resolve() / top
                if owners.setdefault(top, source) != source:
                    raise InputError(source, "", f"{owners[top]} has the same name", "rename one of the two folders")
                if not (target / top).is_symlink():
                    (target / top).symlink_to(_address(source, inside, inside / target.name))


def _address(path: Path, inside: Path, start: Path) -> Path:
    """``path`` as a link in the folder ``start`` names it: relative if it lies in ``inside``."""
    return Path(os.path.relpath(path, start.resolve())) if path.is_relative_to(inside.resolve()) else path
