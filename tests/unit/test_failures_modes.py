"""One hand-made clip per failure mode and subtype: what fires, in which frames, and what heads the list."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from failure_clips import NIBBLED, Clip, clip, pair_iou_of, relink, tables_of

from mindthegap.failures import MODES, find_failures
from mindthegap.failures.matching import official_match

RENAMED = {1: 7, 2: 4, 3: 5}
LOW = 0.001  # far below the score floor

# name: (clip, its events as "mode subtype start end object", the mode that heads object 101)
CLIPS: dict[str, tuple[Clip, list[str], str | None]] = {
    "rebirth": (clip(["A20"], ["A9.11", ".9A11"]), ["identity_switch rebirth 8 9 101"], "identity_switch"),
    "retreat": (clip(["A20"], ["A11.9", "X11A9"]), ["identity_switch retreat 10 11 101"], "identity_switch"),
    "plain switch": (clip(["A20"], ["A11X9", "X11A9"]), ["identity_switch other 10 11 101"], "identity_switch"),
    "swap": (
        clip(["A20", "B20"], ["A10B10", "B10A10"]),
        [
            "identity_switch swap 9 10 101",
            "identity_switch swap 9 10 102",
            "drift look_alike 9 10 101",
            "drift look_alike 9 10 102",
        ],
        "identity_switch",
    ),
    "takeover": (
        clip(["A20", "B20"], ["A11.9", "B11A9"]),
        [
            "identity_switch takeover 10 11 101",
            "drift look_alike 10 11 102",
            "early_death detection 11 19 102",
        ],
        "identity_switch",
    ),
    "fragmentation": (clip(["A20"], ["A6Z4A10"]), ["fragmentation detection 6 9 101"], "fragmentation"),
    "linkable fragmentation": (
        clip(["A20"], ["A6Z4A10", (".6A4.10", [(1, LOW)])]),
        ["fragmentation linking 6 9 101"],
        "fragmentation",
    ),
    "merge": (
        clip(["A20", ("B20", 2)], ["A6M4A10", ("B6.4B10", [(2, 0.8)])]),
        [
            "merge other_class 6 9 101",
            "merge other_class 6 9 102",
            "fragmentation detection 6 9 101",
            "fragmentation detection 6 9 102",
        ],
        "merge",
    ),
    "merge of a class": (
        clip(["A20", "B20"], ["A6M4A10", "B6.4B10"]),
        [
            "merge same_class 6 9 101",
            "merge same_class 6 9 102",
            "fragmentation detection 6 9 101",
            "fragmentation detection 6 9 102",
        ],
        "merge",
    ),
    "split": (
        clip(["A20"], ["A6l4A10", ".6r4.10"]),
        ["split two_queries 6 9 101", "fragmentation detection 6 9 101"],
        "split",
    ),
    "hijack by a look-alike": (
        clip(["A8.4A8", "B20"], ["A8.4B8", "B12.8"]),
        [
            "hijack_after_occlusion look_alike 7 12 101",
            "early_death detection 8 19 101",
            "lost_after_occlusion permanent 12 19 101",
            "identity_switch takeover 11 12 102",
        ],
        "hijack_after_occlusion",
    ),
    "hijack behind a severe occlusion": (
        clip(["A20", ("B20", 2)], ["A8.4B8", ("B12.8", [(2, 0.8)])], severe={0: "." * 8 + "xxxx" + "." * 8}),
        [
            "hijack_after_occlusion other_class 7 12 101",
            "early_death detection 8 19 101",
            "lost_after_occlusion permanent 12 19 101",
            "identity_switch takeover 11 12 102",
            "class_flip to_wrong 11 12 102",
        ],
        "hijack_after_occlusion",
    ),
    "drift": (
        clip(["A20", "B20"], ["A10B10", "B20"]),
        ["drift look_alike 9 10 101", "early_death detection 10 19 101"],
        "drift",
    ),
    "late birth": (clip(["A20"], [".6A14"]), ["late_birth detection 0 5 101"], "late_birth"),
    "linkable late birth": (
        clip(["A20"], [".6A14", ("A6.14", [(1, LOW)])]),
        ["late_birth linking 0 5 101"],
        "late_birth",
    ),
    "early death": (clip(["A20"], ["A14.6"]), ["early_death detection 14 19 101"], "early_death"),
    "lost, recovered": (
        clip(["A6.3A21"], ["A6.3Z11A10"]),
        ["lost_after_occlusion recovered 9 19 101", "fragmentation detection 9 19 101"],
        "lost_after_occlusion",
    ),
    "lost for good": (
        clip(["A6.3A11"], ["A6.14"]),
        ["lost_after_occlusion permanent 9 19 101", "early_death detection 6 19 101"],
        "lost_after_occlusion",
    ),
    "lost before it was hidden": (
        clip(["A12.3A5"], ["A6.14"]),
        ["early_death detection 6 19 101"],
        "early_death",
    ),
    "overstay": (clip(["A10.10"], ["A20"]), ["overstay after_exit 10 19 101"], "overstay"),
    "overstay in a gap": (clip(["A7.6A7"], ["A20"]), ["overstay in_absence 7 12 101"], "overstay"),
    "class error": (clip(["A20"], [("A20", [(2, 0.9)])]), ["class_error unlisted 0 19 101"], "class_error"),
    "class error, outscored": (
        clip(["A20"], [("A20", [(2, 0.9), (1, 0.5)])]),
        ["class_error outscored 0 19 101", "duplicate label_double 0 19 101"],
        "class_error",
    ),
    "flip between wrong classes": (
        clip(["A20"], [("A11.9", [(2, 0.9)]), (".11A9", [(3, 0.8)])]),
        ["class_flip wrong_to_wrong 10 11 101", "identity_switch rebirth 10 11 101", "class_error unlisted 0 19 101"],
        "class_flip",
    ),
    "class flip": (
        clip(["A20"], ["A11.9", (".11A9", [(2, 0.8)])]),
        ["class_flip to_wrong 10 11 101", "identity_switch rebirth 10 11 101"],
        "class_flip",
    ),
    "duplicate": (clip(["A20"], ["A20", "S20"]), ["duplicate double 0 19 101"], "duplicate"),
    "copy": (clip(["A20"], [("A20", ((1, 0.9), (1, 0.8)))]), ["duplicate copy 0 19 101"], "duplicate"),
    "label double": (
        clip(["A20"], [("A20", [(1, 0.9), (2, 0.5)])]),
        ["duplicate label_double 0 19 101"],
        "duplicate",
    ),
    "background": (clip(["A20"], ["A20", "Z20"]), ["background harmless 0 19 None"], None),
    "confident background": (
        clip(["A20"], [("A20", [(1, 0.5)]), ("Z20", [(1, 0.6)])]),
        ["background confident 0 19 None"],
        None,
    ),
    "missed": (clip(["A20", "B20"], ["B20"]), ["missed undetected 0 19 101"], "missed"),
    "missed for its score": (
        clip(["A20", "B20"], ["B20", ("A20", [(2, LOW)])]),
        ["missed low_score 0 19 101"],
        "missed",
    ),
    "overspill": (clip(["A20"], ["O20"]), ["rough_mask overspill 0 19 101"], "rough_mask"),
    "part": (clip(["A20"], ["S20"]), ["rough_mask part 0 19 101"], "rough_mask"),
    "boundary": (clip(["A20"], ["D20"]), ["rough_mask boundary 0 19 101"], "rough_mask"),
}

# Clips whose mirror in time is another mode: the mirror's events and head.
MIRRORS: dict[str, tuple[list[str], str]] = {
    "late birth": (["early_death detection 14 19 101"], "early_death"),
    "linkable late birth": (["early_death linking 14 19 101"], "early_death"),
    "early death": (["late_birth detection 0 5 101"], "late_birth"),
    "overstay": (["overstay before_entry 0 9 101"], "overstay"),
    "retreat": (["identity_switch rebirth 8 9 101"], "identity_switch"),
    "lost, recovered": (["fragmentation detection 10 20 101"], "fragmentation"),
    "lost for good": (["late_birth detection 0 13 101"], "late_birth"),
    "lost before it was hidden": (["late_birth detection 0 13 101"], "late_birth"),
    "class flip": (["class_flip to_right 8 9 101", "identity_switch rebirth 8 9 101"], "class_flip"),
    "drift": (
        ["drift look_alike 9 10 102", "identity_switch other 9 10 102", "late_birth detection 0 9 101"],
        "late_birth",
    ),
    "takeover": (
        [
            "identity_switch rebirth 8 9 101",
            "drift look_alike 8 9 101",
            "late_birth detection 0 8 102",
        ],
        "identity_switch",
    ),
    "hijack by a look-alike": (
        ["late_birth detection 0 11 101", "identity_switch rebirth 7 8 102", "drift look_alike 7 12 102"],
        "late_birth",
    ),
    "hijack behind a severe occlusion": (
        [
            "late_birth detection 0 11 101",
            "identity_switch rebirth 7 8 102",
            "drift other_class 7 12 102",
            "class_flip to_right 7 8 102",
        ],
        "late_birth",
    ),
}


def fired(entry: Clip) -> tuple[list[str], dict[int | None, str]]:
    """Events as text, without ``other``, and the head of each object."""
    video = entry.video()
    events = find_failures(
        tables_of(video),
        [relink(video)],
        geometry={video.video_id: entry.geometry()},
        pair_iou=pair_iou_of(entry),
    )
    failures = [event for event in events if event.mode != "other"]
    lines = [f"{e.mode} {e.subtype} {e.start_frame} {e.end_frame} {e.object}" for e in failures]
    return sorted(lines), {event.object: event.mode for event in failures if event.headline}


def mirrored_line(line: str, length: int) -> str:
    mode, subtype, start, end, identity = line.split()
    return f"{mode} {subtype} {length - 1 - int(end)} {length - 1 - int(start)} {identity}"


@pytest.mark.parametrize("name", CLIPS)
def test_clip_fires_exactly_its_events(name):
    entry, expected, head = CLIPS[name]
    lines, heads = fired(entry)
    assert lines == sorted(expected)
    assert heads.get(101) == head


@pytest.mark.parametrize("name", CLIPS)
def test_mirror_in_time_fires_the_mirrored_events(name):
    entry, expected, head = CLIPS[name]
    length = len(entry.objects[0][0])
    expected, head = MIRRORS.get(name, ([mirrored_line(line, length) for line in expected], head))
    lines, heads = fired(entry.mirrored())
    assert lines == sorted(expected)
    assert heads.get(101) == head


@pytest.mark.parametrize("name", CLIPS)
def test_renaming_the_categories_changes_nothing(name):
    entry = CLIPS[name][0]
    renamed = replace(
        entry,
        objects=tuple((text, RENAMED[category]) for text, category in entry.objects),
        queries=tuple((text, tuple((RENAMED[c], s) for c, s in rows)) for text, rows in entry.queries),
    )
    assert fired(renamed) == fired(entry)


@pytest.mark.parametrize("name", CLIPS)
def test_order_of_rows_and_objects_changes_nothing(name):
    entry = CLIPS[name][0]
    shuffled = replace(entry, queries=entry.queries[::-1])
    assert fired(shuffled) == fired(entry)
    last = len(entry.objects)
    swapped = replace(
        entry, objects=entry.objects[::-1], severe={last - 1 - index: text for index, text in entry.severe.items()}
    )
    names = {str(101 + index): str(100 + last - index) for index in range(last)} | {"None": "None"}
    lines = [line.rpartition(" ") for line in fired(swapped)[0]]
    assert sorted(f"{head} {names[identity]}" for head, _, identity in lines) == fired(entry)[0]


@pytest.mark.parametrize("name", CLIPS)
def test_hedged_copies_change_no_event(name):
    """A copy of each query, one pixel smaller in every mask and scored lower, joins its family.

    It is reported as a copy, once for each object whose match it doubles, and changes nothing else.
    """
    entry = CLIPS[name][0]
    copies = tuple((text.translate(NIBBLED), tuple((c, s * 0.9) for c, s in rows)) for text, rows in entry.queries)
    before, after = (fired(version) for version in (entry, replace(entry, queries=entry.queries + copies)))
    copied = [line for line in after[0] if line.startswith("duplicate copy ")]
    assert [line for line in after[0] if line not in copied] == [line for line in before[0] if " copy " not in line]
    assert after[1] == {int(line.split()[-1]): "duplicate" for line in copied} | before[1]
    matched = official_match(entry.video()).row_of_object >= 0
    assert sorted(line.split()[-1] for line in copied) == [str(101 + i) for i in np.flatnonzero(matched)]


def test_every_mode_and_subtype_has_a_clip():
    entries = [entry for entry, _, _ in CLIPS.values()]
    lines = [line for entry in entries for version in (entry, entry.mirrored()) for line in fired(version)[0]]
    assert {tuple(line.split()[:2]) for line in lines} == {
        (mode.name, name) for mode in MODES for name in mode.subtypes
    }
