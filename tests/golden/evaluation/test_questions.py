"""Multiple choice against its definition, on a model whose probabilities are known."""

import json

import numpy as np
import pytest
import tokenizers

from dintmac.golden.evaluation.metrics import measure
from dintmac.golden.evaluation.questions import Question, Questions, read_questions
from dintmac.golden.models.folder import Encoding, load_tokenizer
from dintmac.golden.models.llama import Llama, LlamaConfig

CONFIG = LlamaConfig(12, 8, 12, 1, 2, 10, 2, 4)
RNG = np.random.default_rng(0)
MODEL = Llama(
    CONFIG,
    {n: RNG.standard_normal(s).astype(np.float32) for n, s in CONFIG.tensor_shapes().items()},
)


def log_probabilities(tokens):
    logits = MODEL.logits(MODEL.forward(tokens)).astype(float)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def by_letters(text):
    return np.array([ord(c) % 12 for c in text], dtype=np.int64)


def encode(text):
    ends = np.arange(1, len(text) + 1)
    return Encoding(by_letters(text), np.column_stack([ends - 1, ends]))


def accuracy(questions, shots=0):
    measured = Questions(questions, encode, positions=10, shots=shots)
    return measure(MODEL, MODEL, measured)


@pytest.mark.parametrize("shots", [0, 1])
@pytest.mark.parametrize("score", ["accuracy", "accuracy_per_character"])
def test_takes_the_likeliest_answer(shots, score):
    questions = [Question("a b:", ("x", "yz", "w"), i % 3) for i in range(6)]

    def likeliest(number):
        question = questions[number]
        shot = questions[1 if number == 0 else 0]
        solved = f"a b: {shot.choices[shot.answer]}\n\n" if shots else ""
        scores = []
        for choice in question.choices:
            whole = by_letters(f"{solved}a b: {choice}")[-10:]
            found, count = log_probabilities(whole), len(choice) + 1
            rows = range(len(whole) - count - 1, len(whole) - 1)
            length = 1 if score == "accuracy" else len(choice)
            scores.append(sum(found[r, whole[r + 1]] for r in rows) / length)
        return int(np.argmax(scores))

    expected = np.mean([likeliest(i) == q.answer for i, q in enumerate(questions)])
    assert accuracy(questions, shots)[score] == expected


def test_an_ending_is_what_is_scored():
    question = Question("a", ("x", "yz"), 0, ending=" b")

    def likelihood(choice):
        whole = by_letters(f"a {choice} b")
        found = log_probabilities(whole)
        return sum(found[r, whole[r + 1]] for r in (-3, -2))

    expected = float(likelihood("x") > likelihood("yz"))
    assert accuracy([question]) == {"accuracy": expected, "accuracy_per_character": expected}


def test_a_header_comes_before_the_solved_questions():
    asked, header = [], "About sums.\n\n"
    questions = [Question(f"{i} + 1?", ("a",), 0, header=header) for i in range(2)]

    def tokenize(text):
        asked.append(text)
        return encode(text)

    Questions(questions, tokenize, positions=10, shots=1)
    assert f"{header}1 + 1? a\n\n0 + 1? a" in asked


def test_a_choice_longer_than_the_model_is_cut_off_in_front():
    assert accuracy([Question("a", ("x" * 20, "y"), 1)])["accuracy"] in (0.0, 1.0)


class Words:
    """A tokenizer in a folder, and the words that it makes of a text."""

    def __init__(self, folder, tokenizer):
        tokenizer.save(str(folder / "tokenizer.json"))
        self._encode = load_tokenizer(folder, length=1 << 31)
        self._word = tokenizer.id_to_token

    def scored(self, question, positions=50):
        """What is scored of each choice, after what."""
        asked = Questions([question], self._encode, positions=positions)
        words = [[self._word(token) for token in tokens] for tokens in asked.sequences]
        return [(w[:b], w[b:]) for w, b in zip(words, asked.begins, strict=True)]


def byte_pairs(folder, *merges, trim):
    """Byte pairs as GPT-2 has them, with the merges of the test."""
    letters = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    words = {word: i for i, word in enumerate([*letters, *("".join(m) for m in merges)])}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(words, list(merges)))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(
        add_prefix_space=False, use_regex=False
    )
    tokenizer.post_processor = tokenizers.processors.ByteLevel(trim_offsets=trim)
    return Words(folder, tokenizer)


@pytest.mark.parametrize("trim", [False, True])
def test_a_token_with_characters_of_prompt_and_choice_is_scored(tmp_path, trim):
    words = byte_pairs(tmp_path, (":", "Ġ"), (":Ġ", "x"), ("b", ":Ġx"), trim=trim)
    assert words.scored(Question("ab:", ("xy", "yx", "x"), 0)) == [
        (["a"], ["b:Ġx", "y"]),
        (["a", "b", ":Ġ"], ["y", "x"]),
        (["a"], ["b:Ġx"]),
    ]


@pytest.mark.parametrize("trim", [False, True])
def test_the_blank_before_a_choice_counts_with_it(tmp_path, trim):
    words = byte_pairs(tmp_path, ("Ġ", "x"), ("Ġ", "r"), trim=trim)
    assert words.scored(Question("a:", ("x", "yx"), 0)) == [
        (["a", ":"], ["Ġx"]),
        (["a", ":"], ["Ġ", "y", "x"]),
    ]
    assert words.scored(Question("a", ("x", "y"), 0, ending=" r")) == [
        (["a", "Ġx"], ["Ġr"]),
        (["a", "Ġ", "y"], ["Ġr"]),
    ]


def test_characters_of_several_bytes_are_one_each(tmp_path):
    words = byte_pairs(tmp_path, trim=True)
    ((prompt, choice),) = words.scored(Question("é😀:", ("ü",), 0))
    assert len(prompt) == 2 + 4 + 1
    assert choice == ["Ġ", "Ã", "¼"]


@pytest.mark.parametrize(
    ("template", "before"),
    [("$A </s>", []), ("<s> $A", ["<s>"]), ("<s> $A </s>", ["<s>"]), ("$A </s> </s>", [])],
)
def test_special_tokens_that_a_tokenizer_adds_are_not_scored(tmp_path, template, before):
    words = {"<s>": 0, "</s>": 1, "a": 2, "b": 3, ":": 4}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="a"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single=template, special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    words = Words(tmp_path, tokenizer)
    assert words.scored(Question("a b:", ("b", "a b"), 0)) == [
        ([*before, "a", "b", ":"], ["b"]),
        ([*before, "a", "b", ":"], ["a", "b"]),
    ]
    assert words.scored(Question("a b:", ("b a b", "a"), 0), positions=3) == [
        (["b"], ["a", "b"]),
        (["b", ":"], ["a"]),
    ]


def test_a_choice_without_tokens_is_refused(tmp_path):
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0, "?": 1}, unk_token="?"))
    tokenizer.normalizer = tokenizers.normalizers.Replace("b", "")
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    with pytest.raises(ValueError, match="choices must have tokens after the prompt, unlike 'b'"):
        Words(tmp_path, tokenizer).scored(Question("a", ("a", "b"), 0))


PLAIN = (
    '{"question": "Which colour is the sky?", "choices": {"text": ["blue", "green", "red"], '
    '"label": ["A", "B", "C"]}, "answerKey": "A"}\n'
    '{"question": "What do cows give?", "choices": {"text": ["ink", "milk", "oil"], '
    '"label": ["A", "B", "C"]}, "answerKey": "B"}\n'
)
SKY = Question("Question: Which colour is the sky?\nAnswer:", ("blue", "green", "red"), 0)
COWS = Question("Question: What do cows give?\nAnswer:", ("ink", "milk", "oil"), 1)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text,
        lambda text: f"\ufeff{text}",
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace(": ", ":\r"),
        lambda text: f"\n{text}\n \n",
    ],
    ids=["plain", "byte order mark", "windows", "carriage return", "blank lines"],
)
def test_reads_questions_as_they_are_saved(tmp_path, change):
    (tmp_path / "q.jsonl").write_bytes(change(PLAIN).encode())
    assert read_questions(tmp_path / "q.jsonl") == [SKY, COWS]


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85"])
def test_lines_of_questions_end_at_a_line_feed_alone(tmp_path, separator):
    content = PLAIN.replace("Which", f"Read this.{separator}Which")
    (tmp_path / "q.jsonl").write_bytes(content.encode())
    sky, cows = read_questions(tmp_path / "q.jsonl")
    assert f"Read this.{separator}Which colour" in sky.prompt
    assert cows == COWS


HEADER = "The following are multiple choice questions (with answers) about high school.\n\n"
ASKED = "Question: 2 + 2?\nAnswer:"


@pytest.mark.parametrize(
    ("item", "question"),
    [
        (
            {"question": "2 + 2?", "choices": ["3", "4"], "answer": 1},
            Question(ASKED, ("3", "4"), 1),
        ),
        (
            {"subject": "high_school", "question": "2 + 2?", "choices": ["3", "4"], "answer": 1},
            Question("2 + 2?\nA. 3\nB. 4\nAnswer:", ("A", "B"), 1, header=HEADER),
        ),
        (
            {"sentence": "The _ runs.", "option1": "cat", "option2": "tree", "answer": "1"},
            Question("The", ("cat", "tree"), 0, ending=" runs."),
        ),
        (
            {"sentence": "_ runs.", "option1": "Tim", "option2": "Tom", "answer": "2"},
            Question("", ("Tim", "Tom"), 1, ending=" runs."),
        ),
        (
            {
                "question": "2 + 2?",
                "choices": {"text": ["3", "4"], "label": ["A", "B"]},
                "answerKey": "B",
            },
            Question(ASKED, ("3", "4"), 1),
        ),
        (
            {
                "question_stem": "2 + 2?",
                "choices": {"text": ["4"], "label": ["A"]},
                "answerKey": "A",
            },
            Question(ASKED, ("4",), 0),
        ),
        ({"ctx": "He", "endings": ["runs", "is"], "label": "1"}, Question("He", ("runs", "is"), 1)),
        (
            {"goal": "2 + 2?", "sol1": "3", "sol2": "4", "label": 1},
            Question(ASKED, ("3", "4"), 1),
        ),
        (
            {"passage": "Sums.", "question": "2 + 2?", "answer": True},
            Question(f"Sums.\n{ASKED}", ("no", "yes"), 1),
        ),
    ],
    ids=[
        "plain",
        "mmlu",
        "winogrande",
        "blank first",
        "arc",
        "openbookqa",
        "hellaswag",
        "piqa",
        "boolq",
    ],
)
def test_reads_questions_in_the_form_of_the_common_tasks(tmp_path, item, question):
    path = tmp_path / "q.jsonl"
    path.write_text(json.dumps(item) + "\n\n")
    assert read_questions(path) == [question]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("\n", "questions must not be empty: .*q.jsonl"),
        ("{", "q.jsonl, line 1 must be a question: Expecting property name"),
        ("\n\n{", "q.jsonl, line 3 must be a question: Expecting property name"),
        (
            '{"sentence": "?", "option1": "a", "option2": "b", "answer": "1"}',
            "q.jsonl, line 1 must be a question: sentence must have one _",
        ),
        ("[]", "q.jsonl, line 1 must be a question: it is a list"),
        ('{"question": "?"}', "q.jsonl, line 1 must be a question with a key 'choices'"),
        (
            '{"question": "?", "choices": ["a"], "answer": 1}',
            "q.jsonl, line 1 must be a question: answer must be 0 to 0, not 1",
        ),
        (
            '{"question": "?", "choices": ["a"], "answer": 0, "answer": 0}',
            "q.jsonl, line 1 must be a question: it has the key 'answer' twice",
        ),
        (
            '{"question": "?", "choices": "ab", "answer": 0}',
            "choices must be of type list, not 'ab'",
        ),
        ('{"question": "?", "choices": [null], "answer": 0}', "choices must be a text, not None"),
        ('{"question": null, "choices": ["a"], "answer": 0}', "question must be a text, not None"),
        (
            r'{"question": "\ud83d", "choices": ["a"], "answer": 0}',
            "line 1 must be a question: .*surrogates not allowed",
        ),
        (
            '{"question": "?", "choices": ["a", " "], "answer": 0}',
            "choices must be texts that are not blank",
        ),
        ('{"question": "?", "choices": [], "answer": 0}', "choices must be texts that are not bla"),
        ('{"question": "?", "choices": ["a"], "answer": "A"}', "answer must be an int, not 'A'"),
        ('{"question": "?", "choices": ["a"], "answer": 0.5}', r"answer must be an int, not 0\.5"),
        ('{"ctx": " ", "endings": ["a"], "label": 0}', "prompt must not be blank"),
        ('{"ctx": "?", "endings": ["a"], "label": ""}', "label must be an int, not ''"),
        (
            '{"passage": "a", "question": "?", "answer": "no"}',
            "answer must be of type bool, not 'no'",
        ),
        (
            '{"question": "?", "choices": {"text": ["a"], "label": []}, "answerKey": "A"}',
            "label must have as many items as text, 1, not 0",
        ),
        (
            '{"question": "?", "choices": {"text": ["a"], "label": ["A"]}, "answerKey": "B"}',
            "answerKey must be one of A, not 'B'",
        ),
        (
            '{"question": "?", "choices": ["a"], "answerKey": "B"}',
            r"choices must be of type dict, not \['a'\]",
        ),
        (
            json.dumps({"subject": "a", "question": "?", "choices": ["a"] * 27, "answer": 0}),
            "number of choices must be 1 to 26, not 27",
        ),
    ],
)
def test_says_what_is_wrong_with_questions(tmp_path, content, message):
    (tmp_path / "q.jsonl").write_text(content)
    with pytest.raises(ValueError, match=message):
        read_questions(tmp_path / "q.jsonl")


def test_refuses_bad_input_with_one_sentence(tmp_path):
    with pytest.raises(ValueError, match="shots must be 0 to 0, not 1"):
        accuracy([Question("?", ("a",), 0)], shots=1)
    with pytest.raises(FileNotFoundError, match=r"questions must be a file, not "):
        read_questions(tmp_path / "absent")
    (tmp_path / "latin").write_bytes(b"\xff")
    with pytest.raises(ValueError, match=r"questions must be in UTF-8: .*latin"):
        read_questions(tmp_path / "latin")
