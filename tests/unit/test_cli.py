"""The command line: what each command says, how it ends, and that no mistake of a user is a traceback."""

import io
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from pyproxy import check, cli
from pyproxy._native import verify_request
from pyproxy.config import parse

ME = "spiffe://example.org/me"
EXAMPLE = Path(__file__).parents[2] / "examples" / "pyproxy.toml"


@pytest.fixture
def keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """A file with the one key `me`."""
    file = tmp_path / "keys.json"
    assert cli.main(["keys", "new", "--kid", "me", "--alg", "ed25519", "--principal", ME, "--keys", str(file)]) == 0
    capsys.readouterr()
    return str(file)


@pytest.fixture
def config(tmp_path: Path, keys: str) -> Path:
    file = tmp_path / "pyproxy.toml"
    file.write_text(EXAMPLE.read_text())
    return file


def output(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out


# --- help, version, mistakes ---


@pytest.mark.parametrize(
    "command",
    [[], ["serve"], ["check"], ["keys"], ["keys", "new"], ["keys", "public"], ["keys", "list"], ["sign"], ["call"]],
)
def test_every_command_has_help_that_fits_a_terminal(command: list[str], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        cli.main([*command, "--help"])
    assert ended.value.code == 0
    said = output(capsys)
    assert " ".join(["usage: pyproxy", *command]) in said
    assert all(len(line) <= 120 for line in said.splitlines())
    if command and command[0] != "keys":
        assert "exit status:" in said
        assert "example" in said


def test_serve_documents_its_signals_and_files(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        cli.main(["serve", "--help"])
    said = output(capsys)
    for part in ("SIGHUP", "SIGTERM", "node.state_dir", "drain"):
        assert part in said


def test_version_is_told(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert output(capsys).startswith("pyproxy ")


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["nonsense"],
        ["serve"],
        ["keys"],
        ["keys", "new", "--kid", "a", "--alg", "rsa-v1_5-sha256", "--principal", ME, "--keys", "k"],
        ["sign", "--keys", "k", "GET"],
        ["sign", "--keys", "k", "--expires-in", "0", "GET", "http://a/"],
        ["call", "--keys", "k", "--timeout", "nan", "GET", "http://a/"],
    ],
)
def test_a_mistake_in_the_command_line_ends_with_2(command: list[str], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        cli.main(command)
    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "part"),
    [
        (["check", "-c", "absent.toml"], "no such file"),
        (["keys", "list", "--keys", "absent.json"], "no such file"),
        (["keys", "public", "--keys", "/"], "is a directory"),
        (["sign", "--keys", "KEYS", "--kid", "you", "GET", "http://a/"], "no key `you`"),
        (["sign", "--keys", "KEYS", "GET", "/path"], "expected a url"),
        (["sign", "--keys", "KEYS", "GET", "ftp://a/"], "expected a url"),
        (["sign", "--keys", "KEYS", "GET", "http://a/ b"], "percent-encoded"),
        (["sign", "--keys", "KEYS", "G T", "http://a/"], "no method"),
        (["sign", "--keys", "KEYS", "GET", "http://a/", "--component", "x-absent"], "x-absent"),
        (["sign", "--keys", "KEYS", "GET", "http://a/", "--component", "@nonsense"], "@nonsense"),
        (["sign", "--keys", "KEYS", "GET", "http://a/", "-H", "no colon"], "--header"),
        (["sign", "--keys", "KEYS", "GET", "http://a/", "-H", "a: b\nc: d"], "control character"),
        (["sign", "--keys", "KEYS", "GET", "http://a/", "-H", "Transfer-Encoding: chunked"], "framed"),
        (["sign", "--keys", "KEYS", "GET", "http://a/", "-H", "Host: a", "-H", "Host: b"], "two `Host`"),
        (["sign", "--keys", "KEYS", "GET", "http://a/", "-H", "Signature: a"], "`signature` already"),
        (["sign", "--keys", "KEYS", "GET", "http://a/", "--data", "@absent"], "no such file"),
        (["sign", "--keys", "KEYS", "GET", "http://a/", "--data", "@-", "--curl"], "standard input"),
    ],
)
def test_a_mistake_in_the_input_is_a_line_and_ends_with_1(
    command: list[str], part: str, keys: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    assert cli.main([keys if word == "KEYS" else word for word in command]) == 1
    said = capsys.readouterr()
    assert part in said.err
    assert said.err.startswith(f"pyproxy {command[0]}")
    assert said.out == ""


def test_a_password_in_a_url_is_refused_and_not_repeated(keys: str, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["sign", "--keys", keys, "GET", "http://me:sesame@a/?token=sesame"]) == 1
    assert "sesame" not in capsys.readouterr().err


def test_ctrl_c_ends_quietly(monkeypatch: pytest.MonkeyPatch, config: Path, capsys: pytest.CaptureFixture[str]):
    def interrupted(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(check, "run", interrupted)
    assert cli.main(["check", "-c", str(config)]) == 130
    assert capsys.readouterr().err == ""


def test_a_reader_that_has_seen_enough_is_no_error(keys: str):
    command = [sys.executable, "-m", "pyproxy.cli", "keys", "list", "--keys", keys]
    listing = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert listing.stdout is not None
    listing.stdout.close()
    assert listing.stderr is not None
    assert listing.stderr.read() == b""
    listing.wait()


# --- check ---


def test_check_says_what_serve_would_do(config: Path, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["check", "-c", str(config)]) == 0
    said = output(capsys)
    for part in (
        "ingress on 127.0.0.1:8080",
        "@method, @authority, @path, @query",
        "at most 30s old",
        "each nonce pass once",
        "orders.internal/v1/*  -> orders",
        "127.0.0.1:9000, 127.0.0.1:9001",
        "me   Ed25519  private  spiffe://example.org/me",
        "61.3 MiB",
        "128 MiB",
        "127.0.0.1:9901",
        "private keys of `me`",
        "audit is off",
        "allow_all",
    ):
        assert part in said


def test_check_is_readable_by_programs_and_shows_no_secret(config: Path, keys: str, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["check", "-c", str(config), "--json"]) == 0
    said = output(capsys)
    report = json.loads(said)
    assert report["memory_bytes"]["held_bodies_at_most"] == 2 * (64 << 20)
    assert report["keys"] == [{"kid": "me", "alg": "Ed25519", "principal": ME, "holds": "private"}]
    assert report["listeners"][0]["freshness"] == "claimed"
    assert json.loads(Path(keys).read_text())["keys"][0]["d"] not in said


def test_check_reports_every_mistake_and_ends_with_1(config: Path, capsys: pytest.CaptureFixture[str]):
    config.write_text(config.read_text().replace('"30s"', "30").replace('"127.0.0.1:8080"', "8080"))
    assert cli.main(["check", "-c", str(config)]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 2


def test_check_refuses_keys_that_serve_would_refuse(config: Path, keys: str, capsys: pytest.CaptureFixture[str]):
    Path(keys).chmod(0o644)
    assert cli.main(["check", "-c", str(config)]) == 1
    assert "others can read it" in capsys.readouterr().err


def test_routes_are_told_in_the_order_that_calls_try_them():
    routes = [
        ("*", "/*"),
        ("*.a", "/x"),
        ("a.b.a", "/*"),
        ("*.b.a", "/*"),
        ("a.b.a", "/x/*"),
        ("a.b.a", "/x"),
        ("*", "/y"),
    ]
    text = '[node]\nname = "n"\nstate_dir = "s"\n[[listener]]\nname = "l"\nbind = "127.0.0.1:1"\nauthenticate = []\n'
    text += 'authorize = "allow_all"\n[[upstream]]\nname = "u"\nendpoints = ["a:1"]\n'
    text += "".join(f'[[route]]\nhost = "{host}"\npath = "{path}"\nupstream = "u"\n' for host, path in routes)
    config = parse(text.encode(), Path("/x.toml"))
    assert [(route.host, route.path) for route in check.in_order(config.routes)] == [
        ("a.b.a", "/x"),
        ("a.b.a", "/x/*"),
        ("a.b.a", "/*"),
        ("*.b.a", "/*"),
        ("*.a", "/x"),
        ("*", "/y"),
        ("*", "/*"),
    ]


# --- keys ---


def test_listing_and_publishing_keys_shows_no_secret(keys: str, capsys: pytest.CaptureFixture[str]):
    cli.main(["keys", "new", "--kid", "shared", "--alg", "hmac-sha256", "--principal", ME, "--keys", keys])
    secrets = [key.get("d", key.get("k")) for key in json.loads(Path(keys).read_text())["keys"]]
    assert len(secrets) == 2
    for command in (["keys", "list"], ["keys", "list", "--json"], ["keys", "public"]):
        assert cli.main([*command, "--keys", keys]) == 0
    said = capsys.readouterr()
    assert not any(secret in said.out + said.err for secret in secrets)
    assert "left out, because they are secrets: shared" in said.err
    assert cli.main(["keys", "public", "--with-secrets", "--keys", keys]) == 0
    assert secrets[1] in output(capsys)


# --- sign ---


def signed_fields(said: str) -> list[tuple[str, str]]:
    pairs = [line.split(": ", 1) for line in said.splitlines()]
    return [(name, value) for name, value in pairs]


def verified(keys: str, method: str, url: str, fields: list[tuple[str, str]], body: bytes | None = None) -> str:
    created = re.search("created=([0-9]+)", dict(fields)["Signature-Input"])
    assert created
    jwk_set = Path(keys).read_bytes()
    return verify_request(jwk_set, method, url, fields, body, int(created[1]))[0]


def test_a_signed_request_is_one_that_the_proxy_accepts(keys: str, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["sign", "--keys", keys, "POST", "http://a.example/x?y=z", "--data", "{}"]) == 0
    fields = signed_fields(output(capsys))
    assert [name for name, _ in fields] == ["Content-Digest", "Signature-Input", "Signature"]
    assert verified(keys, "POST", "http://a.example/x?y=z", fields, b"{}") == "me"


def test_every_signature_has_a_nonce_of_its_own(keys: str, capsys: pytest.CaptureFixture[str]):
    nonces = set[str]()
    for _ in range(3):
        cli.main(["sign", "--keys", keys, "GET", "http://a/"])
        nonce = re.search('nonce="([^"]{16,256})"', output(capsys))
        assert nonce
        nonces.add(nonce[1])
    assert len(nonces) == 3


def test_a_host_field_goes_before_the_urls(keys: str, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["sign", "--keys", keys, "GET", "http://127.0.0.1:8080/x", "-H", "Host: orders.internal"]) == 0
    fields = signed_fields(output(capsys))
    assert verified(keys, "GET", "http://orders.internal/x", fields) == "me"


def test_components_and_expiry_are_those_asked_for(keys: str, capsys: pytest.CaptureFixture[str]):
    command = ["sign", "--keys", keys, "GET", "http://a/?id=1", "--component", "@method", "--expires-in", "10"]
    assert cli.main([*command, "--component", '@query-param;name="id"', "--component", "x", "-H", "X: 1"]) == 0
    said = output(capsys)
    assert '("@method" "@query-param";name="id" "x");created=' in said
    created = re.search("created=([0-9]+);expires=([0-9]+)", said)
    assert created
    assert int(created[2]) - int(created[1]) == 10


def test_a_content_type_is_covered_where_it_is_given(keys: str, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["sign", "--keys", keys, "POST", "http://a/", "-H", "Content-Type: text/plain", "--data", "x"]) == 0
    assert '"content-type" "content-digest")' in output(capsys)


def test_a_curl_line_is_complete_and_has_no_secret(keys: str, capsys: pytest.CaptureFixture[str]):
    url = "http://127.0.0.1:1/a b".replace(" ", "%20") + "?q='x'#fragment"
    assert cli.main(["sign", "--keys", keys, "--curl", "PUT", url, "-H", "X-A: it's", "--data", "@" + keys]) == 0
    said = output(capsys)
    words = shlex.split(said)
    assert words[0] == "curl"
    assert words[-1] == "http://127.0.0.1:1/a%20b?q='x'"
    assert words[words.index("--data-binary") + 1] == f"@{keys}"
    headers = [words[index + 1] for index, word in enumerate(words) if word == "--header"]
    assert "X-A: it's" in headers
    assert {"Content-Type:"} <= set(headers)
    assert json.loads(Path(keys).read_text())["keys"][0]["d"] not in said
