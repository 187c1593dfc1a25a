from pathlib import Path

import pytest


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "bidrec.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write
