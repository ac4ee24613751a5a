# perdure: one image for every role; the command says which (see docker-compose.yml).
#   docker build -t perdure:local --build-arg REVISION=$(git rev-parse HEAD) .
# An application of your own: FROM perdure, install what it needs, copy it to /app.

ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
ENV UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT=/opt/perdure
RUN pip install --no-cache-dir uv==0.13.9
WORKDIR /build
# First what changes seldom: the locked dependencies are a layer of their own.
COPY pyproject.toml uv.lock ./
ENV EXTRAS="--extra worker --extra flower --extra postgres"
RUN --mount=type=cache,target=/root/.cache/uv uv sync --locked --no-dev ${EXTRAS} --no-install-project
COPY README.md LICENSE ./
COPY platform platform
COPY workers workers
COPY tasks tasks
RUN --mount=type=cache,target=/root/.cache/uv uv sync --locked --no-dev ${EXTRAS} --no-editable

FROM ${PYTHON_IMAGE}
ARG PYTHON_IMAGE
ARG REVISION=unknown
LABEL org.opencontainers.image.title="perdure" \
    org.opencontainers.image.description="Fault-tolerant job processing on Celery" \
    org.opencontainers.image.licenses="MIT" \
    org.opencontainers.image.base.name="${PYTHON_IMAGE}" \
    org.opencontainers.image.revision="${REVISION}"
RUN groupadd --system --gid 10001 perdure \
    && useradd --system --gid perdure --uid 10001 perdure \
    && install -d -o perdure -g perdure /app /var/lib/perdure
COPY --from=build /opt/perdure /opt/perdure
ENV PATH=/opt/perdure/bin:$PATH PYTHONUNBUFFERED=1 PYTHONPATH=/app PERDURE_HOME=/var/lib/perdure
WORKDIR /app
USER 10001:10001
CMD ["perdure", "--help"]
