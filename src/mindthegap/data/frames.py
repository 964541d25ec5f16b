"""Checks every frame file by its header, and links the frames into a dataset folder."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from PIL import Image, UnidentifiedImageError

from mindthegap.errors import InputError
from mindthegap.files import disk_errors
from mindthegap.formats import Video
from mindthegap.progress import track


@dataclass(frozen=True)
class _Fault:
    """What is wrong with one frame file."""

    kind: str
    place: str
    problem: str
    remedy: str


def check_frames(
    folder: str | Path,
    videos: Sequence[Video],
    annotations: str | Path,
    *,
    only: Collection[int],
    workers: int = 1,
    progress: bool = True,
) -> int:
    """Opens the header of every frame file of ``videos``.

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
        InputError: The folder or a frame is missing, a frame is no RGB picture, or not of its video's size. The
            sentence tells the first and how many more there are.
    """
    root = Path(folder)
    if not root.is_dir():
        problem = "is not a folder" if root.exists() else "there is no such folder"
        raise InputError(root, "", problem, "name the folder that the file_names are relative to")
    used = [position for position, video in enumerate(videos) if video.id in only]
    jobs = [(position, frame) for position in used for frame in range(videos[position].length)]
    faults = []
    with ThreadPoolExecutor(8 * max(1, workers)) as pool:
        results = pool.map(partial(_check_one, root, videos), jobs, chunksize=64)
        faults = [fault for fault in track(results, "checking frames", len(jobs), enabled=progress) if fault]
    if faults:
        first, same = faults[0], sum(fault.kind == faults[0].kind for fault in faults)
        others = f" (and {same - 1} more files)" if same > 1 else ""
        raise InputError(annotations, first.place, first.problem + others, first.remedy)
    return len(jobs)


def _check_one(root: Path, videos: Sequence[Video], job: tuple[int, int]) -> _Fault | None:
    """The fault of one file, if any."""
    video = videos[job[0]]
    name = video.file_names[job[1]]
    place = f"videos[{job[0]}].file_names[{job[1]}]"
    parts = PurePosixPath(name)
    if not name or "\0" in name or parts.is_absolute() or ".." in parts.parts:
        return _Fault("path", place, f"{name!r} leads out of the folder with frames", "write paths below that folder")
    path = root / name
    try:
        with Image.open(path) as picture:
            size, mode = picture.size, picture.mode
    except UnidentifiedImageError:
        return _Fault("corrupt", place, f"{path} is not a picture, or its header is damaged", "fetch the frame again")
    except (FileNotFoundError, NotADirectoryError):
        return _Fault("missing", place, f"{path} does not exist", "unpack all frames, or correct 'frames'")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return _Fault("corrupt", place, f"{path} cannot be read ({error})", "fetch the frame again")
    if size != (video.width, video.height):
        found, wanted = f"{size[0]}x{size[1]}", f"{video.width}x{video.height}"
        problem = f"{path} is {found} (width x height), but its video is {wanted}"
        return _Fault("size", place, problem, "use the frames that belong to these annotations")
    if mode != "RGB":
        return _Fault("mode", place, f"{path} is a picture of mode {mode}, not RGB", "convert the frame to RGB")
    return None


def link_frames(target: Path, roots: Sequence[tuple[str | Path, Sequence[Video]]]) -> None:
    """Makes ``target`` lead to the frames without copying any.

    One root becomes one symbolic link. Of several, every first path component of their videos' file names becomes a
    link in a real folder.

    Raises:
        InputError: Two roots hold the same first component.
    """
    with disk_errors(target):
        folders = {Path(root).resolve() for root, _ in roots}
        if len(folders) == 1:
            target.symlink_to(folders.pop(), target_is_directory=True)
            return
        target.mkdir()
        owners: dict[str, Path] = {}
        for root, videos in roots:
            for top in sorted({PurePosixPath(name).parts[0] for video in videos for name in video.file_names}):
                source = Path(root).resolve() / top
                if owners.setdefault(top, source) != source:
                    raise InputError(source, "", f"{owners[top]} has the same name", "rename one of the two folders")
                if not (target / top).is_symlink():
                    (target / top).symlink_to(source)
