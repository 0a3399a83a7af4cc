"""Which endpoint takes the next call: promises of pyproxy.endpoints, with time as an argument."""

from __future__ import annotations

import pytest

from pyproxy.endpoints import Ejection, Endpoint, Endpoints

A, B, C, D = (("10.0.0.1", 80), ("10.0.0.2", 80), ("10.0.0.3", 80), "/run/d.sock")


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def fail(endpoints: Endpoints, endpoint: Endpoint, times: int) -> None:
    for _ in range(times):
        endpoints.failed(endpoint)


def addresses(endpoints: Endpoints, calls: int = 12) -> set[object]:
    chosen = [endpoints.choose() for _ in range(calls)]
    return {endpoint.address for endpoint in chosen if endpoint is not None}


def test_no_endpoint_gives_none() -> None:
    assert Endpoints().choose() is None


def test_ties_are_taken_in_turn() -> None:
    endpoints = Endpoints([A, B, C])
    chosen = [endpoints.choose() for _ in range(6)]
    assert [e.address for e in chosen if e] == [A, B, C, A, B, C]


@pytest.mark.parametrize("count", [2, 8])
def test_the_least_outstanding_is_chosen(count: int) -> None:
    endpoints = Endpoints([("10.0.0.1", port) for port in range(count)])
    for endpoint in endpoints.all():
        endpoint.outstanding = 5
    endpoints.all()[-1].outstanding = 1
    assert all(endpoints.choose() is endpoints.all()[-1] for _ in range(20))


def test_many_endpoints_stay_balanced() -> None:
    endpoints = Endpoints([("10.0.0.1", port) for port in range(100)])
    for _ in range(10_000):
        endpoint = endpoints.choose()
        assert endpoint is not None
        endpoint.outstanding += 1
    loads = [endpoint.outstanding for endpoint in endpoints.all()]
    assert max(loads) - min(loads) <= 12


@pytest.mark.parametrize("count", [2, 3, 20])
def test_the_endpoint_that_just_failed_this_call_is_not_chosen_again(count: int) -> None:
    endpoints = Endpoints([("10.0.0.1", port) for port in range(count)])
    excluded = endpoints.all()[0]
    assert all(endpoints.choose(excluding=excluded) not in (excluded, None) for _ in range(200))


def test_the_only_endpoint_has_no_other() -> None:
    endpoints = Endpoints([A])
    assert endpoints.choose(excluding=endpoints.all()[0]) is None


def test_an_ejected_endpoint_is_better_than_the_one_that_just_failed() -> None:
    endpoints = Endpoints([A, B])
    a, b = endpoints.all()
    fail(endpoints, b, 5)
    assert endpoints.choose(excluding=a) is b


def test_failures_in_a_row_eject_and_a_success_between_does_not() -> None:
    endpoints = Endpoints([A, B])
    a, _ = endpoints.all()
    fail(endpoints, a, 4)
    endpoints.succeeded(a)
    fail(endpoints, a, 4)
    assert addresses(endpoints) == {A, B}
    endpoints.failed(a)
    assert addresses(endpoints) == {B}


def test_an_ejected_endpoint_returns_and_one_failure_sends_it_out_for_twice_as_long() -> None:
    clock = Clock()
    endpoints = Endpoints([A, B], ejection=Ejection(time_s=30), clock_s=clock)
    a, _ = endpoints.all()
    fail(endpoints, a, 5)
    clock.now_s += 29.9
    assert addresses(endpoints) == {B}
    clock.now_s += 0.2
    assert addresses(endpoints) == {A, B}
    endpoints.failed(a)
    clock.now_s += 59.9
    assert addresses(endpoints) == {B}
    clock.now_s += 0.2
    assert addresses(endpoints) == {A, B}


def test_no_more_than_half_are_ejected() -> None:
    endpoints = Endpoints([A, B, C])
    for endpoint in endpoints.all():
        fail(endpoints, endpoint, 10)
    assert len(addresses(endpoints)) == 2
    only = Endpoints([A])
    fail(only, only.all()[0], 10)
    assert addresses(only) == {A}


def test_ejection_can_be_switched_off_and_bounded() -> None:
    never = Endpoints([A, B], ejection=Ejection(consecutive_failures=0))
    fail(never, never.all()[0], 100)
    assert addresses(never) == {A, B}
    third = Endpoints([A, B, C], ejection=Ejection(max_percent=33))
    fail(third, third.all()[0], 100)
    assert addresses(third) == {A, B, C}


def test_unhealthy_endpoints_are_left_out_unless_all_are() -> None:
    endpoints = Endpoints([A, B])
    a, b = endpoints.all()
    endpoints.set_healthy(a, False)
    assert addresses(endpoints) == {B}
    endpoints.set_healthy(b, False)
    assert addresses(endpoints) == {A, B}
    endpoints.set_healthy(b, True)
    assert addresses(endpoints) == {B}


def test_replacing_keeps_what_is_known_and_tells_of_what_goes() -> None:
    gone: list[object] = []
    endpoints = Endpoints([A, B], on_removed=lambda endpoint: gone.append(endpoint.address))
    a, b = endpoints.all()
    a.outstanding = 7
    fail(endpoints, b, 5)
    endpoints.replace([A, D])
    assert gone == [B]
    assert b.removed
    assert endpoints.all()[0] is a
    assert a.outstanding == 7
    assert addresses(endpoints) == {D}, "the idle newcomer takes calls first"
    endpoints.replace([A, B, D])
    assert endpoints.in_use() == 3, "an address that comes back starts anew"
