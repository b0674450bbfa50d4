# The job as an image: `docker run --gpus all -v "$PWD:/data" IMAGE run --source /data/in --dest /data/out`.
# Built by scripts/build-image; by hand: docker build --build-arg FLAVOUR=cpu .

# For a release, pin the base by digest: --build-arg BASE_IMAGE=docker.io/library/python:3.11-slim-bookworm@sha256:…
# What the labels say comes as build arguments too: VERSION, REVISION, CREATED, SOURCE, BASE_DIGEST; docs/image.md.
ARG BASE_IMAGE=docker.io/library/python:3.11-slim-bookworm
# gpu: CUDA, cuDNN and NCCL come as wheels, at the versions of the lock; the host brings only its driver. cpu: none of it.
ARG FLAVOUR=gpu

FROM ${BASE_IMAGE} AS build
ARG FLAVOUR
RUN python3 -m venv /opt/build && python3 -m venv --without-pip /opt/sbom && python3 -m venv --without-pip /opt/venv
ENV PATH=/opt/build/bin:$PATH
WORKDIR /src
COPY requirements-build.lock requirements-sbom.lock requirements-${FLAVOUR}.lock ./
# The secrets are optional: a package index and an authority that only the building machine knows, and that no layer may.
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca.crt,target=/run/secrets/ca.crt \
    if [ -s /run/secrets/ca.crt ]; then export PIP_CERT=/run/secrets/ca.crt; fi \
    && pip install --require-hashes --only-binary :all: -r requirements-build.lock \
    && pip --python /opt/sbom install --require-hashes --no-deps --only-binary :all: -r requirements-sbom.lock \
    && pip --python /opt/venv install --require-hashes --no-deps --only-binary :all: -r "requirements-${FLAVOUR}.lock"
COPY LICENSE README.md pyproject.toml ./
COPY job job
RUN pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
    && pip install --no-cache-dir --no-deps --no-index --target /opt/job dist/*.whl
COPY scripts/sbom scripts/sbom
ARG SOURCE_DATE_EPOCH
# Debian's packages are those of the base, to which nothing is added below.
RUN PYTHONPATH=/opt/job /opt/sbom/bin/python scripts/sbom /opt/venv/bin/python >/opt/sbom.cdx.json

# An image that asks for GPUs gets all of them wherever NVIDIA's runtime is the default one, so the CPU flavour asks for none.
FROM ${BASE_IMAGE} AS cpu
FROM ${BASE_IMAGE} AS gpu
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility

# hadolint ignore=DL3006
FROM ${FLAVOUR}
# Layers apart: the large one changes with the lock alone.
COPY --from=build /opt/venv /opt/venv
COPY --from=build /opt/job /opt/job
COPY --from=build /opt/sbom.cdx.json /opt/sbom.cdx.json
# The sandbox needs libseccomp.so.2, which comes with Debian's apt: another base image without it is told here.
RUN ["/opt/venv/bin/python", "-c", "import pyseccomp"]
# A read-only root suits it: everything is compiled, and only /tmp is written, by whatever user it runs as.
ENV PATH=/opt/venv/bin:$PATH PYTHONPATH=/opt/job PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp
USER 10001:10001
ENTRYPOINT ["python", "-m", "job"]
CMD ["--help"]
ARG BASE_IMAGE
ARG BASE_DIGEST
ARG CREATED
ARG REVISION
ARG SOURCE
ARG VERSION
LABEL org.opencontainers.image.title="tf1lift" \
      org.opencontainers.image.description="Moves TensorFlow 1 models to TF2 SavedModels, with proof: a GPU batch job." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.base.name="${BASE_IMAGE}" \
      org.opencontainers.image.base.digest="${BASE_DIGEST}"
