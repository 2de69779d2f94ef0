"""The page "Add a database": its adapter is short, and does what the page says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "add-a-database.md"


def test_the_page_lists_its_made_up_database_with_a_short_adapter(tmp_path):
    adapter, script = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.M | re.S)
    assert len(adapter.splitlines()) <= 60
    (tmp_path / "lumen.py").write_text(adapter)
    (tmp_path / "script.py").write_text(script)
    run = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
