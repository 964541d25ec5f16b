"""IAI's rules as pure functions: memory schedule, identities, overflow, targets, clips, results."""

import itertools
import random

import numpy as np
import pytest
import torch

from methods.iai.attention import LocalAttention, window_index
from methods.iai.clips import VideoSampler, clip_frames
from methods.iai.identity import assign_identities, disjoint_masks, identity_columns, overlap_columns
from methods.iai.layers import DropPath, position_code
from methods.iai.memory import MemoryClock, prepended
from methods.iai.results import IdentityTracks
from methods.iai.selection import SelectionRules, best_per_level, ranking_scores, select
from methods.iai.targets import clip_numbers, identity_targets, mask_stack


def append_frames(length, new, interval):
    """Frames of a video that enter the long-term memory, the first one always."""
    clock, frames = MemoryClock(), [0]
    for frame in range(1, length):
        clock, append = clock.tick(frame in new, interval)
        frames += [frame] * append
    return frames


@pytest.mark.parametrize(
    ("length", "new", "interval", "expected"),
    [
        (1, (), 3, [0]),
        (12, (), 3, [0, 2, 5, 8, 11]),  # the official counter shortens the first gap
        (12, (4,), 3, [0, 2, 4, 7, 10]),  # a new identity restarts the interval
        (6, (1, 2, 3), 3, [0, 1, 2, 3]),
        (5, (), 1, [0, 1, 2, 3, 4]),
        (12, (), 5, [0, 4, 9]),
    ],
)
def test_frames_that_enter_the_long_term_memory(length, new, interval, expected):
    assert append_frames(length, new, interval) == expected


def test_a_bounded_memory_keeps_the_first_and_the_newest_frames():
    frame = lambda number: (torch.full((2, 1, 1), float(number)), torch.full((2, 1, 1), float(number)))  # noqa: E731
    entries = frame(0)
    for number in range(1, 6):
        entries = prepended(entries, frame(number), 3)
    assert entries[0].flatten().tolist() == [5, 5, 4, 4, 0, 0]
    assert len(prepended(entries, frame(6), None)[1]) == 8


def brute_force(scores):
    """Best total over all one-to-one choices of extended columns."""
    rows, extended = len(scores), np.concatenate(
        [scores, np.zeros((len(scores), 1)), np.repeat(scores[:, -1:], len(scores) - 1, axis=1)], axis=1
    )  # fmt: skip
    choices = itertools.permutations(range(extended.shape[1]), rows)
    return max(sum(extended[row, column] for row, column in enumerate(choice)) for choice in choices)


def test_identities_maximise_the_summed_scores():
    rng = np.random.default_rng(0)
    for rows in (1, 2, 3):
        scores = rng.random((rows, 4))
        columns = identity_columns(torch.from_numpy(scores))
        assert len(set(columns)) == rows
        total = sum(scores[row, min(column, 3)] if column != 4 else 0.0 for row, column in enumerate(columns))
        assert total == pytest.approx(brute_force(scores))


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([[0.9, 0.1, 0.0, 0.2], [0.8, 0.7, 0.0, 0.1]], [0, 1]),
        ([[0.9, 0.0, 0.0, 0.2], [0.8, 0.0, 0.0, 0.6]], [0, 3]),  # the second one is new
        ([[0.1, 0.0, 0.0, 0.9], [0.1, 0.0, 0.0, 0.8], [0.2, 0.0, 0.0, 0.7]], None),  # all three are new
    ],
)
def test_identities_of_a_hand_made_table(scores, expected):
    columns = identity_columns(torch.tensor(scores))
    if expected is None:
        assert all(column >= 3 for column in columns)
        assert len(set(columns)) == 3
    else:
        assert columns == expected


@pytest.mark.parametrize(
    ("columns", "known", "rule", "ids", "after", "new"),
    [
        (None, 0, "official", [0, 1, 2], 3, True),  # first frame: all new, in order of rank
        ([1, 0, 5], 2, "official", [1, 0, 2], 3, True),
        ([1, 3, 0], 4, "official", [1, 3, 0], 4, False),  # 2 has disappeared, nobody is new
        ([2], 4, "official", [2], 4, False),  # and has returned
        ([3], 3, "official", [3], 4, True),  # an unused channel means new, whatever its number
        ([], 3, "official", [], 3, False),
        # N = 6: officially the counter stops at 4, and everything further overwrites that channel.
        (None, 0, "official", [0, 1, 2, 3, 4, 4], 4, True),
        ([0, 4, 5], 4, "official", [0, 4, 4], 4, True),
        ([4], 4, "official", [4], 4, True),
        # Discarding: five identities, no further ones.
        (None, 0, "discard", [0, 1, 2, 3, 4, None], 5, True),
        ([0, 5, 4], 5, "discard", [0, None, 4], 5, False),
        ([0, 4, 5], 4, "discard", [0, 4, None], 5, True),
    ],
)
def test_identities_open_return_and_overflow(columns, known, rule, ids, after, new):
    count = len(ids)
    assigned = assign_identities(columns, count, known, 6, rule)
    assert (assigned.ids, assigned.known, assigned.new) == (ids, after, new)


def boxes(*spans):
    masks = torch.zeros(len(spans), 1, 20, dtype=torch.bool)
    for mask, (start, stop) in zip(masks, spans, strict=True):
        mask[0, start:stop] = True
    return masks


@pytest.mark.parametrize(
    ("spans", "hide", "kept", "left"),
    [
        ([(0, 10), (5, 15)], True, [0, 1], [10, 5]),
        ([(0, 10), (0, 11), (9, 20)], True, [0, 2], [10, 9]),  # 1 of 11 is too little; its pixel stays taken
        ([(0, 10), (0, 11), (9, 20)], False, [0, 2], [10, 10]),
        ([(0, 0), (3, 5)], True, [1], [2]),
        ([(0, 10), (0, 10)], True, [0], [10]),
        ([], True, [], []),
    ],
)
def test_masks_become_disjoint(spans, hide, kept, left):
    indices, masks = disjoint_masks(boxes(*spans), hide_behind_dropped=hide)
    assert indices == kept
    assert masks.flatten(1).sum(1).tolist() == left
    assert masks.sum(0).max() <= 1 if len(masks) else True


def test_without_an_identity_head_overlap_decides():
    last = list(boxes((0, 5), (10, 15)))
    assert overlap_columns(boxes((11, 16), (0, 4), (17, 20)), last, 0.1) == [1, 0, 2]
    assert overlap_columns(boxes((4, 12)), last, 0.5) == [2]
    assert overlap_columns(boxes((0, 5)), [], 0.1) == [0]
    assert overlap_columns(boxes(), last, 0.1) == []


def ids(*frames):
    return [torch.tensor(frame, dtype=torch.long) for frame in frames]


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        (((0, 1), (0, 1)), [[5, 5], [0, 1]]),  # all new in the first frame, known afterwards
        (((0,), (), (0,)), [[5], [], [0]]),  # keeps its number after an absence
        (((1,), (0, 1), (1, 0)), [[5], [5, 1], [1, 0]]),
        (((0, 2), (2,), (0, 1, 2)), [[5, 5], [2], [0, 5, 2]]),
    ],
)
def test_identity_targets(frames, expected):
    assert [target.tolist() for target in identity_targets(ids(*frames), 6)] == expected


def test_identities_of_a_clip_are_numbered_by_annotation_id():
    numbers = clip_numbers(ids((40, 7), (7, 12), ()), 5)
    assert [number.tolist() for number in numbers] == [[2, 0], [0, 1], []]


def test_a_clip_with_too_many_identities_keeps_some_of_them():
    torch.manual_seed(0)
    frames = ids(tuple(range(30)), (3, 29))
    numbers = clip_numbers(frames, 7)
    assert sorted(number for number in numbers[0].tolist() if number >= 0) == list(range(7))
    assert (numbers[0] == -1).sum() == 23
    assert numbers[1].tolist() == numbers[0][[3, 29]].tolist()


def test_shuffled_identities_are_drawn_from_all_channels():
    torch.manual_seed(0)
    drawn = {tuple(clip_numbers(ids((4, 9)), 4, shuffle=True)[0].tolist()) for _ in range(60)}
    assert drawn == set(itertools.permutations(range(4), 2))


def test_the_smaller_object_is_in_front_in_the_mask_stack():
    stack = mask_stack(boxes((0, 12), (4, 8)), [2, 0], 4)
    assert stack.shape == (5, 1, 20)
    assert (stack.sum(0) == 1).all()
    assert stack[0].sum() == 4
    assert stack[2].sum() == 8
    assert stack[4].sum() == 8
    assert (mask_stack(boxes(), [], 4)[4] == 1).all()


@pytest.mark.parametrize(("length", "count"), [(1, 5), (3, 5), (5, 5), (6, 5), (30, 5), (4, 3)])
def test_clips_lie_within_the_video_in_order(length, count):
    rng = random.Random(0)
    seen = set()
    for _ in range(300):
        frames = clip_frames(length, count, 3, rng.randint)
        assert len(frames) == count
        assert set(frames) <= set(range(length))
        seen.update(frames)
        if length >= count:
            assert all(1 <= after - before <= 3 for before, after in itertools.pairwise(frames))
    assert seen == set(range(length))
    if length < count:
        assert frames == [frame % length for frame in range(count)]


def test_local_attention_equals_a_masked_dense_attention():
    torch.manual_seed(0)
    height, width, reach, heads, channels = 5, 7, 1, 2, 8
    layer = LocalAttention(channels, heads, reach)
    torch.nn.init.normal_(layer.V_bias)
    query, key, value = (torch.randn(2, channels, height, width) for _ in range(3))
    actual = layer(query, key, value)
    side, half = 2 * reach + 1, channels // heads
    weight = layer.relative_emb.weight[..., 0, 0].view(heads, side**2, half)
    bias = layer.relative_emb.bias.view(heads, side**2)
    for sample, y, x in [(0, 0, 0), (1, 2, 3), (0, 4, 6)]:
        parts = []
        for head in range(heads):
            rows = slice(head * half, (head + 1) * half)
            q = query[sample, rows, y, x]
            logits, values = [], []
            for offset, (dy, dx) in enumerate(itertools.product(range(-reach, reach + 1), repeat=2)):
                if 0 <= y + dy < height and 0 <= x + dx < width:
                    k = key[sample, rows, y + dy, x + dx]
                    logits.append(q @ k / half**0.5 + weight[head, offset] @ q + bias[head, offset])
                    values.append(value[sample, rows, y + dy, x + dx] + layer.V_bias[0, head, :, offset, 0])
            parts.append(torch.stack(logits).softmax(0) @ torch.stack(values))
        torch.testing.assert_close(actual[y * width + x, sample], layer.fc(torch.cat(parts)))


def test_windows_are_read_row_by_row():
    index, outside = window_index(3, 4, 1)
    assert index[5].tolist() == [0, 1, 2, 4, 5, 6, 8, 9, 10]
    assert outside[0].tolist() == [True, True, True, True, False, False, True, False, False]


def test_the_position_code_counts_from_zero():
    code = position_code((3, 2), 8)[:, 0]
    assert code.shape == (6, 8)
    half_turn = [np.sin(np.pi), np.cos(np.pi), np.sin(np.pi / 100), np.cos(np.pi / 100)]
    np.testing.assert_allclose(code[0], [0, 1, 0, 1, 0, 1, 0, 1], atol=1e-6)
    np.testing.assert_allclose(code[2, :4], half_turn, atol=1e-5)  # row 1 of 0..2: half of 2 pi


def test_drop_path_drops_positions_of_the_whole_batch():
    torch.manual_seed(0)
    tokens = torch.ones(500, 3, 2)
    layer = DropPath(0.2)
    dropped = layer(tokens)
    assert {tuple(row.unique().tolist()) for row in dropped} == {(0.0,), (1.25,)}
    assert 60 < int((dropped[:, 0, 0] == 0).sum()) < 140
    assert torch.equal(layer.eval()(tokens), tokens)


def test_ranking_weighs_classes_first_and_identities_later():
    classes, identities, centerness = torch.tensor([0.8, 0.2]), torch.tensor([0.2, 0.9]), torch.tensor([0.5, 1.0])
    first = ranking_scores(classes, identities, centerness, first=True)
    later = ranking_scores(classes, identities, centerness, first=False)
    torch.testing.assert_close(first, torch.tensor([0.45, 0.65]))
    torch.testing.assert_close(later, torch.tensor([0.3, 1.0]))
    torch.testing.assert_close(ranking_scores(classes, None, centerness, first=True), torch.tensor([0.4, 0.2]))


def test_selection_needs_both_scores_and_suppresses_across_classes():
    place = torch.tensor([[0.0, 0, 10, 10], [1, 0, 11, 10], [30, 30, 40, 40], [60, 0, 70, 10], [0, 60, 10, 70]])
    classes = torch.tensor([[0.9, 0.0], [0.0, 0.8], [0.5, 0.1], [0.05, 0.05], [0.9, 0.0]])
    identities = torch.tensor([[0.5, 0.1], [0.9, 0.1], [0.2, 0.6], [0.9, 0.1], [0.05, 0.05]])
    ones = torch.ones(5)
    assert select(place, classes, identities, ones, SelectionRules(), first=False).tolist() == [1, 2]
    assert select(place, classes, identities, ones, SelectionRules(max_per_frame=1), first=True).tolist() == [1]
    assert select(place, classes, None, ones, SelectionRules(), first=True).tolist() == [0, 4, 2]
    assert best_per_level(torch.tensor([0.1, 0.9, 0.5, 0.3, 0.7]), (3, 2), 1).tolist() == [1, 4]


def collected(average, min_score=0.0):
    tracks = IdentityTracks(max_rows=3, min_score=min_score, average=average)
    mask = {"size": [1, 4], "counts": "x"}
    tracks.add_frame([0, 1], torch.tensor([[0.9, 0.4], [0.6, 0.0]]), [mask, mask])
    tracks.add_frame([0], torch.tensor([[0.4, 0.6]]), [mask])
    tracks.add_frame([], torch.zeros(0, 2), [])
    tracks.add_frame([0, 2], torch.tensor([[0.0, 0.2], [0.0, 0.9]]), [None, mask])
    return tracks


def test_rows_are_the_best_identity_and_class_pairs_over_the_video():
    rows = collected("video").tracks(identities=3)
    assert [(row.query_id, row.label) for row in rows] == [(0, 0), (0, 1), (2, 1)]
    np.testing.assert_allclose([row.score for row in rows], [1.3 / 4, 1.2 / 4, 0.9 / 4], atol=1e-6)
    np.testing.assert_allclose(rows[0].frame_scores, [0.9, 0.4, 0.0, 0.0], atol=1e-6)
    assert [mask is not None for mask in rows[0].segmentations] == [True, True, False, False]
    # An identity beyond the capacity takes part in the choice and gives no row.
    assert [row.query_id for row in collected("video").tracks(identities=2)] == [0, 0]
    assert len(collected("video", min_score=0.25).tracks(identities=3)) == 2


def test_rows_can_be_scored_over_the_frames_in_which_they_appear():
    rows = collected("present").tracks(identities=3)
    assert [(row.query_id, row.label) for row in rows] == [(2, 1), (1, 0), (0, 0)]
    np.testing.assert_allclose([row.score for row in rows], [0.9, 0.6, 1.3 / 3], atol=1e-6)
    assert IdentityTracks(3, 0.0, "video").tracks(0) == []


class Videos:
    """Three videos of different lengths."""

    def __len__(self):
        return 3

    def get_len_per_video(self, video):
        return (2, 9, 4)[video]


def test_every_video_is_drawn_equally_often_and_a_resumed_order_goes_on():
    order = list(itertools.islice(VideoSampler(Videos(), seed=3, draws=5), 40))
    for start in (0, 15):
        videos = [video for video, _, _ in order[start : start + 15]]
        assert sorted(videos) == [0] * 5 + [1] * 5 + [2] * 5
    assert [position for _, _, position in order] == list(range(40))
    resumed = VideoSampler(Videos(), seed=3, draws=5)
    resumed.skip(17)
    assert list(itertools.islice(resumed, 23)) == order[17:]
