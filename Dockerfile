# syntax=docker/dockerfile:1
# Built by `make image`; docs/deploy-container.md says how it is used, docs/release.md how a release pins the base by its digest.
ARG PYTHON_IMAGE=python:3.13-slim-trixie

FROM ${PYTHON_IMAGE} AS build
# requirements.lock, or deploy/image/requirements-full.lock for all extras
ARG LOCK=requirements.lock
ARG SOURCE_DATE_EPOCH=0
ENV PIP_NO_CACHE_DIR=1 PIP_NO_COMPILE=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore \
    PYTHONDONTWRITEBYTECODE=1 PYTHONHASHSEED=0
# Tools of the build, and nft, by which `toolgate redirect` sets its rules: as Debian's stable release has them.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends binutils nftables \
    && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv --without-pip /opt/toolgate && python3 -m venv --without-pip /opt/setuptools
WORKDIR /src
COPY deploy/image/requirements-build.lock deploy/image/requirements-build.lock
COPY ${LOCK} /src/image.lock
RUN python3 -m pip --python /opt/setuptools/bin/python install --require-hashes --only-binary=:all: \
      -r deploy/image/requirements-build.lock \
    && python3 -m pip --python /opt/toolgate/bin/python install --require-hashes --only-binary=:all: -r image.lock
COPY pyproject.toml README.md LICENSE ./
COPY policies policies
COPY gateway gateway
RUN /opt/setuptools/bin/python -c 'from setuptools.build_meta import build_wheel; build_wheel("/dist")' \
    && python3 -m pip --python /opt/toolgate/bin/python install --no-deps --no-index /dist/*.whl \
    && python3 -m pip --python /opt/toolgate/bin/python check
COPY deploy/image/rootfs.py deploy/image/rootfs.py
# Files have one time, so that the same sources are the same layers.
RUN python3 deploy/image/rootfs.py /opt/toolgate /rootfs "$(command -v nft)" \
    && find /rootfs/usr/local /opt/toolgate -type f -name '*.so*' -exec strip --strip-unneeded {} + \
    && mkdir -p /state/toolgate \
    && find /rootfs /opt/toolgate /state -exec touch --no-dereference --date="@${SOURCE_DATE_EPOCH}" {} +

FROM scratch
ARG PYTHON_IMAGE
ARG VERSION=unknown
ARG REVISION=unknown
ARG SOURCE=
LABEL org.opencontainers.image.title="toolgate" \
      org.opencontainers.image.description="The execution gateway between AI agents and their tools" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.base.name="${PYTHON_IMAGE}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /rootfs /
COPY --from=build --chown=10001:10001 /state /var/lib
COPY --from=build /opt/toolgate /opt/toolgate
ENV PATH=/opt/toolgate/bin:/usr/sbin:/usr/bin \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    TOOLGATE_CONFIG=/etc/toolgate/config.yaml
USER 10001:10001
WORKDIR /var/lib/toolgate
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=15s --retries=3 CMD ["toolgate", "health"]
ENTRYPOINT ["toolgate"]
CMD ["run"]
