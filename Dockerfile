# One image for every role: `serve --api-only`, `worker`, `db upgrade`. CPU by default; for NVIDIA GPUs build with
#   --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130
# (torch's CUDA builds carry their own CUDA libraries, so the base image is the same).
ARG PYTHON_VERSION=3.12

FROM python:${PYTHON_VERSION}-slim-bookworm AS build
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/herenow
ENV PATH=/opt/herenow/bin:$PATH
WORKDIR /src
# The slow layer first: it changes only with the pin in pyproject.toml.
COPY pyproject.toml ./
RUN pip install --no-deps --index-url "$TORCH_INDEX" \
      "$(python -c 'import tomllib; print(next(d for d in tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"] if d.startswith("torch==")))')"
COPY README.md LICENSE ./
COPY models models
COPY solvers solvers
COPY service service
COPY migrations migrations
RUN pip install '.[postgres,s3,fast,forecast,tracing]'

FROM python:${PYTHON_VERSION}-slim-bookworm AS run
RUN groupadd --system --gid 10001 herenow \
 && useradd --system --uid 10001 --gid herenow --home-dir /tmp --no-create-home --shell /usr/sbin/nologin herenow \
 && install --directory --owner=herenow --group=herenow --mode=0700 /var/lib/herenow
COPY --from=build /opt/herenow /opt/herenow
ENV PATH=/opt/herenow/bin:$PATH \
    HOME=/tmp \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HERENOW_DATA_DIR=/var/lib/herenow
USER herenow
VOLUME /var/lib/herenow
EXPOSE 8000
STOPSIGNAL SIGTERM
ENTRYPOINT ["herenow"]
CMD ["--help"]
