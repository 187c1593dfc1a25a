# The CPU image:    docker build -t bidrec .
# The CUDA image:   docker build -t bidrec:cuda --target cuda .
#
# Everything comes from pip's index (PIP_INDEX_URL, PIP_EXTRA_INDEX_URL), but for the CUDA image's C compiler, which is
# Debian's, and for the torch of the CPU image: on x86-64
# that index has it only with CUDA, three times the size. It is, in this order,
#     a +cpu wheel in a folder of wheels:             --build-context wheels=DIR
#     what pip finds, where pip is to be asked:       --build-arg TORCH=pip
#     the one on PyTorch's own index of CPU wheels, whose address uv knows: nothing to be said

FROM scratch AS wheels

FROM python:3.11-slim-trixie AS base

# pip lives beside the environment that it fills, so it is not in the image.
FROM base AS installer
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
# The system's certificates rather than pip's own: a company's registry is trusted once it is trusted by the base image.
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /opt/installer && python -m venv --without-pip /opt/bidrec
ENV PATH=/opt/installer/bin:$PATH PIP_PYTHON=/opt/bidrec/bin/python
WORKDIR /build

FROM installer AS packages
COPY requirements/runtime.txt requirements/
RUN --mount=type=bind,from=wheels,target=/wheels \
    pip install --find-links /wheels -r requirements/runtime.txt

FROM packages AS packages-cpu
COPY requirements/torchrec-cpu.txt requirements/
ARG TORCH=pytorch
RUN --mount=type=bind,from=wheels,target=/wheels \
    if [ "$TORCH" != pip ] && ! ls /wheels/torch-*+cpu* >/dev/null 2>&1; then \
        PIP_PYTHON=/opt/installer/bin/python pip install -q 'uv>=0.9,<1' && \
        SSL_CERT_FILE=$PIP_CERT uv pip install --no-cache --python /opt/bidrec/bin/python --no-deps --torch-backend cpu 'torch==2.13.*' || { \
            echo "error: PyTorch's CPU wheel cannot be had from its own index" >&2; \
            echo "hint: --build-context wheels=DIR with the wheel in DIR, or --build-arg TORCH=pip for what pip finds" >&2; \
            exit 1; }; \
    fi && \
    pip install --find-links /wheels 'torch==2.13.*' && \
    pip install --find-links /wheels --no-deps -r requirements/torchrec-cpu.txt
RUN install -d /opt/bidrec/share/bidrec && pip inspect >/opt/bidrec/share/bidrec/packages.json

FROM packages AS packages-cuda
COPY requirements/torchrec-cuda.txt requirements/
RUN pip install 'torch==2.13.*' && pip install --no-deps -r requirements/torchrec-cuda.txt
RUN install -d /opt/bidrec/share/bidrec && pip inspect >/opt/bidrec/share/bidrec/packages.json

# fbgemm's CPU build beside the CUDA one, for a machine without an NVIDIA driver.
FROM installer AS without-gpu
COPY requirements/torchrec-cpu.txt requirements/
RUN grep '^fbgemm' requirements/torchrec-cpu.txt >fbgemm.txt && \
    pip install --no-deps --target /opt/bidrec/without-gpu -r fbgemm.txt
COPY docker/cuda /opt/bidrec/lib/python3.11/site-packages/

# An environment with nothing but our code, laid over the packages: a change of code leaves the large layer as it is.
FROM installer AS code
COPY pyproject.toml README.md LICENSE ./
COPY bidrec bidrec
COPY jobs jobs
COPY feature_repo feature_repo
RUN pip install --no-deps .

FROM base AS runtime
# No init of its own: bidrec hears SIGTERM as the container's first process, and starts no process that could outlive it.
ENV PATH=/opt/bidrec/bin:$PATH \
    BIDREC_HOME=/data \
    PYTHONUNBUFFERED=1 \
    # Any user id may run this one, also one without a name or a home.
    HOME=/tmp LOGNAME=bidrec
RUN install -d -o 10001 -g 0 -m 2775 /data
COPY examples/stores /usr/share/bidrec/stores
USER 10001:0
# Not the volume: a bidrec.toml there would be read before /etc/bidrec.toml, and torchrun's -m would take modules from it.
WORKDIR /
VOLUME /data
ENTRYPOINT ["bidrec"]
CMD ["--help"]
LABEL org.opencontainers.image.title="bidrec" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.description="Which companies will bid on a public tender, and which tenders suit a company"

# A record of every package, its version, licence and hashes, comes with the packages: share/bidrec/packages.json.
FROM runtime AS cuda
# What launches the kernels that torch.compile writes is C, compiled at a training's start.
USER root
RUN apt-get update -qq && \
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends gcc libc6-dev >/dev/null && \
    rm -rf /var/lib/apt/lists/*
USER 10001:0
COPY --from=packages-cuda /opt/bidrec /opt/bidrec
COPY --from=without-gpu /opt/bidrec /opt/bidrec
COPY --from=code /opt/bidrec /opt/bidrec
ARG REVISION=unknown
ENV BIDREC_REVISION=$REVISION BIDREC_IMAGE=bidrec:cuda
LABEL org.opencontainers.image.revision=$REVISION

FROM runtime AS cpu
COPY --from=packages-cpu /opt/bidrec /opt/bidrec
COPY --from=code /opt/bidrec /opt/bidrec
ARG REVISION=unknown
ENV BIDREC_REVISION=$REVISION BIDREC_IMAGE=bidrec:cpu
LABEL org.opencontainers.image.revision=$REVISION
