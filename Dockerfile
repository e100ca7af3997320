# One image for every process of the Procfile: docker run IMAGE python -m workers
# Without a command it is the ingress.

FROM python:3.11-slim AS build
WORKDIR /build
RUN python -m venv /venv
COPY pyproject.toml constraints.txt ./
# Production's dependencies alone: no embedded server, no test, no checker comes into the image.
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" \
        > requirements.txt \
    && /venv/bin/pip install --no-cache-dir --disable-pip-version-check -c constraints.txt -r requirements.txt

FROM python:3.11-slim
# The folders are run in place; nothing in site-packages or in the working directory may stand before them.
ENV PATH=/venv/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONSAFEPATH=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    APP_ENV=production \
    HOST=0.0.0.0 \
    PORT=8000
RUN useradd --system --uid 10001 --home-dir /nonexistent --shell /usr/sbin/nologin counterfoil
WORKDIR /app
COPY --from=build /venv /venv
COPY settings.py logs.py dunning.toml LICENSE ./
COPY payments payments
COPY gateways gateways
COPY db db
COPY web web
COPY workers workers
COPY ingress ingress
COPY checkout checkout
COPY schedules schedules
COPY console console
USER 10001
EXPOSE 8000
# Every process answers there while it lives; only the release ends by itself.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ['PORT'] + '/healthz', timeout=2)"]
CMD ["python", "-m", "ingress"]
