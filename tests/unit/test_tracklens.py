import http.client
import json
import re
import threading

import lens_case
import numpy as np
import pandas as pd
import pytest
from pycocotools import mask as coco_mask
from typer.testing import CliRunner

import mindthegap
from mindthegap.errors import InputError, MindTheGapError
from mindthegap.tracklens import ExperimentFiles, build
from mindthegap.tracklens.masks import drawn_masks, drawn_size
from mindthegap.tracklens.payload import decode_payload, encode_payload, write_payload
from mindthegap.tracklens.serve import make_server
from mindthegap.tracklens.shards import frame_name, pairs


def experiment(folder, **options):
    inputs = {key: options[key] for key in ("frames", "hostile", "predictions") if key in options}
    oracle = {key: options[key] for key in ("failures", "predictions") if key in options}
    truth, rows = lens_case.write_inputs(folder / "in", **inputs)
    return ExperimentFiles("swap", truth, rows, lens_case.write_oracle(folder / "oracle", **oracle))


def make_page(folder, **options):
    files = experiment(folder, **options)
    return build(folder / "page", [files], title=options.get("title", "A page")).parent


def data(page, key):
    return decode_payload((page / "data" / f"{key}.js").read_text())


def unpack(numbers):
    return [value for value, count in zip(numbers[::2], numbers[1::2], strict=True) for _ in range(count)]


def tree(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return make_page(tmp_path_factory.mktemp("lens"))


def test_lanes_tell_the_swap_and_the_repair(page):
    video = data(page, "p0/1")
    upper, lower = video["objects"]
    absent = {3, 4}
    carrier = [-1 if t in absent else int(t >= 6) for t in range(12)]
    assert (upper["o"], lower["o"]) == (11, 12)
    assert unpack(upper["carrier"]["q"]) == carrier
    assert unpack(upper["tracking"]["q"]) == carrier
    assert unpack(lower["carrier"]["q"]) == [int(t < 6) for t in range(12)]
    assert upper["carrier"]["iou"] == [-1 if t in absent else 100 for t in range(12)]
    assert [span[:2] for span in upper["hidden"]] == [[3, 4]]


def test_identical_rows_are_one_query_with_all_its_labels(page):
    first, second = data(page, "p0/1")["queries"]
    assert first["rows"] == [[0, 1, 0.9]]
    assert second["rows"] == [[1, 1, 0.8], [2, 2, 0.3]]
    assert unpack(first["owner"]) == [0, 0, 0, -1, -1, 0, 1, 1, 1, 1, 1, 1]


def test_masks_of_the_page_are_the_masks_of_the_files(page):
    video = data(page, "g0/1")
    upper, lower = lens_case.tracks()
    for shown, masks in zip(video["objects"], (upper, lower), strict=True):
        assert shown["masks"] == [None if mask is None else mask["counts"] for mask in masks]
    assert video["files"][0] == "crossing/000.png"
    assert video["drawn"] == video["size"] == [60, 100]


def test_objects_are_sorted_by_points_and_headed_by_their_costliest_event(page):
    table = data(page, "x0")
    assert [(row["o"], sum(row["pts"]), row["mode"]) for row in table["objects"]] == [
        (12, 30, "identity_switch"),
        (21, 25, ""),
        (11, 20, "identity_switch"),
    ]
    switch = next(event for event in table["events"] if event["o"] == 12)
    assert (switch["t0"], switch["t1"], switch["o2"], switch["q"], switch["q2"], switch["pts"]) == (6, 8, 11, 0, 1, 30)
    assert next(event for event in table["events"] if event["m"] == "other")["t0"] is None


def test_overview_carries_provenance_but_no_machine_path(page, tmp_path_factory):
    site = data(page, "site")
    (shown,) = site["experiments"]
    assert {item["role"] for item in shown["inputs"]} >= {
        "ground truth",
        "predictions",
        "gaps.json",
        "failures.parquet",
    }
    assert all(re.fullmatch(r"[0-9a-f]{64}", item["sha256"]) and "/" not in item["name"] for item in shown["inputs"])
    assert shown["synthetic"] is True
    assert shown["gaps"]["gaps"] == {"tracking": 50.0, "classification": 5.0, "segmentation": 25.0}
    assert site["truths"][0]["frames"] == "../in/frames"
    assert site["thresholds"]["carrier_iou"] == 0.5
    everything = json.dumps([site, *(data(page, key) for key in ("x0", "p0/1", "g0/1"))])
    assert str(tmp_path_factory.getbasetemp()) not in everything


def test_the_same_inputs_give_the_same_bytes_and_a_rebuild_replaces(tmp_path):
    page = make_page(tmp_path)
    first = tree(page)
    (page / "data" / "stale.js").write_text("old")
    build(page, [experiment(tmp_path)], title="A page")
    assert tree(page) == first
    assert {path.name for path in tmp_path.iterdir()} == {"in", "oracle", "page"}


def test_experiments_with_one_ground_truth_share_its_data(tmp_path):
    files = experiment(tmp_path)
    other = ExperimentFiles("again", files.ground_truth, files.predictions, files.oracle_dir)
    page = build(tmp_path / "page", [files, other], title="Two").parent
    assert sorted(path.name for path in (page / "data").iterdir()) == ["g0", "p0", "p1", "site.js", "x0.js", "x1.js"]
    assert [entry["truth"] for entry in data(page, "site")["experiments"]] == [0, 0]


def test_a_folder_that_is_no_page_is_never_replaced(tmp_path):
    files = experiment(tmp_path)
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="not a TrackLens page"):
        build(tmp_path / "page", [files], title="A page")
    assert (tmp_path / "page" / "thesis.tex").read_text() == "years of work"


def test_a_failed_build_leaves_the_old_page_and_no_rest(tmp_path):
    page = make_page(tmp_path)
    before = tree(page)
    files = experiment(tmp_path)
    (files.oracle_dir / "association.parquet").write_bytes(b"broken")
    with pytest.raises(InputError, match="is not a Parquet table"):
        build(page, [files], title="A page")
    assert tree(page) == before
    assert {path.name for path in tmp_path.iterdir()} == {"in", "oracle", "page"}


def test_oracle_folders_of_another_ground_truth_are_refused(tmp_path):
    files = experiment(tmp_path)
    path = files.oracle_dir / "tracks.parquet"
    tracks = pd.read_parquet(path)
    tracks.assign(object_id=tracks["object_id"] + 1).to_parquet(path)
    with pytest.raises(InputError, match="object 13 of video 1 is not in"):
        build(tmp_path / "page", [files], title="A page")
    tracks.to_parquet(path)
    path = files.oracle_dir / "association.parquet"
    choices = pd.read_parquet(path)
    choices.assign(frame=choices["frame"] + 1).to_parquet(path)
    with pytest.raises(InputError, match="beyond the end of its video"):
        build(tmp_path / "page", [files], title="A page")


@pytest.mark.parametrize(("column", "value"), [("query", 9), ("query", -2), ("frame", -1)])
def test_association_tables_of_other_predictions_are_refused(tmp_path, column, value):
    files = experiment(tmp_path)
    path = files.oracle_dir / "association.parquet"
    pd.read_parquet(path).assign(**{column: value}).to_parquet(path)
    with pytest.raises(InputError, match=column):
        build(tmp_path / "page", [files], title="A page")


def test_missing_pieces_are_named(tmp_path):
    files = experiment(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        build(
            tmp_path / "page", [ExperimentFiles("x", files.ground_truth, files.predictions, tmp_path / "no")], title=""
        )
    with pytest.raises(InputError, match="no such folder of frames"):
        build(tmp_path / "page", [files], title="", frames=tmp_path / "no")
    with pytest.raises(MindTheGapError, match="no experiment"):
        build(tmp_path / "page", [], title="")


def test_without_predictions_failures_and_frames_the_page_still_says_what_it_knows(tmp_path):
    page = make_page(tmp_path, predictions=False, failures=False, frames=False)
    video = data(page, "p0/1")
    assert (video["queries"], video["events"], video["left_out"]) == ([], None, 0)
    assert unpack(video["objects"][0]["carrier"]["q"]) == [-1] * 12
    assert data(page, "site")["truths"][0]["frames"] is None


def test_hostile_names_never_become_markup_or_addresses(tmp_path):
    page = make_page(tmp_path, hostile=True, title="</title><script>alert(1)</script>")
    for path in page.rglob("*"):
        if path.suffix in (".html", ".js"):
            assert "onerror" not in path.read_text() or path.parent.name == "assets"
    assert data(page, "site")["truths"][0]["categories"]["1"] == lens_case.HOSTILE
    assert data(page, "g0/2")["files"] == [None, 'e/"><b>.png']
    scripts = "".join(path.read_text() for path in (page / "assets").glob("*.js"))
    for dangerous in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "fetch(",
        "XMLHttpRequest",
    ):
        assert dangerous not in scripts
    shell = (page / "index.html").read_text()
    assert "default-src 'none'" in shell
    assert "unsafe" not in shell
    assert not re.search(r"https?://", shell)


@pytest.mark.parametrize("name", ["../secret.png", "/etc/passwd", "javascript:alert(1)", "C:\\x.png", "a/../../b", ""])
def test_frame_names_that_lead_elsewhere_are_dropped(name):
    assert frame_name(name) is None


def test_frame_names_may_hold_odd_characters():
    assert frame_name("clip 1/0:1#?.jpg") == "clip 1/0:1#?.jpg"


def test_large_masks_shrink_for_drawing_and_tiny_ones_stay_visible():
    assert drawn_size(1080, 1920) == (270, 480)
    assert drawn_size(300, 480) == (300, 480)
    full = np.zeros((200, 960), np.uint8, order="F")
    full[20:120, 100:500] = 1
    dot = np.zeros((200, 960), np.uint8, order="F")
    dot[11, 21] = 1
    empty = np.zeros((200, 960), np.uint8, order="F")
    masks = [coco_mask.encode(mask) for mask in (full, dot, empty)]
    large, small, none = drawn_masks([*masks[:2], masks[2]], (100, 480))
    decoded = coco_mask.decode({"size": [100, 480], "counts": large.encode()})
    assert decoded.sum() == 50 * 200
    assert decoded[10:60, 50:250].all()
    assert coco_mask.area({"size": [100, 480], "counts": small.encode()}) == 1
    assert none is None
    assert drawn_masks([None], (100, 480)) == [None]


def test_payloads_come_back_and_keys_stay_in_their_folder(tmp_path):
    value = {"text": '"</script>\u2028ü', "numbers": [1, 2.5, None]}
    write_payload(tmp_path, "p0/12", value)
    text = (tmp_path / "p0" / "12.js").read_text()
    assert decode_payload(text) == value
    assert "<" not in text
    assert encode_payload(value) == encode_payload(value)
    for key in ("../x", "/x", 'a"b', ""):
        with pytest.raises(ValueError):
            write_payload(tmp_path, key, value)


def test_run_length_pairs():
    assert pairs(np.array([1, 1, -1, 2, 2, 2])) == [1, 2, -1, 1, 2, 3]
    assert pairs(np.array([], dtype=int)) == []


def test_a_real_diagnosis_gives_the_same_lanes_as_its_failure_events(tmp_path):
    truth, rows = lens_case.write_inputs(tmp_path / "in")
    mindthegap.diagnose(truth, rows, out_dir=tmp_path / "oracle")
    files = ExperimentFiles("real", truth, rows, tmp_path / "oracle")
    page = build(tmp_path / "page", [files], title="A page").parent
    video = data(page, "p0/1")
    assert unpack(video["objects"][1]["carrier"]["q"]) == unpack(video["objects"][1]["tracking"]["q"])
    swaps = [event for event in video["events"] if event["m"] == "identity_switch"]
    assert sorted((event["o"], event["s"], event["t1"]) for event in swaps) == [(11, "swap", 6), (12, "swap", 6)]
    assert {row["o"]: row["mode"] for row in data(page, "x0")["objects"]}[21] == "missed"
    modes = data(page, "site")["modes"]
    assert all(event["m"] in modes or event["m"] == "other" for event in video["events"])


@pytest.fixture
def server(tmp_path):
    page = make_page(tmp_path)
    (tmp_path / "secret.txt").write_text("no")
    server, address = make_server(page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address, address
    server.shutdown()
    server.server_close()


def ask(where, path, host=None):
    connection = http.client.HTTPConnection(*where, timeout=5)
    connection.request("GET", path, headers={"Host": host or f"127.0.0.1:{where[1]}"})
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_the_server_shows_page_and_frames_to_this_machine_only(server):
    where, address = server
    assert where[0] == "127.0.0.1"
    assert address.endswith("/page/index.html")
    assert ask(where, "/page/index.html")[0] == 200
    assert ask(where, "/in/frames/crossing/000.png")[0] == 200
    for path in ("/secret.txt", "/in/truth.json", "/page/", "/", "/page/../secret.txt", "/page/%2e%2e/secret.txt"):
        assert ask(where, path)[0] == 404
    assert ask(where, "/page/index.html", host="evil.example")[0] == 403


def test_serving_needs_a_page_and_a_free_port(server, tmp_path):
    with pytest.raises(InputError, match="not a TrackLens page"):
        make_server(tmp_path / "absent")
    with pytest.raises(MindTheGapError, match="choose another"):
        make_server(tmp_path / "page", port=server[0][1])


def test_command_line_builds_and_asks_for_what_is_missing(tmp_path):
    from mindthegap.cli.tracklens import app

    files = experiment(tmp_path)
    arguments = ["build", str(files.ground_truth), str(files.predictions), "-o", str(tmp_path / "page")]
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, MindTheGapError)
    assert "0 --oracle folders" in str(result.exception)
    result = CliRunner().invoke(app, [*arguments, "--oracle", str(files.oracle_dir), "--title", "Mine"])
    assert result.exit_code == 0, result.exception
    assert data(tmp_path / "page", "site")["title"] == "Mine"
