"""Data sets of prompt pairs from tables, files, templates and built-in tasks."""

from __future__ import annotations

import csv

import numpy as np
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_pairs import EQUAL

from interp_backend import PromptPair, PromptPairs

# Where they come from

fields = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=12)
nasty = st.sampled_from(
    [" a", 'say "yes"', "a, b", "two\nlines", "cr\r\nlf", "\r", "'", '"', ",", "é 日本 🙂", "NA", "nan", "1"]
)
any_pair = st.builds(
    PromptPair,
    clean=fields | nasty,
    corrupt=fields | nasty,
    clean_answer=fields | nasty | st.just(""),
    corrupt_answer=fields | nasty | st.just(""),
    score_first_token=st.booleans(),
)


def rows_of(pairs):
    return [pair.model_dump(exclude={"alignment"}) for pair in pairs]


@given(pairs=st.lists(any_pair, min_size=1, max_size=4), encoding=st.sampled_from(["utf-8", "utf-8-sig"]))
def test_a_csv_file_keeps_every_character(tmp_path_factory, pairs, encoding):
    path = tmp_path_factory.mktemp("csv") / "pairs.csv"
    with open(path, "w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, list(rows_of(pairs)[0]), quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows(rows_of(pairs))
    assert PromptPairs.from_csv(path).pairs == pairs


@given(pairs=st.lists(any_pair, min_size=1, max_size=4))
def test_a_table_keeps_every_character(pairs):
    table = pandas.DataFrame(rows_of(pairs))
    assert PromptPairs.from_dataframe(table).pairs == pairs
    assert PromptPairs.from_dataframe(table.assign(note="more", clean2=1)).pairs == pairs
    assert PromptPairs(rows_of(pairs)).pairs == PromptPairs(pairs).pairs == pairs


def test_a_csv_file_as_pandas_writes_it(tmp_path):
    table = pandas.DataFrame({"clean": ["Hello, there", ' "q"'], "corrupt": ["a\nb", "é"], "clean_answer": [" x", ""]})
    table.to_csv(tmp_path / "t.csv", index=False)
    pairs = PromptPairs.from_csv(tmp_path / "t.csv")
    assert [pair.clean for pair in pairs] == list(table.clean)
    assert [pair.clean_answer for pair in pairs] == [" x", ""] and pairs[0].corrupt == "a\nb"
    assert len(pairs) == 2 and list(pairs) == pairs.pairs and "2 pairs" in repr(pairs)


@pytest.mark.parametrize("missing", [None, float("nan"), pandas.NA])
def test_an_empty_cell_of_an_answer_is_no_answer(missing):
    table = pandas.DataFrame(
        {
            "clean": ["x", "y"],
            "corrupt": ["y", "z"],
            "clean_answer": [missing, 5],
            "corrupt_answer": [["a", "b"], missing],
        },
        dtype=object,
    )
    first, second = PromptPairs.from_dataframe(table)
    assert (first.clean_answer, first.corrupt_answer) == ("", ("a", "b"))
    assert (second.clean_answer, second.corrupt_answer) == ("5", "")


@pytest.mark.parametrize(
    "flag, told", [(True, True), (np.bool_(False), False), ("yes", True), (" TRUE", True), ("no", False)]
)
def test_a_column_says_whether_first_tokens_count(flag, told):
    table = pandas.DataFrame([{"clean": "x", "corrupt": "y", "score_first_token": flag}])
    assert PromptPairs.from_dataframe(table)[0].score_first_token is told


@pytest.mark.parametrize(
    "columns, sentence",
    [
        ({"clean": ["x"]}, "has no column 'corrupt'; its columns are clean. Rename one"),
        ({}, "has no column 'clean'; its columns are none"),
        ({"Clean": ["x"], "corrupt": ["y"]}, "its columns are Clean, corrupt"),
        ({"clean": ["x", None], "corrupt": ["y", "z"]}, "'clean' is empty in row 1. Fill it in, or drop the row"),
        ({"clean": ["x", "y"], "corrupt": ["", "z"]}, "'corrupt' is empty in row 0"),
        ({"clean": [], "corrupt": []}, "data set is empty"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused_in_a_sentence(columns, sentence):
    with pytest.raises(ValueError, match=sentence):
        PromptPairs.from_dataframe(pandas.DataFrame(columns, dtype=object))


def test_a_table_with_a_column_twice_is_refused():
    table = pandas.DataFrame([["x", "y", "z"]], columns=["clean", "clean", "corrupt"])
    with pytest.raises(ValueError, match="several columns 'clean'"):
        PromptPairs.from_dataframe(table)


@pytest.mark.parametrize(
    "content, sentence",
    [
        (b"", "no column 'clean'"),
        (b"clean,corrupt\n", "data set is empty"),
        (b"clean,corrupt\nx,\n", "'corrupt' is empty in row 0"),
        (b"clean,corrupt\nx\n", "Row 0 of .* has 1 fields and the header 2"),
        (b"clean,corrupt\nHello, there,Hello, here\n", "Row 0 of .* has 4 fields .* in double quotes"),
        (b'clean,corrupt\n"x,y\n', "Can't read .*bad.csv as a table"),
        (b"clean,corrupt\n\xff\xfe,x\n", "Can't read .*bad.csv as a table"),
    ],
)
def test_a_file_that_is_no_table_is_refused_in_a_sentence(tmp_path, content, sentence):
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=sentence):
        PromptPairs.from_csv(path)


def test_a_file_that_is_not_there_is_refused_in_a_sentence(tmp_path):
    for path in (tmp_path / "nowhere.csv", tmp_path):
        with pytest.raises(ValueError, match=r"Can't read .* as a table: "):
            PromptPairs.from_csv(path)


@pytest.mark.parametrize(
    "pairs, error, sentence",
    [
        ([], ValueError, "data set is empty: give one pair or more"),
        (EQUAL[0], TypeError, "list of PromptPair or of dictionaries, not PromptPair"),
        ("clean", TypeError, "not str"),
        ({"clean": "x", "corrupt": "y"}, TypeError, "not dict"),
        (None, TypeError, "not NoneType"),
        ([EQUAL[0], 5], TypeError, "Pair 1: A pair is a PromptPair"),
        ([{"clean": "x"}], ValueError, "Pair 0: corrupt: Field required"),
        ([EQUAL[0], {"clean": "x", "corrupt": "y", "answer": "z"}], ValueError, "Pair 1: answer"),
        ([EQUAL[0]] * 10_001, ValueError, "has 10001 pairs, and at most 10000"),
    ],
)
def test_what_is_no_data_set_is_refused_in_a_sentence(pairs, error, sentence):
    with pytest.raises(error, match=sentence):
        PromptPairs(pairs)


ROWS = [{"country": c, "capital": t} for c, t in [("Norway", "Oslo"), ("France", "Paris"), ("Japan", "Tokyo")]]


def test_a_template_sets_each_row_against_the_next():
    pairs = PromptPairs.from_template("The capital of {country} is", ROWS, answer=" {capital}")
    assert [(p.clean, p.corrupt, p.clean_answer, p.corrupt_answer) for p in pairs] == [
        ("The capital of Norway is", "The capital of France is", " Oslo", " Paris"),
        ("The capital of France is", "The capital of Japan is", " Paris", " Tokyo"),
        ("The capital of Japan is", "The capital of Norway is", " Tokyo", " Oslo"),
    ]


def test_a_template_against_another_is_filled_with_the_same_row():
    pairs = PromptPairs.from_template(
        "{a} {{is}} {b}", [{"a": "x", "b": "{a}"}], answer=" {a}", corrupt_template="{b} and {a}", corrupt_answer=" {b}"
    )
    assert rows_of(pairs)[0] == {
        "clean": "x {is} {a}",
        "corrupt": "{a} and x",
        "clean_answer": " x",
        "corrupt_answer": " {a}",
        "score_first_token": False,
        "prepend_bos": None,
    }


@pytest.mark.parametrize(
    "template, rows, options, sentence",
    [
        ("The {city} is", ROWS, {}, r"Row 0 has no word for the slot \{city\}; it has country, capital"),
        ("The {country is", ROWS, {}, r"can't be read: .* Write \{\{ for a brace"),
        ("The {country}", ROWS[:1], {}, "Give two rows or more"),
        ("The {country}", [], {}, "Give two rows or more"),
        ("The {country}", [], {"corrupt_template": "x"}, "data set is empty"),
        ("The {}", ROWS, {}, "no word for the slot"),
        ("The {country.__class__}", ROWS, {}, "no word for the slot"),
        ("The {0}", [{}, {}], {}, "it has none"),
        ("The {country}", [*ROWS, {"capital": "Rome"}], {}, r"no word for the slot \{country\}"),
    ],
)
def test_a_template_that_can_not_be_filled_is_refused_in_a_sentence(template, rows, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        PromptPairs.from_template(template, rows, answer=" {capital}", **options)


@given(st.text(max_size=20), st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=3))
def test_any_template_is_filled_or_refused(template, row):
    try:
        pairs = PromptPairs.from_template(template, [row, row], answer="x")
    except ValueError as problem:
        assert str(problem).endswith(".")
    else:
        assert len(pairs) == 2


def test_the_built_in_tasks_are_data_sets(embedded):
    for task in ("capitals", "indirect_objects", "induction", "years", "agreement"):
        assert len(PromptPairs.from_task(embedded, task)) > 0
    with pytest.raises(ValueError, match=r"There is no task 'rhymes'\. Choose one of capitals, indirect_objects"):
        PromptPairs.from_task(embedded, "rhymes")
