"""Variables that Kubernetes and Docker set for each service beside a container.

A service that is named ``perdure-redis`` gives every container of its namespace ``PERDURE_REDIS_SERVICE_HOST``,
``PERDURE_REDIS_PORT=tcp://10.0.0.7:6379`` and more, and ``perdure-flower`` gives ``PERDURE_FLOWER_PORT``, which reads like
a setting. https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import MutableMapping

logger = logging.getLogger("perdure.settings")

#: Programs that run here and read their own options from variables of these names.
PREFIXES = ("PERDURE_", "FLOWER_", "CELERY_")

_NAME = re.compile(r"_SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)$|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$")
_ADDRESS = re.compile(r"(tcp|udp|sctp)://[^/]+:\d+/?")


def is_service_link(variable: str, value: str) -> bool:
    """Return whether a variable tells of a service and is no setting."""
    return _NAME.search(variable) is not None or (variable.endswith("_PORT") and _ADDRESS.fullmatch(value) is not None)


def drop_service_links(environment: MutableMapping[str, str] = os.environ) -> None:
    """Take variables that tell of services out of this process' environment, so that no program takes them for options."""
    found = [name for name, value in environment.items() if name.startswith(PREFIXES) and is_service_link(name, value)]
    for name in found:
        del environment[name]
    if found:
        logger.debug("variables that tell of services and are no settings: %s", ", ".join(sorted(found)))
