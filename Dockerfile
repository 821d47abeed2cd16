# The image of Falcowatch, for amd64 and arm64: docker buildx build --platform linux/amd64,linux/arm64 -t <registry>/falcowatch .
#
# Pin the base by digest in what you release. The tag alone is the default, since a digest written here would go stale
# without anyone noticing; ask for the one of today, and pass it:
#   docker buildx imagetools inspect python:3.13-slim-bookworm --format '{{.Manifest.Digest}}'
#   docker build --build-arg PYTHON_IMAGE=docker.io/library/python:3.13-slim-bookworm@sha256:… .
# Any Debian or Ubuntu with CPython >= 3.13.2 and pip will do (since 3.13.2 aiohttp writes a request body uncopied).
ARG PYTHON_IMAGE=docker.io/library/python:3.13-slim-bookworm

# hadolint ignore=DL3006 # the tag or digest is in the argument
FROM ${PYTHON_IMAGE} AS build
WORKDIR /build

# The environment never holds pip: the base image's installs into it, and only what the lock names by hash.
COPY requirements.lock ./
RUN python3 -m venv --without-pip /opt/falcowatch \
 && python3 -m pip --python /opt/falcowatch/bin/python install \
      --no-cache-dir --no-compile --disable-pip-version-check --require-hashes -r requirements.lock
COPY pyproject.toml README.md ./
COPY agent agent
RUN python3 -m pip --python /opt/falcowatch/bin/python install \
      --no-cache-dir --no-compile --disable-pip-version-check --no-deps .

# Bytecode is compiled once, here: the root file system is read only, and nobody checks source files at every start.
COPY image image
RUN python3 image/trim_sdk.py /opt/falcowatch/lib/python3.*/site-packages \
 && python3 image/assemble_root.py /opt/falcowatch /root-of-image \
 && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash -s /root-of-image /root-of-image

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="falcowatch" \
      org.opencontainers.image.description="Ships Falco's runtime security alerts from Kubernetes nodes to Amazon CloudWatch Logs, and loses none." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /root-of-image /
ENV PATH=/opt/falcowatch/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PYTHONUTF8=1
# Log files belong to root, 0640 or 0600. As their owner uid 0 needs no capability to read them, and the chart drops all;
# it also offers uid 9801 in group 0, for runtimes that write 0640.
# hadolint ignore=DL3002
USER 0:0
EXPOSE 9801
# No HEALTHCHECK: kubelet's probes ask /healthz and /readyz, and Kubernetes ignores it.
ENTRYPOINT ["falcowatch"]
CMD ["run"]
