"""The store's URL, read from a redis-py client. A setting that decides where or how to connect and
that Tenure does not have is refused by its name, and so is a client that nobody knows."""

from __future__ import annotations

import functools
import inspect
import ipaddress
import os
import re
import ssl
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote
from weakref import WeakKeyDictionary

# These are about the client's own connections and replies, and no lock depends on them.
_OF_CLIENT = frozenset(
    """cache cache_config cache_factory client_name connection_class connection_pool
    decode_responses driver_info encoding encoding_errors event_dispatcher health_check_interval
    himport_registry legacy_responses lib_name lib_version maint_notifications_config
    maint_notifications_pool_handler maintenance_notification_hash maintenance_state
    max_connections orig_host_address orig_socket_connect_timeout orig_socket_timeout
    oss_cluster_maint_notifications_handler parser_class protocol queue_class response_callbacks
    retry retry_on_error retry_on_timeout socket_keepalive socket_keepalive_options
    socket_read_size ssl timeout""".split()
)
_PLACE = frozenset({"host", "port", "path", "db"})
_LOGIN = frozenset({"username", "password"})
_LIMITS = {"socket_connect_timeout": "connect_timeout", "socket_timeout": "call_timeout"}
_TLS_FILES = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"})
_TLS_CHECKS = frozenset({"ssl_cert_reqs", "ssl_check_hostname", "ssl_min_version"})
_CARRIED = _OF_CLIENT | _PLACE | _LOGIN | _LIMITS.keys() | _TLS_FILES | _TLS_CHECKS

# What the locks of redis-py and of the guides call, and all that it goes through. A client whose
# own methods these are may send commands to other keys, or elsewhere.
_SENDING = frozenset(
    """__getattribute__ _execute_command _internal_execute_command _send_command_parse_response
    delete determine_slot eval evalsha execute_command expire get get_encoder keyslot
    parse_response pexpire pipeline pttl register_script script_load set setnx transaction
    ttl""".split()
)

Settings = Mapping[str, Any]


def url_of(client: object, is_async: bool) -> str:
    """The URL of the store that the client is for.

    Raises `ValueError` for a client, method, pool, connection class or setting that cannot be
    carried over, and names it. The URL has the password in it.
    """
    # The type, since a mock says of itself that it is an instance of anything.
    kind: Any = type(client)
    wanted, pipelines = _classes(is_async)
    if not issubclass(kind, wanted) or issubclass(kind, pipelines):
        names = " or ".join(_name(each) for each in wanted)
        raise refusal(f"the client {_name(kind)}: it takes a {names}")
    own = _own_method(kind, wanted) or min(_SENDING & vars(client).keys(), default=None)
    if own is not None:
        raise refusal(
            f"the client {_name(kind)}: its method {own} is not redis-py's, and may send commands "
            "to other keys"
        )
    pool = getattr(client, "connection_pool", None)
    known = _urls.get(client)
    if known is not None and known[0] is pool:
        return known[1]
    url = _cluster_url(client) if issubclass(kind, wanted[1]) else _pool_url(pool)
    _urls[client] = (pool, url)
    return url


# By client: its pool, and its URL.
_urls: WeakKeyDictionary[object, tuple[object, str]] = WeakKeyDictionary()


@functools.cache
def _classes(is_async: bool) -> tuple[tuple[type, type], tuple[type, ...]]:
    """The classes of clients for one server and for a cluster, and those of pipelines."""
    if is_async:
        import redis.asyncio.client as waiting
        import redis.asyncio.cluster as waiting_cluster

        return (waiting.Redis, waiting_cluster.RedisCluster), (waiting.Pipeline,)
    import redis.client as blocking
    import redis.cluster as blocking_cluster

    pipelines = (blocking.Pipeline, blocking_cluster.ClusterPipeline)
    return (blocking.Redis, blocking_cluster.RedisCluster), pipelines


@functools.cache
def _own_method(kind: type, wanted: tuple[type, type]) -> str | None:
    """A method for sending commands that is not the one of redis-py's class."""
    base = next(each for each in wanted if issubclass(kind, each))
    for name in sorted(_SENDING):
        theirs = inspect.getattr_static(base, name, None)
        if theirs is not None and inspect.getattr_static(kind, name) is not theirs:
            return name
    return None


def call_limit_of(url: str) -> float | None:
    """The time limit of one call in seconds, if the URL has one."""
    found = re.search(r"[?&]call_timeout=(\d+)ms", url)
    return None if found is None else int(found[1]) / 1000


def refusal(what: str) -> ValueError:
    """The error of what cannot be carried over."""
    return ValueError(
        f"tenure.compat cannot use {what}; connect with tenure.connect(url) and use Tenure's own "
        "locks, or change that setting"
    )


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _pool_url(pool: Any) -> str:
    import redis.asyncio.connection
    import redis.asyncio.sentinel
    import redis.connection
    import redis.sentinel

    sentinels = (
        redis.sentinel.SentinelConnectionPool,
        redis.asyncio.sentinel.SentinelConnectionPool,
    )
    pools = (
        redis.connection.ConnectionPool,
        redis.connection.BlockingConnectionPool,
        redis.asyncio.connection.ConnectionPool,
        redis.asyncio.connection.BlockingConnectionPool,
    )
    if type(pool) in sentinels:
        return _sentinel_url(pool)
    if type(pool) not in pools:
        raise refusal(f"the connection pool {_name(type(pool))}")
    settings = pool.connection_kwargs
    form = _connection_form(pool.connection_class)
    _check_known(settings)
    if form == "unix":
        path = quote(os.path.abspath(_text(settings["path"])), safe="/")
        return _joined("redis+unix", _login(settings), "", path, _limits(settings, db=True))
    parameters = _limits(settings)
    if form == "rediss":
        parameters += _tls_files(settings, pool.connection_class)
    host = _host(settings.get("host", "localhost"), settings.get("port", 6379))
    return _joined(form, _login(settings), host, f"/{_database(settings)}", parameters)


def _sentinel_url(pool: Any) -> str:
    import redis.asyncio.sentinel
    import redis.sentinel

    manager = pool.sentinel_manager
    if type(manager) not in (redis.sentinel.Sentinel, redis.asyncio.sentinel.Sentinel):
        raise refusal(f"the Sentinel manager {_name(type(manager))}")
    if not pool.is_master:
        raise refusal("a client of Sentinel's replicas (slave_for): a lock needs master_for")
    if getattr(manager, "_force_master_ip", None):
        raise refusal("the Sentinel setting force_master_ip")
    if manager.min_other_sentinels:
        raise refusal("the Sentinel setting min_other_sentinels")
    settings = pool.connection_kwargs
    form = _connection_form(pool.connection_class)
    _check_known(settings)
    parameters = _limits(settings)
    if form == "rediss":
        parameters += _tls_files(settings, pool.connection_class)
    places, ways = [], []
    for sentinel in manager.sentinels:
        place, way = _sentinel(sentinel.connection_pool)
        places.append(place)
        ways.append(way)
    if any(way != ways[0] for way in ways):
        raise refusal("Sentinels that have different passwords or TLS files")
    path = f"/{quote(_text(pool.service_name), safe='')}/{_database(settings)}"
    form += "+sentinel"
    return _joined(form, _login(settings), ",".join(places), path, parameters + ways[0])


def _sentinel(pool: Any) -> tuple[str, list[tuple[str, str]]]:
    """The address of a Sentinel, and the parameters of the way to it."""
    settings = pool.connection_kwargs
    form = _connection_form(pool.connection_class)
    if form == "unix":
        raise refusal("a Sentinel behind a unix socket")
    _check_known(settings)
    user, password = _login(settings)
    way = [("sentinel_tls", "yes" if form == "rediss" else "no")]
    if user:
        way.append(("sentinel_user", user))
    if password:
        way.append(("sentinel_password", password))
    if form == "rediss":
        files = _tls_files(settings, pool.connection_class)
        way += [(f"sentinel_{name}", value) for name, value in files]
    return _host(settings.get("host", "localhost"), settings.get("port", 26379)), way


def _cluster_url(client: Any) -> str:
    nodes = client.nodes_manager
    if getattr(nodes, "address_remap", None) is not None:
        raise refusal("the cluster setting address_remap")
    settings = dict(getattr(client, "connection_kwargs", None) or nodes.connection_kwargs)
    own = getattr(client, "on_connect", None)
    if settings.get("redis_connect_func") == own:
        # The client's own, for its reads at replicas. A caller's function is kept beside it.
        settings["redis_connect_func"] = getattr(client, "user_on_connect_func", None)
    _check_known(settings)
    import redis.connection

    default = redis.connection.SSLConnection if settings.get("ssl") else redis.connection.Connection
    connection = settings.get("connection_class") or default
    form = _connection_form(connection)
    parameters = _limits(settings)
    if form == "rediss":
        parameters += _tls_files(settings, connection)
    # The nodes that the program named: those that the client has found since are others each time.
    named = getattr(client, "startup_nodes", None) or nodes.startup_nodes.values()
    places = dict.fromkeys(_host(node.host, node.port) for node in named)
    return _joined(f"{form}+cluster", _login(settings), ",".join(places), "", parameters)


def _connection_form(connection: type) -> str:
    """The scheme of the connection class, or ``unix``."""
    import redis.asyncio.connection as waiting
    import redis.asyncio.sentinel as waiting_sentinel
    import redis.connection as blocking
    import redis.sentinel as blocking_sentinel

    plain = (
        blocking.Connection,
        waiting.Connection,
        blocking_sentinel.SentinelManagedConnection,
        waiting_sentinel.SentinelManagedConnection,
    )
    encrypted = (
        blocking.SSLConnection,
        waiting.SSLConnection,
        blocking_sentinel.SentinelManagedSSLConnection,
        waiting_sentinel.SentinelManagedSSLConnection,
    )
    if connection in plain:
        return "redis"
    if connection in encrypted:
        return "rediss"
    if connection in (blocking.UnixDomainSocketConnection, waiting.UnixDomainSocketConnection):
        return "unix"
    raise refusal(f"the connection class {_name(connection)}")


def _check_known(settings: Settings) -> None:
    """Refuses what has a value and is not carried over."""
    for name in sorted(settings):
        if name not in _CARRIED and settings[name] not in (None, False):
            raise refusal(f"the client's setting {name}")


def _login(settings: Settings) -> tuple[str, str]:
    user, password = _text(settings.get("username")), _text(settings.get("password"))
    if user and not password:
        raise refusal(f"the user {user!r} without a password")
    return user, password


def _limits(settings: Settings, *, db: bool = False) -> list[tuple[str, str]]:
    """Time limits; those that the client has not are Tenure's own (2 s each)."""
    limits = []
    if db:
        limits.append(("db", _database(settings)))
    for name, ours in _LIMITS.items():
        seconds = settings.get(name)
        if seconds is None:
            continue
        if not 0.01 <= seconds <= 3600:
            raise refusal(f"the client's setting {name}={seconds}: Tenure has 0.01 to 3600 s")
        limits.append((ours, f"{round(seconds * 1000)}ms"))
    return limits


def _tls_files(settings: Settings, connection: type) -> list[tuple[str, str]]:
    """The files for TLS. Tenure always asks for a certificate and checks its name."""

    def chosen(name: str) -> Any:
        if name in settings:
            return settings[name]
        # The classes of Sentinel pass it on.
        own = next(base for base in connection.__mro__ if base.__name__ == "SSLConnection")
        parameter = inspect.signature(own).parameters.get(name)
        return None if parameter is None else parameter.default

    if chosen("ssl_cert_reqs") not in ("required", ssl.CERT_REQUIRED):
        raise refusal("the client's setting ssl_cert_reqs: Tenure has 'required' alone")
    if not chosen("ssl_check_hostname"):
        raise refusal("the client's setting ssl_check_hostname: Tenure has True alone")
    if settings.get("ssl_min_version") not in (None, ssl.TLSVersion.TLSv1_2):
        raise refusal("the client's setting ssl_min_version: Tenure has TLS 1.2 and newer")
    certificate, key = _text(settings.get("ssl_certfile")), _text(settings.get("ssl_keyfile"))
    if key and not certificate:
        raise refusal("the client's setting ssl_keyfile without ssl_certfile")
    # A certificate alone has its key in the same file.
    named = {
        "ca": _text(settings.get("ssl_ca_certs")),
        "cert": certificate,
        "key": key or certificate,
    }
    return [(name, os.path.abspath(path)) for name, path in named.items() if path]


def _database(settings: Settings) -> str:
    return str(int(settings.get("db") or 0))


def _host(host: object, port: object) -> str:
    name = _text(host)
    try:
        name = f"[{ipaddress.IPv6Address(name)}]"
    except ValueError:
        if not re.fullmatch(r"[A-Za-z0-9._-]+", name):
            raise refusal(f"the host {name!r}") from None
    return f"{name}:{int(_text(port))}"


def _text(value: object) -> str:
    if value is None:
        return ""
    return value.decode() if isinstance(value, bytes) else str(value)


def _joined(
    form: str,
    login: tuple[str, str],
    hosts: str,
    path: str,
    parameters: Iterable[tuple[str, str]],
) -> str:
    user, password = (quote(part, safe="") for part in login)
    at = f"{user}:{password}@" if password else ""
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in parameters)
    return f"{form}://{at}{hosts}{path}" + (f"?{query}" if query else "")
