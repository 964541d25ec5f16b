"""Mutations of ground truth and results as JSON values: blind ones, and ones that know the format."""

import copy
import string

VALUES = [
    *(None, True, False, 0, -1, 1, 2, 0.5, 1e308, 10**30, -(10**400), 2**31, 2**63),
    *(float("nan"), float("inf"), "", "0", "\ud800", "a\nb", [], {}, [[]], [None], [1, 2, 3, 4], {"counts": "1"}),
    *({"size": [2, 2], "counts": [4]}, {"size": [1, 1], "counts": "P"}, [[0, 0, 1, 0, 1, 1]], [0] * 50),
]


def places(value, path=()):
    """Paths of all values inside a JSON value."""
    yield path
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in entries:
        yield from places(entry, (*path, key))


def get(value, path):
    """The entry at ``path``."""
    for key in path:
        value = value[key]
    return value


def mutate(value, rng):
    """Changes one to three places of a JSON value: replaced, deleted, copied, or a text or number disturbed."""
    value = copy.deepcopy(value)
    for _ in range(rng.randint(1, 3)):
        every = list(places(value))[1:]
        if not every:
            return value
        path = rng.choice(every)
        holder, key = get(value, path[:-1]), path[-1]
        kind = rng.randrange(5)
        if kind == 0:
            del holder[key]
        elif kind == 1 and isinstance(holder, list):
            holder.insert(key, copy.deepcopy(holder[key]))
        elif kind == 2:
            holder[key] = copy.deepcopy(get(value, rng.choice(every)))
        elif kind == 3 and isinstance(holder[key], str | int | float) and not isinstance(holder[key], bool):
            holder[key] = disturb(holder[key], rng)
        else:
            holder[key] = copy.deepcopy(rng.choice(VALUES))
    return value


def disturb(value, rng):
    """A slightly different text or number."""
    if not isinstance(value, str):
        return value + rng.choice([-1, 1, 0.5, -value, value])
    at = rng.randrange(len(value) + 1)
    letter = rng.choice(string.printable + "ü\x00")
    return value[:at] + rng.choice(["", letter, letter + value[at : at + 1]]) + value[at + 1 :]


def damage(text, rng):
    """Damages the bytes of a file: cut off, a byte flipped, a slice repeated."""
    data = bytearray(text.encode("utf-8", "surrogatepass"))
    at = rng.randrange(len(data))
    kind = rng.randrange(3)
    if kind == 0:
        return bytes(data[:at])
    if kind == 1:
        data[at] ^= 1 << rng.randrange(8)
        return bytes(data)
    return bytes(data[:at] + data[max(0, at - rng.randrange(1, 60)) :])


def reshape(truth, results, rng):
    """Changes ground truth and results so that they mostly stay valid, by one to three of ``RESHAPERS``."""
    truth, results = copy.deepcopy((truth, results))
    for _ in range(rng.randint(1, 3)):
        rng.choice(RESHAPERS)(truth, results, rng)
    return truth, results


def _huge_ids(truth, results, rng):
    """Ids up to the largest of 64 bits, negative ones too (annotation ids stay above 0)."""
    for section, key in (("videos", "video_id"), ("categories", "category_id")):
        start = rng.choice([-(2**63), -1, 2**31 - 2, 2**63 - 1 - len(truth[section])])
        new = {entry["id"]: start + place for place, entry in enumerate(truth[section])}
        for entry in truth[section]:
            entry["id"] = new[entry["id"]]
        for entry in [*truth["annotations"], *results]:
            entry[key] = new.get(entry[key], entry[key])
    for place, entry in enumerate(truth["annotations"]):
        entry["id"] = 2**63 - 1 - place


def _repeat_rows(truth, results, rng):
    """One row many times, beyond the limit of 100 per video and category."""
    if results:
        row = rng.choice(results)
        results += [copy.deepcopy(row) for _ in range(rng.choice([1, 2, 120]))]


def _equal_scores(truth, results, rng):
    score = rng.choice([0, 1, -3.5, 1e-300, 1e300, 5])
    for row in results:
        row["score"] = score


def _shuffle_rows(truth, results, rng):
    rng.shuffle(results)


def _swap_masks(truth, results, rng):
    """Masks wander between the tracks and objects of a video."""
    by_video = {}
    for entry in [*results, *truth["annotations"]]:
        by_video.setdefault(entry["video_id"], []).append(entry)
    for entries in by_video.values():
        one, other = rng.choice(entries), rng.choice(entries)
        for t in range(min(len(one["segmentations"]), len(other["segmentations"]))):
            if rng.random() < 0.5:
                masks = other["segmentations"][t], one["segmentations"][t]
                one["segmentations"][t], other["segmentations"][t] = masks


def _no_rows(truth, results, rng):
    results.clear()


def _fewer_objects(truth, results, rng):
    truth["annotations"] = [entry for entry in truth["annotations"] if rng.random() < rng.choice([0, 0.5])]


def _crowds(truth, results, rng):
    for entry in truth["annotations"]:
        entry["iscrowd"] = rng.choice([0, 1, True])


def _one_frame(truth, results, rng):
    """Every video cut to one of its frames."""
    for video in truth["videos"]:
        video["file_names"] = video["file_names"][:1]
        video["length"] = 1
    for entry in [*truth["annotations"], *results]:
        for key in ("segmentations", "areas", "bboxes"):
            if isinstance(entry.get(key), list):
                entry[key] = entry[key][:1]


def _absent(truth, results, rng):
    """Masks become null, an empty list or object, or none at all in a whole track."""
    for entry in [*truth["annotations"], *results]:
        if rng.random() < 0.3:
            entry["segmentations"] = [rng.choice([None, {}, [], m]) for m in entry["segmentations"]]


def _extensions(truth, results, rng):
    """Extension keys and keys nobody knows."""
    for row in results:
        row["query_id"] = rng.choice([None, 3, "q", -1])
        row["frame_scores"] = [rng.random() for _ in row["segmentations"]]
        row["cats"] = rng.choice([None, [1], "x"])
    truth["licenses"] = [[]]


def _occlusion(truth, results, rng):
    for entry in truth["annotations"]:
        words = (None, "no_occlusion", "slight_occlusion", "severe_occlusion")
        entry["occlusion"] = [rng.choice(words) for _ in entry["segmentations"]]


RESHAPERS = (
    _huge_ids,
    _repeat_rows,
    _equal_scores,
    _shuffle_rows,
    _swap_masks,
    _no_rows,
    _fewer_objects,
    _crowds,
    _one_frame,
    _absent,
    _extensions,
    _occlusion,
)
