# syntax=docker/dockerfile:1
# Two images, both without root: `asterisk` (Debian's Asterisk with our dialplan and prompts) and `service` (the wheel).
# docker-compose.yml puts them together; docs/docker.md tells how.

# --- the wheel, and what is built with it -----------------------------------------------------------------------
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
# Exactly the files that the lock names, by their hashes: `make lock` brings them up to date.
COPY requirements/ requirements/
RUN pip install --no-cache-dir --require-hashes --requirement requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY binding_ivr/ binding_ivr/
COPY dialplan/ dialplan/
COPY sql/ sql/
RUN python -m venv /opt/binding-ivr \
    && pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheel . \
    && /opt/binding-ivr/bin/pip install --no-cache-dir --require-hashes --requirement requirements/service.txt \
    && /opt/binding-ivr/bin/pip install --no-cache-dir --no-deps /wheel/*.whl
# The same command that an operator runs beside a plain Asterisk.
RUN /opt/binding-ivr/bin/binding-ivr prompts build --output /sounds

# --- the PBX ----------------------------------------------------------------------------------------------------
# forky is the Debian release whose Asterisk is of the 22 series; bookworm and trixie have none.
FROM debian:forky-slim AS asterisk
# A uid of its own, known before the package makes one, so that the volumes keep their owner.
RUN groupadd --system --gid 5060 asterisk \
    && useradd --system --uid 5060 --gid 5060 --home-dir /var/lib/asterisk --shell /usr/sbin/nologin asterisk
# Security updates of a Debian release come under the same version series: pinning would keep them out.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends asterisk asterisk-core-sounds-en-wav \
    && rm -rf /var/lib/apt/lists/* \
    && install --directory --owner=asterisk --group=asterisk \
        /var/lib/asterisk /var/spool/asterisk /var/log/asterisk /run/asterisk
COPY dialplan/samples/render-config.sh /usr/local/bin/render-config.sh
COPY dialplan/samples/*.conf dialplan/*.conf binding_ivr/lab/asterisk/etc/common/indications.conf /usr/share/binding-ivr/
COPY binding_ivr/lab/asterisk/etc/common/modules.txt /usr/share/binding-ivr/modules-common.txt
COPY binding_ivr/lab/asterisk/etc/pbx/modules.txt /usr/share/binding-ivr/modules-pbx.txt
# One by one, since sounds/en may be a link into another folder.
RUN --mount=type=bind,from=build,source=/sounds,target=/sounds \
    for language in en es fr de zh; do \
        mkdir -p "/usr/share/asterisk/sounds/$language" \
        && cp -R "/sounds/$language/binding_ivr" "/usr/share/asterisk/sounds/$language/" || exit 1; \
    done
USER 5060:5060
# SIP and media. ARI, AMI and FastAGI stay on the control network.
EXPOSE 5060/udp 10000-10099/udp
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
    CMD ["asterisk", "-C", "/run/asterisk/etc/asterisk.conf", "-rx", "core waitfullybooted"]
ENTRYPOINT ["/usr/local/bin/render-config.sh", "/usr/share/binding-ivr", "/run/asterisk/etc"]
CMD ["asterisk", "-C", "/run/asterisk/etc/asterisk.conf", "-f"]

# --- the service ------------------------------------------------------------------------------------------------
FROM python:3.11-slim-bookworm AS service
RUN groupadd --system --gid 4573 binding-ivr \
    && useradd --system --uid 4573 --gid 4573 --no-create-home --shell /usr/sbin/nologin binding-ivr
COPY --from=build /opt/binding-ivr /opt/binding-ivr
ENV PATH=/opt/binding-ivr/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    BINDING_IVR__SERVICE__LOG_FORMAT=json
USER 4573:4573
# 9473: /metrics, on loopback unless [metrics] bind says otherwise.
EXPOSE 8080 9473
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/health/live', timeout=4)"]
ENTRYPOINT ["binding-ivr"]
CMD ["serve"]
