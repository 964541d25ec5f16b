"""Weights that have seen the diagnosed videos are named beside every number."""

import json

import lens_case
import pytest
from data_folders import make, prepared, write

from mindthegap import diagnose, plots
from mindthegap.data import draw_split
from mindthegap.data.lineage import Seen, origin, read_names, seen
from mindthegap.diagnosis.display import report
from mindthegap.errors import InputError
from mindthegap.evaluation.display import plain_text
from mindthegap.formats import read_ground_truth
from mindthegap.tracklens import ExperimentFiles, build
from mindthegap.tracklens.payload import decode_payload


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("dQw4w9WgXcQ", "dQw4w9WgXcQ"),
        ("dQw4w9WgXcQ_12", "dQw4w9WgXcQ"),
        ("dQw4w9WgXcQ-3-0004", "dQw4w9WgXcQ"),
        ("clips/dQw4w9WgXcQ/clip3", "dQw4w9WgXcQ"),
        ("0-6LB4FqxoE_0", "0-6LB4FqxoE"),
        ("0043f083b5", "0043f083b5"),
        ("85aa3b0e", "85aa3b0e"),
        ("motocross-j_1", "motocross-j_1"),
        ("diagnostic_00001", "diagnostic_00001"),
        ("dQw4w9WgXcQx_1", "dQw4w9WgXcQx_1"),
    ],
)
def test_the_source_is_told_from_the_name(name, source):
    assert origin(name) == source


def _clips(content):
    """Three clips of each of some YouTube videos."""
    for k, video in enumerate(content["videos"]):
        name = f"aB{k // 3:08d}z_{k % 3}"
        video["file_names"] = [f"{name}/{path.split('/')[1]}" for path in video["file_names"]]
    return content


def test_clips_of_one_source_stay_on_one_side(tmp_path):
    write(tmp_path / "in", _clips(make(videos=24)), frames=False)
    truth = read_ground_truth(tmp_path / "in/gt.json")
    for seed in range(5):
        chosen = draw_split(truth, 0.4, seed)
        sides = {origin(video.name): {v.id in chosen for v in truth.videos if origin(v.name) == origin(video.name)}
                 for video in truth.videos}  # fmt: skip
        assert len(sides) == 8
        assert all(len(side) == 1 for side in sides.values())


def test_lists_and_second_files_may_not_cut_a_source_in_two(tmp_path):
    content = _clips(make(videos=6))
    write(tmp_path / "in", content)
    (tmp_path / "list.txt").write_text("aB00000001z_0\naB00000001z_1\n")
    with pytest.raises(InputError, match=r"list.txt: 'aB00000001z_[01]' was cut from the same video as"):
        prepared(tmp_path, content, split={"diagnostic_list": str(tmp_path / "list.txt")})
    other = make(videos=1)
    other["videos"][0]["file_names"] = [f"aB00000000z_9/{t}.jpg" for t in range(2)]
    write(tmp_path / "more", other)
    split = {"diagnostic_annotations": str(tmp_path / "more/gt.json")}
    with pytest.raises(InputError, match="'aB00000000z_9' was cut from the same video as"):
        prepared(tmp_path, content, split=split)


def test_the_written_list_draws_the_same_split_again(tmp_path):
    content = make(videos=12)
    write(tmp_path / "in", content)
    first, _ = prepared(tmp_path, content)
    written = tmp_path / "out/diagnostic.txt"
    assert first["split_recipe"]["list"]["file"] == "diagnostic.txt"
    again, _ = prepared(tmp_path, content, "again", split={"diagnostic_list": str(written)})
    assert again["splits"] == first["splits"]
    assert read_names(written) == first["split_recipe"]["videos"]["diagnostic"]
    assert read_names(tmp_path / "out/manifest.json") == first["split_recipe"]["videos"]["train"]
    assert read_names(tmp_path / "out/train.json") == first["split_recipe"]["videos"]["train"]


def test_names_come_from_known_files_only(tmp_path):
    for name, text, message in (
        ("a.txt", "# nothing\n", "names no video"),
        ("a.json", "[]", "is a list of 0 entries, not a JSON object"),
        ("b.json", '{"videos": [{}]}', "names no videos in a known way"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match=message):
            read_names(tmp_path / name)


def test_seen_counts_videos_and_sources():
    assert seen(["a", "b", "dQw4w9WgXcQ_1"], ["b", "dQw4w9WgXcQ_7", "z"], "list") == Seen(2, 3, "list")
    assert seen(["a"], ["b"], "list").sentence == ""
    assert "2 of 3 diagnosed videos" in Seen(2, 3, "list").sentence
    assert seen(["a"], None, "nobody").videos is None
    assert "not known" in Seen(None, 1, "nobody").sentence
    assert Seen.from_dict(Seen(2, 3, "list").to_dict()) == Seen(2, 3, "list")


def _results(path, content):
    rows = [
        {"video_id": item["video_id"], "category_id": item["category_id"], "score": 0.9 - item["id"] / 100,
         "segmentations": item["segmentations"]}
        for item in content["annotations"]
    ]  # fmt: skip
    path.write_text(json.dumps(rows))
    return path


@pytest.mark.parametrize(
    ("trained_on", "expected", "words"),
    [
        (["0001a", "0003a"], {"videos": 2, "of": 5, "source": "list.txt"}, "have seen 2 of 5 diagnosed videos"),
        (["other"], {"videos": 0, "of": 5, "source": "list.txt"}, ""),
        (Seen(None, 5, "official weights"), {"videos": None, "of": 5, "source": "official weights"}, "not known"),
        (None, None, ""),
    ],
)
def test_a_diagnosis_says_what_its_weights_have_seen(tmp_path, trained_on, expected, words):
    content = make(videos=5)
    write(tmp_path / "in", content, frames=False)
    if isinstance(trained_on, list):
        (tmp_path / "list.txt").write_text("\n".join(trained_on))
        trained_on = tmp_path / "list.txt"
    results = _results(tmp_path / "results.json", content)
    diagnosis = diagnose(tmp_path / "in/gt.json", results, trained_on=trained_on)
    assert diagnosis.to_dict()["contaminated"] == expected
    text = " ".join(plain_text(report(diagnosis)).split())
    assert ("Warning: " in text) == bool(words)
    assert words in text
    assert text.count("weights may have seen these videos") == (3 if words else 0)
    assert set(diagnosis.tracks()["contaminated"]) == {bool(words)}


def _gaps(folder, contaminated):
    folder.mkdir(parents=True)
    content = lens_case.gaps() | {"contaminated": contaminated}
    (folder / "gaps.json").write_text(json.dumps(content))
    return folder / "gaps.json"


def test_figures_carry_the_warning(tmp_path):
    told = Seen(3, 40, "ytvis").to_dict()
    clean = _gaps(tmp_path / "d/vistr-r50/0", Seen(0, 40, "ytvis").to_dict())
    dirty = _gaps(tmp_path / "d/ifc-r50/0", told)
    table = plots.gap_table([clean, dirty])
    assert list(table.sort_values("method")["contaminated"]) == [True, False]
    figure = plots.gap_bars(table)
    assert any("seen diagnosed videos in training" in text.get_text() for text in figure.texts)
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert [name.endswith(" *") for name in names] == ["IFC" in name for name in names]
    assert not any("seen" in text.get_text() for text in plots.gap_bars(plots.gap_table([clean])).texts)
    with pytest.raises(InputError, match=r"contaminated: .* is not an object with videos, of and source"):
        plots.gap_table([_gaps(tmp_path / "e/ifc-r50/0", {"videos": 3})])


def test_the_page_carries_the_warning(tmp_path):
    truth, rows = lens_case.write_inputs(tmp_path / "in")
    oracle = lens_case.write_oracle(tmp_path / "oracle")
    gaps = json.loads((oracle / "gaps.json").read_text()) | {"contaminated": Seen(None, 2, "official").to_dict()}
    (oracle / "gaps.json").write_text(json.dumps(gaps))
    page = build(tmp_path / "page", [ExperimentFiles("a", truth, rows, oracle)], title="A page").parent
    site = decode_payload((page / "data/site.js").read_text())
    assert "not known whether the weights have seen" in site["experiments"][0]["warning"]
