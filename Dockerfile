# The image of Falcowatch for amd64 and arm64:
#   docker buildx build --platform linux/amd64,linux/arm64 -t <registry>/falcowatch .
#
# Pin the base image by digest when you build a release. The default is only a tag, because nobody would notice when a
# digest in this file becomes outdated. Look up the current digest and pass it:
#   docker buildx imagetools inspect python:3.13-slim-bookworm --format '{{.Manifest.Digest}}'
#   docker build --build-arg PYTHON_IMAGE=docker.io/library/python:3.13-slim-bookworm@sha256:… .
# The base can be any Debian or Ubuntu with pip and CPython 3.13.2 or newer. With an older CPython, aiohttp copies each
# request body before it writes the body to the socket.
ARG PYTHON_IMAGE=docker.io/library/python:3.13-slim-bookworm

# hadolint ignore=DL3006 # the argument contains the tag or the digest
FROM ${PYTHON_IMAGE} AS dependencies
WORKDIR /build

# The pip of the base image installs into the environment, so the environment has no pip. The lock file names every
# package by hash.
#
# Bytecode is compiled while the image is built, because the root file system of a container is read-only. Without
# docstrings, and without columns for tracebacks, it needs 4 MB less memory; tracebacks still name the lines.
COPY requirements.lock ./
COPY tools/image tools/image
RUN python3 -m venv --without-pip /opt/falcowatch \
 && python3 -m pip --python /opt/falcowatch/bin/python install \
      --no-cache-dir --no-compile --disable-pip-version-check --require-hashes -r requirements.lock \
 && python3 tools/image/trim_sdk.py /opt/falcowatch/lib/python3.*/site-packages \
 && python3 -X no_debug_ranges tools/image/compile_bytecode.py / /opt/falcowatch/lib

# A stage of its own, because only this one changes with each commit.
FROM dependencies AS build
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY agent agent
RUN python3 -m pip --python /opt/falcowatch/bin/python install \
      --no-cache-dir --no-compile --disable-pip-version-check --no-deps . \
 && python3 tools/image/assemble_root.py /opt/falcowatch /root-of-image \
 && python3 -X no_debug_ranges tools/image/compile_bytecode.py /root-of-image

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="falcowatch" \
      org.opencontainers.image.description="Ships Falco's runtime security alerts from Kubernetes nodes to Amazon CloudWatch Logs, and accounts for every alert." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /root-of-image /
ENV PATH=/opt/falcowatch/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PYTHONUTF8=1
# Log files belong to root and have mode 0640 or 0600. uid 0 owns them, so it can read them without any capability, and
# the chart drops all capabilities. The chart can also run the agent as uid 9801 in group 0, which can read mode 0640.
# hadolint ignore=DL3002
USER 0:0
EXPOSE 9801
# There is no HEALTHCHECK: Kubernetes ignores it, and kubelet probes /healthz and /readyz instead.
ENTRYPOINT ["falcowatch"]
CMD ["run"]
