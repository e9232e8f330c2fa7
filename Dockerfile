# The service under gunicorn, for those who run containers. Settings come from the environment
# (docs/configuration.md), credentials from where boto3 looks: the task's or the pod's role.
#
#   docker build -t session-store .
#   docker run -p 8000:8000 -e SESSIONS_TABLE=sessions -e AWS_REGION=us-east-1 \
#     -e JWT_JWKS_URL=https://acme.auth0.com/.well-known/jwks.json session-store

FROM python:3.13-slim AS packages
COPY requirements-container.txt /
# Wheels only: nothing is compiled here, so nothing that compiles is needed.
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r /requirements-container.txt

FROM python:3.13-slim
RUN useradd --system --uid 10001 --no-create-home service
COPY --from=packages /venv /venv
COPY app /srv/app
WORKDIR /srv
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1
USER 10001
EXPOSE 8000

# The process answers; whether DynamoDB does is not the container's health.
HEALTHCHECK --interval=30s --timeout=3s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health')"]

# Threads, since a request mostly waits for DynamoDB. /dev/shm, since a worker that waits for a slow disk to say
# that it is alive gets killed. --preload, so that a missing setting ends the container: without it gunicorn starts
# worker after worker for ever. The timeout is above REQUEST_BUDGET; a container is stopped once it has answered.
# Headers may be longer than the longest token the app takes (16 KB), so that it is the app that refuses one.
# What gunicorn logs below an error may quote a token or a message: the request that it cannot read.
CMD ["gunicorn", "app.wsgi:app", "--preload", "--bind", "0.0.0.0:8000", "--workers", "2", "--threads", "16", "--worker-tmp-dir", "/dev/shm", "--timeout", "60", "--graceful-timeout", "30", "--limit-request-field_size", "32768", "--limit-request-line", "8190", "--log-level", "error"]
