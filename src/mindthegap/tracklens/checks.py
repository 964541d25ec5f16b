"""Do the files of an experiment belong together? A page of mixed-up files would look right and be wrong."""

from __future__ import annotations

from pathlib import Path

from mindthegap.errors import InputError
from mindthegap.evaluation.tables import OverlapTables
from mindthegap.formats import GroundTruth
from mindthegap.tracklens.experiment import ExperimentFiles, Tables

_OTHER_TRUTH = "give the ground truth that was diagnosed"
_OTHER_RESULTS = "give the result file that was diagnosed"


def check_objects(files: ExperimentFiles, tables: Tables, truth: GroundTruth) -> None:
    """Refuses an oracle folder that was made from another ground truth.

    Raises:
        InputError: A table names an object or a frame that the ground truth does not have.
    """
    known = {(item.video_id, item.id) for item in truth.objects}
    for name, frame in (("tracks", tables.tracks), ("association", tables.association)):
        distinct = frame[["video_id", "object_id"]].drop_duplicates()
        for video_id, object_id in zip(distinct["video_id"], distinct["object_id"], strict=True):
            if (int(video_id), int(object_id)) not in known:
                path = Path(files.oracle_dir) / f"{name}.parquet"
                problem = f"object {object_id} of video {video_id} is not in {files.ground_truth}"
                raise InputError(path, "object_id", problem, _OTHER_TRUTH)
    lengths = {video.id: video.length for video in truth.videos}
    frame_numbers = tables.association["frame"]
    beyond = (frame_numbers < 0) | (frame_numbers >= tables.association["video_id"].map(lengths))
    if beyond.any():
        path = Path(files.oracle_dir) / "association.parquet"
        place = f"row {int(beyond.to_numpy().argmax())}, frame"
        raise InputError(path, place, "is beyond the end of its video", _OTHER_TRUTH)


def check_queries(files: ExperimentFiles, tables: Tables, overlaps: OverlapTables) -> None:
    """Refuses an oracle folder that was made from another result file.

    Raises:
        InputError: The association names a query that the video does not have, or that begins in another row.
    """
    first_rows: dict[tuple[int, int], int] = {}
    for video in overlaps.videos:
        for query, row in zip(video.row_query.tolist(), video.row_index.tolist(), strict=True):
            first_rows.setdefault((video.video_id, query), row)
    distinct = tables.association[["video_id", "query", "row_index"]].drop_duplicates()
    columns = (distinct[name] for name in distinct)
    for video_id, query, row in zip(*columns, strict=True):
        if first_rows.get((int(video_id), int(query))) != int(row):
            path = Path(files.oracle_dir) / "association.parquet"
            problem = f"query {query} of video {video_id} is not row {row} of {files.predictions}"
            raise InputError(path, "query", problem, _OTHER_RESULTS)
