"""Patterns of .dockerignore; the same cases are put to the engine's own rules in Docker's documentation."""

import pytest

from tidegate.adapters.registry.ignore import ignored, parse


@pytest.mark.parametrize(
    ("text", "out", "kept"),
    [
        ("# no\n\n*.md\n!README.md", ["a.md"], ["README.md", "docs/a.md", "# no"]),
        ("*/temp*", ["a/temp", "a/temp.txt", "a/temporary/x"], ["temp", "a/b/temp"]),
        ("*/*/temp*", ["a/b/temp"], ["a/temp"]),
        ("temp?", ["tempa", "tempb/x"], ["temp", "temp/x"]),
        ("**/*.go", ["a.go", "a/b/c.go"], ["a.goo"]),
        ("**\n!src\n!Dockerfile", ["x", "a/src", "docs/y"], ["src/a/b", "Dockerfile"]),
        ("node_modules", ["node_modules/a/b"], ["a/node_modules/b", "node_modules2"]),
        ("**/node_modules", ["node_modules/a", "a/b/node_modules/c"], ["node_modules2"]),
        ("/foo/bar\n./baz/\nx/../y", ["foo/bar", "baz/a", "y"], ["x", "a/foo/bar"]),
        ("a/**", ["a/b", "a/b/c"], ["ab"]),
        ("[a-c].txt\n[^x]y", ["b.txt", "ay"], ["d.txt", "xy"]),
        ("\\*.txt", ["*.txt"], ["a.txt"]),
        ("*.log\n!keep.log\nkeep*", ["keep.log", "a.log"], ["b"]),
        ("a.b", ["a.b"], ["aXb"]),
        ("\ufeff*.md", ["a.md"], []),
    ],
)
def test_patterns(text: str, out: list[str], kept: list[str]) -> None:
    patterns = parse(text)
    assert [path for path in [*out, *kept] if ignored(path, patterns)] == out


def test_a_pattern_that_makes_no_sense_is_named() -> None:
    with pytest.raises(ValueError, match="z-a"):
        parse("[z-a]")
