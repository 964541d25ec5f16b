"""What must hold of the levels whatever the masks: invariances, monotonicity, planted errors (tight oracle)."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from oracle_cases import (
    Clip,
    Track,
    contested_video,
    noisy_tracks,
    random_clip,
    shuffle_within_frames,
    tables_of,
    to_tables,
)

from mindthegap.diagnosis.chain import Chain
from mindthegap.diagnosis.levels import STAGES, candidates_of, oracle_levels
from mindthegap.evaluation import evaluate_candidates, evaluate_tables
from mindthegap.oracle import SolverSettings, link

SEEDS = range(3)
LEVELS = ("default", "tracking", "both")
ONE_STEP = 100 / 101
"""A step of the grid of recall points."""


def aps(clips, tracks, **kwargs):
    """AP of default, T and TC."""
    return levels_of(to_tables(clips, tracks, **kwargs))


def levels_of(tables):
    result = [evaluate_tables(tables).AP]
    for name in ("tracking", "both"):
        linked = [candidates_of(v, link(v, STAGES[name], weights=worth(tables, v))) for v in tables.videos]
        result.append(evaluate_candidates(tables, linked).AP)
    return np.array(result)


def worth(tables, video):
    every = np.concatenate([v.object_category for v in tables.videos])
    return np.array([1 / np.count_nonzero(every == c) for c in video.object_category])


def same(first, second, *levels):
    """Asserts equality of the named levels to 1e-9."""
    for name in levels or LEVELS:
        i = LEVELS.index(name)
        assert first[i] == pytest.approx(second[i], abs=1e-9), name


def scene(seed, *, classes=3, videos=2, **kwargs):
    """Clips and noisy tracks with distinct scores."""
    rng = np.random.default_rng(seed)
    clips = [random_clip(rng, v + 1, classes=classes, **kwargs) for v in range(videos)]
    return clips, [t for clip in clips for t in noisy_tracks(clip, rng, classes=classes)], rng


def moved(clips, tracks, change):
    """The same change of all frames, for objects and predictions."""
    return [replace(c, labels=change(c.labels)) for c in clips], [replace(t, masks=change(t.masks)) for t in tracks]


@pytest.mark.parametrize("seed", SEEDS)
def test_perfect_predictions_have_no_gap(seed):
    clips, _, rng = scene(seed)
    tracks = [track for clip in clips for track in clip.perfect(rng)]
    np.testing.assert_allclose(aps(clips, tracks), 100, atol=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_order_of_rows_does_not_matter(seed):
    clips, tracks, rng = scene(seed)
    same(aps(clips, tracks), aps(clips, [tracks[i] for i in rng.permutation(len(tracks))]))


@pytest.mark.parametrize("seed", SEEDS)
def test_permuting_masks_within_a_class_and_frame_leaves_the_repaired_ap(seed):
    clips, tracks, rng = scene(seed)
    same(aps(clips, tracks), aps(clips, shuffle_within_frames(tracks, rng, by_class=True)), "tracking", "both")


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("by_class", [True, False])
def test_permuting_masks_of_perfect_tracks_costs_ap_as_given_only(seed, by_class):
    rng = np.random.default_rng(seed)
    clips = [random_clip(rng, v + 1, classes=2) for v in range(2)]
    perfect = [track for clip in clips for track in clip.perfect(rng)]
    default, tracking, both = aps(clips, shuffle_within_frames(perfect, rng, by_class=by_class))
    assert default < 90
    assert both == pytest.approx(100)
    if by_class:
        assert tracking == pytest.approx(100)


@pytest.mark.parametrize("seed", SEEDS)
def test_permuting_masks_within_a_frame_leaves_the_ap_with_classes_repaired(seed):
    clips, tracks, rng = scene(seed)
    same(aps(clips, tracks), aps(clips, shuffle_within_frames(tracks, rng, by_class=False)), "both")


@pytest.mark.parametrize("seed", SEEDS)
def test_cutting_tracks_into_single_frames_is_repaired(seed):
    clips, tracks, rng = scene(seed, frames=5)
    cut = []
    for track in tracks:
        for t in range(len(track.masks)):
            alone = np.zeros_like(track.masks)
            alone[t] = track.masks[t]
            cut.append(replace(track, masks=alone, score=float(rng.random())))
    before, after = aps(clips, tracks), aps(clips, cut)
    same(before, after, "tracking", "both")
    assert after[0] < 5


@pytest.mark.parametrize("seed", SEEDS)
def test_deranged_labels_of_perfect_tracks_are_a_pure_classification_gap(seed):
    clips, _, rng = scene(seed)
    tracks = [replace(t, category=t.category % 3 + 1) for clip in clips for t in clip.perfect(rng)]
    np.testing.assert_allclose(aps(clips, tracks), [0, 0, 100], atol=1e-9)


def eroded(clip, rng):
    """Perfect tracks that lose 16 to 19 % of each object's pixels: track IoU in [.80, .85)."""
    tracks = []
    for track in clip.perfect(rng):
        masks = track.masks.copy()
        inside = np.flatnonzero(masks)
        masks.reshape(-1)[rng.choice(inside, round(len(inside) * rng.uniform(0.16, 0.19)), replace=False)] = False
        tracks.append(replace(track, masks=masks))
    return tracks


@pytest.mark.parametrize("seed", SEEDS)
def test_eroded_masks_are_a_pure_segmentation_gap(seed):
    clips, _, rng = scene(seed, height=36, width=60)
    tracks = [track for clip in clips for track in eroded(clip, rng)]
    np.testing.assert_allclose(aps(clips, tracks), 70, atol=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_shuffled_identities_of_one_class_are_a_pure_tracking_gap(seed):
    rng = np.random.default_rng(seed)
    clips = [random_clip(rng, v + 1, classes=1) for v in range(2)]
    tracks = [track for clip in clips for track in clip.perfect(rng)]
    before, tracking, both = aps(clips, shuffle_within_frames(tracks, rng, by_class=False))
    assert before < 60
    assert (tracking, both) == (pytest.approx(100), pytest.approx(100))


@pytest.mark.parametrize("seed", SEEDS)
def test_adding_a_track_never_hurts_the_repaired_ap_and_a_double_changes_nothing(seed):
    clips, tracks, rng = scene(seed)
    before = aps(clips, tracks)
    extra = shuffle_within_frames(noisy_tracks(clips[0], rng), rng, by_class=False)[0]
    after = aps(clips, [*tracks, extra])
    assert (after[1:] >= before[1:] - 1e-9).all()
    double = replace(tracks[0], score=0.123)
    same(before, aps(clips, [*tracks, double]), "tracking", "both")


@pytest.mark.parametrize("seed", SEEDS)
def test_deleting_tracks_never_helps_the_repaired_ap(seed):
    clips, tracks, rng = scene(seed)
    kept = [track for track in tracks if rng.random() < 0.7]
    assert (aps(clips, kept)[1:] <= aps(clips, tracks)[1:] + 1e-9).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_scores_do_not_matter_to_the_repaired_ap(seed):
    clips, tracks, rng = scene(seed)
    rescored = [replace(track, score=float(rng.random())) for track in tracks]
    same(aps(clips, tracks), aps(clips, rescored), "tracking", "both")


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a[::-1],
        lambda a: a[:, ::-1],
        lambda a: a[:, :, ::-1],
        lambda a: a.transpose(0, 2, 1),
        lambda a: np.roll(a, (3, 5), axis=(1, 2)),
        lambda a: a.repeat(2, axis=1).repeat(2, axis=2),
    ],
    ids=["reverse time", "flip", "mirror", "transpose", "shift", "upsample"],
)
def test_geometry_and_direction_of_time_do_not_matter(change):
    clips, tracks, _ = scene(1)
    same(aps(clips, tracks), aps(*moved(clips, tracks, change)))


@pytest.mark.parametrize("seed", SEEDS)
def test_renaming_categories_and_renumbering_videos_changes_nothing(seed):
    clips, tracks, _ = scene(seed)
    names, numbers = {1: 3, 2: 1, 3: 2}, {1: 9, 2: 4}
    other = [Clip(numbers[c.id], c.labels, tuple(names[k] for k in c.classes)) for c in clips]
    renamed = [replace(t, video=numbers[t.video], category=names[t.category]) for t in tracks]
    same(aps(clips, tracks), aps(other, renamed))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_false_track_of_a_class_without_objects_changes_nothing(seed):
    clips, tracks, rng = scene(seed)
    foreign = Track(1, 4, 0.999, rng.random(clips[0].labels.shape) < 0.3)
    same(aps(clips, tracks, classes=4), aps(clips, [*tracks, foreign], classes=4), "default")
    nowhere = replace(foreign, masks=(clips[0].labels == 0) & foreign.masks)
    same(aps(clips, tracks, classes=4), aps(clips, [*tracks, nowhere], classes=4))


@pytest.mark.parametrize("seed", SEEDS)
def test_two_copies_of_a_dataset_give_the_same_up_to_a_step_of_the_grid(seed):
    clips, tracks, _ = scene(seed)
    twice = clips + [replace(c, id=c.id + 10) for c in clips]
    doubled = tracks + [replace(t, video=t.video + 10) for t in tracks]
    np.testing.assert_allclose(aps(clips, tracks), aps(twice, doubled), atol=ONE_STEP)


def test_empty_results_have_a_pure_segmentation_gap():
    clips, _, _ = scene(0)
    np.testing.assert_array_equal(aps(clips, []), 0)
    tables = to_tables(clips, [])
    chain = Chain.from_levels("tight", oracle_levels(tables, "tight", evaluate_tables(tables), SolverSettings()))
    assert chain.gaps["segmentation"] == 100
    assert chain.gaps["segmentation.missed"] == pytest.approx(100)


@pytest.mark.parametrize("seed", range(12))
def test_levels_rise_along_the_chain(seed):
    """Mean recall exactly; AP up to one step of the grid where classes compete, exactly where nothing clashes."""
    clips, tracks, _ = scene(seed + 50)
    check_monotone(to_tables(clips, tracks))


def test_levels_rise_along_the_chain_where_objects_clash():
    """60 videos of merged masks; each by itself, since it is here that integer programs decide."""
    rng = np.random.default_rng(3)
    for i in range(60):
        check_monotone(tables_of(contested_video(rng, classes=1 + i % 2)), overlapping=True)


def check_monotone(tables, *, overlapping=False):
    levels = oracle_levels(tables, "tight", evaluate_tables(tables), SolverSettings())
    for lower, upper in [
        ("default", "ranking"),
        ("ranking", "continued"),
        ("continued", "tracking"),
        ("tracking", "both"),
        ("ranking", "classes"),
        ("classes", "both"),
        ("both", "found"),
    ]:
        one, two = levels[lower].evaluation, levels[upper].evaluation
        clash = any(linking.clashes for linking in (*levels[lower].linkings, *levels[upper].linkings))
        assert two.AR100 >= one.AR100 - 1e-9 or (overlapping and lower == "default"), (lower, upper)
        assert one.AP - (ONE_STEP if clash else 1e-9) <= two.AP, (lower, upper)
    gaps = Chain.from_levels("tight", levels).gaps
    total = sum(gaps[name] for name in ("tracking", "classification", "segmentation"))
    assert levels["default"].evaluation.AP + total == pytest.approx(100, abs=1e-9)
    assert sum(gaps[f"tracking.{part}"] for part in ("ranking", "selection", "association")) == pytest.approx(
        gaps["tracking"], abs=1e-9
    )


def planted(clips, rng, faults):
    """Perfect tracks of which the given number has each fault; faultless ones are ranked first.

    ``tracking``: cut into single frames. ``classification``: labelled with a class that has no objects.
    ``segmentation``: not there at all.
    """
    tracks = [track for clip in clips for track in clip.perfect(rng)]
    kinds = [kind for kind, count in faults.items() for _ in range(count)]
    kinds += [""] * (len(tracks) - len(kinds))
    result = []
    for track, kind in zip(tracks, rng.permutation(kinds), strict=True):
        if kind == "tracking":
            frames = np.arange(len(track.masks))
            result += [replace(track, masks=track.masks * (frames == t)[:, None, None]) for t in frames]
        elif kind == "classification":
            result.append(replace(track, category=2))
        elif kind != "segmentation":
            result.append(replace(track, score=1.0 + track.score))
    return result


FAULTS = ("tracking", "classification", "segmentation")


@pytest.mark.parametrize("counts", [*itertools.permutations((8, 4, 2)), (8, 0, 0), (0, 8, 0), (0, 0, 8), (5, 5, 5)])
def test_planted_faults_come_back_with_their_share(counts):
    """16 objects of one class: each fault's gap is its share of the objects, up to a step of the grid."""
    rng = np.random.default_rng(sum(counts))
    clips = [random_clip(rng, v + 1, classes=1) for v in range(4)]
    default, tracking, both = aps(clips, planted(clips, rng, dict(zip(FAULTS, counts, strict=True))))
    found = (tracking - default, both - tracking, 100 - both)
    for name, gap, count in zip(FAULTS, found, counts, strict=True):
        assert gap == pytest.approx(100 * count / 16, abs=ONE_STEP if count else 1e-9), name
    if len(set(counts)) == 3:
        assert np.argsort(found).tolist() == np.argsort(counts).tolist()


def parts_and_levels(clips, tracks, objective):
    """Parts of the tracking gap, which must sum to it, and AP of the levels."""
    tables = to_tables(clips, tracks)
    levels = oracle_levels(tables, objective, evaluate_tables(tables), SolverSettings())
    gaps = Chain.from_levels(objective, levels).gaps
    parts = {part: gaps[f"tracking.{part}"] for part in ("ranking", "association", "selection")}
    assert sum(parts.values()) == pytest.approx(gaps["tracking"], abs=1e-9)
    return parts, {name: level.evaluation.AP for name, level in levels.items()}


def one_class(seed):
    """Clips of one class and their perfect tracks, all of the same score."""
    rng = np.random.default_rng(seed)
    clips = [random_clip(rng, v + 1, classes=1) for v in range(2)]
    return clips, [replace(track, score=0.5) for clip in clips for track in clip.perfect(rng)], rng


def cut_in_two(tracks, _rng):
    """Each track as two, before and after a frame near the middle: the second id is new."""
    late = np.arange(len(tracks[0].masks)) >= len(tracks[0].masks) // 2
    return [replace(t, masks=t.masks * part[:, None, None]) for t in tracks for part in (~late, late)]


def swapped(tracks, _rng):
    """Neighbours of a video exchange their ids in the middle."""
    result = list(tracks)
    middle = len(tracks[0].masks) // 2
    for i in range(0, len(tracks), 2):
        for one, other in ((i, i + 1), (i + 1, i)):
            masks = np.concatenate([tracks[one].masks[:middle], tracks[other].masks[middle:]])
            result[one] = replace(tracks[one], masks=masks)
    return result


@pytest.mark.parametrize("objective", ["tight", "iou"])
@pytest.mark.parametrize(
    "fault",
    [cut_in_two, swapped, lambda tracks, rng: shuffle_within_frames(tracks, rng, by_class=False)],
    ids=["cut in two", "swap", "shuffle"],
)
@pytest.mark.parametrize("seed", SEEDS)
def test_lost_identities_are_association_and_nothing_else(fault, seed, objective):
    """A switch to a new id, too, though both ids have the same object as the one they cover most."""
    clips, tracks, rng = one_class(seed)
    parts, aps = parts_and_levels(clips, fault(tracks, rng), objective)
    assert aps["continued"] == pytest.approx(100)
    assert parts["selection"] == pytest.approx(0, abs=1e-9)
    assert parts["association"] == pytest.approx(100 - aps["ranking"], abs=1e-9)
    assert parts["association"] > 20


def hedged(track):
    """Two queries on one object, each with half of its rows in every other frame and all of them in the others."""
    rows = np.arange(track.masks.shape[1])
    height = track.masks.any(axis=2)
    middle = np.array([rows[h].mean() if h.any() else 0 for h in height])
    upper = track.masks & (rows[None, :] <= middle[:, None])[:, :, None]
    odd = (np.arange(len(track.masks)) % 2 == 1)[:, None, None]
    return [
        replace(track, masks=np.where(odd, upper, track.masks)),
        replace(track, masks=np.where(odd, track.masks, upper)),
    ]


@pytest.mark.parametrize("objective", ["tight", "iou"])
@pytest.mark.parametrize("seed", SEEDS)
def test_the_better_of_two_masks_on_one_object_is_selection_and_nothing_else(seed, objective):
    clips, tracks, _ = one_class(seed)
    parts, aps = parts_and_levels(clips, [double for track in tracks for double in hedged(track)], objective)
    assert parts["association"] == pytest.approx(0, abs=1e-9)
    assert parts["selection"] == pytest.approx(aps["tracking"] - aps["ranking"], abs=1e-9)
    assert parts["selection"] > 20


@pytest.mark.parametrize("seed", SEEDS)
def test_some_wrong_labels_are_false_tracks_too_but_never_an_association_error(seed):
    """In a class that has objects, a wrong label is also a false positive: its cost is in the ranking part."""
    rng = np.random.default_rng(seed)
    clips = [random_clip(rng, v + 1) for v in range(4)]
    tracks = [t for clip in clips for t in clip.perfect(rng)]
    tracks = [replace(t, category=t.category % 3 + 1) if i % 3 == 0 else t for i, t in enumerate(tracks)]
    tables = to_tables(clips, tracks)
    gaps = Chain.from_levels("tight", oracle_levels(tables, "tight", evaluate_tables(tables), SolverSettings())).gaps
    assert gaps["tracking"] == pytest.approx(gaps["tracking.ranking"], abs=1e-9)
    assert gaps["classification"] > 20
    assert gaps["segmentation"] == pytest.approx(0, abs=1e-9)
    assert gaps["interaction_beyond_ranking"] == pytest.approx(0, abs=1e-9)
