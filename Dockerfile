# Runs the service with gunicorn. Settings come from the environment (docs/configuration.md). boto3 finds the
# credentials, for example the role of the task or pod.
#
#   docker build -t session-store .
#   docker run -p 8000:8000 -e SESSIONS_TABLE=sessions -e AWS_REGION=us-east-1 \
#     -e JWT_JWKS_URL=https://acme.auth0.com/.well-known/jwks.json session-store

FROM python:3.13-slim AS packages
COPY requirements-container.txt /
COPY requirements-otel.txt /
# With traces (OTEL_ENABLED): docker build --build-arg WITH="container otel" …
ARG WITH="container"
# Wheels only, so that no compiler is needed.
RUN python -m venv /venv \
    && for name in $WITH; do \
    /venv/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r "/requirements-$name.txt" || exit 1; done

FROM python:3.13-slim
RUN useradd --system --uid 10001 --no-create-home service
COPY --from=packages /venv /venv
COPY app /srv/app
WORKDIR /srv
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1
USER 10001
EXPOSE 8000

# Checks that the process is up. Whether DynamoDB answers is not part of the container's health: a restart would not help.
# Let the load balancer, or the readiness probe, ask for /ready.
HEALTHCHECK --interval=30s --timeout=3s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health')"]

# Threads: a request mostly waits for DynamoDB.
# /dev/shm: gunicorn kills a worker whose heartbeat file is on a slow disk.
# --preload: a missing setting ends the container. Without it, gunicorn restarts workers for ever.
# --timeout: above REQUEST_BUDGET. On stop, running requests have --graceful-timeout to finish.
# --limit-request-field_size: above the longest token that the app takes (16 KB), so that the app refuses longer ones.
# --log-level: gunicorn's warnings quote requests that it cannot read, which may hold a token or a message.
CMD ["gunicorn", "app.wsgi:app", "--preload", "--bind", "0.0.0.0:8000", "--workers", "2", "--threads", "16", "--worker-tmp-dir", "/dev/shm", "--timeout", "60", "--graceful-timeout", "30", "--limit-request-field_size", "32768", "--limit-request-line", "8190", "--log-level", "error"]
