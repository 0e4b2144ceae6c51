"""docs/faults.md names tests that exist, for all 99 lines in order."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_each_test_that_the_table_of_faults_names_exists():
    rows = re.findall(r"^\| (\d+) \|.*\| (.*) \|$", (ROOT / "docs" / "faults.md").read_text(), re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 100))
    for _, test in rows:
        file, name = test.strip("`").split("::")
        assert f"def {name}(" in (ROOT / "tests" / file).read_text(), test
