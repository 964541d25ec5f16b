"""The parts of the workflow that need no Snakemake."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from mindthegap.errors import ConfigError, InputError, MindTheGapError
from mindthegap.workflow import (
    check_published,
    check_writable,
    code_digest,
    digests,
    door,
    import_published,
    missing_methods,
    write_checksums,
)


@pytest.fixture
def digest(tmp_path):
    def compute(text: str) -> str:
        (tmp_path / "module.py").write_text(text)
        digests._meaning.cache_clear()
        digests._digest.cache_clear()
        return code_digest(tmp_path, ["module.py"])

    return compute


def test_comments_docstrings_and_layout_do_not_count(digest):
    plain = digest("def f(x):\n    return x + 1\n")
    assert digest('"""Doc."""\n\ndef f(x):  # why\n    """Doc."""\n    return (x\n            + 1)\n') == plain


@pytest.mark.parametrize("text", ["def f(x):\n    return x + 2\n", "def g(x):\n    return x + 1\n", ""])
def test_a_changed_meaning_counts(digest, text):
    assert digest(text) != digest("def f(x):\n    return x + 1\n")


def test_folders_are_searched_and_names_count(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one.py").write_text("x = 1\n")
    before = code_digest(tmp_path, ["a"])
    (tmp_path / "a" / "one.py").rename(tmp_path / "a" / "two.py")
    digests._digest.cache_clear()
    assert code_digest(tmp_path, ["a"]) != before


def job(tmp_path):
    return SimpleNamespace(log=[str(tmp_path / "logs" / "job.log")], output=[str(tmp_path / "out.json")])


def test_the_door_turns_a_mistake_into_a_sentence_and_exit_code_2(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended, door(job(tmp_path)):
        raise InputError("gt.json", "videos[0]", "has no id", "add one")
    assert ended.value.code == 2
    assert (tmp_path / "logs/job.log").read_text() == "error: gt.json: videos[0]: has no id; add one.\n"
    assert "Traceback" not in capsys.readouterr().err


def test_the_door_shows_the_traceback_of_our_own_mistakes(tmp_path):
    with pytest.raises(SystemExit) as ended, door(job(tmp_path)):
        raise ZeroDivisionError
    assert ended.value.code == 1
    assert "ZeroDivisionError" in (tmp_path / "logs/job.log").read_text()


def test_the_door_copies_output_to_the_log_and_gives_the_streams_back(tmp_path):
    before = sys.stdout, sys.stderr
    with door(job(tmp_path)):
        print("a line")
    assert (sys.stdout, sys.stderr) == before
    assert (tmp_path / "logs/job.log").read_text() == "a line\n"


def test_a_file_in_the_place_of_the_results_folder(tmp_path):
    (tmp_path / "results").write_text("")
    for folder in (tmp_path / "results", tmp_path / "results" / "demo"):
        with pytest.raises(MindTheGapError, match="is a file where a folder is needed"):
            check_writable(folder)


def test_the_check_for_a_writable_folder_leaves_no_trace(tmp_path):
    check_writable(tmp_path / "results" / "demo")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_writable(tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(MindTheGapError, match="is not writable"):
        check_writable(tmp_path / "results")


def test_methods_without_a_configuration_are_missing(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "config.py").write_text("")
    assert missing_methods(["there", "absent"], tmp_path) == ["absent"]


@pytest.fixture
def published(tmp_path):
    folder = tmp_path / "published"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "gaps.json").write_text("{}")
    write_checksums(folder, ["a/gaps.json"], folder / "SHA256SUMS")
    return folder


def test_a_published_file_is_copied_when_its_hash_holds(published, tmp_path):
    check_published(published, ["a/gaps.json"], "figures")
    import_published(published, "a/gaps.json", tmp_path / "out" / "gaps.json")
    assert (tmp_path / "out" / "gaps.json").read_text() == "{}"


def test_an_altered_published_file_is_refused(published, tmp_path):
    (published / "a" / "gaps.json").write_text("{ }")
    with pytest.raises(InputError, match="has SHA-256"):
        import_published(published, "a/gaps.json", tmp_path / "gaps.json")
    assert not (tmp_path / "gaps.json").exists()


@pytest.mark.parametrize("name", ["b/gaps.json", "../published/a/gaps.json"])
def test_a_file_that_was_not_published_is_refused(published, tmp_path, name):
    with pytest.raises(ConfigError, match="is not listed"):
        check_published(published, [name], "figures")
    with pytest.raises(InputError, match="is not listed"):
        import_published(published, name, tmp_path / "gaps.json")


def test_a_broken_checksum_file_names_its_line(published):
    (published / "SHA256SUMS").write_text("nonsense\n")
    with pytest.raises(InputError, match="line 1"):
        check_published(published, ["a/gaps.json"], "figures")


def test_a_missing_published_folder(tmp_path):
    with pytest.raises(ConfigError, match="there is no such folder"):
        check_published(tmp_path / "none", [], "oracle")


def test_docstrings_inside_blocks_do_not_count_either(digest):
    plain = digest("if True:\n    def f():\n        return 1\n")
    assert digest('if True:\n    def f():\n        """Doc."""\n        return 1\n') == plain
