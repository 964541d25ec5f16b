"""Query embeddings beside the result file."""

import numpy as np
import pytest
import torch

from methods.runtime.queries import QueryRecorder, merge_queries, read_queries, write_queries


@pytest.fixture
def parts(tmp_path):
    recorder = QueryRecorder()
    recorder.add_clip([4, 0], range(2), torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.bfloat16))
    recorder.add(4, 7, torch.tensor([5.0, 6.0], requires_grad=True))
    for name, item in (("9", recorder), ("3", QueryRecorder()), ("5", recorder)):
        write_queries(tmp_path / f"{name}.npz", item.arrays())
    return tmp_path


def test_entries_keep_query_frame_and_embedding(parts):
    arrays = read_queries(parts / "9.npz")
    assert arrays["query_id"].tolist() == [4, 4, 0, 0, 4]
    assert arrays["frame"].tolist() == [0, 1, 0, 1, 7]
    assert arrays["embedding"].tolist() == [[1, 2], [1, 2], [3, 4], [3, 4], [5, 6]]
    assert arrays["embedding"].dtype == np.float32


def test_videos_are_joined_in_the_order_given(parts):
    merge_queries(parts / "all.npz", [(3, parts / "3.npz"), (5, parts / "5.npz"), (9, parts / "9.npz")])
    arrays = read_queries(parts / "all.npz")
    assert arrays["video_id"].tolist() == [5] * 5 + [9] * 5
    assert arrays["embedding"].shape == (10, 2)
    again = parts / "again.npz"
    merge_queries(again, [(3, parts / "3.npz"), (5, parts / "5.npz"), (9, parts / "9.npz")])
    assert again.read_bytes() == (parts / "all.npz").read_bytes()


def test_videos_without_any_query_leave_empty_columns(parts):
    merge_queries(parts / "none.npz", [(3, parts / "3.npz")])
    assert {name: len(values) for name, values in read_queries(parts / "none.npz").items()} == {
        "video_id": 0,
        "query_id": 0,
        "frame": 0,
        "embedding": 0,
    }
