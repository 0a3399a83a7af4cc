"""Attack: another user of the machine reads, replaces or links the file that the keys are in."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from wire import private_jwk

from pyproxy import keyring
from pyproxy.keyring import KeyFileError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": [private_jwk("HS256", "shop")]}))
    path.chmod(0o600)
    return path


def test_the_owners_own_file_is_read(file: Path) -> None:
    assert keyring.load_verifying(file)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o606, 0o644, 0o666, 0o620, 0o602])
def test_secrets_that_others_can_reach_are_refused(file: Path, mode: int) -> None:
    file.chmod(mode)
    with pytest.raises(KeyFileError) as refused:
        keyring.load_verifying(file)
    assert f"{mode:04o}" in str(refused.value)
    assert json.loads(file.read_text())["keys"][0]["k"][:12] not in str(refused.value)


def test_what_is_no_file_is_refused(file: Path, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo, 0o600)
    for path in (fifo, tmp_path, tmp_path / "missing"):
        with pytest.raises(KeyFileError):
            keyring.load_verifying(path)
