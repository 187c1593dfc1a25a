# The CPU image:    docker build -t bidrec .
# The CUDA image:   docker build -t bidrec:cuda --target cuda .
#
# torch comes from the package index, unless a folder of wheels is given with --build-context wheels=DIR.
# PyTorch's CPU wheel is on an index of its own; with it the image is 1.6 GB, without it the CUDA libraries come along:
#     docker build -t bidrec --build-arg PIP_EXTRA_INDEX_URL=... .

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
RUN --mount=type=bind,from=wheels,target=/wheels \
    pip install --find-links /wheels 'torch==2.13.*' && \
    pip install --find-links /wheels --no-deps -r requirements/torchrec-cpu.txt
RUN install -d /opt/bidrec/share/bidrec && pip inspect >/opt/bidrec/share/bidrec/packages.json

FROM packages AS packages-cuda
COPY requirements/torchrec-cuda.txt requirements/
RUN pip install 'torch==2.13.*' && pip install --no-deps -r requirements/torchrec-cuda.txt
RUN install -d /opt/bidrec/share/bidrec && pip inspect >/opt/bidrec/share/bidrec/packages.json

# An environment with nothing but our code, laid over the packages: a change of code leaves the large layer as it is.
FROM installer AS code
COPY pyproject.toml README.md ./
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
WORKDIR /data
VOLUME /data
ENTRYPOINT ["bidrec"]
CMD ["--help"]
LABEL org.opencontainers.image.title="bidrec" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="NOASSERTION" \
      org.opencontainers.image.description="Which companies will bid on a public tender, and which tenders suit a company"

# A record of every package, its version, licence and hashes, comes with the packages: share/bidrec/packages.json.
FROM runtime AS cuda
COPY --from=packages-cuda /opt/bidrec /opt/bidrec
COPY --from=code /opt/bidrec /opt/bidrec
ARG REVISION=unknown
ENV BIDREC_REVISION=$REVISION
LABEL org.opencontainers.image.revision=$REVISION

FROM runtime AS cpu
COPY --from=packages-cpu /opt/bidrec /opt/bidrec
COPY --from=code /opt/bidrec /opt/bidrec
ARG REVISION=unknown
ENV BIDREC_REVISION=$REVISION
LABEL org.opencontainers.image.revision=$REVISION
