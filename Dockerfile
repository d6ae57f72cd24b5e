# syntax=docker/dockerfile:1
# The agent in one image: page, packages and starter weights; larger weights come on a volume.
#
#   docker build -t maata .                                       CPU
#   docker build -t maata:gpu --build-arg TORCH_BACKEND=cu130 .   NVIDIA
#
# deploy/check_build.py runs the build stages without Docker.

ARG PYTHON=3.11
ARG NODE=22


FROM node:${NODE}-bookworm-slim AS page
WORKDIR /src/web
COPY web/package.json web/package-lock.json web/.npmrc ./
# Not `npm ci`: see the Makefile.
RUN --mount=type=cache,target=/opt/cache/npm npm install --silent --cache /opt/cache/npm
COPY web/ ./
RUN npm run build --silent


FROM python:${PYTHON}-slim-bookworm AS packages
ARG UV_VERSION=0.13.8
# cpu, or a build of torch for CUDA, as cu130 (uv knows where each lives).
ARG TORCH_BACKEND=cpu
# CTranslate2 loads CUDA 12's cuBLAS, whatever torch brings.
ARG CUBLAS_12=12.9.3.13
ENV UV_CACHE_DIR=/opt/cache/uv PIP_CACHE_DIR=/opt/cache/pip \
    UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 VIRTUAL_ENV=/opt/venv
RUN --mount=type=cache,target=/opt/cache/pip \
    python -m venv /opt/uv && /opt/uv/bin/pip install --quiet "uv==${UV_VERSION}" && \
    /opt/uv/bin/uv venv --quiet /opt/venv
WORKDIR /src
COPY pyproject.toml requirements.lock ./
# More of them: "--extra ray" for an image that serves on a Ray cluster.
ARG EXTRAS=
# The lock holds the packages of all extras; as constraints it pins those that this image has.
RUN --mount=type=cache,target=/opt/cache/uv \
    /opt/uv/bin/uv pip install --quiet ${TORCH_BACKEND:+--torch-backend=${TORCH_BACKEND}} \
    --constraint requirements.lock --requirement pyproject.toml \
    --extra espeak --extra s2s --extra otel ${EXTRAS} && \
    case "${TORCH_BACKEND}" in cu*) \
        /opt/uv/bin/uv pip install --quiet "nvidia-cublas-cu12==${CUBLAS_12}" ;; \
    esac


FROM packages AS ours
COPY README.md LICENSE ./
COPY weights/ weights/
COPY models/ models/
COPY services/ services/
COPY training/ training/
COPY benchmarks/ benchmarks/
COPY pipelines/ pipelines/
COPY maata/ maata/
COPY --from=page /src/pipelines/page pipelines/page/
# Beside the packages, not among them: a change of ours is a small layer of its own.
RUN --mount=type=cache,target=/opt/cache/uv \
    /opt/uv/bin/uv pip install --quiet --no-deps --target /opt/maata .


FROM python:${PYTHON}-slim-bookworm AS runtime
ARG PYTHON
ARG TORCH_BACKEND=cpu
# Triton, which torch compiles with on a GPU, calls a C compiler at run time. Not pinned: Debian keeps
# one version of a package in a release, and drops it for the next.
# hadolint ignore=DL3008
RUN if [ "${TORCH_BACKEND}" != cpu ]; then \
        apt-get update && \
        apt-get install --yes --no-install-recommends gcc libc6-dev && \
        rm -rf /var/lib/apt/lists/*; \
    fi && \
    groupadd --gid 10001 maata && \
    useradd --uid 10001 --gid maata --no-create-home --home-dir /data maata && \
    install --directory --owner maata --group maata /data
COPY --from=packages /opt/venv /opt/venv
COPY --from=ours /opt/maata /opt/maata
COPY --chmod=755 deploy/runpod/start.sh deploy/runpod/idle_stop.py /opt/runpod/
ENV PATH=/opt/maata/bin:/opt/venv/bin:$PATH \
    PYTHONPATH=/opt/maata \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HF_HOME=/data/huggingface \
    MAATA_CACHE=/data/cache \
    TORCHINDUCTOR_CACHE_DIR=/data/cache/inductor \
    TRITON_CACHE_DIR=/data/cache/triton \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    LD_LIBRARY_PATH=/opt/venv/lib/python${PYTHON}/site-packages/nvidia/cublas/lib
# 0:0 for a place whose volumes belong to root (RunPod).
ARG RUN_AS=10001:10001
USER ${RUN_AS}
WORKDIR /data
VOLUME /data
EXPOSE 7860
STOPSIGNAL SIGTERM
# Healthy is who takes calls: not while loading, and no more while draining.
HEALTHCHECK --interval=10s --timeout=5s --start-period=300s --start-interval=2s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:7860/ready', timeout=4)"]
ENTRYPOINT ["maata"]
CMD ["serve", "--host", "0.0.0.0"]
