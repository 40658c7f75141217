"""Text and JSON as others save them."""

import pytest

from dintmac.golden.inputs import load_lines, load_object, load_text, parse_object


def test_lines_end_at_a_line_feed_alone(tmp_path):
    path = tmp_path / "text"
    path.write_bytes("one\u2028two\x0bthree\x85four\rfive\n\n \t\nsix\r\nseven".encode())
    lines = ["one\u2028two\x0bthree\x85four\rfive", "six", "seven"]
    assert load_lines("text", path) == lines


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_byte_order_mark_is_no_character(tmp_path, mark):
    path = tmp_path / "text"
    path.write_bytes(mark + '{"é": 1}\r\n'.encode())
    assert load_text("text", path) == '{"é": 1}\n'
    assert load_object(path) == {"é": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("Füße".encode("latin-1"), "text must be in UTF-8: .*text"),
        ("Füße".encode("utf-16"), "text must be in UTF-8: .*text"),
        (b"", "text must not be empty: .*text"),
        (b"\xef\xbb\xbf\r\n \n", "text must not be empty: .*text"),
    ],
)
def test_says_what_is_wrong_with_a_text(tmp_path, content, message):
    (tmp_path / "text").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load_text("text", tmp_path / "text")


def test_a_text_is_a_file(tmp_path):
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(FileNotFoundError, match=f"text must be a file, not {path}"):
            load_text("text", path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"x\.json must be a JSON object: Expecting property name"),
        ("[]", r"x\.json must be a JSON object: it is a list"),
        (
            '{"a": {"b": 1, "c": 2, "b": 3}}',
            r"x\.json must be a JSON object: it has the key 'b' tw",
        ),
        ('{"a":' * 99_999, r"x\.json must be a JSON object: it is nested too deeply"),
        ("\xff", r"x\.json must be a JSON object: "),
    ],
)
def test_says_what_is_wrong_with_an_object(tmp_path, content, message):
    (tmp_path / "x.json").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        load_object(tmp_path / "x.json")


def test_bytes_are_parsed_as_well():
    assert parse_object(b'{"a": [1, 2]}') == {"a": [1, 2]}
