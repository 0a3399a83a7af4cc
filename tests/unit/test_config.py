"""The config file: what works as it stands, and that every mistake is reported at once, in its place."""

import json
import os
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pyproxy import config
from pyproxy.addresses import TcpAddress, UnixAddress
from pyproxy.config import Config, ConfigError, load, parse

PATH = Path("/etc/pyproxy/pyproxy.toml")

#: What an operator starts from.
PLAIN: str = """\
[node]
name = "edge-1"
state_dir = "state"
workers = 2

[keys]
file = "keys.json"

[signature]
require = ["@method", "@authority", "@path", "@query"]
max_age = "30s"
clock_skew = "5s"

[replay]
capacity = 1_000_000

[[listener]]
name = "ingress"
bind = "127.0.0.1:8080"
authenticate = ["signature"]
authorize = "allow_all"

[[upstream]]
name = "orders"
endpoints = ["127.0.0.1:9000", "127.0.0.1:9001"]

[[route]]
host = "orders.internal"
path = "/v1/*"
upstream = "orders"
"""


def read(text: str) -> Config:
    return parse(text.encode(), PATH)


def problems(text: str) -> dict[str, str]:
    """Every problem's message by its path."""
    with pytest.raises(ConfigError) as refused:
        read(text)
    return {problem.path: problem.message for problem in refused.value.problems}


def changed(old: str, new: str, text: str = PLAIN) -> str:
    assert old in text
    return text.replace(old, new)


def listener(line: str) -> str:
    return changed('authorize = "allow_all"', f'authorize = "allow_all"\n{line}')


def upstream(line: str) -> str:
    return changed('name = "orders"\n', f'name = "orders"\n{line}\n')


def route(line: str) -> str:
    return f"{PLAIN}{line}\n"


# --- a good file ---


def test_the_plain_file_works_as_it_stands_with_paths_beside_it():
    plain = read(PLAIN)
    assert plain.node.name == "edge-1"
    assert plain.node.state_dir == Path("/etc/pyproxy/state")
    assert plain.keys is not None
    assert plain.keys.file == Path("/etc/pyproxy/keys.json")
    assert (plain.signature.max_age_s, plain.signature.clock_skew_s) == (30, 5)
    assert plain.replay.capacity == 1_000_000
    assert plain.listeners[0].bind == TcpAddress("127.0.0.1", 8080)
    assert plain.listeners[0].freshness == "claimed"
    assert plain.upstreams[0].endpoints == (TcpAddress("127.0.0.1", 9000), TcpAddress("127.0.0.1", 9001))
    assert plain.routes[0].name == "orders.internal/v1/*"


def test_the_example_works_and_its_comments_show_the_defaults():
    file = Path(__file__).parents[2] / "examples" / "pyproxy.toml"
    example = load(file)
    text = file.read_text()
    defaults = re.sub(r"^# (?=[a-z_0-9]+ = )", "", text, flags=re.MULTILINE)
    for line in ('path = "/dev/shm', "max_connections = 1000 ", "health =", 'name = "..."', 'upstream_host = "..."'):
        defaults = re.sub(rf"^{re.escape(line)}.*\n", "", defaults, flags=re.MULTILINE)
    defaults = defaults.replace('\npath = "-"', '\n# path = "-"')
    with_defaults = parse(defaults.encode(), file)
    assert (
        len(re.findall("^[a-z_0-9]+ = ", defaults, re.MULTILINE)) > len(re.findall("^[a-z_0-9]+ = ", text, re.M)) + 25
    )
    assert with_defaults.limits == example.limits
    assert with_defaults.upstreams == example.upstreams
    assert with_defaults.signature == example.signature
    assert with_defaults.settings_json() == example.settings_json()


def test_defaults_are_the_documented_ones():
    limits = read(PLAIN).limits
    assert (limits.max_head_bytes, limits.max_fields, limits.max_target_bytes) == (32768, 100, 8192)
    assert (limits.max_body_bytes, limits.max_held_body_bytes, limits.max_held_worker_bytes) == (
        1 << 30,
        1 << 20,
        64 << 20,
    )
    assert (limits.head_timeout_s, limits.body_timeout_s, limits.idle_timeout_s) == (10, 60, 75)
    assert (limits.response_head_timeout_s, limits.drain_timeout_s) == (60, 30)
    assert read(PLAIN).listeners[0].max_connections == 10_000
    orders = read(PLAIN).upstreams[0]
    assert (orders.connect_timeout_s, orders.max_waiting) == (3, 1024)


def test_workers_auto_is_one_per_core_that_we_may_use():
    assert read(changed("workers = 2", 'workers = "auto"')).node.workers == len(os.sched_getaffinity(0))
    assert read(changed("workers = 2\n", "")).node.workers == len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("bind", "address"),
    [
        ("[::1]:8080", TcpAddress("::1", 8080)),
        ("0.0.0.0:80", TcpAddress("0.0.0.0", 80)),
        ("unix:/run/a.sock", UnixAddress(Path("/run/a.sock"))),
        ("unix:a.sock", UnixAddress(Path("/etc/pyproxy/a.sock"))),
    ],
)
def test_binds_are_addresses_or_unix_sockets(bind: str, address: object):
    read_bind = read(changed("127.0.0.1:8080", bind)).listeners[0].bind
    assert read_bind == address
    assert str(read_bind) == bind.replace("unix:a", "unix:/etc/pyproxy/a")


@pytest.mark.parametrize(
    "endpoint", ["orders:9000", "orders-1.svc.cluster.local:80", "[fe80::1]:1", "unix:/run/o.sock"]
)
def test_endpoints_may_be_names(endpoint: str):
    assert str(read(changed("127.0.0.1:9000", endpoint)).upstreams[0].endpoints[0]) == endpoint


@pytest.mark.parametrize(
    ("line", "seconds"), [('"500ms"', 0.5), ('"5m"', 300), ('"1.5s"', 1.5), ('"0.1s"', 0.1), ('"1h"', 3600)]
)
def test_durations_are_seconds_inside(line: str, seconds: float):
    assert read(f"{PLAIN}[limits]\nbody_timeout = {line}").limits.body_timeout_s == seconds


@pytest.mark.parametrize(("line", "size"), [("4096", 4096), ('"4096B"', 4096), ('"64KiB"', 65536), ('"1MiB"', 1 << 20)])
def test_sizes_are_bytes_inside(line: str, size: int):
    assert read(f"{PLAIN}[limits]\nmax_head_bytes = {line}\nmax_target_bytes = 64").limits.max_head_bytes == size


def test_health_checks_have_defaults_but_for_their_path():
    health = read(upstream('health = { path = "/healthz" }')).upstreams[0].health
    assert health is not None
    assert (health.interval_s, health.timeout_s, health.unhealthy_after, health.healthy_after) == (5, 1, 3, 2)


def test_hosts_of_routes_are_lower_case():
    assert read(changed("orders.internal", "Orders.Internal")).routes[0].host == "orders.internal"


# --- authentication that is not asked for ---


@pytest.mark.parametrize("freshness", ["", 'freshness = "none"'])
def test_nothing_verified_starts_without_keys_and_says_so(freshness: str):
    open_gate = changed('authenticate = ["signature"]', f"authenticate = []\n{freshness}")
    open_gate = changed('[keys]\nfile = "keys.json"\n', "", open_gate)
    assert read(open_gate).listeners[0].freshness == "none"
    assert any("ingress" in warning and "nothing is verified" in warning for warning in read(open_gate).warnings())
    reachable = read(changed("127.0.0.1:8080", "0.0.0.0:8080", open_gate))
    assert any("other machines can reach it" in warning for warning in reachable.warnings())


def test_signatures_without_freshness_are_allowed_and_said_out_loud():
    waived = read(listener('freshness = "none"'))
    assert waived.listeners[0].freshness == "none"
    assert not waived.claims_nonces
    assert any("replays are accepted" in warning for warning in waived.warnings())
    assert not any("replays" in warning for warning in read(PLAIN).warnings())


def test_a_nonce_cannot_be_claimed_where_nothing_is_signed():
    assert "no nonce" in problems(changed('["signature"]', '[]\nfreshness = "claimed"'))["listener[0]"]


def test_any_of_is_kept_apart_from_all_of():
    text = changed('["signature"]', '{ any = ["signature"] }')
    assert read(text).listeners[0].authenticate.mode == "any"
    assert json.loads(read(text).settings_json())["listeners"][0]["authenticate"] == {"any": ["signature"]}


@pytest.mark.parametrize(
    ("authenticate", "cause"),
    [
        ('"signature"', "missing brackets"),
        ('["signatur"]', "did you mean `signature`?"),
        ("{ any = [] }", "can never be presented"),
        ('{ some = ["signature"] }', "`any`"),
        ('["signature", "signature"]', "twice"),
        ("[[]]", "unknown"),
        ("1", "expected"),
    ],
)
def test_odd_authenticate_is_refused(authenticate: str, cause: str):
    assert cause in problems(changed('["signature"]', authenticate))["listener[0].authenticate"]


@pytest.mark.parametrize("key", ["authenticate", "authorize"])
def test_a_gate_that_asks_nothing_must_be_asked_for(key: str):
    text = re.sub(rf"^{key} = .*\n", "", PLAIN, flags=re.MULTILINE)
    assert problems(text) == {f"listener[0].{key}": "is required, but missing"}


def test_keys_are_needed_where_signatures_are():
    assert "[keys]" in problems(changed('[keys]\nfile = "keys.json"\n', ""))["listener[0].authenticate"]


@pytest.mark.parametrize("component", ["@method", "@authority", "@path", "@query"])
def test_what_is_not_covered_is_warned_of(component: str):
    weak = read(re.sub(rf'"{component}",? ?', "", PLAIN))
    assert any(f"`{component}`" in warning for warning in weak.warnings())


def test_the_target_uri_covers_authority_path_and_query():
    whole = read(re.sub(r"require = .*", 'require = ["@method", "@target-uri"]', PLAIN))
    assert not any("signature.require" in warning for warning in whole.warnings())


# --- every mistake at once ---

WRONG = """\
[node]
nam = "edge 1"
state_dir = 3

[signature]
require = ["@methd", "@method", 'X-Y']
max_age = "1.5s"

[[listener]]
name = "ingress"
bind = "8080"
authenticate = []
[[listener]]
name = "ingress"
bind = "127.0.0.1:80"
authenticate = []
authorize = "allow"

[[upstream]]
name = "orders"
endpoints = [
  "http://orders/",
  "orders:80",
]
[upstream.health]
path = "healthz"

[[route]]
host = "a"
path = "/*/x"
upstream = "orders"
"""


def test_every_mistake_is_reported_at_once_with_its_line():
    with pytest.raises(ConfigError) as refused:
        read(WRONG)
    assert [(problem.path, problem.line) for problem in refused.value.problems] == [
        ("node.name", 1),
        ("node.nam", 2),
        ("node.state_dir", 3),
        ("signature.require[0]", 6),
        ("signature.require[2]", 6),
        ("signature.max_age", 7),
        ("listener[0].authorize", 9),
        ("listener[0].bind", 11),
        ("listener[1].authorize", 17),
        ("upstream[0].endpoints[0]", 21),
        ("upstream[0].health.path", 26),
        ("route[0].path", 30),
    ]
    assert str(refused.value).splitlines()[1] == (
        "/etc/pyproxy/pyproxy.toml:2: node.nam: unknown key; did you mean `name`?"
    )


def test_a_mistake_between_sections_is_reported_beside_one_within_a_section():
    text = route('\n[[route]]\nhost = "ORDERS.internal"\npath = "/v1/*"\nupstream = "orders"\nretry = "always"')
    text += '[[route]]\nhost = "ORDERS.internal"\npath = "/v1/*"\nupstream = "order"\n'
    found = problems(text)
    assert set(found) == {"route[1].retry", "route[2]", "route[2].upstream"}
    assert "did you mean `orders`?" in found["route[2].upstream"]


def test_an_upstream_that_could_not_be_read_does_not_make_its_routes_wrong():
    assert set(problems(upstream("max_waiting = -1"))) == {"upstream[0].max_waiting"}


@pytest.mark.parametrize(
    ("text", "path", "part"),
    [
        (changed("edge-1", "edge 1"), "node.name", "letters, digits"),
        (changed("edge-1", "x" * 65), "node.name", f"`{'x' * 64}...`"),
        (changed("workers = 2", "workers = 0"), "node.workers", "got `0`"),
        (changed("workers = 2", "workers = true"), "node.workers", "got `true`"),
        (changed("workers = 2", 'workers = "2"'), "node.workers", "quotes"),
        (changed("1_000_000", '"many"'), "replay.capacity", "got `many`"),
        (changed("1_000_000", "0"), "replay.capacity", ">= 1"),
        (changed("1_000_000", "2_000_000_000"), "replay.capacity", "<="),
        (changed("1_000_000", "9" * 100), "replay.capacity", "absurd"),
        (changed('"30s"', "30"), "signature.max_age", "no unit"),
        (changed('"30s"', '"30"'), "signature.max_age", '`"30s"` for seconds'),
        (changed('"30s"', '"1m30s"'), "signature.max_age", "two units"),
        (changed('"30s"', '"0s"'), "signature.max_age", "from `1s` to `24h`"),
        (changed('"30s"', '"25h"'), "signature.max_age", "from `1s` to `24h`"),
        (changed('"30s"', f'"{"9" * 5000}s"'), "signature.max_age", "..."),
        (changed('"5s"', '"500ms"'), "signature.clock_skew", "whole number of seconds"),
        (changed('"127.0.0.1:8080"', "8080"), "listener[0].bind", "a port alone"),
        (changed("127.0.0.1:8080", "localhost:8080"), "listener[0].bind", "a host name"),
        (changed("127.0.0.1:8080", ":8080"), "listener[0].bind", "0.0.0.0:8080"),
        (changed("127.0.0.1:8080", "127.0.0.1:0"), "listener[0].bind", "1 to 65535"),
        (changed("127.0.0.1:8080", "::1:80"), "listener[0].bind", "without brackets"),
        (changed("127.0.0.1:8080", "/run/a.sock"), "listener[0].bind", "`unix:` is missing"),
        (changed("127.0.0.1:8080", "unix:@a"), "listener[0].bind", "abstract"),
        (changed("127.0.0.1:8080", "unix:/" + "a" * 107), "listener[0].bind", "107 bytes"),
        (changed("127.0.0.1:9000", "https://a:443"), "upstream[0].endpoints[0]", "a URL"),
        (changed("127.0.0.1:9000", "orders"), "upstream[0].endpoints[0]", "port is missing"),
        (changed("127.0.0.1:9000", "1.2.3.444:80"), "upstream[0].endpoints[0]", "neither"),
        (changed("127.0.0.1:9000", "127.0.0.1:9001"), "upstream[0]", "every endpoint once"),
        (re.sub(r"endpoints = .*", "endpoints = []", PLAIN), "upstream[0]", "at least one"),
        (changed("orders.internal", "a.*.b"), "route[0].host", "first label"),
        (changed("orders.internal", "a:80"), "route[0].host", "every port"),
        (changed("orders.internal", "http://a/"), "route[0].host", "expected"),
        (changed("orders.internal", "a."), "route[0].host", "final dot"),
        (changed("/v1/*", "v1"), "route[0].path", "begins with"),
        (changed("/v1/*", "/v1*"), "route[0].path", "last segment"),
        (changed("/v1/*", "/%76"), "route[0].path", "decoded"),
        (changed("/v1/*", "/v1?x"), "route[0].path", "query"),
        (changed("/v1/*", "/v1/../x"), "route[0].path", "dot segments"),
        (changed("/v1/*", "//v1"), "route[0].path", "ambiguous"),
        (changed("/v1/*", "/ä"), "route[0].path", "ASCII"),
        (route('upstream_host = "a b"'), "route[0].upstream_host", "got `a b`"),
        (route('upstream_host = "a\\r\\nX: y"'), "route[0].upstream_host", "`a\\r\\nX: y`"),
        (changed("[[listener]]", "[listener]"), "listener", "[[listener]]"),
        (changed("[node]", "[[node]]"), "node", "expected a table"),
        (changed("[[listener]]", "[[listeners]]"), "listeners", "did you mean `listener`?"),
        (listener("external_scheme = 'ftp'"), "listener[0].external_scheme", "`http` or `https`"),
        (listener("max_connections = '5'"), "listener[0].max_connections", "quotes"),
        (f"{PLAIN}[admin]\nbind = '0.0.0.0:9901'", "admin.bind", "loopback"),
        (f"{PLAIN}[admin]\nbind = '127.0.0.1:8080'", "admin.bind", "listener[0] already"),
        (f"{PLAIN}[audit]\ndurability = 'strict'", "audit.durability", "`off`"),
        (f"{PLAIN}[limits]\nmax_head_bytes = '32KB'", "limits.max_head_bytes", "KiB"),
        (f"{PLAIN}[limits]\nmax_head_bytes = 10", "limits.max_head_bytes", "from 1 KiB to 1 MiB"),
        (f"{PLAIN}[limits]\nmax_held_body_bytes = '65MiB'", "limits", "max_held_worker_bytes"),
        (upstream("health = { path = '/', timeout = '6s' }"), "upstream[0].health", "at most `interval`"),
        (upstream("health = { pth = '/' }"), "upstream[0].health.pth", "did you mean `path`?"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_likely_cause(text: str, path: str, part: str):
    assert part in problems(text)[path]


@pytest.mark.parametrize(
    "component",
    ["@status", "@query-param", '@query-param;nam="x"', "X-A", '"x"', "@method;sf", "x;req", "x;tr", "x;bs;sf", "x;"],
)
def test_component_identifiers_that_no_request_can_cover_are_refused(component: str):
    assert "signature.require[0]" in problems(changed('"@method"', f"'{component}'"))


@pytest.mark.parametrize(
    "component", ["content-type", '@query-param;name="id"', 'x;key="a"', "x;sf", "x;bs", "@target-uri"]
)
def test_component_identifiers_of_requests_are_accepted(component: str):
    assert read(changed('"@method"', f"'{component}'")).signature.require[0] == component


def test_two_listeners_cannot_share_a_bind_or_a_name():
    second = '[[listener]]\nname = "ingress"\nbind = "127.0.0.1:8080"\nauthenticate = []\nauthorize = "allow_all"\n'
    found = problems(PLAIN + second)
    assert "listener[0]" in found["listener[1].bind"]
    assert "listener[0]" in found["listener[1].name"]


def test_a_file_that_is_not_toml_says_where():
    assert "not TOML" in problems("[node")[""]
    with pytest.raises(ConfigError) as refused:
        read("[node]\nname = = 1")
    assert refused.value.problems[0].line == 2
    with pytest.raises(ConfigError) as refused:
        parse(b"\n# \xff", PATH)
    assert refused.value.problems[0].line == 2


@pytest.mark.parametrize("content", ["x = " + "[" * 100_000, f"x = {'9' * 10_000}", "x = 2024-99-99"])
def test_a_hostile_file_is_an_error_not_a_crash(content: str):
    assert problems(content)


def test_a_file_that_cannot_be_read_says_so(tmp_path: Path):
    for path, part in (
        (tmp_path / "absent", "no such file"),
        (tmp_path, "directory"),
        (Path("a\0b"), "cannot be read"),
    ):
        with pytest.raises(ConfigError, match=part):
            load(path)


# --- anything else ---

_LINES = st.sampled_from(PLAIN.splitlines())
_NAMES = st.sampled_from([*sorted(set(re.findall("[a-z_]+", PLAIN))), "limits", "admin", "health", "path", "x"])
_VALUES = st.recursive(
    st.integers()
    | st.booleans()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["5s", "1MiB", "auto", "a:1", "/*"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=6,
)


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return (
        json.dumps(value).replace("NaN", "nan").replace("Infinity", "inf")
        if not isinstance(value, float)
        else str(value)
    )


_PAIRS = st.builds(lambda name, value: f"{name} = {_toml(value)}", _NAMES, _VALUES)
_HEADERS = st.builds("[{}]".format, _NAMES) | st.builds("[[{}]]".format, _NAMES)


@given(st.lists(_LINES | _PAIRS | _HEADERS | st.text(max_size=10), max_size=30))
@example(["a" * 10, "=", "\x00"])
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_text_gives_a_config_or_a_config_error(lines: list[str]):
    try:
        read("\n".join(lines))
    except ConfigError as error:
        assert error.problems
        assert all(len(line) < 1000 for line in str(error).splitlines())
    except UnicodeEncodeError:
        pass  # the test's own: text that is not UTF-8 cannot be in a file


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_bytes_give_a_config_error(content: bytes):
    with pytest.raises(ConfigError):
        parse(content, PATH)


@given(st.lists(st.tuples(st.integers(0, PLAIN.count("\n")), _PAIRS), min_size=1, max_size=4))
@settings(max_examples=300, deadline=None)
def test_a_good_file_with_anything_put_in_gives_a_config_or_a_config_error(inserted: list[tuple[int, str]]):
    lines = [*PLAIN.splitlines()]
    for at, line in inserted:
        lines.insert(at, line)
    try:
        read("\n".join(lines))
    except ConfigError as error:
        assert error.problems


# --- what the core is told, and what a reload can change ---


def test_the_core_is_told_upstreams_by_index():
    two = PLAIN + '[[upstream]]\nname = "b"\nendpoints = ["b:1"]\n[[route]]\nhost = "*"\npath = "/b"\nupstream = "b"\n'
    settings_ = json.loads(read(two).settings_json())
    assert [route["upstream"] for route in settings_["routes"]] == [0, 1]
    assert settings_["routes"][1] == {
        "name": "*/b",
        "host": "*",
        "path": "/b",
        "upstream": 1,
        "upstream_host": None,
        "retry": "safe",
    }


def test_the_core_is_told_exactly_the_fields_that_it_knows():
    source = Path(__file__).parents[2] / "native" / "core" / "src"
    told = json.loads(read(PLAIN).settings_json())
    for struct, file, fields in (
        ("Settings", "settings.rs", told),
        ("SignatureSettings", "settings.rs", told["signature"]),
        ("ListenerSettings", "settings.rs", told["listeners"][0]),
        ("UpstreamSettings", "settings.rs", told["upstreams"][0]),
        ("RouteSettings", "settings.rs", told["routes"][0]),
        ("Limits", "limits.rs", told["limits"]),
    ):
        declared = re.search(rf"pub struct {struct} {{(.*?)\n}}", (source / file).read_text(), re.DOTALL)
        assert declared
        assert set(fields) == set(re.findall(r"^    pub (\w+):", declared[1], re.MULTILINE)), struct


def test_limits_have_the_defaults_that_the_core_documents():
    source = (Path(__file__).parents[2] / "native" / "core" / "src" / "limits.rs").read_text()
    defaults = re.search(r"fn default\(\) -> Self {\s+Self {(.*?)}", source, re.DOTALL)
    assert defaults
    stated = {name: eval(value, {}) for name, value in re.findall(r"(\w+): ([0-9*<.\s]+),", defaults[1])}
    assert json.loads(read(PLAIN).settings_json())["limits"] == stated


def test_keys_routes_and_upstreams_can_be_reloaded():
    reloaded = changed("keys.json", "other.json").replace("/v1/*", "/v2/*").replace("127.0.0.1:9000", "b:1")
    assert config.restart_needed(read(PLAIN), read(reloaded)) == []


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (changed("127.0.0.1:8080", "127.0.0.1:8081"), ["listener[0].bind"]),
        (changed('["signature"]', "[]"), ["listener[0].authenticate"]),
        (listener('freshness = "none"'), ["listener[0].freshness"]),
        (changed("workers = 2", "workers = 3"), ["node.workers"]),
        (changed("edge-1", "edge-2"), ["node.name"]),
        (changed("1_000_000", "1_000"), ["replay.capacity"]),
        (changed('"30s"', '"31s"'), ["signature.max_age"]),
        (changed('"5s"', '"6s"').replace("workers = 2", "workers = 1"), ["node.workers", "signature.clock_skew"]),
        (f"{PLAIN}[limits]\nidle_timeout = '1s'", ["limits.idle_timeout"]),
        (f"{PLAIN}[admin]\nbind = '127.0.0.1:1'", ["admin"]),
        (
            PLAIN + '[[listener]]\nname = "b"\nbind = "127.0.0.1:1"\nauthenticate = []\nauthorize = "allow_all"\n',
            ["listener"],
        ),
    ],
)
def test_what_a_reload_cannot_change_is_named(text: str, names: list[str]):
    assert config.restart_needed(read(PLAIN), read(text)) == names
