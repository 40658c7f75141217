"""The two commands on folders, with tiny models and a tokenizer of words."""

import json

import msgspec
import numpy as np
import pytest

from dintmac.golden.evaluation import tasks
from dintmac.golden.evaluation.export import read_model
from dintmac.golden.evaluation.metrics import LayerError
from dintmac.golden.evaluation.tasks import Windows
from dintmac.golden.formats import INT8
from dintmac.golden.models.folder import load_model
from dintmac.golden.quantization.recipe import Recipe
from dintmac.golden.quantization.variants import Variant


@pytest.fixture(params=["llama", "bert"])
def folder(request, tiny_model):
    return tiny_model(request.param)


VARIANTS = [Variant("none", "dINT4"), Variant("aqas", "INT8")]
WINDOWS = Windows(length=16, count=4)


def evaluate(folder, **options):
    texts = {"calibration": folder.parent / "calibration", "text": folder.parent / "evaluation"}
    options = texts | {"windows": WINDOWS} | options
    return tasks.evaluate(folder, options.pop("variants", VARIANTS), Recipe(), **options)


@pytest.mark.slow
def test_evaluates_variants_against_full_precision(folder):
    done = []
    found = evaluate(folder, progress=lambda *numbers: done.append(numbers))
    assert [row.variant for row in found.rows] == VARIANTS
    assert done == [(i, 4) for i in range(1, 5)]
    dint4, int8 = found.rows
    assert int8.error.rounding < dint4.error.rounding < dint4.error.total
    assert found.full_precision.keys() == int8.scores.keys()
    if "cosine" in int8.scores:
        assert found.full_precision["cosine"] == pytest.approx(1)
        assert dint4.scores["cosine"] < int8.scores["cosine"] < 1.0001
    else:
        assert found.full_precision["divergence"] == 0
        assert int8.scores["divergence"] < dint4.scores["divergence"]
        assert found.settings["context"] == 16


@pytest.mark.slow
def test_an_evaluation_is_what_its_json_says(folder):
    found = evaluate(folder, lengths=[4, 8])
    assert {r.length for r in found.ranges} == {4, 8}
    content = msgspec.json.encode(found)
    assert msgspec.json.decode(content)["rows"][0]["variant"]["format"] == "dINT4"
    assert msgspec.json.decode(content, type=tasks.Evaluation) == found


def test_every_row_of_an_evaluation_has_the_scores_of_full_precision():
    error = LayerError(0.0, 0.0, 0.0, 0.0)
    row = tasks.Row(VARIANTS[0], error, {}, {"perplexity": 7.0})
    with pytest.raises(ValueError, match="every row must have the accuracy of full precision"):
        tasks.Evaluation("m", {}, {"perplexity": 6.0, "accuracy": 0.5}, [row], [])


@pytest.mark.parametrize("folder", ["llama"], indirect=True)
@pytest.mark.slow
def test_answers_questions(folder):
    path = folder.parent / "questions"
    found = evaluate(folder, questions=path)
    assert {row.scores["accuracy"] for row in found.rows} <= {0.0, 1.0}
    with pytest.raises(ValueError, match="shots must be 0 to 0, not 1"):
        evaluate(folder, questions=path, shots=1)


@pytest.mark.parametrize("folder", ["bert"], indirect=True)
def test_an_encoder_answers_no_questions(folder):
    with pytest.raises(ValueError, match="must be a causal one, not an encoder"):
        evaluate(folder, questions=folder.parent / "questions")


@pytest.mark.slow
def test_integers_give_the_errors_of_fake_quantization(folder):
    # A code that falls on the other side of a tie goes through the layers after it.
    fake, exact = (evaluate(folder, integer=integer) for integer in (False, True))
    for ours, theirs in zip(exact.rows, fake.rows, strict=True):
        assert ours.error == theirs.error
        for name, value in ours.scores.items():
            assert value == pytest.approx(theirs.scores[name], abs=0.02)


def test_quantizes_into_a_folder(folder, tmp_path):
    done = []
    settings = tasks.quantize(
        folder,
        tmp_path / "out",
        Recipe(grid=INT8),
        calibration=tmp_path / "calibration",
        windows=WINDOWS,
        progress=lambda *numbers: done.append(numbers),
    )
    assert done == [(1, 2), (2, 2)]
    assert settings == json.loads((tmp_path / "out" / "quantization.json").read_text())
    model = load_model(folder)
    tokens = np.arange(10, dtype=np.int64)
    exact, found = model.forward(tokens), read_model(tmp_path / "out", model).forward(tokens)
    assert 0 < np.sum((exact - found) ** 2) / np.sum(exact**2) < 0.01


def test_sentences_come_with_the_package():
    calibration, evaluation = (
        path.read_text().splitlines() for path in (tasks.CALIBRATION, tasks.EVALUATION)
    )
    assert (len(calibration), len(evaluation)) == (200, 80)
    assert not set(calibration) & set(evaluation)


def test_the_seed_decides_the_windows(folder, tmp_path):
    model = load_model(folder)

    def read(seed):
        windows = Windows(length=8, count=3, seed=seed)
        found = tasks.read_sequences(model, folder, tmp_path / "calibration", windows)
        return [tokens.tolist() for tokens in found]

    assert read(1) == read(1)
    if isinstance(model, tasks.CausalModel):
        assert read(1) != read(2)
        assert [len(tokens) for tokens in read(1)] == [8, 8, 8]


@pytest.mark.parametrize(
    ("windows", "message"),
    [
        ({"length": 0}, "length must be 1 to 2147483648, not 0"),
        ({"count": 0}, "count must be 1 to 2147483648, not 0"),
        ({"seed": -1}, "seed must be 0 to 9223372036854775808, not -1"),
    ],
)
def test_windows_are_some(windows, message):
    with pytest.raises(ValueError, match=message):
        Windows(**windows)


@pytest.mark.parametrize("folder", ["bert"], indirect=True)
def test_an_encoder_has_no_context(folder):
    with pytest.raises(ValueError, match="context and stride must come with a causal model"):
        evaluate(folder, stride=4)


@pytest.mark.parametrize("folder", ["llama"], indirect=True)
def test_refuses_bad_input_with_one_sentence(folder, tmp_path):
    model = load_model(folder)
    with pytest.raises(FileNotFoundError, match="text must be a file, not "):
        tasks.read_tokens(model, folder, tmp_path / "absent")
    (tmp_path / "empty").write_text("\n \n")
    with pytest.raises(ValueError, match="text must not be empty: "):
        tasks.read_tokens(model, folder, tmp_path / "empty")
    (tmp_path / "latin").write_bytes("Füße".encode("latin-1"))
    with pytest.raises(ValueError, match="text must be in UTF-8: "):
        tasks.read_tokens(model, folder, tmp_path / "latin")
    settings = json.loads((folder / "tokenizer.json").read_text())
    settings["model"]["vocab"]["cat"] = 15
    (folder / "tokenizer.json").write_text(json.dumps(settings))
    (tmp_path / "text").write_text("the cat")
    message = "tokenizer must have at most the 15 tokens of the model, not a token 15"
    with pytest.raises(ValueError, match=message):
        tasks.read_tokens(model, folder, tmp_path / "text")


def change_tokenizer(folder, **changed):
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


def test_a_text_without_tokens_is_refused(folder, tmp_path):
    change_tokenizer(
        folder, normalizer={"type": "Replace", "pattern": {"String": "-"}, "content": ""}
    )
    (tmp_path / "text").write_text("the cat\n---\n")
    model = load_model(folder)
    if isinstance(model, tasks.CausalModel):
        assert tasks.read_tokens(model, folder, tmp_path / "text").tolist() == [1, 3]
        (tmp_path / "text").write_text("---")
    with pytest.raises(ValueError, match="tokenizer must have tokens for '---'"):
        tasks.read_sequences(model, folder, tmp_path / "text", WINDOWS)


@pytest.mark.parametrize("folder", ["llama"], indirect=True)
def test_special_tokens_after_a_text_are_no_part_of_it(folder, tmp_path):
    words = {"[UNK]": 0, "the": 1}
    template = [
        {"SpecialToken": {"id": "the", "type_id": 0}},
        {"Sequence": {"id": "A", "type_id": 0}},
        {"SpecialToken": {"id": "[UNK]", "type_id": 0}},
    ]
    tokens = {w: {"id": w, "ids": [i], "tokens": [w]} for w, i in words.items()}
    change_tokenizer(
        folder,
        post_processor={
            "type": "TemplateProcessing",
            "single": template,
            "pair": template,
            "special_tokens": tokens,
        },
    )
    (tmp_path / "text").write_text("cat dog")
    model = load_model(folder)
    assert tasks.read_tokens(model, folder, tmp_path / "text").tolist() == [1, 3, 4]


@pytest.mark.parametrize("folder", ["bert"], indirect=True)
def test_sentences_are_lines_that_end_at_a_line_feed(folder, tmp_path):
    (tmp_path / "text").write_bytes("\ufeffthe cat\u2028sees\r\n\r\na dog\x0bruns\n".encode())
    found = tasks.read_sentences(load_model(folder), folder, tmp_path / "text")
    assert [tokens.tolist() for tokens in found] == [[1, 3, 5], [2, 4, 6]]


@pytest.mark.parametrize("folder", ["llama"], indirect=True)
@pytest.mark.slow
def test_a_byte_order_mark_and_windows_lines_change_no_score(folder, tmp_path):
    expected = evaluate(folder, questions=tmp_path / "questions")
    for name in ("calibration", "evaluation", "questions"):
        content = (tmp_path / name).read_bytes().replace(b"\n", b"\r\n")
        (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + content)
    assert evaluate(folder, questions=tmp_path / "questions") == expected
