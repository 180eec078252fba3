# One image for gateway, worker and migrate. The first argument selects the process.
#
#   docker buildx imagetools inspect python:3.11-slim-bookworm   # prints the digest in its first lines
#   docker build --tag alga-tenants:0.2.0 \
#       --build-arg BASE_IMAGE=python:3.11-slim-bookworm@sha256:<digest> .
#
# The default is a tag, which may point to another image tomorrow. Use it for trials only. BASE_IMAGE can be any image
# with Python 3.11 or newer as `python3`. BUILD_IMAGE also needs venv and pip, and its Python must be at the same path.
# Name both by digest.
ARG BASE_IMAGE=python:3.11-slim-bookworm
ARG BUILD_IMAGE=${BASE_IMAGE}

FROM ${BUILD_IMAGE} AS build
# Names bytecode by the hash of its source and not by a time, so that every build is the same.
ENV SOURCE_DATE_EPOCH=0 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY requirements.lock requirements-dev.lock ./
# The service's environment has no pip. The tools that build our package are in another environment.
RUN python3 -m venv --without-pip /opt/alga-tenants \
    && python3 -m pip --python /opt/alga-tenants/bin/python install \
        --require-hashes --only-binary :all: --requirement requirements.lock \
    && sed -n '/^setuptools==/,/[^\\]$/p' requirements-dev.lock > /tmp/setuptools.lock \
    && python3 -m venv /opt/builder \
    && /opt/builder/bin/pip install --require-hashes --only-binary :all: --requirement /tmp/setuptools.lock
COPY pyproject.toml README.md ./
COPY app app
COPY activities activities
COPY migrations migrations
COPY workflows workflows
RUN /opt/builder/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /tmp/wheels . \
    && python3 -m pip --python /opt/alga-tenants/bin/python install --no-deps --no-index /tmp/wheels/*.whl \
    && find /opt/alga-tenants -exec touch --no-dereference --date=@0 {} +

FROM ${BASE_IMAGE} AS final
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="alga-tenants" \
      org.opencontainers.image.description="Creates, tracks, changes and cancels Alga PSA tenants" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# The image of Python contains pip and setuptools, which the service does not need.
RUN rm -rf /usr/local/lib/python3.*/site-packages/* /usr/local/lib/python3.*/ensurepip /usr/local/bin/pip* \
    && groupadd --gid 10001 alga \
    && useradd --uid 10001 --gid alga --no-log-init --no-create-home --home-dir /nonexistent \
        --shell /usr/sbin/nologin alga
COPY --from=build /opt/alga-tenants /opt/alga-tenants
ENV PATH=/opt/alga-tenants/bin:${PATH} \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /tmp
USER 10001:10001
# 8000: the gateway. 8001: the worker's probes.
EXPOSE 8000 8001
ENTRYPOINT ["alga-tenants"]
CMD ["gateway"]
