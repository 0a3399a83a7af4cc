"""Key files: nothing secret leaves them, nobody's keys are lost, and what `serve` cannot trust is refused."""

import json
import multiprocessing
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from pyproxy import keygen, keyring
from pyproxy._native import check_keys
from pyproxy.jwk import JOSE_NAMES, has_private_members, private_members
from pyproxy.keyring import KeyFileError
from pyproxy.signing import SigningKey, sign_request

ME = "spiffe://example.org/me"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def added(file: Path, *algorithms: str) -> list[dict[str, Any]]:
    """One key of each algorithm, named after it."""
    keys = [keygen.generate(algorithm, algorithm, ME) for algorithm in algorithms]
    for key in keys:
        keyring.add(file, key)
    return keys


def written(file: Path, content: object, mode: int = 0o600) -> Path:
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    file.chmod(mode)
    return file


# --- making keys ---


@pytest.mark.parametrize("algorithm", JOSE_NAMES)
def test_a_new_key_signs_what_its_public_half_verifies(file: Path, algorithm: str):
    added(file, algorithm)
    key = SigningKey.from_file(file, algorithm)
    assert sign_request("GET", "http://a/", key=key)
    jwk_set = keyring.load_verifying(file).jwk_set
    known, errors, _warnings = check_keys(jwk_set)
    assert errors == []
    assert [(kid, alg) for kid, alg, _principal, _kind in known] == [(algorithm, algorithm)]


def test_new_keys_are_never_the_same():
    assert keygen.generate("a", "ed25519", ME)["d"] != keygen.generate("a", "ed25519", ME)["d"]
    assert keygen.generate("a", "hmac-sha256", ME)["k"] != keygen.generate("a", "hmac-sha256", ME)["k"]


def test_an_added_key_leaves_what_was_there_and_only_its_owner_can_read_the_file(file: Path):
    before = {"keys": [{**keygen.generate("old", "ed25519", ME), "comment": "ä"}], "note": [1]}
    written(file, before, 0o644)
    added(file, "hmac-sha256")
    after = json.loads(file.read_text())
    assert after["keys"][0] == before["keys"][0]
    assert after["note"] == [1]
    assert [key["kid"] for key in after["keys"]] == ["old", "hmac-sha256"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [*file.parent.iterdir()] == [file]


def test_a_kid_is_not_taken_twice(file: Path):
    added(file, "ed25519")
    content = file.read_bytes()
    with pytest.raises(KeyFileError, match="`ed25519` already"):
        added(file, "ed25519")
    assert file.read_bytes() == content


def test_a_key_that_could_not_verify_is_not_added(file: Path):
    for kid, principal in (("a", "me"), ("", ME), ("x" * 257, ME), ("ä", ME)):
        with pytest.raises(KeyFileError):
            keyring.add(file, keygen.generate(kid, "ed25519", principal))
    assert not file.exists()


def test_a_symbolic_link_to_the_file_stays_one(file: Path, tmp_path: Path):
    link = tmp_path / "link.json"
    link.symlink_to(file)
    keyring.add(link, keygen.generate("a", "ed25519", ME))
    assert link.is_symlink()
    assert [entry.kid for entry in keyring.entries(file)] == ["a"]


def test_a_file_that_cannot_be_written_says_so(tmp_path: Path):
    with pytest.raises(KeyFileError, match="no such file"):
        keyring.add(tmp_path / "absent" / "keys.json", keygen.generate("a", "ed25519", ME))
    with pytest.raises(KeyFileError, match="is a directory"):
        keyring.add(tmp_path, keygen.generate("a", "ed25519", ME))


def test_when_replacing_fails_the_old_file_stays_and_nothing_else(file: Path, monkeypatch: pytest.MonkeyPatch):
    added(file, "ed25519")
    content = file.read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", fail)
    with pytest.raises(KeyFileError, match="no space left"):
        added(file, "hmac-sha256")
    assert file.read_bytes() == content
    assert [*file.parent.iterdir()] == [file]


def _add_many(file: Path, first: int) -> None:
    for number in range(first, first + 20):
        keyring.add(file, keygen.generate(f"k{number}", "hmac-sha256", ME))


def test_of_many_writers_at_once_none_loses_a_key(file: Path):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_add_many, args=(file, 100 * number)) for number in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(keyring.entries(file)) == 60


# --- what leaves the file ---


def _secrets(keys: list[dict[str, Any]]) -> set[str]:
    return {str(key[member]) for key in keys for member in private_members(key) & key.keys()}


def test_the_public_set_has_no_private_member_and_names_what_it_leaves_out(file: Path):
    keys = added(file, *JOSE_NAMES)
    jwk_set, left_out = keyring.public(file, with_secrets=False)
    assert left_out == ["hmac-sha256"]
    assert not any(secret in jwk_set.decode() for secret in _secrets(keys))
    assert [key["kid"] for key in json.loads(jwk_set)["keys"]] == [name for name in JOSE_NAMES if name != "hmac-sha256"]
    assert check_keys(jwk_set)[1:] == ([], [])


def test_shared_secrets_go_along_only_if_asked_for(file: Path):
    keys = added(file, "hmac-sha256", "ed25519")
    jwk_set, left_out = keyring.public(file, with_secrets=True)
    assert left_out == []
    assert keys[0]["k"] in jwk_set.decode()
    assert keys[1]["d"] not in jwk_set.decode()


def test_workers_get_public_members_and_shared_secrets_only(file: Path):
    keys = added(file, *JOSE_NAMES)
    loaded = keyring.load_verifying(file)
    assert not any(secret in loaded.jwk_set.decode() for secret in _secrets(keys[1:]))
    assert keys[0]["k"] in loaded.jwk_set.decode()
    assert [entry.holds for entry in loaded.entries] == ["secret", "private", "private", "private", "private"]
    assert any("private keys of `ed25519`" in warning for warning in loaded.warnings)


def test_a_public_set_is_nothing_to_warn_of_and_everybody_may_read_it(file: Path, tmp_path: Path):
    added(file, "ed25519", "rsa-pss-sha512")
    public = tmp_path / "public.json"
    public.write_bytes(keyring.public(file, with_secrets=False)[0])
    public.chmod(0o644)
    assert keyring.load_verifying(public).warnings == []


def test_private_members_of_an_unknown_key_type_do_not_leave_the_file(file: Path):
    odd = {"kid": "odd", "kty": "AKP", "d": "secret-d", "k": "secret-k", "pub": "public"}
    written(file, {"keys": [odd, {"kid": "odder", "kty": [], "p": "secret-p"}]})
    jwk_set, _ = keyring.public(file, with_secrets=True)
    assert "secret" not in jwk_set.decode()
    assert has_private_members(odd)


def test_key_ops_of_a_signer_become_those_of_a_verifier(file: Path):
    written(file, {"keys": [{**keygen.generate("a", "ed25519", ME), "key_ops": ["sign"]}]})
    assert json.loads(keyring.public(file, with_secrets=False)[0])["keys"][0]["key_ops"] == ["verify"]


def test_no_secret_is_in_a_listing_or_an_error(file: Path):
    keys = added(file, *JOSE_NAMES)
    shown = str(keyring.entries(file)) + repr(SigningKey.from_file(file, "ed25519"))
    for broken in ("alg", "kty", "principal"):
        for key in keys:
            written(file, {"keys": [{**key, broken: "x"}, {**key, broken: 1}]})
            with pytest.raises(KeyFileError) as refused:
                keyring.load_verifying(file)
            shown += str(refused.value)
    written(file, json.dumps({"keys": keys})[:-2])
    with pytest.raises(KeyFileError) as refused:
        keyring.load_verifying(file)
    shown += str(refused.value)
    assert not any(secret in shown for secret in _secrets(keys))


# --- what is refused ---


@pytest.mark.parametrize("algorithm", ["hmac-sha256", "ed25519"])
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_secrets_that_others_can_reach_are_refused(file: Path, algorithm: str, mode: int):
    added(file, algorithm)
    file.chmod(mode)
    for load in (keyring.load_verifying, lambda path: keyring.load_signing(path, algorithm)):
        with pytest.raises(KeyFileError, match=f"mode {mode:04o}"):
            load(file)
    file.chmod(0o600)
    assert keyring.load_verifying(file)


def test_every_unfit_key_is_named_at_once(file: Path):
    good = keygen.generate("a", "ed25519", ME)
    bad = [{**good, "principal": "me"}, {**good, "kid": "b", "alg": "none"}, {"kid": "c"}, good]
    with pytest.raises(KeyFileError) as refused:
        keyring.load_verifying(written(file, {"keys": bad}))
    for place in ("keys[0]", "keys[1]", "keys[2]"):
        assert any(place in problem for problem in refused.value.problems)


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("", "not JSON"),
        ("[]", "not a JWK Set"),
        ('{"keys": {}}', "not a JWK Set"),
        ('{"keys": [1]}', "not a JWK Set"),
        ('{"kty": "oct"}', "a single key"),
        ('{"keys": [], "keys": []}', "`keys` is there twice"),
        ('{"keys": [{"kid": "a", "kid": "b"}]}', "`kid` is there twice"),
        ('{"keys": [NaN]}', "`NaN` is not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"keys": [' + "9" * 10_000 + "]}", "not JSON"),
        ("\ud800", "not JSON"),
    ],
)
def test_a_file_that_is_no_jwk_set_is_refused(file: Path, content: str, part: str):
    file.write_bytes(content.encode("utf-8", "surrogatepass"))
    with pytest.raises(KeyFileError, match=part):
        keyring.entries(file)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(KeyFileError, match="not a regular file"):
        keyring.entries(tmp_path / "pipe")


# --- choosing a key to sign with ---


def test_the_only_key_that_can_sign_needs_no_name(file: Path):
    added(file, "ed25519")
    assert SigningKey.from_file(file).kid == "ed25519"
    added(file, "hmac-sha256")
    with pytest.raises(KeyFileError, match="which key"):
        SigningKey.from_file(file)


def test_a_public_key_cannot_sign(file: Path, tmp_path: Path):
    added(file, "ed25519")
    public = tmp_path / "public.json"
    public.write_bytes(keyring.public(file, with_secrets=False)[0])
    with pytest.raises(KeyFileError, match="is public"):
        SigningKey.from_file(public, "ed25519")
    with pytest.raises(KeyFileError, match="no key to sign with"):
        SigningKey.from_file(public)
    with pytest.raises(KeyFileError, match="no key `x`"):
        SigningKey.from_file(file, "x")


def test_a_signing_key_is_not_pickled(file: Path):
    import pickle

    added(file, "ed25519")
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(SigningKey.from_file(file))
