# MI Explorer on the embedded pair, on a CPU:
#   docker build -t mi-explorer .
#   docker run -p 7860:7860 -v mi-explorer:/data mi-explorer
# Everybody who reaches the port can use the page (README: settings). On x86 a plain torch wheel brings gigabytes of CUDA; for the
# CPU wheel name the index that PyTorch's install page gives: --build-arg PIP_ARGS="--extra-index-url …"
FROM python:3.11-slim

ARG PIP_ARGS=""
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

WORKDIR /app
COPY requirements.txt constraints.txt ./
RUN pip install $PIP_ARGS -c constraints.txt -r requirements.txt

COPY mi_explorer ./mi_explorer
COPY assets ./assets
COPY app.py LICENSE README.md ./

RUN chmod -R a+rX . && useradd --create-home --uid 1000 lab && mkdir /data && chown lab:lab /data
USER lab
ENV MI_EXPLORER_HOST=0.0.0.0 MI_EXPLORER_PORT=7860 MI_EXPLORER_HOME=/data
VOLUME /data
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.build_opener(u.ProxyHandler({})).open('http://127.0.0.1:' + os.environ['MI_EXPLORER_PORT'] + '/', timeout=4)"]
CMD ["python", "app.py"]
