"""Lists read entry by entry: what they hold, and what is wrong with them, as when read at once."""

import json

import pytest

from mindthegap.errors import InputError
from mindthegap.files import read_json
from mindthegap.formats import reading
from mindthegap.formats.reading import NotAListError, list_entries

LISTS = [
    "[]",
    " [ ] \n",
    "[1]",
    "[12, 345,\n-6.5e3, true, null, NaN]",
    '\ufeff[{"a": [1, 2, {"b": "x"}]}, "ä€𝄞 \\u00e9 \\" ]", [[], {}]]',
    json.dumps([{"video_id": i, "segmentations": [None, {"counts": "x" * i}]} for i in range(60)], indent=1),
]
WRONG = ["", "[", "[1, 2", "[1 2]", "[1,]", "[1]]", "[1] x", '["a', "[{]", "[tru]", "nothing", "[" * 5000, "[1" * 5000]


@pytest.fixture(params=[1, 7, 4_000_000])
def window(request, monkeypatch):
    monkeypatch.setattr(reading, "_BYTES_AT_ONCE", request.param)


@pytest.mark.usefixtures("window")
@pytest.mark.parametrize("text", LISTS)
def test_entries_are_those_of_the_whole(tmp_path, text):
    path = tmp_path / "list.json"
    path.write_text(text, encoding="utf-8")
    assert repr(list(list_entries(path))) == repr(read_json(path))  # NaN is not equal to itself


@pytest.mark.usefixtures("window")
@pytest.mark.parametrize("text", [*(text.encode() for text in WRONG), b'["a", "\xff"]', b"[1" + b"0" * 5000 + b"]"])
def test_mistakes_are_told_as_for_the_whole(tmp_path, text):
    path = tmp_path / "list.json"
    path.write_bytes(text)
    with pytest.raises(InputError) as expected:
        read_json(path)
    with pytest.raises(InputError) as found:
        list(list_entries(path))
    assert str(found.value) == str(expected.value)


def test_what_is_no_list_is_handed_on(tmp_path):
    path = tmp_path / "object.json"
    path.write_text('{"a": 1}')
    with pytest.raises(NotAListError) as found:
        list(list_entries(path))
    assert found.value.value == {"a": 1}
    with pytest.raises(InputError, match="no such file"):
        list(list_entries(tmp_path / "absent.json"))
