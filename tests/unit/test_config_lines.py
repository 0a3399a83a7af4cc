"""Line numbers of keys: right, or absent."""

import tomllib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pyproxy.toml_lines import Lines

SOURCE = '''\
# [a]
top = 1
[a]
b = "x = 1 # [no]"
c = """
[not.a.header]
d = 2
"""  # after
"quoted key".'and this' = [ # [
  1, 2, # ]
  { e = "]" },
]
f.g = { h = 1 }
[[t]]
x = 1
  [t.sub]
  y = 2
  [[t.list]]
  z = 3
[[t]]
x = \'\'\'\'it\'\'\'\'
[t.sub]
y = 2
'''


def test_headers_and_keys_are_found_and_strings_and_comments_are_not():
    tomllib.loads(SOURCE)
    lines = Lines(SOURCE)
    for path, line in {
        ("top",): 2,
        ("a",): 3,
        ("a", "b"): 4,
        ("a", "c"): 5,
        ("a", "quoted key", "and this"): 9,
        ("a", "f", "g"): 13,
        ("t", 0, "x"): 15,
        ("t", 0, "sub"): 16,
        ("t", 0, "sub", "y"): 17,
        ("t", 0, "list", 0, "z"): 19,
        ("t", 1): 20,
        ("t", 1, "x"): 21,
        ("t", 1, "sub", "y"): 23,
    }.items():
        assert lines.find(path) == line, path


def test_what_has_no_line_of_its_own_gets_that_of_what_holds_it():
    lines = Lines(SOURCE)
    assert lines.find(("a", "f", "g", "h")) == 13
    assert lines.find(("t", 1, "missing")) == 20
    assert lines.find(("missing",)) is None


def test_line_endings_of_windows_count_once():
    assert Lines(SOURCE.replace("\n", "\r\n")).find(("t", 1, "sub", "y")) == 23


_KEYS = st.sampled_from(["a", "b", '"a"', "'c d'", '"\\u0061"', "a.b", "b . 'c'"])
_VALUES = st.sampled_from(['"[x]"', "[\n1,\n# ]\n2]", '"""\na = 1\n"""', "'''\n[b]'''", "{ a = 1 }", "1 # ["])
_LINES = (
    st.builds("{} = {}".format, _KEYS, _VALUES) | st.builds("[{}]".format, _KEYS) | st.builds("[[{}]]".format, _KEYS)
)


@given(st.lists(_LINES, max_size=8))
@settings(max_examples=500, deadline=None)
def test_every_key_of_a_valid_document_is_found_on_a_line_that_names_it(source_lines: list[str]):
    source = "\n".join(source_lines)
    try:
        document = tomllib.loads(source)
    except tomllib.TOMLDecodeError:
        return
    lines = Lines(source)
    by_line = source.split("\n")

    def walk(value: Any, path: tuple[str | int, ...], inline: bool) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                line = lines.find((*path, key))
                assert line is not None, (path, key)
                if not inline:
                    text = by_line[line - 1].replace("\\u0061", "a")
                    assert key in text, (path, key, text)
                walk(inner, (*path, key), inline or "{" in by_line[line - 1])
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for index, inner in enumerate(value):
                walk(inner, (*path, index), inline)

    walk(document, (), False)
