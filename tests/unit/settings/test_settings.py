"""Arguments > environment > perdure.toml > defaults; a wrong setting names itself, its source and what is allowed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from perdure import Perdure
from perdure.errors import SettingsError
from perdure.model.text.masked_url import masked_url
from perdure.settings.ledger_url import ledger_url, with_driver
from perdure.settings.service_links import drop_service_links
from perdure.settings.settings import Settings, load_settings

SECRET = "s3cr3t-word"


def toml(text: str) -> None:
    Path("perdure.toml").write_text(text)


def refusal(**arguments: object) -> str:
    with pytest.raises(SettingsError) as refused:
        load_settings(**arguments)
    return str(refused.value)


def test_without_anything_the_embedded_defaults_count(empty_folder: Path) -> None:
    settings = load_settings()
    assert settings.effective_ledger_url == f"sqlite:///{empty_folder}/.perdure/ledger.db"
    assert "127.0.0.1:" in settings.effective_broker_url
    assert settings.effective_redis_url == settings.effective_broker_url
    assert {name: bulkhead.concurrency for name, bulkhead in settings.bulkheads.items()} == {
        "critical": 10,
        "normal": 5,
        "background": 3,
    }
    assert (settings.heartbeat_interval, settings.missed_heartbeats, settings.lease_ttl) == (1.0, 5, 5.0)
    assert (settings.max_crashes, settings.drain_timeout, settings.idempotency_ttl) == (3, 30.0, 604_800.0)
    assert settings.default_retry == "standard"


def test_each_source_is_stronger_than_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().max_crashes == 3
    toml("max_crashes = 4")
    assert load_settings().max_crashes == 4
    monkeypatch.setenv("PERDURE_MAX_CRASHES", "5")
    assert load_settings().max_crashes == 5
    assert load_settings(max_crashes=6).max_crashes == 6


def test_a_variable_may_name_a_file_that_holds_the_value(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("secret").write_text(f"postgresql://shop:{SECRET}@db/shop\n")
    Path("limit").write_text("7")
    monkeypatch.setenv("PERDURE_LEDGER_URL_FILE", "secret")
    monkeypatch.setenv("PERDURE_BULKHEADS__NORMAL__LIMIT_FILE", "limit")
    settings = load_settings()
    assert settings.effective_ledger_url == f"postgresql+psycopg://shop:{SECRET}@db/shop"
    assert settings.bulkheads["normal"].limit == 7


@pytest.mark.parametrize(
    ("holds", "says"),
    [
        (None, "the file secret of PERDURE_LEDGER_URL_FILE cannot be read: No such file or directory"),
        (b"", "the file secret of PERDURE_LEDGER_URL_FILE is empty"),
        (b"\n", "the file secret of PERDURE_LEDGER_URL_FILE is empty"),
        (b"\xff", "the file secret of PERDURE_LEDGER_URL_FILE is not text in UTF-8"),
        (f"oracle://{SECRET}@db/shop".encode(), "the file secret of PERDURE_LEDGER_URL_FILE"),
    ],
)
def test_a_file_that_holds_no_value_is_named(monkeypatch: pytest.MonkeyPatch, holds: bytes | None, says: str) -> None:
    if holds is not None:
        Path("secret").write_bytes(holds)
    monkeypatch.setenv("PERDURE_LEDGER_URL_FILE", "secret")
    assert says in refusal()
    assert SECRET not in refusal()


def test_a_setting_has_one_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("secret").write_text("5")
    monkeypatch.setenv("PERDURE_MAX_CRASHES", "4")
    monkeypatch.setenv("PERDURE_MAX_CRASHES_FILE", "secret")
    assert "PERDURE_MAX_CRASHES and the file secret of PERDURE_MAX_CRASHES_FILE set the same" in refusal()
    monkeypatch.setenv("PERDURE_MAX_CRAHES_FILE", "nowhere")
    monkeypatch.delenv("PERDURE_MAX_CRASHES_FILE")
    assert "PERDURE_MAX_CRAHES_FILE is no setting of perdure" in refusal()


def test_none_as_an_argument_counts_as_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERDURE_LEDGER_URL", "sqlite:///from-the-environment.db")
    assert load_settings(ledger_url=None).ledger_url == "sqlite:///from-the-environment.db"


def test_bulkheads_of_all_sources_are_merged(monkeypatch: pytest.MonkeyPatch) -> None:
    toml("[bulkheads.normal]\nmax_depth = 100\n[bulkheads.critical]\nconcurrency = 2\n[bulkheads.gpu]\nlimit = 1\n")
    monkeypatch.setenv("PERDURE_BULKHEADS__NORMAL__CONCURRENCY", "7")
    bulkheads = load_settings(bulkheads={"gpu": {"concurrency": 1}}).bulkheads
    assert sorted(bulkheads) == ["background", "critical", "gpu", "normal"]
    assert (bulkheads["normal"].concurrency, bulkheads["normal"].max_depth) == (7, 100)
    assert bulkheads["critical"].concurrency == 2
    assert (bulkheads["gpu"].concurrency, bulkheads["gpu"].limit) == (1, 1)
    assert bulkheads["background"].concurrency == 3


def test_a_typo_in_the_file_names_the_setting_the_file_and_what_is_allowed(empty_folder: Path) -> None:
    toml("max_crahes = 3")
    said = refusal()
    assert "max_crahes is no setting. Did you mean 'max_crashes'?" in said
    assert "Allowed here: alerts, app, blob_retention, blob_store" in said
    assert f"(from {empty_folder}/perdure.toml)" in said


def test_a_typo_in_a_bulkhead_names_what_a_bulkhead_has() -> None:
    toml("[bulkheads.normal]\nconcurency = 3")
    said = refusal()
    assert "bulkheads.normal.concurency is no setting. Did you mean 'concurrency'?" in said
    assert "Allowed here: concurrency, limit, max_depth, overflow, overflow_timeout" in said


def test_the_file_is_named_even_if_a_variable_has_a_similar_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERDURE_HOME", "/somewhere")
    toml('home_folder = "x"')
    assert "perdure.toml)" in refusal()


@pytest.mark.parametrize(
    ("variable", "hint"),
    [
        ("PERDURE_LEDGER_ULR", "PERDURE_LEDGER_URL"),
        ("PERDURE_MAX_CRASH", "PERDURE_MAX_CRASHES"),
        ("PERDURE_BULKHEAD__NORMAL__CONCURRENCY", "PERDURE_BULKHEADS"),
    ],
)
def test_a_misspelt_variable_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, hint: str) -> None:
    monkeypatch.setenv(variable, "3")
    said = refusal()
    assert f"the environment variable {variable}" in said
    assert f"Did you mean '{hint}'?" in said


def test_a_misspelt_part_of_a_nested_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERDURE_BULKHEADS__NORMAL__CONCURENCY", "3")
    said = refusal()
    assert "Did you mean 'concurrency'?" in said
    assert "the environment variable PERDURE_BULKHEADS__NORMAL__CONCURENCY" in said


def test_a_misspelt_argument_is_named() -> None:
    said = refusal(ledger_ulr="x")
    assert "ledger_ulr is no setting. Did you mean 'ledger_url'?" in said
    assert "(from an argument of Perdure())" in said


@pytest.mark.parametrize(
    ("setting", "value", "allowed"),
    [
        ("max_crashes", "0", "at least 1"),
        ("max_crashes", "many", "must be a whole number"),
        ("heartbeat_interval", "0", "at least 0.05"),
        ("idempotency_ttl", "-1", "above 0"),
        ("ledger_durability", "none", "'normal' or 'full'"),
        ("log_level", "LOUD", "'DEBUG', 'INFO'"),
        ("flower_port", "70000", "65535"),
        ("bulkheads__normal__concurrency", "0", "at least 1"),
        ("bulkheads__normal__overflow", "drop", "'reject' or 'wait'"),
    ],
)
def test_a_value_that_is_not_allowed_is_named_with_its_source(
    monkeypatch: pytest.MonkeyPatch, setting: str, value: str, allowed: str
) -> None:
    variable = f"PERDURE_{setting.upper()}"
    monkeypatch.setenv(variable, value)
    said = refusal()
    assert setting.replace("__", ".") in said
    assert repr(value) in said
    assert allowed in said
    assert f"the environment variable {variable}" in said


def test_a_default_that_names_nothing_is_refused_where_it_is_used() -> None:
    def work() -> None: ...

    with pytest.raises(Exception, match=r"bulkhead 'norml' is not configured. Did you mean 'normal'?"):
        Perdure(default_bulkhead="norml").job(work)
    with pytest.raises(Exception, match=r"retry='standrd' is no preset. Did you mean 'standard'?"):
        Perdure(default_retry="standrd").job(work)


def test_a_file_that_is_not_toml_is_named(empty_folder: Path) -> None:
    toml("max_crashes = ")
    said = refusal()
    assert f"{empty_folder}/perdure.toml is not TOML" in said


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://user:{SECRET}@host/db",
        f"postgresql+psycopg://user:{SECRET}@host:5432/db?sslmode=require",
        f"postgresql://host/db?user=u&password={SECRET}",
        f"redis://:{SECRET}@host:6379/0",
        f"rediss://user:{SECRET}@host:6379/0",
        f"postgresql://user:a@{SECRET}@host/db",
        f"sentinel://:{SECRET}@one:26379;sentinel://:{SECRET}@two:26379/0?master_name=m&sentinel_password={SECRET}",
        f"unix://:{SECRET}@/run/redis.sock",
        f"amqp://user:{SECRET}@host/vhost",
        f"amqp://user:{SECRET}@one:5672,two:5672/vhost",
    ],
)
def test_passwords_are_never_shown(url: str) -> None:
    assert SECRET not in masked_url(url)
    urls: dict[str, object] = {"ledger_url": url}
    if not url.startswith("postgresql"):
        urls = {"broker_url": url, "redis_url": "redis://h" if url.startswith("amqp") else url}
    settings = load_settings(**urls, flower_password=SECRET)
    assert SECRET not in repr(settings)
    assert SECRET not in str(settings)
    assert SECRET not in refusal(ledger_url=url, broker_url=url, redis_url=url, flower_password=[SECRET])
    assert SECRET not in refusal(ledger_url=[url], broker_url=5)


def test_a_url_without_a_password_is_shown_whole() -> None:
    for url in ("redis://host:6379/0", "sqlite:////a/b.db", "postgresql://user@host/db?sslmode=require"):
        assert masked_url(url) == url


def test_a_ledger_url_of_another_kind_is_refused_without_its_password() -> None:
    for url in (f"mysql://user:{SECRET}@host/db", f"nonsense:{SECRET}"):
        with pytest.raises(SettingsError, match="ledger_url") as refused:
            Perdure(ledger_url=url)
        assert SECRET not in str(refused.value)


def test_a_driver_is_added_where_none_is_named() -> None:
    assert with_driver("postgresql://h/d") == "postgresql+psycopg://h/d"
    assert with_driver("postgres://h/d") == "postgresql+psycopg://h/d"
    assert with_driver("postgresql+psycopg://h/d") == "postgresql+psycopg://h/d"
    assert with_driver("sqlite:///x") == "sqlite:///x"


def test_several_hosts_of_a_ledger_are_written_as_libpq_does_and_one_takes_writes() -> None:
    for url in (
        "postgresql://u:p%2C@a:5432,b/d?sslmode=require",
        "postgresql://u:p%2C@/d?host=a:5432&host=b&sslmode=require",
    ):
        options = ledger_url(load_settings(ledger_url=url).effective_ledger_url).arguments()
        assert (options["host"], options["port"], options["dbname"], options["password"]) == ("a,b", "5432,", "d", "p,")
        assert (options["target_session_attrs"], options["sslmode"]) == ("read-write", "require")
    asked = ledger_url("postgresql://a,b/d?target_session_attrs=primary")
    assert asked.query["target_session_attrs"] == "primary"


def test_a_redis_cluster_and_several_hosts_without_sentinels_are_refused_with_what_to_use() -> None:
    assert "sentinel://HOST" in refusal(broker_url="redis+cluster://h:6379")
    assert "sentinel://HOST" in refusal(redis_url="redis://:p@h:6379,h2:6379/0")


def test_variables_that_are_empty_count_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERDURE_LEDGER_URL", "")
    monkeypatch.setenv("PERDURE_HOME", "")
    monkeypatch.setenv("PERDURE_FLOWER_PORT", "")
    assert load_settings() == load_settings(flower_port=5555)


def test_settings_cannot_be_changed_afterwards() -> None:
    with pytest.raises(AttributeError, match="immutable"):
        load_settings().max_crashes = 5  # type: ignore[misc]


def test_two_wrong_settings_are_both_named() -> None:
    toml("max_crahes = 3\nlog_level = 'LOUD'")
    said = refusal()
    assert "max_crahes" in said
    assert "log_level" in said


def test_every_setting_has_a_default() -> None:
    assert Settings() == load_settings()


@pytest.mark.parametrize(
    ("variable", "text", "said"),
    [
        ("PERDURE_BULKHEADS", '{"normal": ', "bulkheads = '{\"normal\": ': must be a table"),
        ("PERDURE_BULKHEADS", '{"normal": {"limit": 0}}', "bulkheads.normal.limit = 0"),
        ("PERDURE_BULKHEADS__NORMAL", "7", "bulkheads.normal = '7'"),
        ("PERDURE_BULKHEADS__NORMAL__LIMIT__X", "7", "bulkheads.normal.limit"),
        ("PERDURE_RETENTION", "inf", "retention = 'inf'"),
        ("PERDURE_RETENTION", "1e30", "retention = '1e30'"),
        ("PERDURE_HEARTBEAT_INTERVAL", "nan", "heartbeat_interval = 'nan'"),
        ("PERDURE_HEARTBEAT_INTERVAL", "1e-9", "heartbeat_interval = '1e-9'"),
        ("PERDURE_DEFAULT_BULKHEAD", "norml", "Did you mean 'normal'?"),
        ("PERDURE_DEFAULT_RETRY", "fats", "Did you mean 'fast'?"),
        ("PERDURE_CHECKPOINT_STORE", "sqlite", "must be 'sql', 'redis'"),
        ("PERDURE_CHECKPOINT_STORE", '["sql", "nosuch://x"]', "no file system that fsspec knows"),
        ("PERDURE_CHECKPOINT_QUORUM", "3", "does not fit 1 stores"),
        ("PERDURE_BLOB_STORE", "nosuch://bucket", "no file system that fsspec knows"),
        ("PERDURE_ENCRYPTION_KEYS", "nokey", "has no id"),
        ("PERDURE_HOME__X", "1", "home"),
    ],
)
def test_what_no_type_can_tell_is_checked_at_start(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, said: str
) -> None:
    monkeypatch.setenv(variable, text)
    refused = refusal()
    assert said in refused
    assert f"(from the environment variable {variable})" in refused


@pytest.mark.parametrize("setting", ["broker_url", "redis_url"])
@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("reddis://h", "must begin with one of redis://"),
        ("localhost:6379", "is no URL"),
        ("redis://h:99999/0", "the port must be a number"),
        ("redis://h:six/0", "the port must be a number"),
        ("redis://h:0", "the port must be a number"),
        ("redis://:a/b@h:6379/0", "write / as %2F"),
        ("redis://h/zero", "must be a number, such as /0"),
        ("redis://h/0?timeout=3", "?timeout= is no option here"),
        ("redis://h/0?socket_timeout=soon", "must be a number"),
        ("rediss://h/0?ssl_cert_reqs=maybe", "ssl_cert_reqs must be required, optional or none"),
        ("redis://[::1", "Invalid IPv6 URL"),
        ("unix://run/redis.sock", "third slash"),
        ("unix://", "path of the Unix socket is missing"),
        ("sentinel://one:26379,two:26379/0", "?master_name=NAME"),
        ("sentinel://one:26379,two:x/0?master_name=m", "the port must be a number"),
        ("sentinel://one;redis://two?master_name=m", "each must begin with sentinel://"),
    ],
)
def test_a_server_that_cannot_be_reached_by_its_url_is_refused_at_start(
    monkeypatch: pytest.MonkeyPatch, setting: str, url: str, said: str
) -> None:
    variable = f"PERDURE_{setting.upper()}"
    monkeypatch.setenv(variable, url)
    refused = refusal()
    assert said in refused
    assert f"{setting} = ***" in refused
    assert f"(from the environment variable {variable})" in refused


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://h:99999/d", "from 1 to 65535"),
        ("postgresql://h:x/d", "the port must be a number"),
        ("postgresql+asyncpg://h/d", "write postgresql://"),
        ("postgresql+psycopg2://h/d", "write postgresql://"),
        ("postgresql://h,h2:0/d", "NAME:PORT"),
        ("postgresql://h/d?sslmod=require", "sslmod"),
        ("mysql://h/d", "Allowed: sqlite, postgresql"),
        ("sqlite://", "cannot be shared by processes"),
        ("sqlite:///:memory:", "cannot be shared by processes"),
        ("sqlite://data/jobs.db", "three slashes"),
        ("sqlite+aiosqlite:///x.db", "write sqlite://"),
        ("jobs.db", "no database URL"),
    ],
)
def test_a_ledger_that_cannot_be_one_is_refused_at_start(url: str, said: str) -> None:
    refused = refusal(ledger_url=url)
    assert said in refused
    assert "ledger_url = ***" in refused
    assert "(from an argument of Perdure())" in refused


def test_a_broker_that_is_no_redis_needs_a_redis_beside_it() -> None:
    assert "redis_url" in refusal(broker_url="amqp://guest@rabbit/")
    assert load_settings(broker_url="amqp://guest@rabbit/", redis_url="redis://h").broker_url == "amqp://guest@rabbit/"
    assert "the port must be a number" in refusal(broker_url="amqp://guest@rabbit:x/", redis_url="redis://h")


def test_a_rabbitmq_of_several_nodes_is_tried_node_by_node() -> None:
    nodes = load_settings(broker_url="amqp://u:a%40b@r1:5672,r2,r3:5673/jobs", redis_url="redis://h")
    assert nodes.celery_broker_url == "amqp://u:a%40b@r1:5672/jobs;amqp://u:a%40b@r2/jobs;amqp://u:a%40b@r3:5673/jobs"
    assert nodes.celery_broker_options == {"max_retries": 2}
    assert "the port must be a number" in refusal(broker_url="amqp://u@r1:5672,r2:x/", redis_url="redis://h")
    assert "the host is missing" in refusal(broker_url="amqp://u@r1,/", redis_url="redis://h")


def test_line_breaks_around_a_url_are_no_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERDURE_BROKER_URL", "redis://h:7000/1\n")
    monkeypatch.setenv("PERDURE_LEDGER_URL", " postgresql://h/d\n")
    assert load_settings().effective_broker_url == "redis://h:7000/1"
    assert load_settings().effective_ledger_url == "postgresql+psycopg://h/d"


def test_what_kubernetes_and_docker_say_of_services_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    links = {
        "PERDURE_REDIS_SERVICE_HOST": "10.0.0.7",
        "PERDURE_REDIS_SERVICE_PORT": "6379",
        "PERDURE_REDIS_SERVICE_PORT_TCP_REDIS": "6379",
        "PERDURE_REDIS_PORT": "tcp://10.0.0.7:6379",
        "PERDURE_REDIS_PORT_6379_TCP": "tcp://10.0.0.7:6379",
        "PERDURE_REDIS_PORT_6379_TCP_ADDR": "10.0.0.7",
        "PERDURE_REDIS_URL_SERVICE_HOST": "10.0.0.7",
        "PERDURE_FLOWER_SERVICE_HOST": "10.0.0.8",
        "PERDURE_FLOWER_PORT": "tcp://10.0.0.8:5555",
        "PERDURE_FLOWER_PORT_5555_TCP_PROTO": "tcp",
        "PERDURE_PORT": "tcp://10.0.0.9:80",
        "FLOWER_PORT": "tcp://10.0.0.8:5555",
    }
    for variable, value in links.items():
        monkeypatch.setenv(variable, value)
    assert load_settings().flower_port == 5555
    monkeypatch.setenv("PERDURE_FLOWER_PORT", "5999")
    assert load_settings().flower_port == 5999
    monkeypatch.setenv("FLOWER_PURGE_OFFLINE_WORKERS", "60")
    drop_service_links()
    assert not [variable for variable in links if variable in os.environ and variable != "PERDURE_FLOWER_PORT"]
    assert (os.environ["PERDURE_FLOWER_PORT"], os.environ["FLOWER_PURGE_OFFLINE_WORKERS"]) == ("5999", "60")


def test_drills_have_targets_of_which_some_may_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERDURE_DRILLS__LEDGER_RESTORE__RTO", "5")
    targets = load_settings().drills
    assert (targets["ledger-restore"].rto, targets["ledger-restore"].rpo, targets["host-loss"].rto) == (5.0, 10.0, 30.0)
    monkeypatch.setenv("PERDURE_DRILLS__LEDGER_RESTOR__RTO", "5")
    with pytest.raises(SettingsError, match=r"no drill 'ledger-restor'\. Did you mean 'ledger-restore'"):
        load_settings()
