"""Names that vulture finds no use of, and that are used all the same; ``make check`` reads it, nothing runs it.

A name that nobody uses is deleted, not added here.
"""
# ruff: noqa: B018, F821

# The library's public names: applications use them.
(
    _.Batches,
    _.on_node_failure,
    _.on_node_recovery,
    _.on_promotion,
    _.on_new_group,
    _.on_growth,
    _.on_boomerang,
    _.on_regression,
    _.primary_backup,
    _.include_name,
)
(
    _.is_async,
    _.iterate,
    _.apply_async,
    _.serve_async,
    _.close_async,
    _.elect,
    _.generate,
    _.permits_of_task,
    _.schema_version,
    _.beating,
    _.beating_async,
    _.nodes,
    _.put_async,
    _.get_async,
    _.delete_async,
    _.restore_async,
    _.start_clean,
    _.saving,
    _.saving_async,
)
FailoverGroup, ResourcePool, Timeouts, Inbox, KeysetCursor, TextLines, PostgresServer, RedisServer
_.create_database, _.drop_database, _.restart

# What http.server and socketserver call.
_.block_on_close, _.handle_error, _.version_string

# Fields of records that applications, templates and ``--json`` read.
(
    _.confirmed,
    _.noted_by,
    _.noted_at,
    _.resolved_at,
    _.resolved_in,
    _.replayed_at,
    _.divergent,
    _.manager_pid,
    _.LEASE_LOST,
    _.USAGE,
    _.CLOSED,
)
_.failures_in_a_row, _.window_slow, _.trials_under_way, _.openings_in_succession, _.slow_calls
_.in_use, _.idle, _.created, _.replaced, _.denied, _.gave_up, _.abandoned
_.p50, _.p95, _.p95_by_minute, _.by_minute, _.last_error

# Functions that Flower's templates call.
points, badge, machine, at_least, pretty, short, error_name, named_error

# What libraries call or read by name.
_.ensure_connected, _.first_connection_attempt, _._do_exit, _.did_start_ok, _._receive, _.requires  # Celery
_.broker_read_url, _.broker_write_url, _.result_backend, _.send_events, _.Pool, _.Strategy, _.abstract  # Celery
_.ignore_result, _.typing  # Celery
_.list_commands, _.get_command, _.obj  # click
_.on_connection_close, _._create_template, _.patch, _.basic_auth  # Tornado and Flower
_.inherit_cache, _.isolation_level, _.prepare_threshold, _.none_as_null, _.is_disconnect  # SQLAlchemy and psycopg
_.gname, _.uname, _.mtime, _.linkname  # tarfile
_.daemon_threads, _.request_queue_size, _.do_GET, _.do_POST, _.log_message, _.close_connection  # http.server
_.collect  # prometheus_client

# What ``perdure simulate`` prints, field by field.
(_.utilisation, _.wait_mean, _.wait_p50, _.wait_p95, _.wait_p99, _.wait_max, _.backlog_max, _.backlog_left)
