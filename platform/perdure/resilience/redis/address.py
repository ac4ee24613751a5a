"""Where a Redis is, told by one URL: for redis-py, which perdure uses itself, and for kombu, Celery's transport.

    redis://[USER:PASSWORD@]HOST[:PORT][/DB]             rediss://... the same over TLS
    unix:///run/redis.sock[?db=DB]                       a Unix socket; also redis+socket://
    sentinel://[USER:PASSWORD@]HOST[:PORT],HOST[:PORT]/[DB]?master_name=NAME
                                                         the master that Sentinels name; &sentinel_password= for theirs

The two libraries agree on the first form only, so each gets its own from what was parsed here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

if TYPE_CHECKING:
    from redis import Redis

SCHEMES = ("redis", "rediss", "unix", "redis+socket", "redis+unix", "sentinel")
_SOCKETS = ("unix", "redis+socket", "redis+unix")
_CLUSTERS = ("redis+cluster", "rediss+cluster", "redis-cluster", "rediscluster")
NO_CLUSTER = (
    "a Redis Cluster cannot be the broker: Celery's transport waits for several keys at once, which a cluster keeps on "
    "different nodes. Use one Redis, or one primary with replicas that Sentinels watch: "
    "sentinel://HOST:26379,HOST:26379/?master_name=NAME"
)
_PORT = 6379
_SENTINEL_PORT = 26379

_TLS = ("ssl_cert_reqs", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname")
_CERT_REQS = {"none": "none", "optional": "optional", "required": "required"}
_CERT_REQS |= {f"cert_{name}": name for name in _CERT_REQS}
_SENTINEL = ("master_name", "sentinel_username", "sentinel_password")
#: Options of redis-py that a URL may have, and what their values are.
_CLIENT: dict[str, type[Any]] = {
    "socket_timeout": float,
    "socket_connect_timeout": float,
    "health_check_interval": int,
    "max_connections": int,
    "protocol": int,
    "client_name": str,
}


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """One Redis.

    Args:
        hosts: The server, or the Sentinels that know it.
        socket: Its Unix socket, instead of a host.
        db: The database's number.
        username: Whom to sign in as.
        password: With which password.
        tls: Options of TLS; None for a connection without.
        sentinel: ``master_name`` and what the Sentinels want; empty without them.
        client: Options of perdure's own connections.
    """

    hosts: tuple[tuple[str, int], ...] = ()
    socket: str | None = None
    db: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: Mapping[str, str] | None = None
    sentinel: Mapping[str, str] = field(default_factory=dict, repr=False)
    client: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, url: str) -> RedisAddress:
        """Return the address in a URL.

        Raises:
            ValueError: It cannot be one; the message says why, and holds no part of the URL that may be a password.
        """
        scheme, separator, _ = url.partition("://")
        if scheme in _CLUSTERS:
            raise ValueError(NO_CLUSTER)
        if not separator or scheme not in SCHEMES:
            known = ", ".join(f"{each}://" for each in SCHEMES)
            raise ValueError(f"must begin with one of {known}" if separator else f"is no URL; write it with one of {known}")
        if scheme != "sentinel" and "," in urlsplit(url).netloc.rpartition("@")[2]:
            raise ValueError(
                "must name one host. Which of several is the primary, Sentinels say: write "
                "sentinel://HOST:26379,HOST:26379/?master_name=NAME with theirs"
            )
        one, hosts = _with_one_host(url) if scheme == "sentinel" else (urlsplit(url), ())
        query = _query(one, scheme)
        if scheme in _SOCKETS:
            return cls(socket=_socket(one), db=_db("", query), **_login(one), client=_client(query))
        if scheme == "sentinel" and not query.get("master_name"):
            raise ValueError("a sentinel:// URL needs ?master_name=NAME, the name by which the Sentinels know the master")
        return cls(
            hosts=hosts or ((one.hostname or "localhost", _port(one.netloc, _PORT)),),
            db=_db(one.path, query),
            **_login(one),
            tls=_tls(query) if scheme == "rediss" else None,
            sentinel={name: query[name] for name in _SENTINEL if name in query},
            client=_client(query),
        )

    def connect(self, **options: Any) -> Redis:
        """Return a redis-py client; it connects at its first command.

        Args:
            options: Of the client, such as ``socket_timeout``; those in the URL win.
        """
        from redis import Redis
        from redis.sentinel import Sentinel

        login: dict[str, Any] = {"username": self.username, "password": self.password, "db": self.db}
        options = {**options, **self.client}
        if self.sentinel:
            manager: Any = Sentinel(  # type: ignore[no-untyped-call]
                list(self.hosts), sentinel_kwargs=self._sentinel_options, **login, **options
            )
            found: Redis = manager.master_for(self.sentinel["master_name"], Redis)
            return found
        if self.socket is not None:
            return Redis(unix_socket_path=self.socket, **login, **options)
        [(host, port)] = self.hosts
        return Redis(host, port, **login, ssl=self.tls is not None, **_for_redis_py(self.tls or {}), **options)

    @property
    def kombu_url(self) -> str:
        """The URL that kombu takes; see also :attr:`kombu_options`."""
        login = self._quoted_login
        if self.socket is not None:
            return f"redis+socket://{login}{quote(self.socket)}?{urlencode({'virtual_host': self.db})}"
        if self.sentinel:
            return ";".join(f"sentinel://{login}{_host(host)}:{port}/{self.db}" for host, port in self.hosts)
        [(host, port)] = self.hosts
        scheme, options = ("redis", "") if self.tls is None else ("rediss", f"?{urlencode(self.tls)}")
        return f"{scheme}://{login}{_host(host)}:{port}/{self.db}{options}"

    @property
    def kombu_options(self) -> dict[str, Any]:
        """Transport options that kombu needs beside the URL."""
        if not self.sentinel:
            return {}
        return {"master_name": self.sentinel["master_name"], "sentinel_kwargs": self._sentinel_options}

    @property
    def _sentinel_options(self) -> dict[str, Any]:
        """How to ask a Sentinel: once and briefly, because the next one may know as well."""
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        own = {"username": self.sentinel.get("sentinel_username"), "password": self.sentinel.get("sentinel_password")}
        brief: dict[str, Any] = {"retry": Retry(NoBackoff(), 0), "socket_timeout": 1.0, "socket_connect_timeout": 1.0}
        return brief | {name: value for name, value in own.items() if value}

    @property
    def _quoted_login(self) -> str:
        if self.password is None and self.username is None:
            return ""
        return f"{quote(self.username or '', safe='')}:{quote(self.password or '', safe='')}@"


def connect(url: str, **options: Any) -> Redis:
    """Return a redis-py client for any URL that :class:`RedisAddress` reads; see its ``connect``."""
    return RedisAddress.parse(url).connect(**options)


def is_cluster(client: Redis) -> bool:
    """Return whether a Redis is a node of a Redis Cluster; False where it does not say.

    Raises:
        RedisError: It is not reached.
    """
    from redis.exceptions import ResponseError

    try:
        return bool(dict(client.info("cluster")).get("cluster_enabled"))
    except ResponseError:  # INFO is not allowed to this user
        return False


def is_redis(url: str) -> bool:
    """Return whether a broker's URL is that of a Redis."""
    scheme, separator, _ = url.partition("://")
    return bool(separator) and scheme in SCHEMES


def _with_one_host(url: str) -> tuple[SplitResult, tuple[tuple[str, int], ...]]:
    """Return a Sentinel URL and its hosts, which stand behind commas, or in URLs of their own behind ``;``."""
    first, *others = url.split(";")
    one = urlsplit(first)
    netlocs = one.netloc.rpartition("@")[2].split(",")
    queries = [one.query]
    for other in others:
        part = urlsplit(other)
        if part.scheme != "sentinel":
            raise ValueError("a list of URLs behind ; is for Sentinels: each must begin with sentinel://")
        netlocs.append(part.netloc.rpartition("@")[2])
        queries.append(part.query)
    hosts = tuple((_name(netloc), _port(netloc, _SENTINEL_PORT)) for netloc in netlocs)
    return one._replace(query="&".join(filter(None, queries))), hosts


def _name(netloc: str) -> str:
    name = urlsplit(f"//{netloc}").hostname
    if not name:
        raise ValueError("one of the Sentinels has no host")
    return name


def _port(netloc: str, default: int) -> int:
    try:
        port = urlsplit(f"//{netloc}").port
    except ValueError:
        port = 0
    if port == 0:
        raise ValueError(
            "the port must be a number from 1 to 65535 (in a password, write / as %2F, @ as %40, : as %3A, # as %23)"
        )
    return port or default


def _login(url: SplitResult) -> dict[str, Any]:
    user, password = url.username, url.password
    return {"username": unquote(user) if user else None, "password": unquote(password) if password else None}


def _socket(url: SplitResult) -> str:
    if not url.path.startswith("/") or url.path == "/":
        raise ValueError("the path of the Unix socket is missing: write it like unix:///run/redis/redis.sock")
    if url.netloc.rpartition("@")[2]:
        raise ValueError("the path of a Unix socket begins with a third slash: write it like unix:///run/redis/redis.sock")
    return unquote(url.path)


def _query(url: SplitResult, scheme: str) -> dict[str, str]:
    if url.fragment:
        raise ValueError("there must be no # in it (in a password, write it as %23)")
    given = dict(parse_qsl(url.query, keep_blank_values=True))
    allowed = ["db", "virtual_host", *_CLIENT]
    allowed += _TLS if scheme == "rediss" else _SENTINEL if scheme == "sentinel" else []
    for name in given:
        if name not in allowed:
            raise ValueError(f"?{name}= is no option here. Allowed: {', '.join(allowed)}")
    return given


def _db(path: str, query: Mapping[str, str]) -> int:
    text = query.get("db") or query.get("virtual_host") or path.strip("/") or "0"
    if not text.isdecimal():
        raise ValueError("the database behind the host must be a number, such as /0")
    return int(text)


def _tls(query: Mapping[str, str]) -> dict[str, str]:
    options = {name: query[name] for name in _TLS if name in query}
    wanted = options.get("ssl_cert_reqs", "required").lower()
    if wanted not in _CERT_REQS:
        raise ValueError("ssl_cert_reqs must be required, optional or none")
    if (check := options.get("ssl_check_hostname", "true").lower()) not in ("true", "false"):
        raise ValueError("ssl_check_hostname must be true or false")
    # Said in any case: kombu takes a URL without options of TLS for a mistake.
    return {
        **options,
        "ssl_cert_reqs": _CERT_REQS[wanted],
        "ssl_check_hostname": "false" if wanted.endswith("none") else check,
    }


def _for_redis_py(tls: Mapping[str, str]) -> dict[str, Any]:
    return {name: value == "true" if name == "ssl_check_hostname" else value for name, value in tls.items()}


def _client(query: Mapping[str, str]) -> dict[str, Any]:
    options = {}
    for name in _CLIENT.keys() & query.keys():
        try:
            options[name] = _CLIENT[name](query[name])
        except ValueError:
            raise ValueError(f"?{name}= must be a number") from None
    return options


def _host(name: str) -> str:
    return f"[{name}]" if ":" in name else name
