"""What is not installed is said with what to do."""

from __future__ import annotations

import subprocess
import sys


def test_a_missing_httpx2_says_which_extra_has_it():
    code = "import sys; sys.modules['httpx2'] = None; import rotator.wire.httpx2"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install '.[httpx2]'" in done.stderr.splitlines()[-1]
