"""The pictures of README and documentation."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from dintmac.golden.formats import DINT4, FP4, INT4
from dintmac.reports.pictures import PICTURES, picture

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "pictures"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_in_the_repository_are_what_the_script_makes(name):
    assert (FOLDER / f"{name}.svg").read_text("utf-8") == picture(name)


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_have_a_title_and_a_description(name):
    root = ElementTree.fromstring(picture(name))
    assert root.find(f"{SVG}title").text
    assert root.find(f"{SVG}desc").text


def test_every_code_of_every_format_is_on_the_line():
    root = ElementTree.fromstring(picture("codes"))
    codes = [text.text for text in root.iter(f"{SVG}text") if text.get("class") == "code"]
    assert len(codes) == INT4.codes + DINT4.codes + FP4.codes
    assert {codes.count(code) for code in codes} == {3}
