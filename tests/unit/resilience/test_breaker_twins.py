"""The state machine in Lua and the one in Python take the same steps on the same events."""

from __future__ import annotations

import json
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import asdict

from perdure.resilience.breaker.config import BreakerConfig
from perdure.resilience.breaker.machine import MachineState, command, enter, free, record, retry_after_ms
from perdure.resilience.redis.lua_scripts import source
from support.thorough import part_of

HARNESS = """
local cfg, events, out = cjson.decode(ARGV[1]), cjson.decode(ARGV[2]), {}
local s = state_from({}, cfg, 0)
for i, e in ipairs(events) do
  local admitted, token, change = true, '', nil
  local first = nil
  if e.kind == 'enter' then
    first = record(cfg, s, e.now, e.generation, '', e.outcomes)
    admitted, token, change = enter(cfg, s, e.now, e.token)
    change = change or first
  elseif e.kind == 'record' then
    change = record(cfg, s, e.now, e.generation, e.token, e.outcomes)
  elseif e.kind == 'free' then
    free(s, e.who)
  else
    change = command(cfg, s, e.now, e.name, e.lasts, 'me', 'why')
  end
  local copy = {}
  for k, v in pairs(s) do copy[k] = v end
  out[i] = {state = copy, admitted = admitted, token = token, wait = retry_after_ms(cfg, s, e.now),
            change = change and {change.from, change.to, change.at, change.reason, change.by} or false}
end
return cjson.encode(out)
"""

configs = st.builds(
    BreakerConfig,
    failure_threshold=st.sampled_from([1, 3, 5]),
    consecutive=st.booleans(),
    window=st.sampled_from(["count", "time"]),
    window_size=st.sampled_from([2, 10]),
    failure_rate=st.sampled_from([None, 0.3, 0.5]),
    slow_call_duration=st.just(1.0),
    slow_call_rate=st.sampled_from([0.1, 0.5, 1.0]),
    minimum_calls=st.sampled_from([2, 4]),
    recovery_timeout=st.sampled_from([0.5, 2.0]),
    recovery_growth=st.sampled_from([1.0, 1.7, 2.0]),
    half_open_permits=st.sampled_from([1, 2, 3]),
    permit_lease=st.sampled_from([None, 0.4]),
)
outcomes = st.text(alphabet="sSfF", max_size=4)
events = st.one_of(
    st.fixed_dictionaries({"kind": st.just("enter"), "outcomes": outcomes, "behind": st.sampled_from([0, 0, 0, 1])}),
    st.fixed_dictionaries(
        {"kind": st.just("record"), "outcomes": outcomes, "behind": st.sampled_from([0, 0, 0, 1]),
         "permit": st.sampled_from([0, 1, 2, None])}
    ),
    st.fixed_dictionaries(
        {"kind": st.just("free"), "permit": st.sampled_from([0, 1, None]), "holder": st.sampled_from(["a", "b"])}
    ),
    st.fixed_dictionaries(
        {"kind": st.just("command"), "name": st.sampled_from(["force_open", "force_closed", "reset", "carry"]),
         "lasts": st.sampled_from([0, 300, 3000])}
    ),
)  # fmt: skip
steps = st.lists(st.tuples(st.sampled_from([0, 1, 100, 600, 2500]), events), max_size=40)


def run_python(config: BreakerConfig, sequence: list[tuple[int, dict[str, Any]]]) -> tuple[list[Any], list[Any]]:
    """Run the events; returns them with times, generations and tokens filled in, and what came out of each."""
    numbers, state, now = config.numbers, MachineState(), 1_700_000_000_000
    tokens: list[str] = []
    concrete, results = [], []
    for number, (wait, event) in enumerate(sequence):
        now += wait
        event = dict(event, now=now, generation=state.generation - event.get("behind", 0))
        if event["kind"] == "enter":
            event["token"] = f"t{number}" + ("", "@a", "@b")[number % 3]
            state, got = enter(
                numbers, state, now, event["token"], generation=event["generation"], outcomes=event["outcomes"]
            )
            tokens += [got.token] if got.token else []
        elif event["kind"] == "record":
            permit = event["permit"]
            event["token"] = "" if permit is None or len(tokens) <= permit else tokens[-1 - permit]
            state, got = record(
                numbers, state, now, generation=event["generation"], token=event["token"], outcomes=event["outcomes"]
            )
        elif event["kind"] == "free":
            permit = event["permit"]
            event["who"] = event["holder"] if permit is None or len(tokens) <= permit else tokens[-1 - permit]
            state, got = free(numbers, state, now, event["who"])
        else:
            state, got = command(numbers, state, now, event["name"], event["lasts"], "me", "why")
        change = got.change
        concrete.append(event)
        results.append(
            {
                "state": asdict(state),
                "admitted": got.admitted,
                "token": got.token,
                "wait": retry_after_ms(numbers, state, now),
                "change": list(asdict(change).values()) if change else False,
            }
        )
    return concrete, results


@pytest.mark.slow
@settings(max_examples=part_of(300), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(config=configs, sequence=steps)
def test_lua_and_python_take_the_same_steps(
    redis_url: str, config: BreakerConfig, sequence: list[tuple[int, dict[str, Any]]]
) -> None:
    concrete, expected = run_python(config, sequence)
    script = source("breaker_enter").rsplit("-- May a call go ahead?", 1)[0] + HARNESS
    with redis.Redis.from_url(redis_url) as client:
        got = json.loads(client.eval(script, 0, config.numbers.to_json(), json.dumps(concrete)))  # type: ignore[arg-type]
    assert (got or []) == expected
