"""A worker's connection to its broker."""

from types import SimpleNamespace

from kombu.transport.redis import Transport

from perdure_workers.worker.celery_worker import QUIET, wait_long


def test_a_channel_of_redis_waits_long_for_a_bell() -> None:
    channel = SimpleNamespace(brpop_timeout=Transport.brpop_timeout)
    wait_long(channel)
    assert channel.brpop_timeout == QUIET > Transport.brpop_timeout


def test_another_broker_s_channel_is_left_as_it_is() -> None:
    channel = SimpleNamespace()
    wait_long(channel)
    assert vars(channel) == {}
